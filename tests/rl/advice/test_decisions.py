"""What is kept of a state: advice on it becomes what the learner's labels are, whole or damaged."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.toy_task import Corridor
from tutelage.rl.advice.advice import Advice
from tutelage.rl.advice.decisions import Decision, OptionHere, advised, options_at
from tutelage.rl.advice.labels import label
from tutelage.rl.tasks.action_targets import action_targets
from tutelage.rl.tasks.base import Task
from tutelage.rl.tasks.options import Option
from tutelage.rl.tasks.registry import make_task
from tutelage.rl.tasks.spaces import CategoryGrid, space_to_json

TASKS: dict[str, Task] = {
    "grid": make_task("ColoredDoorKey", 7),
    "renamed": make_task("SimpleDoorKey", 7),
    "own": Corridor(),
}


def walked(task: Task, seed: int, steps: int, num_envs: int) -> Any:
    """The states after a random walk."""
    envs = task.make_envs(num_envs, "train", seed)
    envs.reset()
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        envs.step(rng.integers(len(task.action_names), size=num_envs))
    return envs.states()


def any_advice(task: Task, situation_id: int, rng: np.random.Generator) -> Advice:
    offered = task.options(situation_id)
    plans = {
        tuple(offered[i] for i in rng.integers(len(offered), size=rng.integers(1, 4)))
        for _ in range(3)
    }
    return Advice(tuple(plans), tuple([0.9 / len(plans)] * len(plans)))


@pytest.mark.parametrize("name", TASKS)
@given(seed=st.integers(0, 10_000), steps=st.integers(0, 30))
@settings(max_examples=15)
def test_advice_on_a_kept_state_is_its_label(name: str, seed: int, steps: int) -> None:
    task, rng = TASKS[name], np.random.default_rng(seed)
    states = walked(task, seed, steps, 4)
    situation_ids = task.situation_ids(states)
    advice = {int(s): any_advice(task, int(s), rng) for s in np.unique(situation_ids)}
    labels = label(task, states, situation_ids, advice)
    kept = options_at(task, states, range(4), [int(s) for s in situation_ids])
    for row, options in enumerate(kept):
        assert [here.option for here in options] == list(task.options(int(situation_ids[row])))
        said = advised(advice[int(situation_ids[row])], options, action_targets(task.action_space))
        assert said.coverage == pytest.approx(float(labels.coverage[row]), abs=1e-6)
        np.testing.assert_allclose(said.targets, labels.targets[row], atol=1e-6)


def test_only_the_rows_that_were_asked_for_are_answered_in_their_order() -> None:
    task = TASKS["own"]
    states = walked(task, 3, 5, 6)
    situation_ids = [int(s) for s in task.situation_ids(states)]
    everything = options_at(task, states, range(6), situation_ids)
    assert options_at(task, states, [4, 1], [situation_ids[4], situation_ids[1]]) == [
        everything[4],
        everything[1],
    ]
    assert options_at(task, states, [], []) == []


WAIT, GO = Option("wait"), Option("go_to", "exit")
DECISION = Decision(
    action_space=space_to_json(Discrete(2)),
    action_names=("left", "right"),
    options=(OptionHere(WAIT, (0.0, 0.0), False, False), OptionHere(GO, (0.0, 1.0), True, False)),
    student=(0.25, 0.75),
    observation={"grid": [[1, 2], [3, 255]], "features": [0.5]},
)
SPACE = {"grid": CategoryGrid(2, 2, 256), "features": Box(-1, 1, (1,), np.float32)}
LEFT_OR_RIGHT = action_targets(Discrete(2))


class TestAdvised:
    def test_each_plan_is_at_its_first_step_that_can_be_done(self) -> None:
        advice = Advice(((WAIT, GO), (WAIT,)), (0.6, 0.4))
        said = advised(advice, DECISION.options, LEFT_OR_RIGHT)
        assert said.steps == (1, None)
        assert said.coverage == pytest.approx(0.6)
        assert said.targets == (0.0, 1.0)

    def test_a_plan_of_things_not_on_offer_is_no_plan(self) -> None:
        said = advised(Advice(((Option("fly"),),), (1.0,)), DECISION.options, LEFT_OR_RIGHT)
        assert (said.targets, said.coverage, said.steps) == ((0.0, 0.0), 0.0, (None,))


class TestJson:
    def test_it_comes_back_as_it_was(self) -> None:
        back = Decision.from_json(json.loads(json.dumps(DECISION.to_json())))
        assert back == DECISION
        seen = back.observed(SPACE)
        assert seen is not None
        assert list(seen) == list(SPACE)
        assert seen["grid"].dtype == np.uint8
        assert seen["grid"].tolist() == [[[1, 2], [3, 255]]]
        features = seen["features"]
        assert (features.dtype, features.tolist()) == (np.dtype(np.float32), [[0.5]])

    @pytest.mark.parametrize(
        "damage",
        [
            {"action_names": ["left"]},
            {"action_names": []},
            {"action_names": None},
            {"action_names": ["left", "right", "on"]},
            {"action_names": ["left", 3]},
            {"action_space": None},
            {"action_space": {"kind": "discrete", "n": 3}},
            {"action_space": {"kind": "discrete", "n": 1_000_000}, "options": [], "student": None},
            {"action_space": {"kind": "multi_discrete", "nvec": [2]}},
            {"action_space": {"kind": "tokens", "length": 1}},
            {"action_space": {"kind": "picture", "shape": [8, 8, 3]}},
            {"action_space": json.loads("[" * 900 + "]" * 900)},
            {"student": [math.nan, 1.0]},
            {"student": [math.inf, 0.0]},
            {"student": [0.25, None]},
            {"student": [1.0]},
            {"observation": None},
            {"observation": [[1, 2], [3, 255]]},
            {"options": [{"option": {"name": "go"}, "targets": [1.0]}]},
            {"options": [{"option": {"name": "go"}, "targets": [1], "feasible": 1, "finished": 0}]},
        ],
        ids=lambda damage: str(damage)[:40],
    )
    def test_anything_else_is_refused(self, damage: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"."):
            Decision.from_json(json.loads(json.dumps(DECISION.to_json())) | damage)

    @pytest.mark.parametrize(
        "seen",
        [
            {"grid": [[1, 2], [3]]},
            {"grid": [[1, 2], [3, 256]]},
            {"grid": [[1, 2], [3, -1]]},
            {"grid": [[1, 2], [3, 4.5]]},
            {"grid": [1, 2, 3, 4]},
            {"grid": None},
            {"features": ["x"]},
            {"features": ["0.5"]},
            {"features": [True]},
            {"features": [None]},
            {"features": [math.nan]},
            {"features": [math.inf]},
            {"features": [10**400]},
            {"features": [1e39]},
            {"features": [True, False]},
            {"features": [[0.5]]},
            {"features": 0.5},
            {"features": {"0": 0.5}},
            {"features": json.loads("[" * 900 + "]" * 900)},
            {"more": [0.5]},
        ],
        ids=lambda seen: str(seen)[:40],
    )
    def test_what_the_student_cannot_have_seen_is_no_observation(self, seen: Any) -> None:
        observation = DECISION.observation | seen
        kept = DECISION.to_json() | {"observation": observation}
        back = Decision.from_json(json.loads(json.dumps(kept)))
        assert back.observed(SPACE) is None

    def test_a_key_that_is_missing(self) -> None:
        kept = DECISION.to_json() | {"observation": {"features": [0.5]}}
        assert Decision.from_json(kept).observed(SPACE) is None

    def test_a_vector_may_lie_beyond_its_bounds(self) -> None:
        kept = DECISION.to_json() | {"observation": DECISION.observation | {"features": [7]}}
        seen = Decision.from_json(kept).observed(SPACE)
        assert seen is not None
        assert seen["features"].tolist() == [[7.0]]

    @pytest.mark.parametrize("value", [None, 3, "x", [], {}])
    def test_what_is_no_decision_is_refused(self, value: Any) -> None:
        with pytest.raises(ValueError, match=r"."):
            Decision.from_json(value)
