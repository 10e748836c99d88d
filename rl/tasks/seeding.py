"""Where every random number of a run comes from: streams derived from the run's one seed."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tutelage.rl.tasks.arrays import BoolArray, FloatArray, IntArray
from tutelage.rl.tasks.base import Split

_EVALUATION_BIT: Final = 1 << 62
_STREAMS: Final = {
    "network": 1,
    "actions": 2,
    "minibatches": 3,
    "evaluation": 4,
    "teacher": 5,
    "teacher_check": 6,
    "scout": 7,
}


def episode_seed(run_seed: int, split: Split, env: int, episode: int) -> int:
    """The seed of one episode, below 2**63.

    One bit tells the splits apart, so that training never draws a seed of an evaluation. The other
    bits differ too: an environment may keep the low ones only.
    """
    evaluation = split == "evaluation"
    entropy = np.random.SeedSequence([run_seed, int(evaluation), env, episode])
    drawn = int(entropy.generate_state(1, np.uint64)[0]) & (_EVALUATION_BIT - 1)
    return drawn | _EVALUATION_BIT if evaluation else drawn


def generator(run_seed: int, stream: str, *keys: int) -> np.random.Generator:
    """A generator of its own for each purpose, so that one use never shifts another's draws.

    Raises KeyError for a stream that is not declared above.
    """
    return np.random.default_rng(np.random.SeedSequence([run_seed, _STREAMS[stream], *keys]))


def uniform(keys: NDArray[np.uint64], counts: NDArray[np.uint64]) -> NDArray[np.float64]:
    """A number in [0, 1) for each pair of a stream's key and a place in it, float64 [N].

    SplitMix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators").
    """
    z = keys + (counts + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    drawn: NDArray[np.float64] = (z >> np.uint64(11)) * 2.0**-53
    return drawn


class EpisodeDraws:
    """A random number for each step of each of N environments' episodes, whatever came before.

    It is a function of (run seed, split, environment, episode, step), so that an episode that is
    played again draws the same: `uniform` at the episode's seed.
    """

    def __init__(self, num_envs: int, split: Split, seed: int) -> None:
        self._split, self._seed = split, seed
        self._episodes = np.full(num_envs, -1, dtype=np.int64)
        self._steps = np.zeros(num_envs, dtype=np.uint64)
        self._keys = np.zeros(num_envs, dtype=np.uint64)

    def reset(self, episodes: IntArray | None = None) -> None:
        """The next episode in every environment, or the given ones, int64 [N]."""
        if episodes is not None:
            self._episodes[:] = episodes - 1
        self._begin(np.arange(len(self._episodes)))

    def step(self, played: BoolArray, ended: BoolArray) -> None:
        """Go on by a step where one was played, bool [N], to the next episode where it `ended`."""
        self._steps += played.astype(np.uint64)
        self._begin(np.flatnonzero(ended))

    def uniform(self) -> NDArray[np.float64]:
        """The numbers of the current steps, float64 [N] in [0, 1)."""
        return uniform(self._keys, self._steps)

    def _begin(self, rows: IntArray) -> None:
        self._episodes[rows] += 1
        self._steps[rows] = 0
        for i in rows.tolist():
            self._keys[i] = episode_seed(self._seed, self._split, i, int(self._episodes[i]))


def pick(weights: FloatArray, uniform: NDArray[np.float64]) -> IntArray:
    """The column at a point in [0, 1) of each row of non-negative weights [B, K], int64 [B]."""
    sums = weights.cumsum(axis=1, dtype=np.float64)
    marks = uniform[:, None] * sums[:, -1:]
    # The last column where rounding puts the mark at the very end; of no weight, never drawn.
    last = weights.shape[1] - 1 - (weights[:, ::-1] > 0).argmax(axis=1)
    drawn: IntArray = np.minimum((sums <= marks).sum(axis=1), last)
    return drawn
