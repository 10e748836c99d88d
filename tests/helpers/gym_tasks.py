"""Gymnasium environments and tasks of many kinds: discrete, continuous, several parts, text."""

from __future__ import annotations

from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium import spaces

from tutelage import GymTask, Option, OptionStep
from tutelage.rl.tasks.action_targets import action_targets
from tutelage.rl.tasks.base import Task, VectorEnv

LEFT, RIGHT = Option("left"), Option("right")


class Pole(GymTask):
    """CartPole: a discrete action, a vector."""

    def __init__(self, workers: int = 0) -> None:
        super().__init__("CartPole-v1", workers=workers)

    def situation(self, obs: Any, info: Any) -> str:
        return f"pole leans: {'left' if obs[2] < 0 else 'right'}"

    def options(self, situation: str) -> list[Option]:
        return [LEFT, RIGHT]

    def run_option(self, option: Option, obs: Any, info: Any) -> OptionStep:
        return OptionStep(action=0 if option == LEFT else 1)


class Cab(GymTask):
    """Taxi: a number for an observation, a mask of actions, and a memory."""

    info_keys = ("action_mask",)

    def __init__(self, workers: int = 0) -> None:
        super().__init__("Taxi-v4", workers=workers)

    def remember(self, memory: Any, obs: Any, info: Any) -> Any:
        return {"steps": 0 if memory is None else memory["steps"] + 1, "last": int(obs)}

    def action_mask(self, obs: Any, info: Any) -> Any:
        return info["action_mask"]

    def situation(self, obs: Any, info: Any) -> str:
        return f"cell: {obs // 20}\nsteps: {min(info['memory']['steps'], 3)}"

    def options(self, situation: str) -> tuple[Option, ...]:
        return tuple(Option("move", str(action)) for action in range(6))

    def run_option(self, option: Option, obs: Any, info: Any) -> OptionStep:
        action = int(str(option.target))
        return OptionStep(action=action if info["action_mask"][action] else None)


class Car(GymTask):
    """MountainCarContinuous: a Box for an action."""

    max_episode_steps = 40

    def __init__(self, workers: int = 0) -> None:
        super().__init__("MountainCarContinuous-v0", workers=workers)

    def situation(self, obs: Any, info: Any) -> str:
        return f"moving: {'left' if obs[1] < 0 else 'right'}"

    def options(self, situation: str) -> list[Option]:
        return [Option("pump"), Option("coast")]

    def run_option(self, option: Option, obs: Any, info: Any) -> OptionStep:
        push = float(np.sign(obs[1]) or 1.0) if option == Option("pump") else 0.0
        return OptionStep(action=[push], std=0.3)


class Dials(gymnasium.Env[Any, Any]):
    """Two dials, of 3 and 4 places from 1 on, are to be turned to where the lamps are.

    The same array is given and changed at each step, as some simulators do.
    """

    action_space = spaces.MultiDiscrete([3, 4], start=[1, 0])
    observation_space = spaces.MultiDiscrete([3, 4], start=[1, 0])

    def __init__(self) -> None:
        self._lamps = np.zeros(2, dtype=np.int64)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
        super().reset(seed=seed)
        self._draw()
        return self._lamps, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, Any]:
        assert self.action_space.contains(action)
        hits = int((action == self._lamps).sum())
        self._draw()
        return self._lamps, hits / 2, hits == 2, False, {"hits": hits}

    def _draw(self) -> None:
        self._lamps[:] = self.np_random.integers([1, 0], [4, 4])


class DialTask(GymTask):
    """Turn the dials to the lamps: several discrete actions at once."""

    info_keys = ("hits",)
    max_episode_steps = 6

    def __init__(self, workers: int = 0) -> None:
        super().__init__(Dials, workers=workers)

    def situation(self, obs: Any, info: Any) -> str:
        return f"hits: {info.get('hits', 'none')}"

    def options(self, situation: str) -> list[Option]:
        return [Option("follow"), Option("dither")]

    def run_option(self, option: Option, obs: Any, info: Any) -> OptionStep:
        if option == Option("follow"):
            return OptionStep(action=obs)
        return OptionStep(probs=[[0.2, 0.3, 0.5], [0.25] * 4], finished=True)

    def success(self, episode: Any) -> bool:
        return bool(episode.info["hits"] == 2)


WORDS: Final = ("go north", "go south", "Wait, please.")


class Signs(gymnasium.Env[Any, Any]):
    """A sign says what to do; seen are the sign, a picture, and nested numbers."""

    observation_space = spaces.Dict(
        {
            "sign": spaces.Text(40),
            "picture": spaces.Box(0, 255, (9, 8), np.uint8),
            "body": spaces.Tuple(
                [
                    spaces.Discrete(3, start=-1),
                    spaces.Dict({"x": spaces.Box(-np.inf, np.inf, (2, 2), np.float64)}),
                    spaces.MultiBinary(2),
                ]
            ),
        }
    )
    action_space = spaces.Discrete(3, start=5)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
        super().reset(seed=seed)
        self._step = 0
        return self._look(), {"step": 0}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, Any]:
        assert self.action_space.contains(action)
        reward = float(action - 5 == self._sign)
        self._step += 1
        over = self._step >= 5
        return self._look(), reward, over, over, {"step": self._step}

    def _look(self) -> dict[str, Any]:
        rng = self.np_random
        self._sign = int(rng.integers(3))
        return {
            "sign": WORDS[self._sign],
            "picture": rng.integers(0, 256, (9, 8), np.uint8),
            "body": (int(rng.integers(-1, 2)), {"x": rng.normal(size=(2, 2))}, np.array([1, 0])),
        }


class SignTask(GymTask):
    """Do what the sign says: text, a picture and nested parts; a memory of what was read."""

    info_keys = ("step",)
    max_episode_steps = 9

    def __init__(self, workers: int = 0) -> None:
        super().__init__(Signs, workers=workers)

    def remember(self, memory: Any, obs: Any, info: Any) -> Any:
        return [*(memory or []), obs["sign"]][-2:]

    def situation(self, obs: Any, info: Any) -> str:
        return f"sign: {obs['sign']}\nread before: {len(info['memory']) - 1}"

    def options(self, situation: str) -> list[Option]:
        return [Option("obey"), Option("rest")]

    def run_option(self, option: Option, obs: Any, info: Any) -> OptionStep:
        if option == Option("rest"):
            return OptionStep(probs=[0.5, 0.25, 0.25])
        return OptionStep(action=5 + WORDS.index(obs["sign"]))

    def script(self, situation: str) -> tuple[Option, ...]:
        return (Option("obey"),)

    def all_options(self) -> list[Option]:
        return [Option("obey"), Option("rest")]


def random_actions(task: Task, envs: VectorEnv, rng: np.random.Generator) -> Any:
    """Actions that are allowed, [N, ...]."""
    targets = action_targets(task.action_space)
    return targets.draw(targets.uniform(envs.action_mask(), envs.num_envs), rng)


ALL: Final = (Pole, Cab, Car, DialTask, SignTask)
