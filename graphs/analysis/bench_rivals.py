"""Other libraries on the same task: Gymnasium's vector environment, Stable-Baselines3's PPO."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import gymnasium as gym
import torch
from minigrid.wrappers import ImgObsWrapper
from torch import Tensor, nn

from tutelage.graphs.config.config import RunConfig


class RivalMissingError(Exception):
    """A rival that is not installed; the message says how to get it."""


class Work(NamedTuple):
    """A piece of work that is repeated, and of how many environment steps it is."""

    do: Callable[[], object]
    steps: int


def rate(work: Work, seconds: float) -> float:
    """Environment steps a second; the first piece, which may compile, does not count."""
    work.do()
    steps, began = 0, perf_counter()
    while True:
        work.do()
        steps += work.steps
        spent = perf_counter() - began
        if spent >= seconds:
            return steps / spent


def _make(env_id: str) -> gym.Env[Any, Any]:
    """MiniGrid's image alone: what such libraries train on."""
    wrapper: Any = ImgObsWrapper  # MiniGrid leaves it untyped
    made: gym.Env[Any, Any] = wrapper(gym.make(env_id))
    return made


def sync_vector(env_id: str, num_envs: int, seconds: float) -> float:
    """Environment steps a second of `gymnasium.vector.SyncVectorEnv` with random actions."""
    envs = gym.vector.SyncVectorEnv([lambda: _make(env_id)] * num_envs)
    try:
        envs.reset(seed=0)
        envs.action_space.seed(0)
        return rate(Work(lambda: envs.step(envs.action_space.sample()), num_envs), seconds)
    finally:
        envs.close()


def stable_baselines(env_id: str, config: RunConfig, seconds: float) -> float:
    """Environment steps a second of Stable-Baselines3's PPO while it learns.

    As many environments, steps, epochs and minibatches as here, and a network of the same layers:
    two hidden ones that policy and value share. Raises RivalMissingError.
    """
    if importlib.util.find_spec("stable_baselines3") is None:
        raise RivalMissingError('not installed: pip install "tutelage[bench]"')
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv

    envs = DummyVecEnv([lambda: gym.wrappers.FlattenObservation(_make(env_id))] * config.num_envs)
    rollout = config.num_envs * config.ppo.num_steps
    try:
        learner = PPO(
            "MlpPolicy",
            envs,
            n_steps=config.ppo.num_steps,
            batch_size=min(config.ppo.minibatch_size, rollout),
            n_epochs=config.ppo.epochs,
            learning_rate=config.ppo.learning_rate,
            policy_kwargs=_network(config.student.hidden),
            device=config.device,
            seed=config.seed,
        )
        learn = partial(learner.learn, rollout, reset_num_timesteps=False)
        return rate(Work(learn, rollout), seconds)
    finally:
        envs.close()


def _network(hidden: int) -> dict[str, Any]:
    """Stable-Baselines3's arguments for two shared hidden layers of that width."""
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

    class Shared(BaseFeaturesExtractor):
        def __init__(self, space: gym.spaces.Box) -> None:
            super().__init__(space, hidden)
            inputs = int(torch.tensor(space.shape).prod())
            self.layers = nn.Sequential(
                nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
            )

        def forward(self, observations: Tensor) -> Tensor:
            made: Tensor = self.layers(observations)
            return made

    return {"features_extractor_class": Shared, "net_arch": []}
