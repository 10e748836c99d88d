"""Where every random number of a run comes from: streams derived from the run's one seed."""

from __future__ import annotations

from typing import Final

import numpy as np

from rl.task import Split

_EVALUATION_BIT: Final = 1 << 62
_STREAMS: Final = {"network": 1, "actions": 2, "minibatches": 3, "evaluation": 4, "teacher": 5}


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
