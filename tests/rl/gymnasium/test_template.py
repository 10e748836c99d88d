"""The files that `envs new` writes: whatever a student can see and do, they run as they stand."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from types import ModuleType
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from tutelage.rl.errors import UserError
from tutelage.rl.gymnasium.template import task_file
from tutelage.rl.tasks.action_targets import action_targets
from tutelage.rl.tasks.arrays import ActionArray
from tutelage.rl.tasks.base import Task

ENV_ID = "Odd-v0"
FAR = float(np.finfo(np.float32).max)
FLAT = spaces.Box(-1, 1, (2,))


class Odd(gymnasium.Env[Any, Any]):
    """Any observations; any actions are taken, if they are in the space."""

    def __init__(self, observation_space: Any, action_space: Any) -> None:
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action), action
        return self.observation_space.sample(), 0.0, False, False, {}


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    gymnasium.registry.pop(ENV_ID, None)


def written(observation: Any, action: Any) -> str:
    """The file for an environment with these spaces."""
    gymnasium.registry.pop(ENV_ID, None)
    make: Any = partial(Odd, observation, action)
    gymnasium.register(ENV_ID, entry_point=make, max_episode_steps=5)
    return task_file(ENV_ID, "odd", "tutelage")[0]


def task_of(text: str, monkeypatch: pytest.MonkeyPatch) -> Task:
    module = ModuleType("odd_template")
    monkeypatch.setitem(sys.modules, "odd_template", module)
    exec(compile(text, "odd_template.py", "exec"), vars(module))
    return module.Odd().as_task()  # type: ignore[no-any-return]


def played(task: Task) -> list[Any]:
    """The targets of each option in turn, done by the environment; each text is read again."""
    envs = task.make_envs(2, "train", 7)
    found = []
    try:
        envs.reset()
        for _ in range(8):
            states = envs.states()[:]
            situations = task.situation_ids(states)
            for situation in situations.tolist():
                text = task.describe(situation)
                assert task.read(text) == situation
                assert all(": " in line and line.strip() == line for line in text.splitlines())
            offered = task.options(int(situations[0]))
            codes = np.array([[task.encode(o) for o in offered]] * 2)
            done = task.act(codes, states)
            assert done.feasible.all()
            found = [done.targets[0, place] for place in range(len(offered))]
            envs.step(_drawn(task, done.targets[:, 0]))
    finally:
        envs.close()
    return found


def _drawn(task: Task, targets: Any) -> ActionArray:
    return action_targets(task.action_space).draw(targets, np.random.default_rng(0))


OBSERVATIONS = {
    "odd keys": spaces.Dict(
        {
            key: spaces.Box(-np.inf, np.inf, (1,))
            for key in ("it's", 'a "key"', "{x}", "}{", "two\nlines", '"""', "back\\slash", "\\")
        }
    ),
    "odd keys of all kinds": spaces.Dict(
        {
            "{'a'}": spaces.Discrete(3, start=-1),
            '"b"\n': spaces.MultiBinary([2, 2]),
            "c\\n": spaces.MultiDiscrete([3, 2], start=[1, -1]),
            "{d!r}": spaces.Text(8, charset="a \n{\"'"),
            "e'": spaces.Tuple([spaces.Box(0, 255, (9, 8, 3), np.uint8), FLAT]),
        }
    ),
    "all letters": spaces.Text(9, charset="ab\"'\\{}\n\t "),
    "a number": spaces.Box(0, 1, ()),
    "a table": spaces.Box(-FAR, FAR, (2, 3)),
    "whole numbers": spaces.Box(-5, 5, (2, 2), np.int64),
    "half": spaces.Box(-1, 1, (2,), np.float16),
    "small bytes": spaces.Box(0, 255, (3,), np.uint8),
    "nested": spaces.Dict({"x": spaces.Tuple([spaces.Tuple([spaces.Discrete(2)]), FLAT])}),
}

ACTIONS = {
    "start": spaces.Discrete(3, start=-4),
    "parts from 1 on": spaces.MultiDiscrete([3, 4, 2], start=[1, -2, 5]),
    "far": spaces.Box(-FAR, FAR, (2,)),
    "double": spaces.Box(-1e300, 1e300, (2,), np.float64),
    "half": spaces.Box(-65504, 65504, (2,), np.float16),
    "small half": spaces.Box(-1, 300, (2,), np.float16),
    "one side": spaces.Box(np.array([3, -np.inf]), np.array([np.inf, -3]), dtype=np.float64),
    "tiny": spaces.Box(1e-9, 2e-9, (1,), np.float64),
}


@pytest.mark.parametrize("observation", OBSERVATIONS.values(), ids=OBSERVATIONS)
def test_any_observation_can_be_told(observation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    played(task_of(written(observation, spaces.Discrete(2)), monkeypatch))


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_options_lead_to_different_actions(action: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    targets = played(task_of(written(FLAT, action), monkeypatch))
    assert np.isfinite(targets).all()
    assert len({target.tobytes() for target in targets}) == len(targets) > 1


REFUSED = {
    "sequence seen": (spaces.Sequence(FLAT), spaces.Discrete(2)),
    "graph seen": (spaces.Graph(FLAT, None), spaces.Discrete(2)),
    "nested sequence": (spaces.Dict({"a": spaces.Sequence(FLAT)}), spaces.Discrete(2)),
    "nothing seen": (spaces.Dict({}), spaces.Discrete(2)),
    "table of floats done": (FLAT, spaces.Box(-1, 1, (2, 2))),
    "whole numbers done": (FLAT, spaces.Box(0, 3, (2,), np.int64)),
    "table of parts done": (FLAT, spaces.MultiDiscrete(np.full((2, 2), 2))),
    "dict done": (FLAT, spaces.Dict({"a": spaces.Discrete(2)})),
    "bits done": (FLAT, spaces.MultiBinary(3)),
}


@pytest.mark.parametrize(("observation", "action"), REFUSED.values(), ids=REFUSED)
def test_what_no_student_can_have_is_refused_in_a_line(observation: Any, action: Any) -> None:
    with pytest.raises(UserError) as refused:
        written(observation, action)
    assert ENV_ID in str(refused.value)
    assert "\n" not in str(refused.value)
