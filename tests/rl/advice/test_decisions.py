"""What is kept of a state: advice on it becomes what the learner's labels are, whole or damaged."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.toy_task import Corridor
from tutelage.rl.advice.advice import Advice
from tutelage.rl.advice.decisions import Decision, OptionHere, advised, options_at
from tutelage.rl.advice.labels import label
from tutelage.rl.tasks.base import Task
from tutelage.rl.tasks.options import Option
from tutelage.rl.tasks.registry import make_task

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
        said = advised(advice[int(situation_ids[row])], options, len(task.action_names))
        assert said.coverage == pytest.approx(float(labels.coverage[row]), abs=1e-6)
        np.testing.assert_allclose(said.probs, labels.targets[row], atol=1e-6)


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
    actions=("left", "right"),
    options=(OptionHere(WAIT, (0.0, 0.0), False, False), OptionHere(GO, (0.0, 1.0), True, False)),
    student=(0.25, 0.75),
    codes=((1, 2), (3, 255)),
    features=(0.5,),
)


class TestAdvised:
    def test_each_plan_is_at_its_first_step_that_can_be_done(self) -> None:
        advice = Advice(((WAIT, GO), (WAIT,)), (0.6, 0.4))
        said = advised(advice, DECISION.options, 2)
        assert said.steps == (1, None)
        assert said.coverage == pytest.approx(0.6)
        assert said.probs == (0.0, 1.0)

    def test_a_plan_of_things_not_on_offer_is_no_plan(self) -> None:
        said = advised(Advice(((Option("fly"),),), (1.0,)), DECISION.options, 2)
        assert (said.probs, said.coverage, said.steps) == ((0.0, 0.0), 0.0, (None,))


class TestJson:
    def test_it_comes_back_as_it_was(self) -> None:
        back = Decision.from_json(json.loads(json.dumps(DECISION.to_json())))
        assert back == DECISION
        seen = back.observation()
        assert seen.codes.dtype == np.uint8
        assert seen.codes.tolist() == [[[1, 2], [3, 255]]]
        assert (seen.features.dtype, seen.features.tolist()) == (np.dtype(np.float32), [[0.5]])

    @pytest.mark.parametrize(
        "damage",
        [
            {"actions": ["left"]},
            {"student": [0.25, None]},
            {"student": [1.0]},
            {"codes": [[1, 2], [3]]},
            {"codes": [[1, 2], [3, 256]]},
            {"codes": None},
            {"features": ["x"]},
            {"options": [{"option": {"name": "go"}, "probs": [1.0]}]},
        ],
        ids=str,
    )
    def test_anything_else_is_refused(self, damage: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"."):
            Decision.from_json(json.loads(json.dumps(DECISION.to_json())) | damage)

    @pytest.mark.parametrize("value", [None, 3, "x", [], {}])
    def test_what_is_no_decision_is_refused(self, value: Any) -> None:
        with pytest.raises(ValueError, match=r"."):
            Decision.from_json(value)
