"""The check of a task: it passes honest ones, and finds the promise that is broken."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest

from helpers.gym_tasks import Cab, Car, DialTask, Pole
from tutelage import GymTask, Option, OptionStep
from tutelage.rl.rollouts.checker import Finding, check_task
from tutelage.rl.tasks.registry import make_task
from tutelage.rl.tasks.wrappers import TaskWrapper


def findings(task: Any) -> list[Finding]:
    """A short check."""
    return list(check_task(task, episodes=12, seconds=6.0))


def broken(task: Any) -> dict[str, str]:
    """What is said of the promises that are broken."""
    return {f.promise: f.said for f in findings(task) if f.verdict == "broken"}


@pytest.mark.parametrize("kind", [Pole, Cab, Car, DialTask])
def test_an_honest_task_passes(kind: type[GymTask]) -> None:
    assert broken(kind().as_task()) == {}


def test_a_grid_task_passes() -> None:
    """Only to open a door, which is its aim, has no end but the episode's."""
    found = {f.promise: f for f in findings(make_task("SimpleDoorKey", 7)) if f.promise != "speed"}
    end = found.pop("options' end")
    assert re.match(r"ended with the episode only: (open\(\w+ door\)(, )?)+; ", end.said)
    assert {f.verdict for f in found.values()} == {"kept"}
    assert "script" in found


class Drifting(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment with a random number of its own, which no seed reaches."""

    def __init__(self, where: str) -> None:
        super().__init__(gymnasium.make("CartPole-v1"))
        self._where, self._rng = where, np.random.default_rng()

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        observation, info = super().reset(seed=seed, options=options)
        drift = self._rng.normal() if self._where == "reset" else 0.0
        return observation + np.float32(drift * 1e-3), info

    def step(self, action: Any) -> Any:
        observation, reward, *rest = super().step(action)
        drift = self._rng.normal() if self._where == "step" else 0.0
        return observation, float(reward) + drift, *rest


class Drift(Pole):
    def __init__(self, where: str) -> None:
        super().__init__()
        self.env = lambda: Drifting(where)


def test_a_seed_that_is_not_used_is_found() -> None:
    assert "seeds" in broken(Drift("reset").as_task())


def test_an_environment_that_does_not_repeat_itself_is_found() -> None:
    assert set(broken(Drift("step").as_task())) == {"replay"}


class Outliving(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment in which something of earlier episodes is left: it is added to what is seen.

    left: what is left after so many resets and steps in its life.
    """

    def __init__(self, left: Callable[[int, int], float]) -> None:
        super().__init__(gymnasium.make("CartPole-v1"))
        self._left, self._resets, self._steps = left, 0, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        observation, info = super().reset(seed=seed, options=options)
        self._resets += 1
        return self._changed(observation), info

    def step(self, action: Any) -> Any:
        self._steps += 1
        observation, *rest = super().step(action)
        return self._changed(observation), *rest

    def _changed(self, observation: Any) -> Any:
        return observation + np.float32(self._left(self._resets, self._steps))


class Life(Pole):
    def __init__(self, left: Callable[[int, int], float]) -> None:
        super().__init__()
        self.env = lambda: Outliving(left)


@pytest.mark.parametrize(
    "left",
    [
        lambda _, steps: steps * 1e-3,
        lambda _, steps: float(steps > 60),
        lambda resets, _: float(resets > 4),
        lambda _, steps: float(steps > 135),
    ],
    ids=["a counter", "a curriculum by steps", "a curriculum by episodes", "shows in spares only"],
)
def test_what_outlives_a_reset_is_found(left: Callable[[int, int], float]) -> None:
    assert "replay" in broken(Life(left).as_task())


class Counting(Pole):
    """Situations that depend on how often they were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self._asked = itertools.count()

    def situation(self, obs: Any, info: Any) -> str:
        return f"{super().situation(obs, info)}\nasked: {next(self._asked) % 3}"


class Wavering(Pole):
    """An option that does now this, now that in the same state."""

    def __init__(self) -> None:
        super().__init__()
        self._asked = itertools.count()

    def run_option(self, option: Option, obs: Any, info: Any) -> OptionStep:
        return OptionStep(action=next(self._asked) % 3 % 2)


@pytest.mark.parametrize("kind", [Counting, Wavering])
def test_what_depends_on_more_than_the_state_is_found(kind: type[GymTask]) -> None:
    assert "pure functions" in broken(kind().as_task())


class Blank(Pole):
    """Two situations that only a machine can tell apart."""

    def situation(self, obs: Any, info: Any) -> str:
        return super().situation(obs, info) + (" " if obs[0] < 0 else "")


def test_situations_that_look_alike_are_found() -> None:
    assert "blanks" in broken(Blank().as_task())["situations"]


class Unoffered(Pole):
    def script(self, situation: str) -> tuple[Option, ...]:
        return (Option("fly"),)


def test_a_script_that_names_what_is_not_on_offer_is_found() -> None:
    assert "fly(), which is not on offer" in broken(Unoffered().as_task())["script"]


class Silent(Pole):
    def script(self, situation: str) -> tuple[Option, ...] | None:
        return None if "left" in situation else (Option("right"),)


def test_a_script_that_says_nothing_somewhere_is_doubtful() -> None:
    found = next(f for f in findings(Silent().as_task()) if f.promise == "script")
    assert found.verdict == "doubtful"
    assert "in 1 of 2 situations it says nothing" in found.said


class Broken(TaskWrapper):
    """A task in which one member is another."""

    def __init__(self, **members: Any) -> None:
        super().__init__(Pole().as_task())
        vars(self).update(members)


def test_a_task_that_is_longer_than_it_says_is_found() -> None:
    assert "episodes" in broken(Broken(max_episode_steps=3))


def test_a_success_that_is_no_truth_value_is_found() -> None:
    assert "success" in broken(Broken(success=lambda _: None))


@pytest.mark.parametrize(
    ("offered", "said"),
    [((), "no option is on offer"), ((Option("left"), Option("left")), "twice")],
)
def test_options_that_cannot_be_offered_are_found(offered: Any, said: str) -> None:
    task = Broken()
    task.task.options(task.task.read("pole leans: left"))  # so that its options have codes
    vars(task)["options"] = lambda _: offered
    assert said in broken(task)["options"]


@pytest.mark.parametrize(
    ("wrong", "said"), [(np.nan, "not finite"), (-1.0, "negative"), (3.0, "do not sum to 1")]
)
def test_labels_that_are_no_probabilities_are_found(wrong: float, said: str) -> None:
    task = Broken()

    def act(options: Any, states: Any) -> Any:
        done = task.task.act(options, states)
        return replace(done, targets=done.targets * np.float32(wrong))

    vars(task)["act"] = act
    assert said in broken(task)["labels"]


def test_an_observation_that_is_not_what_its_space_says_is_found() -> None:
    narrower = gymnasium.spaces.Box(-1, 1, (3,))
    assert "observations" in broken(Broken(observation_space={"observation": narrower}))


def test_an_unknown_space_ends_the_check() -> None:
    odd = gymnasium.spaces.Box(0, 1, (2, 2), np.float32)
    found = findings(Broken(observation_space={"observation": odd}))
    assert [f.promise for f in found] == ["spaces"]
    assert found[0].verdict == "broken"


class Endless(Pole):
    """Options that are always possible and never finished: an episode's end stops them."""


class Short(Endless):
    """The same, stopped by the limit of steps."""

    max_episode_steps = 5


@pytest.mark.parametrize("kind", [Endless, Short])
def test_options_that_end_with_the_episode_only_are_named(kind: type[GymTask]) -> None:
    played = check_task(kind().as_task(), episodes=80, seconds=20.0)
    found = {f.promise: f for f in played}["options' end"]
    assert found.verdict == "doubtful"
    assert "with the episode only: left(), right();" in found.said


class Ending(Pole):
    """Options that end, each in its way, while the pole leans to their side: or never begin."""

    def options(self, situation: str) -> list[Option]:
        return [Option("finishes"), Option("gets_stuck"), Option("one_sided"), Option("endless")]

    def run_option(self, option: Option, obs: Any, info: Any) -> OptionStep:
        upright = bool(obs[2] < 0)
        if option == Option("finishes"):
            return OptionStep(action=1, finished=upright)
        if option == Option("gets_stuck"):
            return OptionStep(action=None if upright else 1)
        # It makes the pole fall where it falls already; elsewhere it cannot be begun.
        possible = option == Option("endless") or (obs[2] > 0.05 and obs[3] > 0)
        return OptionStep(action=0 if possible else None)


def test_what_cannot_be_begun_has_not_ended() -> None:
    found = {f.promise: f for f in check_task(Ending().as_task(), episodes=150, seconds=20.0)}
    said = found["options' end"].said
    assert found["options' end"].verdict == "doubtful"
    assert "endless()" in said
    assert "one_sided()" in said
    assert "finishes()" not in said
    assert "gets_stuck()" not in said


class Resting(gymnasium.Env[Any, Any]):
    """A long day in which nothing happens, slowly."""

    observation_space = gymnasium.spaces.Box(0, 1, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self.np_random.random(1, np.float32), {}

    def step(self, action: Any) -> Any:
        time.sleep(1e-4)
        return self.np_random.random(1, np.float32), 0.0, False, False, {}


class Rest(GymTask):
    max_episode_steps = 100_000

    def __init__(self) -> None:
        super().__init__(Resting)

    def situation(self, obs: Any, info: Any) -> str:
        return "all: quiet"

    def options(self, situation: str) -> list[Option]:
        return [Option("wait")]

    def run_option(self, option: Option, obs: Any, info: Any) -> OptionStep:
        return OptionStep(action=0)

    def script(self, situation: str) -> tuple[Option, ...]:
        return (Option("wait"),)


def test_the_script_plays_no_longer_than_allowed() -> None:
    began = time.monotonic()
    found = {f.promise: f for f in check_task(Rest().as_task(), seconds=0.5)}
    assert time.monotonic() - began < 20
    assert found["script"].verdict == "doubtful"
    assert "none of its episodes ended" in found["script"].said
