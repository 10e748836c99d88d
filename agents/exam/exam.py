"""The teacher's exam: situations whose sensible plans were found by hand, asked and marked.

The situations and plans are in `prompts/situations.yaml`, which says how they are meant. A plan in
it ends with the step that changes the situation, for then the teacher is asked again; within the
situation what is impossible stays so. An answer is therefore marked by what the agent would do of
it: without the steps that are impossible there, it must begin with one of the sensible plans.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from functools import cache, partial
from itertools import zip_longest
from typing import Any, Final, Protocol

import yaml

from tutelage.agents.client.pool import RequestPool
from tutelage.agents.planner.answer import PlannerAnswer
from tutelage.agents.planner.planner import Planner
from tutelage.agents.providers.offline_rules import SituationFields, is_possible
from tutelage.prompts.library import SHIPPED
from tutelage.rl.tasks.options import Option, Plan

FILE: Final = SHIPPED / "situations.yaml"

_STEP: Final = re.compile(r"(\w+)\(([^()]*)\)")


class ReadsSituations(Protocol):
    """What a task needs besides, so that its situations can be given as texts."""

    def read(self, text: str) -> int:
        """The situation id of a situation's text. Raises ValueError for another text."""


@dataclass(frozen=True)
class Item:
    """One situation of the exam.

    text: as the task describes it. sensible: the plans that are, each up to the step that changes
    the situation. why: for people.
    """

    task: str
    text: str
    sensible: tuple[Plan, ...]
    why: str

    def accepts(self, plan: Plan) -> bool:
        """Whether an answer is a sensible one."""
        done = carried_out(plan, SituationFields.parse(self.text))
        return any(done[: len(good)] == good for good in self.sensible)


@dataclass(frozen=True)
class Marked:
    """An item with a teacher's answer. The shares are of all samples and sum to 1 at most."""

    item: Item
    answer: PlannerAnswer

    @property
    def sensible(self) -> float:
        """The share of sensible plans."""
        return sum(p for plan, p in self._plans() if self.item.accepts(plan))

    @property
    def wrong(self) -> list[tuple[Plan, float]]:
        """The other plans, the likeliest first."""
        return [(plan, p) for plan, p in self._plans() if not self.item.accepts(plan)]

    @property
    def unusable(self) -> float:
        """The share of answers that are no plan, or never came."""
        return max(0.0, 1.0 - sum(p for _, p in self._plans()))

    def _plans(self) -> list[tuple[Plan, float]]:
        advice = self.answer.advice
        return [] if advice is None else list(zip(advice.plans, advice.probs, strict=True))


@cache
def items() -> tuple[Item, ...]:
    """All situations of the exam, by task."""
    tasks: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return tuple(
        Item(
            task,
            row["situation"],
            tuple(tuple(map(_step, plan)) for plan in row["sensible"]),
            row["why"],
        )
        for task, rows in tasks.items()
        for row in rows
    )


def carried_out(plan: Plan, situation: SituationFields) -> Plan:
    """What the agent does of a plan while the situation lasts.

    Walking up to a thing and then picking it up or opening it is what these two do by themselves.
    """
    possible = [step for step in plan if is_possible(step, situation)]
    return tuple(
        step
        for step, following in zip_longest(possible, possible[1:])
        if following is None or not _is_way_to(step, following)
    )


def ask(
    planner: Planner,
    task: ReadsSituations,
    asked: Sequence[Item],
    concurrency: int,
    on_progress: Callable[[int], None] = lambda _: None,
) -> list[Marked]:
    """Ask a planner about situations of its task, so many at a time, and mark its answers.

    on_progress: told how many are done. Raises what `Planner.ask` raises.
    """
    pool: RequestPool[PlannerAnswer] = RequestPool(concurrency)
    futures = [pool.submit(partial(planner.ask, task.read(item.text))) for item in asked]
    try:
        for done, _ in enumerate(as_completed(futures), start=1):
            on_progress(done)
        return [Marked(item, f.result()) for item, f in zip(asked, futures, strict=True)]
    finally:
        pool.close()


def mean(shares: Iterable[float]) -> float:
    """The mean of shares; there must be some."""
    found = list(shares)
    return sum(found) / len(found)


def _step(text: str) -> Option:
    found = _STEP.fullmatch(text)
    if found is None:
        raise ValueError(f"{FILE}: {text!r} is no step; needed: name() or name(target)")
    return Option(found[1], found[2] or None)


def _is_way_to(step: Option, following: Option) -> bool:
    acts = following.name in ("pick_up", "open")
    return step.name == "go_to" and acts and step.target == following.target
