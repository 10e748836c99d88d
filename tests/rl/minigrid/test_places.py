"""Near, far, out of reach: what the look-up tells follows from what MiniGrid has shown."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.grid_judge import AROUND, CODES, JUMBLES, Known, Shadow, Wanderer, case, shadows_of
from tutelage.rl.minigrid.places import NEAR_STEPS, PlaceField
from tutelage.rl.minigrid.simulator import minigrid_maker
from tutelage.rl.minigrid.task import GridTask
from tutelage.rl.tasks.lookups import UnknownLookupError, full_text, with_lookups

BOTH = ("objects", "inventory")
OUT = "out of reach by ways that are known"


def places_in(shadow: Shadow, side: int, most: int) -> str:
    """The look-up's text, found by a search of our own through the cells in words."""
    here, heading = shadow.pose
    pose = np.array([here.real, here.imag, heading], dtype=np.int64)
    known = Known.read(shadow.map_codes(side), pose, shadow.carried, 3).cells
    steps, edge = {here: 0}, [here]
    while edge:
        cell = edge.pop(0)
        for ahead in (cell + way for way in AROUND):
            free = known.get(ahead) in ("floor", "green goal") or "(open)" in known.get(ahead, "")
            if free and ahead not in steps:
                steps[ahead] = steps[cell] + 1
                edge.append(ahead)
    best: dict[str, float] = {}
    for cell, word in known.items():
        if CODES[word] >= CODES["green goal"]:
            beside = [steps[cell + way] for way in AROUND if cell + way in steps]
            best[word] = min([best.get(word, float("inf")), *beside])
    found = []
    for i, word in enumerate(sorted(best, key=CODES.__getitem__)):
        near = "near, reachable" if best[word] <= NEAR_STEPS else "far, reachable"
        told = OUT if best[word] == float("inf") else near
        found.append(f"{word.partition(' (')[0]} ({told if i < most else '?'})")
    return f"places: {'; '.join(found) or 'nothing known'}"


@pytest.mark.parametrize(
    "name", ["SimpleDoorKey", "LavaDoorKey", "MiniGrid-DoorKey-8x8-v0", *JUMBLES]
)
def test_places_tell_what_is_near_far_and_out_of_reach(name: str) -> None:
    num_envs, seed = 2, 5
    tested = case(name)
    task = with_lookups(tested.task, BOTH)
    assert isinstance(task, GridTask)
    envs = task.make_envs(num_envs, "train", seed)
    envs.reset()
    shadows = shadows_of(tested.env_id, num_envs, "train", seed)
    wanderer = Wanderer(tested.task, num_envs, seed, noise=0.2)
    most = PlaceField(3 if name in JUMBLES else 1).most
    texts: dict[int, str] = {}
    for _ in range(60):
        states = envs.states()
        plain = tested.task.situation_ids(states)
        for i, situation_id in enumerate(task.situation_ids(states).tolist()):
            told = task.look_up("objects", situation_id)
            assert told == places_in(shadows[i], states.maps.shape[1], most)
            assert task.describe(situation_id) == tested.task.describe(int(plain[i]))
            assert task.options(situation_id) == tested.task.options(int(plain[i]))
            carried = shadows[i].carried or "nothing"
            inventory = f"carrying: {carried}\nmission: {shadows[i].env.mission}"
            assert task.look_up("inventory", situation_id) == inventory
            assert texts.setdefault(situation_id, full_text(task, situation_id)) == full_text(
                task, situation_id
            )
        actions = wanderer.actions(states)
        result = envs.step(actions)
        for i, shadow in enumerate(shadows):
            shadow.step(int(actions[i]))
            if result.terminated[i] or result.truncated[i]:
                shadow.begin()
    assert len(set(texts.values())) == len(texts) > 5
    make = minigrid_maker(tested.env_id)
    again = with_lookups(GridTask(name, make, 1000, 9), BOTH)  # as after a resume
    assert {situation_id: full_text(again, situation_id) for situation_id in texts} == texts
    assert {again.read(text): text for text in texts.values()} == texts


def test_a_text_is_read_with_what_was_looked_up_or_without() -> None:
    task = with_lookups(case("SimpleDoorKey").task, BOTH)
    text = task.describe(0)
    assert full_text(task, task.read(text)) == full_text(task, 0)
    for told in ("places: the moon (near, reachable)", "weather: fine", "places: nothing known"):
        with pytest.raises(ValueError, match="no situation's text"):
            task.read(f"{text}\n{told}")


def test_the_digits_leave_room_for_the_record() -> None:
    for missions, most in ((1, 10), (2, 10), (3, 9), (1 << 17, 0)):
        field = PlaceField(missions)
        assert field.most == most
        largest = field.join((missions - 1 << 44) + (1 << 44) - 1, 3**field.most - 1)
        assert largest < 1 << 61
        assert field.split(largest)[1] == 3**field.most - 1


def test_look_ups_change_nothing_where_they_are_off() -> None:
    task = case("SimpleDoorKey").task
    on = with_lookups(task, ["inventory"])
    assert task.lookups == ()
    envs = task.make_envs(4, "train", 0)
    envs.reset()
    assert (task.situation_ids(envs.states()) == on.situation_ids(envs.states())).all()
    with pytest.raises(UnknownLookupError, match="offers no look-up 'weather'; allowed: objects"):
        with_lookups(task, ["weather"])
    with pytest.raises(KeyError):
        task.look_up("objects", 0)
