"""What a teacher says of actions: drawn, mixed, and compared with what a student does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from helpers.small_students import ACTIONS
from tutelage.rl.tasks.action_targets import action_targets, center_and_half, column_names

SEEDS = st.integers(0, 2**31)
DISCRETE, MULTI, BOX = (action_targets(ACTIONS[k]) for k in ("Discrete", "MultiDiscrete", "Box"))
LOW, HIGH = ACTIONS["Box"].low, ACTIONS["Box"].high  # type: ignore[union-attr]


def some_targets(actions: str, rng: np.random.Generator, *shape: int) -> Any:
    """float32 [*shape, D]."""
    if actions == "Box":
        mean, deviation = rng.normal(size=(*shape, 3)), rng.uniform(0.1, 2, (*shape, 3))
        targets = np.concatenate((mean, deviation**2), axis=-1)
    else:
        sizes = {"Discrete": [3], "MultiDiscrete": [3, 1, 2]}[actions]
        targets = np.concatenate([rng.dirichlet(np.ones(n), shape) for n in sizes], axis=-1)
    return targets.astype(np.float32)


@pytest.mark.parametrize("actions", ACTIONS)
def test_sizes_and_names_agree(actions: str) -> None:
    kind = action_targets(ACTIONS[actions])
    columns = column_names(ACTIONS[actions], ("x", "y", "z"))
    assert len(columns) == len(set(columns)) == kind.size
    assert kind.uniform(None, 4).shape == (4, kind.size)
    assert kind.blends == (actions != "Box")


def test_what_columns_mean() -> None:
    assert column_names(ACTIONS["Discrete"], ("x", "y", "z")) == ("x", "y", "z")
    assert column_names(ACTIONS["MultiDiscrete"], ("x", "y", "z")) == (
        *("x=0", "x=1", "x=2"),
        "y=0",
        *("z=0", "z=1"),
    )
    assert column_names(ACTIONS["Box"], ("x", "y", "z")) == (
        *("mean x", "mean y", "mean z"),
        *("variance x", "variance y", "variance z"),
    )


class TestUniform:
    def test_all_actions_alike(self) -> None:
        assert DISCRETE.uniform(None, 2).tolist() == [pytest.approx([1 / 3] * 3)] * 2
        assert MULTI.uniform(None, 1)[0].tolist() == pytest.approx([1 / 3] * 3 + [1] + [1 / 2] * 2)

    def test_only_those_that_are_allowed(self) -> None:
        mask = np.array([[True, False, True], [False, True, False]])
        assert DISCRETE.uniform(mask, 2).tolist() == [[0.5, 0, 0.5], [0, 1, 0]]
        whole = np.concatenate((mask, [[True], [True]], [[False, True], [True, True]]), axis=1)
        assert MULTI.uniform(whole, 2).tolist() == [[0.5, 0, 0.5, 1, 0, 1], [0, 1, 0, 1, 0.5, 0.5]]

    def test_a_box_has_the_moments_of_its_uniform_distribution(self) -> None:
        box = action_targets(spaces.Box(np.float32([-2, 0]), np.float32([2, 5])))
        drawn = np.random.default_rng(0).uniform([-2, 0], [2, 5], (100_000, 2))
        expected = np.concatenate((drawn.mean(axis=0), drawn.var(axis=0)))
        assert box.uniform(None, 3)[1] == pytest.approx(expected, rel=0.02, abs=0.02)

    @pytest.mark.parametrize("bound", [1e20, float(np.finfo(np.float32).max), np.inf])
    def test_without_bounds_it_is_finite(self, bound: float) -> None:
        box = action_targets(spaces.Box(-bound, bound, (2,)))
        anything = box.uniform(None, 1)
        assert anything[0].tolist() == pytest.approx([0, 0, 1 / 3, 1 / 3])
        assert np.isfinite(box.draw(anything, np.random.default_rng(0))).all()


class TestDraw:
    @pytest.mark.parametrize("actions", ["Discrete", "MultiDiscrete"])
    def test_by_the_probabilities_of_each_part(self, actions: str) -> None:
        rng, space = np.random.default_rng(0), ACTIONS[actions]
        targets = some_targets(actions, rng)
        drawn = action_targets(space).draw(np.tile(targets, (20_000, 1)), rng)
        assert drawn.dtype == space.dtype
        assert drawn.shape == (20_000, *(space.shape or ()))
        parts = drawn.reshape(20_000, -1)
        starts = [0, 3, 4, 6]
        for i in range(parts.shape[1]):
            probs = targets[starts[i] : starts[i + 1]].astype(np.float64)
            counts = np.bincount(parts[:, i], minlength=len(probs))
            if len(probs) > 1:
                assert stats.chisquare(counts, 20_000 * probs / probs.sum()).pvalue > 1e-3
        if actions == "MultiDiscrete":
            table = np.histogram2d(parts[:, 0], parts[:, 2], (3, 2))[0]
            assert stats.chi2_contingency(table).pvalue > 1e-3, "parts are drawn apart"

    def test_a_gaussian_within_the_box(self) -> None:
        rng = np.random.default_rng(0)
        targets = np.float32([0.5, 2.0, -3.0, 0.04, 0.25, 1.0])
        drawn = BOX.draw(np.tile(targets, (20_000, 1)), rng)
        assert (drawn.dtype, drawn.shape) == (np.float32, (20_000, 3))
        assert stats.kstest((drawn[:, 0] - 0.5) / 0.2, "norm").pvalue > 1e-3
        assert drawn.std(axis=0) == pytest.approx([0.2, 0.5, 1.0], rel=0.03)
        wild = BOX.draw(np.tile(np.float32([9, -9, 9, 99, 99, 99]), (1000, 1)), rng)
        assert ((wild >= LOW) & (wild <= HIGH)).all()

    def test_no_variance_is_the_mean_itself(self) -> None:
        targets = np.float32([[0.5, 2.0, -3.0, 0, 0, 0]])
        assert BOX.draw(targets, np.random.default_rng(0)).tolist() == [[0.5, 2.0, -3.0]]


class TestMix:
    @given(SEEDS, st.integers(1, 5), st.sampled_from(["Discrete", "MultiDiscrete"]))
    def test_probabilities_are_weighted_by_their_shares(
        self, seed: int, plans: int, actions: str
    ) -> None:
        rng = np.random.default_rng(seed)
        targets, shares = some_targets(actions, rng, 4, plans), rng.random((4, plans))
        found = action_targets(ACTIONS[actions]).mix(shares.astype(np.float32), targets)
        expected = [np.average(targets[b], axis=0, weights=shares[b]) for b in range(4)]
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)

    @given(SEEDS, st.integers(1, 5))
    def test_a_mixture_of_gaussians_has_its_moments(self, seed: int, plans: int) -> None:
        """E x and E x^2 - (E x)^2 of the mixture's density, by float64."""
        rng = np.random.default_rng(seed)
        targets, shares = some_targets("Box", rng, 4, plans), rng.random((4, plans))
        found = BOX.mix(shares.astype(np.float32), targets)
        exact, weights = targets.astype(np.float64), shares / shares.sum(axis=1, keepdims=True)
        mean, variance = np.split(exact, 2, axis=2)
        first = np.einsum("bp,bpd->bd", weights, mean)
        second = np.einsum("bp,bpd->bd", weights, variance + mean**2)
        expected = np.concatenate((first, second - first**2), axis=1)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)

    def test_against_draws_of_the_mixture(self) -> None:
        rng = np.random.default_rng(3)
        targets, shares = some_targets("Box", rng, 1, 3), np.float32([[0.2, 0.1, 0.4]])
        plans = rng.choice(3, 300_000, p=[2 / 7, 1 / 7, 4 / 7])
        mean, variance = np.split(targets[0].astype(np.float64), 2, axis=1)
        drawn = rng.normal(mean[plans], np.sqrt(variance[plans]))
        expected = np.concatenate((drawn.mean(axis=0), drawn.var(axis=0)))
        assert BOX.mix(shares, targets)[0] == pytest.approx(expected, rel=0.02, abs=0.02)

    @pytest.mark.parametrize("actions", ACTIONS)
    def test_no_shares_are_no_targets_and_one_is_its_own(self, actions: str) -> None:
        rng, kind = np.random.default_rng(0), action_targets(ACTIONS[actions])
        targets = some_targets(actions, rng, 2, 3)
        shares = np.float32([[0, 0, 0], [0, 0.3, 0]])
        found = kind.mix(shares, targets)
        assert not found[0].any()
        np.testing.assert_allclose(found[1], targets[1, 1], rtol=1e-5)

    def test_nearly_alike_means_far_from_zero_keep_their_variance(self) -> None:
        """The mean of squares less the square of the mean would be noise in float32."""
        box = action_targets(spaces.Box(0, 1e4, (1,)))
        targets = np.float32([[[5000.0, 1e-4], [5000.125, 1e-4]]])
        assert box.mix(np.float32([[0.5, 0.5]]), targets)[0].tolist() == pytest.approx(
            [5000.0625, 1e-4 + 0.0625**2], rel=1e-4
        )


class TestAgree:
    def test_the_likeliest_of_each_part(self) -> None:
        targets = np.float32([[0.2, 0.7, 0.1]] * 3)
        assert DISCRETE.agree(targets, np.array([0, 1, 2])).tolist() == [False, True, False]
        both = np.float32([[0.2, 0.7, 0.1, 1, 0.4, 0.6]] * 3)
        actions = np.array([[1, 0, 1], [1, 0, 0], [0, 0, 1]])
        assert MULTI.agree(both, actions).tolist() == [True, False, False]

    def test_within_a_standard_deviation_in_each_dimension(self) -> None:
        targets = np.float32([[0, 2, -1, 0.25, 0.25, 0.25]] * 4)
        actions = np.float32([[0.4, 1.6, -1], [0.6, 2, -1], [0, 2, -2], [-0.4, 2.4, -0.6]])
        assert BOX.agree(targets, actions).tolist() == [True, False, False, True]

    def test_beyond_the_bounds_all_are_alike(self) -> None:
        """The environment clips both to the same action."""
        targets = np.float32([[7, 9, 3, 1e-6, 1e-6, 1e-6]])
        assert BOX.agree(targets, np.float32([[2, 5, 1]])).tolist() == [True]
        assert BOX.agree(targets, np.float32([[30, 30, 30]])).tolist() == [True]
        assert BOX.agree(targets, np.float32([[1.9, 5, 1]])).tolist() == [False]


class TestFavour:
    @given(SEEDS, st.sampled_from(list(ACTIONS)))
    def test_it_is_a_share_of_one_and_most_for_the_targets_own_best(
        self, seed: int, actions: str
    ) -> None:
        rng, kind = np.random.default_rng(seed), action_targets(ACTIONS[actions])
        targets = some_targets(actions, rng, 20)
        drawn = kind.draw(targets, rng)
        found = kind.favour(targets, drawn)
        assert (found.dtype, found.shape) == (np.float32, (20,))
        assert ((found >= 0) & (found <= 1)).all()
        if actions == "Discrete":
            best: Any = targets.argmax(axis=1)
        elif actions == "MultiDiscrete":
            parts = np.split(targets, [3, 4], axis=1)
            best = np.stack([part.argmax(axis=1) for part in parts], axis=1)
        else:
            best = np.clip(np.split(targets, 2, axis=1)[0], LOW, HIGH)
        assert (kind.favour(targets, best) >= found - 1e-6).all()

    def test_of_discrete_actions_it_is_the_probability(self) -> None:
        assert DISCRETE.favour(np.float32([[0.2, 0.7, 0.1]]), np.array([1])) == pytest.approx(0.7)
        both = np.float32([[0.2, 0.7, 0.1, 1, 0.4, 0.6]])
        assert MULTI.favour(both, np.array([[1, 0, 0]])) == pytest.approx(0.7 * 0.4)

    def test_of_a_gaussian_it_falls_with_the_distance(self) -> None:
        targets = np.float32([[0, 2, -1, 1, 1, 1]] * 2)
        actions = np.float32([[0, 2, -1], [1, 3, 0]])
        assert BOX.favour(targets, actions).tolist() == pytest.approx([1.0, np.exp(-0.5)])

    @pytest.mark.parametrize("actions", ACTIONS)
    def test_no_targets_leave_finite_numbers(self, actions: str) -> None:
        kind = action_targets(ACTIONS[actions])
        drawn = kind.draw(kind.uniform(None, 3), np.random.default_rng(0))
        assert np.isfinite(kind.favour(np.zeros((3, kind.size), np.float32), drawn)).all()


@given(st.floats(-1e6, 1e6, width=32), st.floats(0, 1e6, width=32))
def test_middle_and_half_of_a_box(low: float, width: float) -> None:
    bounds = np.float32([low]), np.float32([low]) + np.float32([width])
    center, half = center_and_half(*bounds)
    assert center[0] == pytest.approx((float(bounds[0][0]) + float(bounds[1][0])) / 2, rel=1e-6)
    expected = (float(bounds[1][0]) - float(bounds[0][0])) / 2
    assert half[0] == pytest.approx(expected if expected > 1e-12 else 1.0, rel=1e-5)
