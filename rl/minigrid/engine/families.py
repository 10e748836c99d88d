"""Which environments the batched engine knows, and how it plays each.

An environment is known by its very class: a subclass may play by other rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from minigrid.core.world_object import Lava, Wall
from minigrid.envs.crossing import CrossingEnv
from minigrid.envs.doorkey import DoorKeyEnv
from minigrid.envs.dynamicobstacles import DynamicObstaclesEnv
from minigrid.envs.empty import EmptyEnv
from minigrid.envs.fourrooms import FourRoomsEnv
from minigrid.envs.keycorridor import KeyCorridorEnv
from minigrid.envs.lavagap import LavaGapEnv
from minigrid.envs.multiroom import MultiRoomEnv
from minigrid.envs.unlock import UnlockEnv
from minigrid.envs.unlockpickup import UnlockPickupEnv
from minigrid.minigrid_env import MiniGridEnv

from tutelage.rl.minigrid.codes import LAVA, WALL
from tutelage.rl.minigrid.engine import room_grids, single_rooms
from tutelage.rl.minigrid.engine.world import (
    DODGE,
    OPEN_AIM,
    OPEN_LOCKED,
    PICK_UP_AIM,
    Rules,
    World,
)
from tutelage.rl.minigrid.levels import LEVELS, DoorKeyRoom
from tutelage.rl.tasks.arrays import IntArray

DrawLevels = Callable[[World, IntArray], None]
"""Draws the levels of cleared worlds: the given rows, int64 [n]."""

_STRIPS: Final = {Lava: LAVA, Wall: WALL}


@dataclass(frozen=True)
class Family:
    """The rules and the levels of one environment."""

    rules: Rules
    draw_levels: DrawLevels


def family_of(env: MiniGridEnv) -> Family | None:
    """How the batched engine plays an environment; None where it does not know it."""
    recognise = _RECOGNISERS.get(type(env))
    return recognise(env) if recognise is not None else None


def _family(env: MiniGridEnv, draw: Callable[..., None], *settings: Any, **rules: int) -> Family:
    """settings: what the compiled `draw` takes after worlds and rows."""
    common = Rules(
        env.width,
        env.height,
        env.agent_view_size,
        bool(env.see_through_walls),
        env.max_steps,
        **rules,
    )
    return Family(common, lambda world, rows: draw(world, rows, *settings))


def _our_own(env: DoorKeyRoom) -> Family:
    return _family(env, single_rooms.draw_layouts, env.layout, ending=OPEN_LOCKED)


def _empty(env: EmptyEnv | DynamicObstaclesEnv, **rules: int) -> Family | None:
    if env.agent_start_pos is None:
        return _family(env, single_rooms.draw_empty, True, **rules)
    if (*env.agent_start_pos, env.agent_start_dir) != (1, 1, 0):
        return None
    return _family(env, single_rooms.draw_empty, False, **rules)


def _dynamic(env: DynamicObstaclesEnv) -> Family | None:
    return _empty(env, ending=DODGE, obstacles=env.n_obstacles)


def _door_key(env: DoorKeyEnv) -> Family:
    return _family(env, single_rooms.draw_door_key)


def _four_rooms(env: FourRoomsEnv) -> Family | None:
    if env._agent_default_pos is not None or env._goal_default_pos is not None:
        return None
    return _family(env, single_rooms.draw_four_rooms)


def _gap(env: LavaGapEnv) -> Family | None:
    code = _STRIPS.get(env.obstacle_type)
    return None if code is None else _family(env, single_rooms.draw_gap, code)


def _crossing(env: CrossingEnv) -> Family | None:
    code = _STRIPS.get(env.obstacle_type)
    if code is None:
        return None
    return _family(env, single_rooms.draw_crossings, env.num_crossings, code)


def _multi_room(env: MultiRoomEnv) -> Family:
    sizes = env.minNumRooms, env.maxNumRooms, env.maxRoomSize
    return _family(env, room_grids.draw_multi_room, *sizes)


def _unlock(env: UnlockEnv) -> Family:
    return _family(env, room_grids.draw_unlock, _rooms_of(env), ending=OPEN_AIM)


def _unlock_pickup(env: UnlockPickupEnv) -> Family:
    return _family(env, room_grids.draw_unlock_pickup, _rooms_of(env), ending=PICK_UP_AIM)


def _key_corridor(env: KeyCorridorEnv) -> Family | None:
    # Another key of the same colour could be taken for the aim, so it must be no key.
    if env.obj_type != "ball":
        return None
    return _family(env, room_grids.draw_key_corridor, _rooms_of(env), ending=PICK_UP_AIM)


def _rooms_of(env: Any) -> room_grids.RoomGrid:
    return room_grids.RoomGrid(env.room_size, env.num_rows, env.num_cols)


_RECOGNISERS: Final[dict[type[MiniGridEnv], Callable[[Any], Family | None]]] = {
    **dict.fromkeys(LEVELS, _our_own),
    CrossingEnv: _crossing,
    DoorKeyEnv: _door_key,
    DynamicObstaclesEnv: _dynamic,
    EmptyEnv: _empty,
    FourRoomsEnv: _four_rooms,
    KeyCorridorEnv: _key_corridor,
    LavaGapEnv: _gap,
    MultiRoomEnv: _multi_room,
    UnlockEnv: _unlock,
    UnlockPickupEnv: _unlock_pickup,
}
