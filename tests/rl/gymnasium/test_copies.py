"""What methods do to what they are given stays theirs, however it is nested."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from helpers.gym_tasks import Signs, SignTask, random_actions
from tutelage import Option, OptionStep
from tutelage.rl.gymnasium.copies import handed_on, kept

KEYS = st.text(max_size=3)
LEAVES = st.one_of(
    st.none(),
    st.integers(),
    st.text(max_size=3),
    st.floats(width=32).map(np.float32),
    arrays(np.int64, st.integers(0, 3)),
    st.lists(st.integers(), max_size=2).map(lambda each: np.array([each, None], dtype=np.object_)),
    st.sets(st.integers(), max_size=1),
)
NESTED = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(KEYS, inner, max_size=3),
        st.dictionaries(KEYS, inner, max_size=3).map(OrderedDict),
    ),
)


def spoil(value: Any) -> None:
    """Change whatever can be changed in a value."""
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            for each in value.flat:
                spoil(each)
        if value.flags.writeable:
            value[...] = 7
    elif isinstance(value, dict):
        for each in value.values():
            spoil(each)
        value["spoilt"] = True
    elif isinstance(value, list | tuple):
        for each in value:
            spoil(each)
        if isinstance(value, list):
            value.append("spoilt")
    elif isinstance(value, set):
        value.add("spoilt")


@given(NESTED)
def test_what_is_kept_stays(given_by_env: Any) -> None:
    """Whatever the environment does later, and whoever gets it handed on."""
    state, before = kept(given_by_env), repr(given_by_env)
    spoil(given_by_env)
    assert repr(state) == before
    spoil(handed_on(state))
    assert repr(state) == before
    assert repr(handed_on(state)) == before


def test_arrays_are_shared() -> None:
    state = kept({"picture": np.zeros((84, 84, 3), np.uint8), "parts": [np.zeros(3)]})
    again = handed_on(state)
    assert again["picture"] is state["picture"]
    assert again["parts"][0] is state["parts"][0]


class Nested(Signs):
    """The signs, with a nested info."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
        observation, info = super().reset(seed=seed)
        return observation, {**info, "more": {"seen": [1, {"deep": 2}]}}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, Any]:
        *result, info = super().step(action)
        return (*result, {**info, "more": {"seen": [1, {"deep": 2}]}})  # type: ignore[return-value]


class Tidy(SignTask):
    """All methods say what they are given."""

    info_keys = ("step", "more")

    def __init__(self) -> None:
        super().__init__()
        self.env = Nested
        self.told: list[str] = []

    def done_with(self, *given: Any) -> None:
        """What a method does once it knows what to return."""
        self.told.append(repr(given))

    def situation(self, obs: Any, info: Any) -> str:
        text = f"{super().situation(obs, info)}\n{sorted(obs)} {obs['body'][0]} {info['more']}"
        self.done_with(obs, info)
        return text

    def run_option(self, option: Option, obs: Any, info: Any) -> OptionStep:
        step = super().run_option(option, obs, info)
        self.done_with(obs, info)
        return step

    def action_mask(self, obs: Any, info: Any) -> Any:
        self.done_with(obs, info)
        return None

    def remember(self, memory: Any, obs: Any, info: Any) -> Any:
        memory = super().remember(memory, obs, info)
        self.done_with(obs, info)
        return memory

    def encode(self, obs: Any, info: Any) -> Any:
        seen = dict(obs)
        self.done_with(obs, info)
        return seen

    def picture(self, obs: Any, info: Any) -> str:
        text = super().picture(obs, info)
        self.done_with(obs, info)
        return text


class Careless(Tidy):
    """All methods spoil what they are given."""

    def done_with(self, *given: Any) -> None:
        super().done_with(*given)
        spoil(given)


def test_no_method_sees_what_another_has_changed() -> None:
    def told(definition: Tidy) -> list[str]:
        task = definition.as_task()
        envs = task.make_envs(3, "train", 0)
        envs.reset()
        rng = np.random.default_rng(0)
        for _ in range(12):
            states = envs.states()[:]
            ids = task.situation_ids(states)
            codes = [[task.encode(option) for option in task.options(i)] for i in ids.tolist()]
            task.act(np.array(codes), states)
            task.picture(states, 0)
            result = envs.step(random_actions(task, envs, rng))
            definition.told += [repr(result.infos), repr(envs.observe())]
            for info in result.infos.values():
                definition.done_with(info)
            task.situation_ids(states)
        return definition.told

    assert told(Careless()) == told(Tidy())


@pytest.mark.parametrize("value", [np.float32(1.5), 3, "text", None])
def test_numbers_and_texts_are_themselves(value: Any) -> None:
    assert handed_on(kept(value)) is value
