"""The compiled generator against NumPy's and Gymnasium's own."""

from __future__ import annotations

import numpy as np
from gymnasium.utils import seeding
from hypothesis import given
from hypothesis import strategies as st

from tutelage.rl.minigrid.engine.streams import (
    STREAM_WORDS,
    WordArray,
    draw,
    episode_seeds,
    next64,
    open_stream,
    run_words,
    seed_words,
    shuffle,
)
from tutelage.rl.tasks.base import Split
from tutelage.rl.tasks.seeding import episode_seed

seeds = st.integers(0, 2**63 - 1) | st.sampled_from([0, 1, 2**32 - 1, 2**32])
spans = st.one_of(st.integers(1, 40), st.integers(1, 2**32 - 1))
jobs = st.lists(
    st.one_of(
        st.tuples(st.just("draw"), st.tuples(st.integers(-1000, 1000), spans)),
        st.tuples(st.just("shuffle"), st.integers(0, 20)),
        st.tuples(st.just("bits"), st.just(None)),
    ),
    max_size=40,
)


def opened(seed: int) -> WordArray:
    stream = np.full(STREAM_WORDS, 99, dtype=np.uint64)
    open_stream(stream, seed)
    return stream


@given(seeds, jobs)
def test_a_stream_draws_what_numpy_draws(seed: int, wanted: list[tuple[str, object]]) -> None:
    stream, (rng, _) = opened(seed), seeding.np_random(seed)
    for kind, how in wanted:
        if kind == "draw":
            assert isinstance(how, tuple)
            low, span = how
            assert draw(stream, low, low + span) == rng.integers(low, low + span)
        elif kind == "shuffle":
            assert isinstance(how, int)
            ours, theirs = np.arange(how), list(range(how))
            shuffle(stream, ours)
            rng.shuffle(theirs)
            assert ours.tolist() == theirs
        else:
            assert next64(stream) == rng.bit_generator.random_raw()


def test_rejected_draws_are_rejected_alike() -> None:
    """A span just above 2**31 rejects nearly every second draw."""
    stream, (rng, _) = opened(7), seeding.np_random(7)
    high = 2**31 + 1
    assert [draw(stream, 0, high) for _ in range(200)] == rng.integers(0, high, 200).tolist()


@given(st.lists(st.integers(0, 2**32 - 1), max_size=9), st.integers(1, 5))
def test_seeding_mixes_as_numpy_does(entropy: list[int], count: int) -> None:
    drawn = np.zeros(count, dtype=np.uint64)
    seed_words(np.array(entropy, dtype=np.uint32), drawn)
    expected = np.random.SeedSequence(entropy).generate_state(count, np.uint64)
    assert drawn.tolist() == expected.tolist()


@given(
    st.integers(0, 2**80),
    st.sampled_from(["train", "evaluation"]),
    st.lists(st.tuples(st.integers(0, 2**34), st.integers(0, 2**48)), max_size=5),
)
def test_seeds_of_many_episodes_at_once(
    run_seed: int, split: Split, places: list[tuple[int, int]]
) -> None:
    envs = np.array([env for env, _ in places], dtype=np.int64)
    episodes = np.array([episode for _, episode in places], dtype=np.int64)
    found = np.zeros(len(places), dtype=np.int64)
    episode_seeds(run_words(run_seed, split), envs, episodes, found)
    assert found.tolist() == [episode_seed(run_seed, split, *place) for place in places]
