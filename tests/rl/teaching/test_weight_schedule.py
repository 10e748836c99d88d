"""Weaning: how the weight falls, rises again, and ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tutelage.rl.teaching.weight_schedule import WeaningSettings, WeightSchedule

ADAPTIVE = WeaningSettings()
LINEAR = WeaningSettings(schedule="linear")
RATE = st.one_of(st.none(), st.floats(0, 1))


def weaned(
    rates: list[tuple[float | None, float | None]], settings: WeaningSettings = ADAPTIVE
) -> list[float]:
    """The weights along a run in which student and teacher succeed at the given rates."""
    weaning, weights = WeightSchedule(), []
    for number, (student, teacher) in enumerate(rates, start=1):
        progress = number / len(rates)
        weaning = weaning.after(settings, progress, student, teacher)
        weights.append(weaning.weight(settings, progress))
    return weights


def test_linear_falls_in_a_straight_line_to_the_floor_and_is_cut() -> None:
    progress = np.linspace(0, 1, 101)
    expected = np.where(progress >= 0.6, 0.0, np.interp(progress, [0, 0.5, 1], [5.0, 0.1, 0.1]))
    found = [WeightSchedule().weight(LINEAR, float(p)) for p in progress]
    assert found == pytest.approx(expected.tolist())


@pytest.mark.parametrize(("schedule", "weight"), [("constant", 5.0), ("off", 0.0)])
def test_constant_and_off_stay_what_they_are(schedule: Any, weight: float) -> None:
    settings = WeaningSettings(schedule=schedule)
    assert {WeightSchedule().weight(settings, p) for p in (0.0, 0.3, 0.7, 1.0)} == {weight}
    assert settings.first_weight == weight
    assert not settings.ends


@given(st.lists(st.tuples(RATE, RATE), min_size=1, max_size=60))
def test_adaptive_never_exceeds_linear_and_always_ends(rates: list[Any]) -> None:
    weights = weaned(rates)
    for number, weight in enumerate(weights, start=1):
        assert 0.0 <= weight <= WeightSchedule().weight(LINEAR, number / len(rates)) + 1e-9
    assert weights[-1] == 0.0


@given(st.lists(st.tuples(RATE, RATE), min_size=1, max_size=60))
def test_where_it_stands_survives_json(rates: list[Any]) -> None:
    weaning = WeightSchedule()
    for number, (student, teacher) in enumerate(rates):
        weaning = weaning.after(ADAPTIVE, number / len(rates), student, teacher)
        assert WeightSchedule.model_validate(weaning.model_dump()) == weaning


def test_a_student_behind_its_teacher_keeps_it_until_it_has_caught_up() -> None:
    behind = [(0.1 + i / 100, 1.0) for i in range(20)]
    equal = [(0.98, 1.0)] * 20
    rest = [(0.98, 1.0)] * 160
    weights = weaned([*behind, *equal, *rest])
    linear = [WeightSchedule().weight(LINEAR, (i + 1) / 200) for i in range(200)]
    assert weights[:20] == pytest.approx(linear[:20])
    ratios = np.array(weights[20:40]) / linear[20:40]
    assert ratios == pytest.approx(0.9 ** np.arange(1, 21))


def test_the_weight_rises_again_where_the_student_falls_behind() -> None:
    caught_up = [(1.0, 1.0)] * 5
    behind = [(0.5, 1.0)] * 4
    between = [(0.92, 1.0)] * 5
    weights = weaned([*caught_up, *behind, *between, *[(1.0, 1.0)] * 186])
    linear = [WeightSchedule().weight(LINEAR, (i + 1) / 200) for i in range(200)]
    share = np.array(weights[:14]) / linear[:14]
    assert (np.diff(share[:5]) < 0).all()
    assert (np.diff(share[4:9]) > 0).all()
    assert share[9:] == pytest.approx(share[8]), "between the two margins it stays (hysteresis)"


@pytest.mark.parametrize("teacher", [0.0, 0.3, None])
def test_a_student_that_gets_no_better_loses_its_teacher_early(teacher: float | None) -> None:
    """Of a wrong teacher, a weak one, and one that nothing is known of."""
    weights = weaned([(0.3 if teacher else 0.0, teacher)] * 200)
    assert weights.index(0.0) < 0.4 * 200 < 0.6 * 200


def test_a_weight_below_the_floor_is_none() -> None:
    weights = np.array(weaned([(1.0, 1.0)] * 200))
    removed = int(np.argmax(weights == 0.0))
    assert (weights[:removed] >= 0.1).all()
    linear = WeightSchedule().weight(LINEAR, (removed + 1) / 200)
    assert linear * 0.9 ** (removed + 1) < 0.1


@pytest.mark.parametrize(
    "record", [{}, {"factor": "1"}, {"factor": None}, {"factor": 1.0, "best": [], "best_at": 0.0}]
)
def test_a_damaged_record_is_refused(record: Mapping[str, Any]) -> None:
    if record:
        with pytest.raises(ValidationError):
            WeightSchedule.model_validate(record)


# --- where the return counts too ---

RETURNS = st.one_of(st.none(), st.floats(-1e3, 1e3))


def lowest(*returns: float | None) -> WeightSchedule:
    schedule = WeightSchedule()
    for value in returns:
        schedule = schedule.scored(value)
    return schedule


@given(st.lists(RETURNS, max_size=8))
def test_the_lowest_return_is_kept_and_survives_json(returns: list[float | None]) -> None:
    schedule = lowest(*returns)
    known = [value for value in returns if value is not None]
    assert schedule.lowest_return == (min(known) if known else None)
    assert WeightSchedule.model_validate_json(schedule.model_dump_json()) == schedule
    after = schedule.after(ADAPTIVE, 0.1, 0.5, 0.5)
    assert after.lowest_return == schedule.lowest_return


@given(RATE, RETURNS, RATE, RETURNS, st.lists(RETURNS, max_size=4))
def test_a_score_only_ever_takes_from_the_success(
    success: float | None,
    student_return: float | None,
    teacher: float | None,
    teacher_return: float | None,
    before: list[float | None],
) -> None:
    schedule = lowest(*before, student_return)
    found, beside = schedule.scored_success(success, student_return, teacher, teacher_return)
    if None in (success, student_return, teacher, teacher_return):
        assert (found, beside) == (success, teacher)
        return
    assert success is not None
    assert found is not None
    assert teacher is not None
    assert 0.0 <= found <= (1.0 if teacher < 0.1 else success)
    assert beside == (1.0 if teacher < 0.1 else teacher)


@given(st.floats(-100, 100), st.floats(0.1, 100), st.floats(0, 1), st.floats(0.1, 1))
def test_it_is_worth_the_share_of_the_way_to_the_teachers_return(
    worst: float, way: float, made: float, teacher: float
) -> None:
    schedule = lowest(worst)
    found, _ = schedule.scored_success(1.0, worst + made * way, teacher, worst + way)
    assert found == pytest.approx(min(1.0, teacher * made), abs=1e-3)


def test_who_is_past_the_teacher_or_has_a_poor_one_is_judged_by_its_success() -> None:
    schedule = lowest(-50.0)
    assert schedule.scored_success(0.9, 20.0, 1.0, 10.0) == (0.9, 1.0)
    never_as_bad = schedule.scored_success(0.9, -50.0, 1.0, -60.0)
    assert never_as_bad == (0.9, 1.0)
    assert lowest(-50.0, -70.0).scored_success(0.9, -70.0, 1.0, -60.0) == (0.0, 1.0)


def weights_of(
    returns: list[float], success: float, teacher: float, teacher_return: float
) -> list[float]:
    """The weights along a run in which success is always the same and the return is not."""
    schedule, weights = WeightSchedule(), []
    for number, value in enumerate(returns, start=1):
        progress = number / len(returns)
        schedule = schedule.scored(value)
        student, beside = schedule.scored_success(success, value, teacher, teacher_return)
        schedule = schedule.after(ADAPTIVE, progress, student, beside)
        weights.append(schedule.weight(ADAPTIVE, progress))
    return weights


@pytest.mark.parametrize("success", [1.0, 0.0])
def test_a_student_that_scores_badly_is_not_let_go_early(success: float) -> None:
    """Success is easy, or never comes. The score comes with time, from -90 to 8."""
    slowly = np.interp(np.arange(200), [0, 80, 199], [-90, 8, 8]).tolist()
    weights = weights_of(slowly, success, success, 8.0)
    linear = [WeightSchedule().weight(LINEAR, (i + 1) / 200) for i in range(200)]
    assert weights[:70] == pytest.approx(linear[:70]), "none of it is taken back before"
    assert weights[100] < linear[100]
    unscored = weaned([(1.0, 1.0)] * 200)
    assert unscored.index(0.0) < 60, "by its success it would have been"
