"""The tracker of episodes against sums by hand, and fixed numbers of episodes shared fairly."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from helpers.toy_task import Corridor
from tutelage.rl.rollouts.episodes import EndedEpisode, EpisodeTracker, FixedEpisodes
from tutelage.rl.tasks.arrays import IntArray
from tutelage.rl.tasks.base import StepResult

NUM_ENVS = 3


def step_of(hundredths: IntArray, ends: IntArray, durations: IntArray | None = None) -> StepResult:
    """ends: 1 where an episode is terminated, 2 where it is truncated."""
    rewards = hundredths.astype(np.float32) / np.float32(100)
    return StepResult(rewards, ends == 1, ends == 2, None, durations)


@settings(max_examples=100)
@given(st.data(), st.booleans(), st.booleans())
def test_returns_and_lengths_are_sums_by_hand(
    data: st.DataObject, by_options: bool, restored: bool
) -> None:
    numbers = hnp.arrays(np.int64, (6, NUM_ENVS), elements=st.integers(0, 2))
    ends, played, durations = data.draw(numbers), data.draw(numbers) > 0, data.draw(numbers)
    rewards = data.draw(hnp.arrays(np.int64, (6, NUM_ENVS), elements=st.integers(-99, 99)))
    tracker = EpisodeTracker(NUM_ENVS)
    returns, lengths = [0] * NUM_ENVS, [0] * NUM_ENVS
    for t in range(6):
        taken = durations[t] if by_options else None
        found = tracker.step(step_of(rewards[t], ends[t], taken), played[t])
        expected = {}
        for i in range(NUM_ENVS):
            returns[i] += int(rewards[t, i])
            lengths[i] += int(durations[t, i] if by_options else played[t, i])
            if ends[t, i]:
                expected[i] = (returns[i], lengths[i], ends[t, i] == 1, ends[t, i] == 2)
                returns[i], lengths[i] = 0, 0
        assert {
            i: (round(100 * e.return_), e.length, e.terminated, e.truncated)
            for i, e in found.items()
        } == expected
        if restored:
            record = json.loads(json.dumps(tracker.snapshot()))
            tracker = EpisodeTracker(NUM_ENVS)
            tracker.restore(record)


@given(st.integers(1, 20), st.integers(1, 6))
def test_a_fixed_number_is_played_by_all_alike(episodes: int, num_envs: int) -> None:
    played, counts = FixedEpisodes(episodes, num_envs), np.zeros(num_envs, dtype=np.int64)
    while played.playing.any():
        ends = played.playing.astype(np.int64)
        rows = played.step(Corridor(), step_of(np.full(num_envs, 50), ends))
        assert rows.tolist() == np.flatnonzero(ends).tolist()
        counts[rows] += 1
        record = json.loads(json.dumps(played.snapshot()))
        played = FixedEpisodes(episodes, num_envs)
        played.restore(record)
    assert counts.sum() == len(played.ended) == episodes
    assert counts.max() - counts.min() <= 1
    assert set(played.ended) == {EndedEpisode(0.5, 1, True)}
    outcome = played.outcome()
    assert (outcome.successes, outcome.mean_return, outcome.mean_length) == (episodes, 0.5, 1.0)


@pytest.mark.parametrize("kind", [EpisodeTracker, lambda n: FixedEpisodes(4, n)])
def test_a_snapshot_of_other_environments_is_refused(kind: type[EpisodeTracker]) -> None:
    with pytest.raises(ValueError, match="another number of environments"):
        kind(2).restore(kind(3).snapshot())
