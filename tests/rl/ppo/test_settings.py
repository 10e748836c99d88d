"""PPO's settings: what is annealed, and what the student's success changes of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tutelage.rl.ppo.settings import PPOSettings

shares = st.floats(0, 1)
any_settings = st.builds(
    PPOSettings,
    learning_rate=st.floats(1e-6, 0.5),
    final_learning_rate=st.floats(1e-6, 0.5),
    entropy_coef=st.floats(0, 10),
    final_entropy_coef=st.floats(-10, 10),
)
almost = {"rel": 1e-6, "abs": 1e-9}


@given(any_settings, st.floats(0, 2), shares)
def test_only_the_step_size_and_the_entropy_bonus_are_annealed(
    settings: PPOSettings, progress: float, success: float
) -> None:
    now, expected = settings.at(progress, success), settings.at(progress, 0.0)
    assert now.learning_rate == expected.learning_rate, "whatever the success"
    changed = {"learning_rate": now.learning_rate, "entropy_coef": now.entropy_coef}
    assert now == settings.model_copy(update=changed)


@given(any_settings, st.floats(0, 2))
def test_a_student_without_success_is_annealed_to_nothing(
    settings: PPOSettings, progress: float
) -> None:
    left = max(0.0, 1.0 - progress)
    for now in (settings.at(progress), settings.at(progress, 0.0)):
        assert now.entropy_coef == pytest.approx(left * settings.entropy_coef, **almost)
        rate = left * settings.learning_rate + (1 - left) * settings.final_learning_rate
        assert now.learning_rate == pytest.approx(rate, **almost)


@given(any_settings, st.floats(0, 0.5), shares)
def test_up_to_half_of_the_run_success_adds_nothing(
    settings: PPOSettings, progress: float, success: float
) -> None:
    assert settings.at(progress, success) == settings.at(progress)


@given(any_settings, st.floats(1, 2), shares)
def test_at_the_end_success_alone_counts(
    settings: PPOSettings, progress: float, success: float
) -> None:
    found = settings.at(progress, success).entropy_coef
    assert found == pytest.approx(success * settings.final_entropy_coef, **almost)


def added(settings: PPOSettings, progress: float, success: float) -> float:
    """What the success adds to the entropy bonus."""
    return settings.at(progress, success).entropy_coef - settings.at(progress).entropy_coef


@given(any_settings, st.tuples(shares, shares), st.tuples(shares, shares))
def test_it_adds_the_more_the_later_and_the_more_often_it_succeeds(
    settings: PPOSettings, progress: tuple[float, float], success: tuple[float, float]
) -> None:
    """Linear in both from half of the run on, so monotone, and of the setting's own sign."""
    (sooner, later), (seldom, often) = sorted(progress), sorted(success)
    sign = 1 if settings.final_entropy_coef >= 0 else -1
    least = sign * added(settings, sooner, seldom)
    most = sign * added(settings, later, often)
    assert -1e-9 <= least <= most + 1e-9 <= abs(settings.final_entropy_coef) + 1e-8
    share = often * max(0.0, 2 * later - 1)
    assert most == pytest.approx(share * abs(settings.final_entropy_coef), rel=1e-6, abs=1e-8)


def test_by_default_success_leaves_nothing_to_chance() -> None:
    assert PPOSettings().at(1.0, 1.0).entropy_coef < 0 < PPOSettings().at(0.5, 1.0).entropy_coef
    assert PPOSettings(final_entropy_coef=0).at(1.0, 1.0).entropy_coef == 0


@pytest.mark.parametrize("number", [-10.1, 10.1, float("nan"), "much"])
def test_absurd_numbers_are_refused(number: object) -> None:
    with pytest.raises(ValidationError, match="final_entropy_coef"):
        PPOSettings.model_validate({"final_entropy_coef": number})


@pytest.mark.parametrize(
    ("longest", "gamma"), [(40, 0.97), (150, 0.97), (640, 0.984375), (1080, 0.99), (100_000, 0.99)]
)
def test_the_tasks_own_gamma_looks_a_tenth_of_an_episode_ahead(longest: int, gamma: float) -> None:
    assert PPOSettings().gamma_for(longest) == pytest.approx(gamma, abs=1e-3)
    assert PPOSettings(gamma=0.5).gamma_for(longest) == 0.5
