"""Intervals: against published figures, against SciPy, and for what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tutelage.rl.rollouts.statistics import (
    mean_share_interval,
    newcombe_interval,
    paired_interval,
    t_interval,
    welch_interval,
    wilson_interval,
)

samples = st.lists(st.integers(-1000, 1000).map(float), min_size=2, max_size=8)


@pytest.mark.parametrize(
    ("successes", "episodes", "low", "high"),
    [
        # Newcombe 1998, table II, method 10.
        ((56, 48), (70, 80), 0.0524, 0.3339),
        ((9, 3), (10, 10), 0.1705, 0.8090),
        ((5, 0), (56, 29), -0.0381, 0.1926),
        ((0, 0), (10, 10), -0.2775, 0.2775),
        ((10, 0), (10, 10), 0.6075, 1.0000),
    ],
)
def test_newcombes_own_examples(
    successes: tuple[int, int], episodes: tuple[int, int], low: float, high: float
) -> None:
    assert newcombe_interval(successes, episodes) == pytest.approx((low, high), abs=6e-5)


@given(st.integers(0, 50), st.integers(0, 50))
def test_a_difference_is_the_other_way_round_mirrored(first: int, second: int) -> None:
    low, high = newcombe_interval((first, second), (50, 50))
    mirrored = newcombe_interval((second, first), (50, 50))
    assert mirrored == pytest.approx((-high, -low))
    assert -1 <= low <= (first - second) / 50 <= high <= 1


@given(samples)
def test_students_interval_is_scipys(values: list[float]) -> None:
    found = t_interval(values)
    assert found is not None
    error = stats.sem(values)
    half = stats.t.ppf(0.975, len(values) - 1) * error
    assert found == pytest.approx((np.mean(values) - half, np.mean(values) + half), abs=1e-6)


@given(samples, samples)
def test_welchs_interval_is_scipys(first: list[float], second: list[float]) -> None:
    found = welch_interval(first, second)
    assert found is not None
    if min(np.var(first), np.var(second)) > 0:
        test = stats.ttest_ind(first, second, equal_var=False)
        assert found == pytest.approx(tuple(test.confidence_interval()), abs=1e-6)


def test_equal_values_leave_no_doubt_between_seeds() -> None:
    assert t_interval([0.5, 0.5, 0.5]) == (0.5, 0.5)
    assert welch_interval([1.0, 1.0], [0.25, 0.25]) == (0.75, 0.75)


def test_a_single_seed_says_nothing_of_others() -> None:
    assert t_interval([0.5]) is None
    assert t_interval([]) is None
    assert welch_interval([0.5], [0.1, 0.2]) is None


def test_shares_that_agree_are_no_proof() -> None:
    assert mean_share_interval([1.0] * 12) == pytest.approx(wilson_interval(12, 12))
    assert mean_share_interval([0.4]) == pytest.approx(wilson_interval(0, 1))
    low, high = paired_interval([0.0] * 10)
    assert low == pytest.approx(-high)
    assert high == pytest.approx(stats.t.ppf(0.975, 11) / 12)
    assert paired_interval([]) == (-1.0, 1.0)
    assert paired_interval([1.0] * 10)[0] > 0.5


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_shares_have_an_interval_around_their_mean(shares: list[float]) -> None:
    low, high = mean_share_interval(shares)
    mean = sum(shares) / len(shares)
    assert 0.0 <= low <= mean + 1e-9
    assert mean - 1e-9 <= high <= 1.0
    student = t_interval(shares) or (mean, mean)
    assert low <= max(student[0], 0.0) + 1e-12
    assert high >= min(student[1], 1.0) - 1e-12


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40))
def test_pairs_the_other_way_round_are_mirrored(differences: list[float]) -> None:
    low, high = paired_interval(differences)
    assert -1.0 <= low <= high <= 1.0
    assert paired_interval([-d for d in differences]) == pytest.approx((-high, -low))


@pytest.mark.parametrize(("helps", "harms"), [(0.05, 0.05), (0.3, 0.1), (0.02, 0.0)])
def test_the_paired_interval_holds_what_it_promises(helps: float, harms: float) -> None:
    """Pairs of which few differ, as answers to two wordings of a prompt do."""
    rng = np.random.default_rng(0)
    drawn = rng.choice([1.0, -1.0, 0.0], (2000, 40), p=[helps, harms, 1 - helps - harms])
    found = [paired_interval(row.tolist()) for row in drawn]
    covered = np.mean([low <= helps - harms <= high for low, high in found])
    assert covered >= 0.945


def test_no_episodes_say_nothing() -> None:
    assert newcombe_interval((0, 0), (0, 0)) == pytest.approx((-(0.5**0.5), 0.5**0.5))
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_the_intervals_hold_what_they_promise() -> None:
    """About 95 of 100 contain the truth."""
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(2000, 4))
    held = [low <= 0 <= high for low, high in map(t_interval, draws.tolist())]
    assert np.mean(held) == pytest.approx(0.95, abs=0.02)
    counts = rng.binomial(40, (0.9, 0.7), size=(500, 2))
    held = []
    for one, two in counts.tolist():
        low, high = newcombe_interval((one, two), (40, 40))
        held.append(low <= 0.2 <= high)
    assert np.mean(held) == pytest.approx(0.95, abs=0.03)
