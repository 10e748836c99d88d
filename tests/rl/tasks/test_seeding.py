"""Seeds and random streams: apart where they must be, the same where they must be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutelage.rl.tasks.seeding import episode_seed, generator


@given(st.integers(0, 2**31 - 1), st.integers(0, 5000), st.integers(0, 5000), st.integers(0, 5000))
def test_no_training_seed_is_an_evaluation_seed(
    run_seed: int, env: int, episode: int, other: int
) -> None:
    train = episode_seed(run_seed, "train", env, episode)
    tested = episode_seed(run_seed, "evaluation", env, other)
    assert 0 <= train < 2**62 <= tested < 2**63
    assert train % 2**32 != tested % 2**32, "nor where an environment keeps 32 bits of a seed"


def test_seeds_differ_between_runs_environments_and_episodes() -> None:
    seeds = [
        episode_seed(run, split, env, episode)
        for run in range(5)
        for split in ("train", "evaluation")
        for env in range(20)
        for episode in range(20)
    ]
    assert len(set(seeds)) == len(seeds)


def test_streams_are_independent() -> None:
    drawn = {
        (seed, stream, keys): generator(seed, stream, *keys).integers(2**62)
        for seed in (0, 1)
        for stream in ("network", "actions", "minibatches", "evaluation", "teacher")
        for keys in ((), (1,), (2,), (1, 1))
    }
    assert len(set(drawn.values())) == len(drawn)
    assert generator(3, "actions", 7).integers(2**62) == generator(3, "actions", 7).integers(2**62)
    with pytest.raises(KeyError):
        generator(0, "no such stream")
