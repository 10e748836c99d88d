"""Every fault in a user's code is one line with the method, the situation and the place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from helpers.faulty_task import (
    ENV_METHODS,
    FAULT_LINE,
    FILE,
    METHODS,
    Faultless,
    InFaultyDials,
    faulty,
    giving,
    raising,
)
from tutelage import GymTask, Option, OptionStep
from tutelage.rl.errors import TaskCodeError, UserError
from tutelage.rl.tasks.base import Episode, UnknownTaskError
from tutelage.rl.tasks.registry import make_task
from tutelage.rl.tasks.scripts import script_of

KNOWN_SITUATION = {"options", "run_option", "encode", "picture", "script", "action_mask"}
"""The methods that are called for a situation; the others come before one is known."""

with_and_without_workers = pytest.mark.parametrize("workers", [0, 2])


def play(definition: GymTask) -> None:
    """Use all of a task, to the end of an episode."""
    task = definition.as_task("a_task")
    if task.all_options is not None:
        task.all_options()
    with closing(task.make_envs(3, "train", 0)) as envs:
        envs.reset()
        for _ in range(6):
            ids = task.situation_ids(envs.states())
            codes = [[task.encode(o) for o in task.options(i)] for i in ids.tolist()]
            for situation_id in ids.tolist():
                script = script_of(task)
                assert script is not None
                script.candidates(task.describe(situation_id), task.options(situation_id), 9)
            task.act(np.array(codes), envs.states())
            task.picture(envs.states(), 0)
            result = envs.step(np.zeros((3, 2), np.int64))
            for i, info in result.infos.items():
                over = bool(result.terminated[i]), bool(result.truncated[i])
                task.success(Episode(1.0, 6, *over, info))


def message_of(make: Any) -> str:
    with pytest.raises(UserError) as caught:
        play(make())
    message = str(caught.value)
    assert "\n" not in message
    assert isinstance(caught.value, TaskCodeError)
    return message


def test_the_task_without_a_fault_plays() -> None:
    play(Faultless())
    play(InFaultyDials("nowhere", workers=2))


class TestExceptions:
    @with_and_without_workers
    @pytest.mark.parametrize("method", METHODS)
    def test_of_a_method(self, method: str, workers: int) -> None:
        message = message_of(lambda: faulty(method, raising, workers))
        argument = "(follow())" if method == "run_option" else ""
        assert message.startswith(f"Faulty.{method}{argument} failed ")
        assert f"{FILE.name}:{FAULT_LINE}: ZeroDivisionError: division by zero" in message
        assert ('in situation "hits: none"' in message) == (method in KNOWN_SITUATION)

    @with_and_without_workers
    @pytest.mark.parametrize("method", ENV_METHODS)
    def test_of_the_environment(self, method: str, workers: int) -> None:
        message = message_of(lambda: InFaultyDials(method, workers=workers))
        if method == "__init__":
            assert message.startswith("environment 'InFaultyDials.__init__")
        else:
            assert message.startswith(f"FaultyDials.{method} failed at ")
        assert message.endswith(f"{FILE.name}:{FAULT_LINE}: ZeroDivisionError: division by zero")

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    @pytest.mark.parametrize("method", ["situation", "run_option", "remember"])
    def test_what_is_no_error_passes(self, error: type[BaseException], method: str) -> None:
        def stop() -> None:
            raise error

        with pytest.raises(error):
            play(faulty(method, stop))

    def test_a_long_message_of_many_lines_is_one_short_line(self) -> None:
        def shout() -> None:
            raise ValueError("first\nsecond \x1b[31m" + "x" * 1000)

        message = message_of(lambda: faulty("options", shout))
        assert "ValueError: first second ?[31mxxx" in message
        assert len(message) < 600
        assert message.isprintable()

    def test_an_error_in_a_library_names_the_users_line(self) -> None:
        def stack() -> None:
            np.stack([])

        message = message_of(lambda: faulty("encode", stack))
        assert f"{FILE.name}:" in message
        assert "numpy" not in message.partition("ValueError")[0]

    def test_of_the_making_of_a_task(self) -> None:
        with pytest.raises(UnknownTaskError) as caught:
            make_task("helpers.faulty_task:Unmade", None)
        place = f"{FILE.relative_to(FILE.parents[2])}, line {FAULT_LINE}"
        problem = f"{place}: ZeroDivisionError: division by zero"
        assert str(caught.value) == f"environment 'helpers.faulty_task:Unmade': {problem}"


WRONG_VALUES: list[tuple[str, Any, str]] = [
    ("observation_space", None, "it returned None, which is no space"),
    ("situation", None, "it returned None, which is no text"),
    ("situation", 3, "it returned 3, which is no text"),
    ("situation", " \n", "which is no text to be read"),
    ("situation", "\ud800", "which is no text to be read"),
    ("options", None, "it returned None, not a sequence of options"),
    ("options", [], "it returned no option; at least one must be on offer"),
    ("options", "follow", "it returned 'follow', not a sequence of options"),
    ("options", ["follow"], "it returned 'follow', which is no Option"),
    ("options", [Option("a\nb")], "which is no Option with a name"),
    ("options", [Option("")], "which is no Option with a name"),
    ("options", [Option("a", "")], "which is no Option with a name"),
    ("options", [Option("a", 3)], "which is no Option with a name"),  # type: ignore[arg-type]
    ("options", [Option("a"), Option("a")], "it returned an option twice"),
    ("all_options", None, "it returned None, not a sequence of options"),
    ("run_option", None, "it returned None, which is no OptionStep"),
    ("run_option", [1, 0], "it returned [1, 0], which is no OptionStep"),
    ("run_option", OptionStep(action=[0, 0]), "the action 0 is not within 1..3"),
    ("run_option", OptionStep(action=[float("nan"), 0]), "the action nan is no whole number"),
    ("run_option", OptionStep(action=[1, 0], probs=[[1]]), "both an action and probs"),
    ("encode", None, "the observation has the shape [], not [2]"),
    ("encode", [1, 2, 3], "the observation has the shape [3], not [2]"),
    ("encode", [1, float("nan")], "the observation has a number that is not finite"),
    ("success", None, "it returned None, which is no bool"),
    ("success", 1.0, "it returned 1.0, which is no bool"),
    ("remember", {1, 2}, "it returned {1, 2}, which JSON does not have"),
    ("remember", {"a": [float("nan")]}, "it returned nan, which JSON does not have"),
    ("remember", {1: 2}, "it returned {1: 2}, which JSON does not have"),
    ("remember", np.zeros(2), "which JSON does not have"),
    ("picture", None, "it returned None, which is no text"),
    ("script", 3, "it returned 3, not a tuple of options"),
    ("script", ["follow"], "it returned ['follow'], not a tuple of options"),
    ("script", (Option("fly"),), "its plan has fly(), which is not on offer there"),
    ("action_mask", [True, False], "it returned [True, False], not 7 truth values"),
    ("action_mask", [False] * 7, "it returned a mask that leaves no action"),
    ("action_mask", [True] * 3 + [False] * 4, "it returned a mask that leaves no action"),
]


class TestReturnValues:
    @pytest.mark.parametrize(("method", "value", "why"), WRONG_VALUES)
    def test_of_a_method(self, method: str, value: Any, why: str) -> None:
        message = message_of(lambda: faulty(method, giving(value)))
        assert message.startswith(f"Faulty.{method}")
        assert why in message
        assert f" at {FILE.relative_to(FILE.parents[2])}:" in message

    @with_and_without_workers
    @pytest.mark.parametrize(
        ("method", "value"),
        [
            ("reset", 3),
            ("reset", ([1, 1], {}, 3)),
            ("step", ([1, 1], 0, False)),
            ("step", ([1, 1], float("nan"), False, False, {})),
            ("step", ([1, 1], "much", False, False, {})),
            ("step", ([1, 1], 0, False, False, None)),
        ],
    )
    def test_of_the_environment(self, method: str, value: Any, workers: int) -> None:
        message = message_of(lambda: InFaultyDials(method, giving(value), workers))
        assert message.startswith(f"FaultyDials.{method} failed")

    @with_and_without_workers
    def test_an_observation_outside_its_space_is_the_environments(self, workers: int) -> None:
        class Plain(InFaultyDials):
            encode = GymTask.encode
            observation_space = GymTask.observation_space

        message = message_of(lambda: Plain("reset", giving(([9, 9], {})), workers))
        assert message == (
            "the environment of Plain broke its observation space: the observation is outside "
            "its space"
        )

    def test_an_option_must_keep_to_the_mask(self) -> None:
        class Masked(Faultless):
            def action_mask(self, obs: Any, info: Any) -> Any:
                mask = np.ones(7, dtype=np.int8)
                mask[obs[0] - 1] = 0
                return mask

        message = message_of(Masked)
        assert "Masked.run_option(follow()) failed in situation" in message
        assert "its action is one that action_mask forbids here" in message

    def test_a_memory_that_holds_itself(self) -> None:
        memory: list[Any] = []
        memory.append(memory)
        assert "RecursionError" in message_of(lambda: faulty("remember", giving(memory)))


class Plain(GymTask):
    """With attributes that a test sets."""

    def __init__(self, env: Any, **attributes: Any) -> None:
        super().__init__(env)
        vars(self).update(attributes)

    def situation(self, obs: Any, info: Any) -> str:
        return "x"

    def options(self, situation: str) -> list[Option]:
        return [Option("a")]

    def run_option(self, option: Option, obs: Any, info: Any) -> OptionStep:
        return OptionStep(action=0)


def told(env: Any, **attributes: Any) -> str:
    with pytest.raises(UserError) as caught:
        Plain(env, **attributes).as_task()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def missing_package() -> Iterator[str]:
    name = "NeedsMuch-v0"
    gymnasium.register(name, entry_point="no_such_package.envs:Env", max_episode_steps=9)
    yield name
    del gymnasium.registry[name]


class TestEnvironmentsThatCannotBeMade:
    def test_an_unknown_id_comes_with_gymnasiums_suggestion(self) -> None:
        assert told("CartPol-v1") == (
            "environment 'CartPol-v1' cannot be made: Environment `CartPol` doesn't exist. "
            "Did you mean: `CartPole`?"
        )
        assert "`v1`" in told("CartPole-v9")
        assert "Malformed environment ID" in told("not an id")

    def test_a_missing_package_is_named(self, missing_package: str) -> None:
        assert told(missing_package) == (
            "environment 'NeedsMuch-v0' needs a package that is missing: No module named "
            "'no_such_package'; try: pip install no_such_package"
        )

    def test_so_is_one_that_gymnasium_knows_of(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def needing(*_: Any, **__: Any) -> None:
            raise gymnasium.error.DependencyNotInstalled('run `pip install "gymnasium[box2d]"`')

        monkeypatch.setattr(gymnasium, "make", needing)
        assert told("LunarLander-v3") == (
            "environment 'LunarLander-v3' needs a package that is missing: "
            'run `pip install "gymnasium[box2d]"`'
        )

    def test_other_things_than_environments(self) -> None:
        assert "env must be an id" in told(3)
        assert "env must be an id" in told(gymnasium.make("CartPole-v1"))
        assert "which is no gymnasium.Env" in told(SimpleNamespace)
        assert "has no limit of steps" in told(
            gymnasium.envs.classic_control.CartPoleEnv  # type: ignore[attr-defined]
        )

    @pytest.mark.parametrize(
        ("attributes", "why"),
        [
            ({"info_keys": "hits"}, "Plain.info_keys must be a tuple of texts"),
            ({"info_keys": ("memory",)}, "Plain.info_keys: 'memory' is what `remember` returns"),
            ({"workers": -1}, "Plain.workers must be an integer of 0 at least"),
            ({"default_steps": None}, "Plain.default_steps must be an integer of 1 at least"),
            ({"max_episode_steps": 0}, "Plain.max_episode_steps must be an integer of 1 at least"),
            ({"notes": None}, "Plain.notes must be a text"),
            ({"action_names": ("left",)}, "Plain.action_names must be 2 different texts"),
            ({"action_names": ("a", "a")}, "Plain.action_names must be 2 different texts"),
        ],
    )
    def test_attributes_that_cannot_be(self, attributes: dict[str, Any], why: str) -> None:
        assert told("CartPole-v1", **attributes) == why

    def test_a_forgotten_super(self) -> None:
        class Forgetful(Plain):
            def __init__(self) -> None:
                pass

        with pytest.raises(TaskCodeError, match=r"Forgetful\.__init__ does not call super"):
            Forgetful().as_task()

    def test_a_box_has_no_masks(self) -> None:
        class Masked(Plain):
            def action_mask(self, obs: Any, info: Any) -> Any:
                return [True]

        with pytest.raises(UserError, match=r"Masked\.action_mask: a Box has no masks"):
            Masked("MountainCarContinuous-v0").as_task()

    def test_a_space_that_no_student_can_see(self) -> None:
        class Blind(Plain):
            observation_space = spaces.Sequence(spaces.Discrete(2))  # type: ignore[assignment]

        with pytest.raises(UserError, match="no student can see"):
            Blind("CartPole-v1").as_task()
