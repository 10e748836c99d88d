"""Shaping by advice: the terms telescope, so no episode is worth more or less than it was."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Discrete
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from helpers.training import GOOD_ADVICE, Training
from tutelage.rl.advice.labels import Labels, label
from tutelage.rl.ppo.gae import advantages_of
from tutelage.rl.rollouts.buffer import flat
from tutelage.rl.tasks.action_targets import action_targets
from tutelage.rl.teaching.shaping import potentials, shaping_rewards

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS, ENVS = 9, 3
GAMMAS = st.floats(0.3, 1.0)
PHI = hnp.arrays(np.float32, (STEPS, ENVS), elements=st.floats(0, 5, width=32))
ENDS = hnp.arrays(np.bool_, (STEPS, ENVS))


def discounted(rewards: Any, gamma: float) -> float:
    return float(sum(gamma**k * float(reward) for k, reward in enumerate(rewards)))


def episodes_of(ended: Any) -> list[tuple[int, int, int]]:
    """(environment, first step, one past the last) of each episode's part in the rollout."""
    found = []
    for env in range(ENVS):
        bounds = [0, *(np.flatnonzero(ended[:, env]) + 1).tolist(), STEPS]
        found += [(env, a, b) for a, b in pairwise(bounds) if a < b]
    return found


@given(phi=PHI, terminated=ENDS, truncated=ENDS, gamma=GAMMAS)
def test_over_an_episode_the_terms_come_to_nothing(
    phi: Any, terminated: Any, truncated: Any, gamma: float
) -> None:
    """However it ends, by a time-out too; and from the midst of it, to what was paid before."""
    ended = terminated | truncated
    terms = shaping_rewards(phi, ended, gamma)
    for env, first, after in episodes_of(ended):
        assert discounted(terms[first:after, env], gamma) == pytest.approx(0.0, abs=1e-4)
        for t in range(first + 1, after):
            rest = discounted(terms[t:after, env], gamma)
            assert rest == pytest.approx(-phi[t - 1, env] / gamma, abs=1e-3)


@given(phi=PHI, ended=ENDS, gamma=GAMMAS, seed=st.integers(0, 99))
def test_what_is_done_now_changes_nothing_but_itself(
    phi: Any, ended: Any, gamma: float, seed: int
) -> None:
    """Another action at t, with all that follows: the shift of the return from t on is the same."""
    t, env = seed % STEPS, seed % ENVS
    other = phi.copy()
    other[t:] = np.random.default_rng(seed).random(other[t:].shape)
    last = next((k for k in range(t, STEPS) if ended[k, env]), STEPS - 1)
    one, two = (shaping_rewards(p, ended, gamma)[t : last + 1, env] for p in (phi, other))
    assert discounted(one, gamma) == pytest.approx(discounted(two, gamma), abs=1e-3)


@given(phi=PHI, ended=ENDS)
def test_with_a_full_return_the_advantages_differ_by_what_no_action_decides(
    phi: Any, ended: Any
) -> None:
    """GAE at lambda 1 and a critic that knows nothing: the shift is that of the step before."""
    rewards = np.random.default_rng(0).normal(size=phi.shape).astype(np.float32)
    nothing, none = np.zeros_like(phi), np.zeros(ENVS, dtype=np.float32)

    def advantages(given: Any) -> Any:
        return advantages_of(
            given, nothing, ended, np.zeros_like(ended), nothing, none, gamma=0.9, gae_lambda=1.0
        )

    shift = advantages(rewards + shaping_rewards(phi, ended, 0.9)) - advantages(rewards)
    before = np.where(ended, 0.0, phi)[:-1] / 0.9
    np.testing.assert_allclose(shift[1:], -before, atol=1e-3)
    np.testing.assert_allclose(shift[0], 0.0, atol=1e-3)


def test_a_potential_is_how_sure_the_teacher_is_of_what_was_done() -> None:
    labels = Labels(
        np.array([[0.25, 0.75], [1.0, 0.0], [0.0, 0.0]], dtype=np.float32),
        np.array([0.8, 1.0, 0.0], dtype=np.float32),
    )
    got = potentials(action_targets(Discrete(2)), labels, np.array([1, 1, 0]), scale=2.0)
    np.testing.assert_allclose(got, [2.0 * 0.8 * 0.75, 0.0, 0.0])


class Unshaped(Training):
    """The corridor and no advice. Half of a potential stays with the advantage at this lambda."""

    GAE_LAMBDA = 0.5


class Shaped(Unshaped):
    """The same with rewards that good advice shapes."""

    SCALE = 0.5

    def advance(self) -> None:
        rollout = self._collector.collect()
        states = self._collector.states()
        labels = label(self.task, states, rollout.situation_ids.reshape(-1), GOOD_ADVICE)
        ended = rollout.terminated | rollout.truncated
        kind = action_targets(self.task.action_space)
        phi = potentials(kind, labels, flat(rollout.actions), self.SCALE)
        rollout.rewards += shaping_rewards(phi.reshape(ended.shape), ended, 0.99)
        self._ppo.update(rollout, None, 0.0, 0.0)


@pytest.mark.slow
def test_shaping_speeds_learning_up() -> None:
    most = 10_240
    alone = [Unshaped(seed, taught=False).steps_to_95(most) or most for seed in range(5)]
    shaped = [Shaped(seed, taught=False).steps_to_95(most) or most for seed in range(5)]
    assert np.median(shaped) < np.median(alone)
