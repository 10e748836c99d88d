"""The shipped MiniGrid levels: what each asks for, and the rules its teacher is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tutelage.rl.tasks.shipped import ShippedTask

if TYPE_CHECKING:
    from tutelage.rl.minigrid.adopted import AdoptedGridTask
    from tutelage.rl.minigrid.task import GridTask
    from tutelage.rl.tasks.settings import TaskSettings


@dataclass(frozen=True)
class GridTaskInfo(ShippedTask):
    """A MiniGrid level.

    notes: the task's own rules, a paragraph for the teacher. lava_notes: a further paragraph, for a
    teacher that knows of lava. renamed: whether situations rename colours (`rl.minigrid.colors`).
    """

    notes: str
    lava_notes: str = ""
    renamed: bool = False

    @property
    def env_id(self) -> str:
        """Gymnasium's id: the name itself, but for the paper's tasks (`rl.minigrid.levels`)."""
        return self.name if self.name.startswith("MiniGrid-") else f"Tutelage/{self.name}-v0"

    def make(self, crop: int | None, settings: TaskSettings) -> GridTask:
        # These compile kernels: only once a task is wanted.
        from tutelage.rl.minigrid.simulator import minigrid_maker
        from tutelage.rl.minigrid.task import GridTask

        lava_notes = self.lava_notes if settings.lava_known else ""
        return GridTask(
            self.name,
            minigrid_maker(self.env_id),
            self.default_steps,
            crop,
            self.renamed,
            settings.lava_known,
            "\n\n".join(filter(None, (self.notes, lava_notes))),
            settings.engine,
        )


EXAM: Final = Path(__file__).with_name("situations.yaml")
"""Situations of some of the levels, with the plans that are sensible in them."""


def adopt(
    named: str | type, crop: int | None, settings: TaskSettings, arguments: Mapping[str, Any]
) -> AdoptedGridTask | None:
    """The task of any other environment on MiniGrid's rules (`rl.minigrid.adopted`)."""
    from tutelage.rl.minigrid import adopted

    return adopted.adopt(named, crop, settings, arguments)


_OPEN: Final = "find the key, unlock the door"

_GOAL: Final = "walk to the goal"

_ONE_KEY: Final = (
    "The world is one room with one locked door in its wall and one key, which opens that door. "
    "Opening the door ends the episode in success; nothing behind it matters."
)

_LAVA: Final = (
    "One cell of the room is lava. Stepping on it ends the episode in failure. The options walk "
    "around lava that was seen, so it calls for no step in a plan."
)

_TWO_KEYS: Final = (
    "The world is one room with one locked door in its wall and two keys of different colours. "
    "Only the key of the door's colour opens it, and the agent carries one key at a time: with the "
    "wrong one in hand it must `drop` that before it can pick up the other. Opening the door ends "
    "the episode in success; nothing behind it matters."
)

_TWO_DOORS: Final = (
    "The world is one large room with two locked doors of the same colour, in opposite walls, and "
    "near its middle one key, which opens both. Opening either door ends the episode in success, "
    "so the door that is found first is the one to open. The agent sees three cells at most in "
    "front of it: there is no time to see all of the room."
)

_BEHIND_A_DOOR: Final = (
    "The world is two rooms with a locked door between them. The agent begins in the room with the "
    "key, which opens the door; the goal lies in the other room. Reaching it ends the episode."
)

_FOUR_ROOMS: Final = (
    "The world is four rooms with gaps in the walls between them and no doors. Reaching the goal "
    "ends the episode."
)

_ROOMS_IN_A_ROW: Final = (
    "The world is a chain of rooms with shut doors between them, none of them locked. The agent "
    "begins in the first room; reaching the goal, in the last one, ends the episode."
)

_LOCKED_ROOM: Final = (
    "The world is two rooms with a locked door between them. The agent begins in the room with the "
    "key, which opens the door. Opening the door ends the episode in success."
)

_LOCKED_BOX: Final = (
    "The world is two rooms with a locked door between them. The agent begins in the room with the "
    "key, which opens the door; the box lies in the other room. The agent carries one thing at a "
    "time: with the key in hand it must `drop` that before it can pick up the box. Picking up the "
    "box ends the episode in success."
)

_KEY_CORRIDOR: Final = (
    "The world is rooms to the left and right of a corridor, in which the agent begins. The doors "
    "are shut, and one is locked: behind it lies the ball. Its key lies in a room on the left. The "
    "agent carries one thing at a time: with the key in hand it must `drop` that before it can "
    "pick up the ball. Picking up the ball ends the episode in success."
)

_LAVA_STRIP: Final = (
    "The world is one room with a strip of lava across it and one gap in that. Reaching the goal "
    "ends the episode."
)

_LAVA_RIVERS: Final = (
    "The world is one room with rivers of lava across it and one gap in each. Reaching the goal "
    "ends the episode."
)

_WALLS_ACROSS: Final = (
    "The world is one room with walls across it and one opening in each. Reaching the goal ends "
    "the episode."
)

_DEADLY: Final = (
    "Stepping on lava ends the episode in failure. The options walk around lava that was seen, so "
    "it calls for no step in a plan."
)

_BARE_ROOM: Final = "The world is one bare room. Reaching the goal ends the episode."


SHIPPED: Final = (
    GridTaskInfo("SimpleDoorKey", _OPEN, 120_000, _ONE_KEY, renamed=True),
    GridTaskInfo(
        "LavaDoorKey", f"{_OPEN}, keep off the lava", 400_000, _ONE_KEY, _LAVA, renamed=True
    ),
    GridTaskInfo("ColoredDoorKey", f"{_OPEN}; one key misfits", 300_000, _TWO_KEYS),
    GridTaskInfo("DivergentDoorKey", f"{_OPEN}, of two", 900_000, _TWO_DOORS, renamed=True),
    *(
        GridTaskInfo(f"MiniGrid-{level}-v0", _GOAL, steps, notes)
        for level, steps, notes in (
            ("Empty-5x5", 50_000, _BARE_ROOM),
            ("Empty-Random-5x5", 50_000, _BARE_ROOM),
            ("Empty-6x6", 50_000, _BARE_ROOM),
            ("Empty-Random-6x6", 50_000, _BARE_ROOM),
            ("Empty-8x8", 50_000, _BARE_ROOM),
            ("Empty-16x16", 100_000, _BARE_ROOM),
            ("FourRooms", 500_000, _FOUR_ROOMS),
        )
    ),
    *(
        GridTaskInfo(f"MiniGrid-DoorKey-{size}-v0", f"{_OPEN}, {_GOAL}", steps, _BEHIND_A_DOOR)
        for size, steps in (
            ("5x5", 100_000),
            ("6x6", 150_000),
            ("8x8", 300_000),
            ("16x16", 1_000_000),
        )
    ),
    *(
        GridTaskInfo(
            f"MiniGrid-MultiRoom-{size}", f"{_GOAL}, through the doors", steps, _ROOMS_IN_A_ROW
        )
        for size, steps in (("N2-S4-v0", 150_000), ("N4-S5-v1", 500_000), ("N6-v0", 1_000_000))
    ),
    GridTaskInfo("MiniGrid-Unlock-v0", _OPEN, 150_000, _LOCKED_ROOM),
    GridTaskInfo("MiniGrid-UnlockPickup-v0", f"{_OPEN}, pick up the box", 500_000, _LOCKED_BOX),
    *(
        GridTaskInfo(
            f"MiniGrid-KeyCorridor{size}-v0", f"{_OPEN}, pick up the ball", steps, _KEY_CORRIDOR
        )
        for size, steps in (
            ("S3R1", 300_000),
            ("S3R2", 500_000),
            ("S3R3", 1_000_000),
            ("S4R3", 1_000_000),
            ("S5R3", 2_000_000),
            ("S6R3", 2_000_000),
        )
    ),
    *(
        GridTaskInfo(f"MiniGrid-{level}-v0", f"{_GOAL}, keep off the lava", steps, notes, _DEADLY)
        for level, steps, notes in (
            ("LavaGapS5", 100_000, _LAVA_STRIP),
            ("LavaGapS6", 100_000, _LAVA_STRIP),
            ("LavaGapS7", 150_000, _LAVA_STRIP),
            ("LavaCrossingS9N1", 400_000, _LAVA_RIVERS),
            ("LavaCrossingS9N2", 400_000, _LAVA_RIVERS),
            ("LavaCrossingS9N3", 400_000, _LAVA_RIVERS),
            ("LavaCrossingS11N5", 500_000, _LAVA_RIVERS),
        )
    ),
    *(
        GridTaskInfo(
            f"MiniGrid-SimpleCrossing{size}-v0", f"{_GOAL}, through the walls", steps, _WALLS_ACROSS
        )
        for size, steps in (
            ("S9N1", 200_000),
            ("S9N2", 300_000),
            ("S9N3", 300_000),
            ("S11N5", 300_000),
        )
    ),
)
