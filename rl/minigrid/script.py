"""MiniGrid's script (`rl.tasks.scripts`): it weighs a few plans for a grid situation.

It sees what a model would see, the situation's canonical text and the options on offer, and it
knows what a beginner knows of keys and doors. It is no LLM and does not pretend to be one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from tutelage.rl.tasks.options import Option, Plan
from tutelage.rl.tasks.scripts import BEST, SENSIBLE, WRONG, Candidate

_BY_HARM: Final = ("drop", "pick_up", "explore", "go_to", "open")
"""Wrong steps, the worst first: to let go of what is needed, to pick up what is not needed, to look
around when there is something to do, to walk somewhere."""

_OBJECT: Final = re.compile(
    r"(?:\b(red|green|blue|purple|yellow|grey)\s+)?\b(key|ball|box|door)s?\b"
)
_TAKE: Final = re.compile(r"\b(pick up|fetch|get|take)\b")


@dataclass(frozen=True)
class Thing:
    """Something in sight. state: `locked`, `closed` or `open` for a door, else None."""

    name: str
    state: str | None = None

    @property
    def kind(self) -> str:
        """`key`, `ball`, `box`, `door`, `goal` or `lava`."""
        return self.name.split()[-1] if self.name else ""

    @property
    def color(self) -> str:
        """The colour's name, empty where there is none."""
        return self.name.split()[0] if " " in self.name else ""


@dataclass(frozen=True)
class SituationFields:
    """The fields of a canonical situation text; each has a neutral value where it is missing."""

    mission: str = ""
    carrying: Thing | None = None
    seen: tuple[Thing, ...] = ()
    unexplored: bool = True

    @classmethod
    def parse(cls, text: str) -> SituationFields:
        """Reads the `field: value` lines; lines of other fields are ignored."""
        fields = dict(_fields(text))
        carrying = fields.get("carrying", "nothing")
        return cls(
            mission=fields.get("mission", ""),
            carrying=None if carrying == "nothing" else Thing(carrying),
            seen=tuple(_things(fields.get("seen", "nothing"))),
            unexplored=fields.get("unexplored", "yes") != "no",
        )


class GridScript:
    """The script of every grid task."""

    version: int = 3

    def candidates(self, situation: str, offered: Sequence[Option], limit: int) -> list[Candidate]:
        return candidates(SituationFields.parse(situation), offered, limit)

    def wrong_steps(self, situation: str, offered: Sequence[Option], best: Plan) -> list[Option]:
        return wrong_steps(SituationFields.parse(situation), offered, best)

    def stalled(
        self, situation: str, offered: Sequence[Option], found: Sequence[Candidate], limit: int
    ) -> list[Candidate]:
        return stalled(SituationFields.parse(situation), offered, found, limit)


def candidates(
    situation: SituationFields, offered: Sequence[Option], limit: int
) -> list[Candidate]:
    """The plans that come to mind, best first, each of at most `limit` options that are on offer.

    offered: not empty. Where the script can make nothing of them, the plan is to go somewhere, else
    the first option on offer.
    """
    best = _cut(_best_steps(situation, offered), limit) or (_resort(offered),)
    found = [Candidate(best, BEST)]
    for plan in _alternatives(situation, offered, best, limit):
        if plan not in [candidate.plan for candidate in found]:
            found.append(Candidate(plan, SENSIBLE))
    for plan in _blunders(offered, found):
        found.append(Candidate(plan, WRONG))
    return found


def due_step(plan: Plan, situation: SituationFields) -> Option:
    """The step of a plan that is carried out in most of the situation's states."""
    return next((step for step in plan if is_possible(step, situation)), plan[0])


def wrong_steps(situation: SituationFields, offered: Sequence[Option], best: Plan) -> list[Option]:
    """The options on offer that can be carried out and are plainly wrong, the most harmful first.

    best: the best plan there. None of its steps is among them, and neither is the walk to what the
    due step is aimed at, which would be half of it. To explore is wrong where the best plan gets
    on without; before that, as with a key in sight and no door yet, it is as good as anything.
    """
    due = due_step(best, situation)
    helpful = {*best, Option("go_to", due.target)}
    if gets_on(best, situation):
        helpful.discard(Option("explore"))
    wrong = [o for o in offered if o not in helpful | {due} and is_possible(o, situation)]
    return sorted(wrong, key=_harmlessness)


def stalled(
    situation: SituationFields, offered: Sequence[Option], found: Sequence[Candidate], limit: int
) -> list[Candidate]:
    """The plans of a teacher that leads up to what is to be opened, and then does not open it.

    found: the script's plans, the best first; they stay as they are where nothing is to be
    opened. Else the likeliest plan walks up and away again, for ever: whatever leads away makes the
    walk its first unfinished step. The best one is left with a small share.
    """
    best = found[0].plan
    due = due_step(best, situation)
    if due.name != "open":
        return list(found)
    steps = (Option("go_to", due.target), Option("explore"), Option("drop"))
    plan = tuple(s for s in steps if s in offered and is_possible(s, situation))[:limit]
    return [Candidate(plan, BEST), Candidate(best, SENSIBLE)] if plan else list(found)


def carried_out(plan: Plan, situation: SituationFields) -> Plan:
    """The steps of a plan that the agent carries out while the situation lasts.

    `pick_up` and `open` walk up to their target themselves, so a `go_to` before them is left out.
    """
    possible = [step for step in plan if is_possible(step, situation)]
    return tuple(
        step
        for step, following in zip_longest(possible, possible[1:])
        if following is None or not _is_way_to(step, following)
    )


def _fields(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            yield name.strip().lower(), value.strip()


def _things(text: str) -> Iterator[Thing]:
    for item in text.split(";"):
        name, _, state = item.strip().partition(" (")
        if name and name != "nothing":
            yield Thing(name, state.rstrip(")") or None)


def _best_steps(situation: SituationFields, offered: Sequence[Option]) -> list[Option]:
    """The plan's steps in order: the mission's own, what makes them possible, then exploring.

    Steps that cannot be carried out yet are passed over by the plan's meaning, so the mission's
    own steps may stand first.
    """
    aims = _aims(situation)
    steps = [step for step in _own_steps(situation, aims) if step in offered]
    steps += [step for step in _enablers(situation, aims) if step in offered]
    steps += _exploring(situation, offered)
    return list(dict.fromkeys(steps))


@dataclass(frozen=True)
class _Aim:
    """What the mission asks: an option's name, and what fits as its target (no colour: any)."""

    name: str
    kind: str
    color: str = ""

    def fits(self, thing: Thing) -> bool:
        """Whether a thing can be the target."""
        return thing.kind == self.kind and self.color in ("", thing.color)


def _aims(situation: SituationFields) -> list[_Aim]:
    """The mission's aims in order; none where the mission is not understood."""
    mission = situation.mission.lower()
    if "goal" in mission:
        return [_Aim("go_to", "goal")]
    objects = [(match[1] or "", match[2]) for match in _OBJECT.finditer(mission)]
    if mission.startswith("put ") and len(objects) == 2:
        return _putting(situation, objects)
    if "open" in mission:
        return [_Aim("open", kind, color) for color, kind in objects if kind == "door"]
    if _TAKE.search(mission):
        return [_Aim("pick_up", kind, color) for color, kind in objects if kind != "door"]
    return [_Aim("go_to", kind, color) for color, kind in objects]


def _putting(situation: SituationFields, objects: list[tuple[str, str]]) -> list[_Aim]:
    """`put the A near the B`: fetch A, or bring it once it is in hand."""
    (color, kind), (other_color, other_kind) = objects
    fetch = _Aim("pick_up", kind, color)
    if situation.carrying is not None and fetch.fits(situation.carrying):
        return [_Aim("go_to", other_kind, other_color), _Aim("drop", "")]
    return [fetch]


def _own_steps(situation: SituationFields, aims: Iterable[_Aim]) -> Iterator[Option]:
    """The steps that reach the mission's aims, as far as their targets are in sight."""
    carried = situation.carrying
    for aim in aims:
        if aim.name == "drop":
            yield Option("drop")
        for thing in situation.seen:
            if not aim.fits(thing):
                continue
            if aim.name == "open":
                yield from _opening(situation, thing)
            elif aim.name != "pick_up" or carried is None:
                yield Option(aim.name, thing.name)
            elif not aim.fits(carried):
                yield from _way_clearing(situation)
                yield from (Option("drop"), Option("pick_up", thing.name))


def _way_clearing(situation: SituationFields) -> Iterator[Option]:
    """A key in hand is used before it is put down for something else."""
    for door in situation.seen:
        if unlocks(situation.carrying, door):
            yield Option("open", door.name)


def _enablers(situation: SituationFields, aims: Sequence[_Aim]) -> Iterator[Option]:
    """Doors that may be in the way of the aims, and the keys to them."""
    doors = [thing for thing in situation.seen if thing.state in ("locked", "closed")]
    for door in sorted(doors, key=lambda door: door.state != "locked"):
        yield from _opening(situation, door)
    for thing in situation.seen:
        wanted = thing.kind == "key" and situation.carrying is None and _needs_key(aims)
        if wanted and not doors and not _has_done_its_work(situation, thing):
            yield Option("pick_up", thing.name)


def _has_done_its_work(situation: SituationFields, key: Thing) -> bool:
    """Whether a door of the key's colour stands open."""
    return any(t.state == "open" and t.color == key.color for t in situation.seen)


def _needs_key(aims: Sequence[_Aim]) -> bool:
    """Whether a key is worth taking along before any door is in sight."""
    return any(aim.kind in ("door", "goal") for aim in aims)


def _opening(situation: SituationFields, door: Thing) -> Iterator[Option]:
    """How a door is opened: by hand, or with its key, which is fetched if it is in sight."""
    carried = situation.carrying
    if door.state != "locked" or unlocks(carried, door):
        yield Option("open", door.name)
        return
    keys = [thing for thing in situation.seen if unlocks(thing, door)]
    if carried is not None and _is_needed_here(situation):
        return
    if carried is not None:
        yield Option("drop")
    if keys:
        yield Option("pick_up", keys[0].name)
        yield Option("open", door.name)


def _is_needed_here(situation: SituationFields) -> bool:
    """Whether what is carried opens a locked door in sight."""
    return any(unlocks(situation.carrying, thing) for thing in situation.seen)


def unlocks(key: Thing | None, door: Thing) -> bool:
    """Whether a thing in hand, if any, is the key of a locked door."""
    return (
        key is not None
        and key.kind == "key"
        and door.kind == "door"
        and door.state == "locked"
        and key.color == door.color
    )


def is_possible(step: Option, situation: SituationFields) -> bool:
    """Whether a step can be done at all in a situation; whether there is a way is left open."""
    if step.name == "explore":
        return situation.unexplored
    if step.name == "drop":
        return situation.carrying is not None
    if step.name == "pick_up":
        return situation.carrying is None
    if step.name == "open":
        doors = [thing for thing in situation.seen if thing.name == step.target]
        shut = [door for door in doors if door.state != "open"]
        return any(d.state != "locked" or unlocks(situation.carrying, d) for d in shut)
    return True


def gets_on(plan: Plan, situation: SituationFields) -> bool:
    """Whether a plan opens something or reaches what the mission asks: it does not just prepare."""
    aims = _aims(situation)
    return any(
        step.name == "open"
        or any(aim.name == step.name and aim.fits(Thing(step.target or "")) for aim in aims)
        for step in plan
    )


def _exploring(situation: SituationFields, offered: Sequence[Option]) -> list[Option]:
    explore = Option("explore")
    return [explore] if situation.unexplored and explore in offered else []


def _cut(steps: list[Option], limit: int) -> Plan:
    """At most `limit` steps; exploring, the last one, keeps its place at the end."""
    if len(steps) <= limit:
        return tuple(steps)
    if steps[-1].name == "explore" and limit > 1:
        return (*steps[: limit - 1], steps[-1])
    return tuple(steps[:limit])


def _resort(offered: Sequence[Option]) -> Option:
    """With nothing to do: go somewhere, else whatever comes first."""
    walks = [option for option in offered if option.name == "go_to"]
    return (walks or list(offered))[0]


def _alternatives(
    situation: SituationFields, offered: Sequence[Option], best: Plan, limit: int
) -> Iterator[Plan]:
    """Plans that a careful teacher might prefer: look around first, or walk up before acting."""
    explore = _exploring(situation, offered)
    if explore and best[0] != explore[0]:
        yield _cut([*explore, *(step for step in best if step not in explore)], limit)
    first = best[0]
    approach = Option("go_to", first.target)
    if first.name in ("pick_up", "open") and approach in offered:
        yield _cut([approach, *best], limit)


def _blunders(offered: Sequence[Option], found: Sequence[Candidate]) -> Iterator[Plan]:
    """One plainly wrong plan at most: a step that none of the others begins with.

    Letting go of what is carried comes first, then picking up or visiting what is not needed.
    """
    begun = {candidate.plan[0] for candidate in found}
    for name in ("drop", "pick_up", "go_to"):
        for option in offered:
            if option.name == name and option not in begun and option not in found[0].plan:
                yield (option,)
                return


def _harmlessness(option: Option) -> int:
    return _BY_HARM.index(option.name) if option.name in _BY_HARM else len(_BY_HARM)


def _is_way_to(step: Option, following: Option) -> bool:
    acts = following.name in ("pick_up", "open")
    return step.name == "go_to" and acts and step.target == following.target
