"""Situations: keys and texts tell the same, and both tell what the agent has really seen."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.grid_judge import (
    CODES,
    COLORS,
    EVERY_TASK,
    JUMBLES,
    Jumble,
    Known,
    Shadow,
    Wanderer,
    case,
    shadows_of,
)
from tutelage.rl.minigrid.codes import NUM_CODES
from tutelage.rl.minigrid.options import encode_option
from tutelage.rl.minigrid.simulator import minigrid_maker
from tutelage.rl.minigrid.situations import MAX_MISSIONS, GridSituation
from tutelage.rl.minigrid.task import GridTask
from tutelage.rl.minigrid.vector import GridStates
from tutelage.rl.tasks.numbering import Numbering
from tutelage.rl.tasks.options import Option

LAVA, KEY, DOOR_OPEN = CODES["lava"], CODES["red key"], CODES["red door (open)"]
MISSIONS = ("open the door", "open one of the two doors", "leave")

situations = st.builds(
    GridSituation,
    kinds=st.frozensets(st.integers(LAVA, NUM_CODES - 1)).map(lambda kinds: tuple(sorted(kinds))),
    carried=st.sampled_from([0, *range(KEY, DOOR_OPEN)]),
    unexplored=st.booleans(),
    mission=st.integers(0, len(MISSIONS) - 1),
)


def read_back(text: str) -> GridSituation:
    """A situation's text taken apart again."""
    mission, carrying, seen, unexplored = (line.partition(": ") for line in text.split("\n"))
    assert [mission[0], carrying[0], seen[0], unexplored[0]] == [
        "mission",
        "carrying",
        "seen",
        "unexplored",
    ]
    assert unexplored[2] in ("yes", "no")
    return GridSituation(
        () if seen[2] == "nothing" else tuple(CODES[word] for word in seen[2].split("; ")),
        0 if carrying[2] == "nothing" else CODES[carrying[2]],
        unexplored[2] == "yes",
        MISSIONS.index(mission[2]),
    )


@given(st.integers(0, 2**63 - 1))
def test_a_situation_id_is_its_situation(situation_id: int) -> None:
    assert GridSituation.of(situation_id).encode() == situation_id


@given(situations)
def test_a_situation_is_its_situation_id_and_its_text(situation: GridSituation) -> None:
    """Both can be read back, so no two situations share either."""
    assert 0 <= situation.encode() < 2**63
    assert GridSituation.of(situation.encode()) == situation
    assert read_back(situation.text(Numbering(MISSIONS))) == situation


def test_the_last_mission_fits_into_a_situation_id() -> None:
    everything = GridSituation(tuple(range(LAVA, NUM_CODES)), DOOR_OPEN - 1, True, MAX_MISSIONS - 1)
    assert 0 < everything.encode() < 2**63
    assert GridSituation.of(everything.encode()) == everything


@given(st.integers(max_value=-1))
def test_a_negative_situation_id_is_refused(situation_id: int) -> None:
    with pytest.raises(ValueError, match=str(situation_id)):
        GridSituation.of(situation_id)


@given(situations)
def test_every_option_on_offer_has_a_code_of_its_own(situation: GridSituation) -> None:
    codes = [encode_option(option) for option in situation.options()]
    assert len(set(codes)) == len(codes)
    assert all(code >= 0 for code in codes)


THINGS = [f"{color} {kind}" for color in COLORS for kind in ("key", "ball", "box")]
DOORS = [f"{color} door" for color in COLORS]
ALL_OPTIONS = [
    Option("explore"),
    Option("drop"),
    *(Option("go_to", target) for target in ("green goal", *THINGS, *DOORS)),
    *(Option("pick_up", target) for target in THINGS),
    *(Option("open", target) for target in DOORS),
    *(Option("open", target) for target in THINGS if "box" in target),
]


def test_every_option_there_is_has_a_code_of_its_own() -> None:
    assert len({encode_option(option) for option in ALL_OPTIONS}) == len(ALL_OPTIONS)


@pytest.mark.parametrize("verb", ["explore", "go_to", "pick_up", "drop", "open"])
def test_an_option_is_refused_where_the_target_does_not_fit(verb: str) -> None:
    names = [None, "", "floor", "wall", "lava", "unknown", "green goal", *THINGS, *DOORS]
    refused = [option for name in names if (option := Option(verb, name)) not in ALL_OPTIONS]
    assert len(refused) >= 6
    for option in refused:
        with pytest.raises(ValueError, match=f"{verb}.*{option.target!r}"):
            encode_option(option)


names = st.one_of(st.sampled_from(["explore", "go_to", "pick_up", "drop", "open"]), st.text())
targets = st.one_of(
    st.none(),
    st.text(),
    st.sampled_from([*THINGS, *DOORS, "wall", "lava", "floor", "unknown", "green goal", ""]),
)


@given(st.builds(Option, names, targets))
def test_any_other_option_is_refused_by_name(option: Option) -> None:
    if option in ALL_OPTIONS:
        assert encode_option(option) >= 0
        return
    known = option.name in ("explore", "go_to", "pick_up", "drop", "open")
    named = f"{option.name}.*{re.escape(repr(option.target))}" if known else repr(option.name)
    with pytest.raises(ValueError, match=named if known else re.escape(named)):
        encode_option(option)


def told(states: GridStates, shadow: Shadow) -> tuple[str, set[Option]]:
    """The text and the options on offer that follow from what MiniGrid alone has shown."""
    side = states.maps.shape[1]
    cells, (place, heading) = shadow.map_codes(side), shadow.pose
    pose = np.array([place.real + side // 2, place.imag + side // 2, heading], dtype=np.int64)
    known = Known.read(cells, pose, shadow.carried, states.views.shape[2])
    left = not known.judge([Option("explore")])[Option("explore")].finished
    seen = sorted({word for word in known.cells.values() if word not in ("floor", "wall")})
    seen.sort(key=CODES.__getitem__)
    text = "\n".join(
        (
            f"mission: {shadow.env.mission}",
            f"carrying: {shadow.carried or 'nothing'}",
            f"seen: {'; '.join(seen) or 'nothing'}",
            f"unexplored: {'yes' if left else 'no'}",
        )
    )
    offered = {Option("explore")} if left else set()
    offered |= {Option("drop")} if shadow.carried else set()
    for word in seen:
        name = word.partition(" (")[0]
        if word != "lava":
            offered.add(Option("go_to", name))
        if name in THINGS:
            offered.add(Option("pick_up", name))
        if name.endswith("box") or word.endswith(("(closed)", "(locked)")):
            offered.add(Option("open", name))
    return text, offered


@pytest.mark.parametrize("name", EVERY_TASK)
def test_text_and_options_tell_what_was_seen(name: str) -> None:
    num_envs, seed = 6 if name in JUMBLES else 2, 11
    tested = case(name)
    envs = tested.task.make_envs(num_envs, "train", seed)
    envs.reset()
    shadows = shadows_of(tested.env_id, num_envs, "train", seed)
    wanderer = Wanderer(tested.task, num_envs, seed, noise=0.2)
    texts: dict[int, str] = {}
    missions = set()
    for _ in range(60):
        for i, situation_id in enumerate(tested.task.situation_ids(envs.states())):
            text, offered = told(envs.states(), shadows[i])
            assert tested.task.describe(int(situation_id)) == text
            options = tested.task.options(int(situation_id))
            assert len(set(options)) == len(options)
            assert set(options) == offered
            assert texts.setdefault(int(situation_id), text) == text
            missions.add(text.split("\n")[0])
        actions = wanderer.actions(envs.states())
        result = envs.step(actions)
        for i, shadow in enumerate(shadows):
            shadow.step(int(actions[i]))
            if result.terminated[i] or result.truncated[i]:
                shadow.begin()
    assert len(set(texts.values())) == len(texts)
    make = minigrid_maker(tested.env_id)
    again = GridTask(name, make, 1000, 9)  # as after a resume: nothing seen yet
    assert {situation_id: again.describe(situation_id) for situation_id in texts} == texts
    assert len(missions) == (len(Jumble.missions) if name in JUMBLES else 1)
