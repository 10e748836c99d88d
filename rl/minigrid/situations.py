"""Situations: their compact keys, their text, and the options on offer in them.

A situation id is a 63-bit field, lowest bits first:

    38 bits  which kinds of object the map remembers (lava, goal, then every key, ball, box and
             door by colour and state), bit = code - LAVA
     5 bits  what is carried: 0 for nothing, else code - KEY + 1
     1 bit   whether there is somewhere left to explore
    19 bits  the mission's number in the task's table
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from tutelage.rl.kernels import njit
from tutelage.rl.minigrid.codes import (
    BOX,
    DOOR_CLOSED,
    DOOR_OPEN,
    GOAL,
    KEY,
    LAVA,
    NUM_CODES,
    NUM_COLORS,
    door_state,
    name_of,
)
from tutelage.rl.minigrid.colors import order_colors, ranks_of, recolored
from tutelage.rl.minigrid.memory_map import carried_in
from tutelage.rl.minigrid.options import option_of
from tutelage.rl.tasks.arrays import BoolArray, CodeArray, IntArray
from tutelage.rl.tasks.numbering import Numbering
from tutelage.rl.tasks.options import Option

_KIND_BITS: Final = NUM_CODES - LAVA
_CARRIED_SHIFT: Final = _KIND_BITS
_UNEXPLORED_SHIFT: Final = _CARRIED_SHIFT + 5
MISSION_SHIFT: Final = _UNEXPLORED_SHIFT + 1
MAX_MISSIONS: Final = 1 << (63 - MISSION_SHIFT)
NUM_LINES: Final = 4
"""Of a situation's text."""


@njit(cache=True)
def encode_situations(
    maps: CodeArray,
    views: CodeArray,
    unexplored: BoolArray,
    missions: IntArray,
    renamed: bool,
    situation_ids: IntArray,
) -> None:
    """The situation ids of B states, into int64 [B].

    maps: uint8 [B, M, M]; views: uint8 [B, v, v]; unexplored: bool [B]; missions: int64 [B].
    renamed: see `rl.minigrid.colors`.
    """
    for i in range(len(maps)):
        carried = carried_in(views[i])
        ranks = ranks_of(order_colors(maps[i], carried, renamed))
        key = np.int64(0)
        for code in maps[i].flat:
            if code >= LAVA:
                key |= np.int64(1) << np.int64(recolored(code, ranks) - LAVA)
        if carried:
            key |= np.int64(recolored(carried, ranks) - KEY + 1) << _CARRIED_SHIFT
        if unexplored[i]:
            key |= np.int64(1) << _UNEXPLORED_SHIFT
        situation_ids[i] = key | (missions[i] << MISSION_SHIFT)


@dataclass(frozen=True)
class GridSituation:
    """A situation id, taken apart.

    kinds: the codes of the kinds of object seen, ascending; carried: a code, 0 for nothing.
    """

    kinds: tuple[int, ...]
    carried: int
    unexplored: bool
    mission: int

    @classmethod
    def of(cls, situation_id: int) -> GridSituation:
        """Decode a situation id. Raises ValueError for a negative one."""
        if situation_id < 0:
            raise ValueError(f"a situation id is not negative, got {situation_id}")
        carried = (situation_id >> _CARRIED_SHIFT) & 31
        return cls(
            tuple(code for code in range(LAVA, NUM_CODES) if situation_id >> (code - LAVA) & 1),
            carried + KEY - 1 if carried else 0,
            bool(situation_id >> _UNEXPLORED_SHIFT & 1),
            situation_id >> MISSION_SHIFT,
        )

    @classmethod
    def read(cls, text: str, missions: Numbering[str]) -> GridSituation:
        """The inverse of `text`. Raises ValueError for what is no situation's text."""
        fields = dict(line.partition(": ")[::2] for line in text.splitlines())
        try:
            found = cls(
                tuple(_CODES[name] for name in fields["seen"].split("; ") if name != "nothing"),
                _CODES[fields["carrying"]],
                fields["unexplored"] == "yes",
                missions.known(fields["mission"]),
            )
        except KeyError as error:
            raise ValueError(f"no situation's text: {error} in {text!r}") from error
        if found.text(missions) != text:
            raise ValueError(f"no situation's text: {text!r}")
        return found

    def encode(self) -> int:
        """The inverse of `of`."""
        key = sum(1 << (code - LAVA) for code in self.kinds)
        key |= (self.carried - KEY + 1 if self.carried else 0) << _CARRIED_SHIFT
        return key | int(self.unexplored) << _UNEXPLORED_SHIFT | self.mission << MISSION_SHIFT

    def text(self, missions: Numbering[str]) -> str:
        """The canonical text: `NUM_LINES` lines `field: value`.

        Raises KeyError for an unknown mission.
        """
        seen = "; ".join(_in_words(code) for code in self.kinds) or "nothing"
        return "\n".join(
            (
                f"mission: {missions.key(self.mission)}",
                f"carrying: {name_of(self.carried) if self.carried else 'nothing'}",
                f"seen: {seen}",
                f"unexplored: {'yes' if self.unexplored else 'no'}",
            )
        )

    def inventory(self, missions: Numbering[str]) -> str:
        """The look-up of what is carried and asked for."""
        carried = name_of(self.carried) if self.carried else "nothing"
        return f"carrying: {carried}\nmission: {missions.key(self.mission)}"

    def options(self) -> tuple[Option, ...]:
        """What is on offer: `explore` while it leads somewhere, and what fits the objects seen.

        A step may depend on an earlier one of the same plan, so `open` is on offer without the
        key and `pick_up` with full hands.
        """
        offered = [option_of("explore")] if self.unexplored else []
        doors = {DOOR_OPEN + (c - DOOR_OPEN) % NUM_COLORS for c in self.kinds if c >= DOOR_OPEN}
        things = [code for code in self.kinds if GOAL <= code < DOOR_OPEN] + sorted(doors)
        offered += [option_of("go_to", name_of(code)) for code in things]
        offered += [
            option_of("pick_up", name_of(code)) for code in things if KEY <= code < DOOR_OPEN
        ]
        if self.carried:
            offered.append(option_of("drop"))
        shut = {DOOR_OPEN + (c - DOOR_OPEN) % NUM_COLORS for c in self.kinds if c >= DOOR_CLOSED}
        boxes = [code for code in self.kinds if BOX <= code < DOOR_OPEN]
        offered += [option_of("open", name_of(code)) for code in boxes + sorted(shut)]
        return tuple(offered)


def _in_words(code: int) -> str:
    state = door_state(code)
    return f"{name_of(code)} ({state})" if state else name_of(code)


_CODES: Final = {"nothing": 0} | {_in_words(code): code for code in range(LAVA, NUM_CODES)}
"""What is seen, by its name and state; what is carried is among it, as a thing without a state."""
