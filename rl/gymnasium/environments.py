"""Making Gymnasium environments, and stepping several of them in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import isfinite
from typing import Any, Protocol, TypeAlias

import gymnasium
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import TimeLimit

from tutelage.rl.errors import TaskCodeError, UserError, one_line, text_of
from tutelage.rl.gymnasium.errors import (
    described,
    failure,
    place_of,
)
from tutelage.rl.tasks.spaces import WrongValueError

Env: TypeAlias = "gymnasium.Env[Any, Any]"
EnvMaker: TypeAlias = "Callable[[], Env]"
First: TypeAlias = "tuple[Any, dict[str, Any]]"
"""What a reset gives: the observation and the info."""
Stepped: TypeAlias = "tuple[Any, float, bool, bool, dict[str, Any]]"
"""What a step gives: the observation, the reward, terminated, truncated and the info."""


class EnvError(UserError):
    """An environment that cannot be made; the message says what is missing."""


@dataclass(frozen=True)
class EnvFacts:
    """How an environment is made, and what it says of itself."""

    make: EnvMaker
    observation_space: spaces.Space[Any]
    action_space: spaces.Space[Any]
    max_episode_steps: int


class Environments(Protocol):
    """Several environments by number, in this process or in others.

    All methods raise TaskCodeError for what an environment raises, and for values that it must not
    return.
    """

    def reset(self, rows: Sequence[int], seeds: Sequence[int]) -> list[First]:
        """Begin an episode in each of the rows."""

    def step(self, rows: Sequence[int], actions: Sequence[Any]) -> list[Stepped]:
        """One step in each of the rows."""

    def close(self) -> None:
        """Close all of them; safe to call again."""


class LocalEnvironments:
    """Environments in this process. info_keys: what is kept of their infos."""

    def __init__(self, make: EnvMaker, num_envs: int, info_keys: Sequence[str]) -> None:
        self._info_keys = tuple(info_keys)
        self._envs: list[Env] = []
        try:
            for _ in range(num_envs):
                self._envs.append(_made(make))
        except UserError:
            self.close()
            raise

    def reset(self, rows: Sequence[int], seeds: Sequence[int]) -> list[First]:
        firsts = []
        for row, seed in zip(rows, seeds, strict=True):
            env = self._envs[row]
            try:
                observation, info = env.reset(seed=seed)
                firsts.append((observation, self._kept(info)))
            except Exception as error:
                raise failure(type(env.unwrapped), "reset", error) from error
        return firsts

    def step(self, rows: Sequence[int], actions: Sequence[Any]) -> list[Stepped]:
        stepped = []
        for row, action in zip(rows, actions, strict=True):
            env = self._envs[row]
            try:
                observation, reward, terminated, truncated, info = env.step(action)
                reward = float(reward)
                if not isfinite(reward):
                    raise WrongValueError(f"it returned the reward {reward}")
                ended = bool(terminated), bool(truncated)
                stepped.append((observation, reward, *ended, self._kept(info)))
            except Exception as error:
                raise failure(type(env.unwrapped), "step", error) from error
        return stepped

    def close(self) -> None:
        while self._envs:
            with suppress(Exception):  # nothing is left to be done about it
                self._envs.pop().close()

    def _kept(self, info: Mapping[str, Any]) -> dict[str, Any]:
        return {key: info[key] for key in self._info_keys if key in info}


def facts_of(env: str | EnvMaker, max_episode_steps: int | None) -> EnvFacts:
    """Make an environment once, to see what it is.

    max_episode_steps: None for its own. Raises UserError where it cannot be made, or where it has
    no limit of steps.
    """
    if not isinstance(env, str) and not callable(env):
        raise EnvError(
            "env must be an id of Gymnasium's, or a class or function that makes an environment, "
            f"not {one_line(repr(env))}"
        )
    make: EnvMaker = partial(_by_id, env) if isinstance(env, str) else env
    probe = _made(make)
    try:
        spec = probe.spec
        steps = max_episode_steps or (None if spec is None else spec.max_episode_steps)
        if steps is None:
            raise EnvError(
                f"{_named(make)} has no limit of steps: set max_episode_steps in the task's class"
            )
        if isinstance(env, str) and spec is not None:
            # Another process may know nothing of what was registered in this one.
            make = partial(_by_id, gymnasium.spec(spec.id), max_episode_steps=steps)
        elif max_episode_steps is not None:
            make = partial(_limited, make, steps)
        return EnvFacts(make, probe.observation_space, probe.action_space, steps)
    finally:
        with suppress(Exception):
            probe.close()


def _by_id(env: str | EnvSpec, max_episode_steps: int | None = None) -> Env:
    return gymnasium.make(env, max_episode_steps, disable_env_checker=True)


def _limited(make: EnvMaker, max_episode_steps: int) -> Env:
    return TimeLimit(make(), max_episode_steps)


def _made(make: EnvMaker) -> Env:
    """An environment. Raises UserError."""
    try:
        env = make()
    except UserError:
        raise
    except gymnasium.error.DependencyNotInstalled as error:
        raise EnvError(f"{_named(make)} needs a package that is missing: {_told(error)}") from error
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        hint = f"; try: pip install {package}" if package else ""
        raise EnvError(
            f"{_named(make)} needs a package that is missing: {_told(error)}{hint}"
        ) from error
    except gymnasium.error.Error as error:
        raise EnvError(f"{_named(make)} cannot be made: {_told(error)}") from error
    except Exception as error:
        where = place_of(error)
        at = "" if where is None else f" at {where}"
        raise TaskCodeError(f"{_named(make)} cannot be made{at}: {described(error)}") from error
    if not isinstance(env, gymnasium.Env):
        raise EnvError(f"{_named(make)} made {one_line(repr(env))}, which is no gymnasium.Env")
    return env


def _named(make: Any) -> str:
    """What an environment is called before it is there."""
    if isinstance(make, partial):
        env = make.args[0]
        return _named(env) if callable(env) else f"environment {getattr(env, 'id', env)!r}"
    return f"environment {getattr(make, '__qualname__', repr(make))!r}"


def _told(error: Exception) -> str:
    return one_line(text_of(error)).rstrip(".")
