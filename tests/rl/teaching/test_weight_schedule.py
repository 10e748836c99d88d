"""Weaning: how the weight falls, rises again, and ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


Outcome = tuple[float | None, float | None]
"""The success rates of student and teacher in an iteration."""


def weaned(
    rates: Sequence[Outcome],
    agreements: Sequence[float | None] = (),
    iterations: int | None = None,
    settings: WeaningSettings = ADAPTIVE,
) -> list[float]:
    """The weights along a run of these outcomes. iterations: how many the whole run has."""
    schedule, weights = WeightSchedule(), []
    for number, (student, teacher) in enumerate(rates, start=1):
        agreement = agreements[number - 1] if agreements else None
        schedule = schedule.after(settings, student, teacher, agreement)
        progress = number / (iterations or len(rates))
        weights.append(schedule.weight(settings, progress, teacher))
    return weights


def most(progress: float, teacher: float | None = None) -> float:
    """What adaptive may weigh by then: linear, or the share of the start that is trusted."""
    linear = WeightSchedule().weight(LINEAR, progress)
    trusted = 1.0 if teacher is None else max(min(teacher / 0.9, 1.0) ** 2, 0.04)
    return min(linear, 5.0 * trusted)


def factors(weights: Sequence[float], iterations: int, teacher: float | None = None) -> list[float]:
    """What adaptive leaves of what it may weigh, along the beginning of a run of so many."""
    return [w / most(n / iterations, teacher) for n, w in enumerate(weights, start=1)]


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


RATES = st.lists(st.tuples(RATE, RATE), min_size=1, max_size=60)


@given(RATES, st.lists(RATE, min_size=60, max_size=60))
def test_adaptive_never_exceeds_linear_and_always_ends(
    rates: list[Outcome], agreements: list[float | None]
) -> None:
    weights = weaned(rates, agreements)
    for number, weight in enumerate(weights, start=1):
        assert 0.0 <= weight <= WeightSchedule().weight(LINEAR, number / len(rates)) <= 5.0
        assert weight == 0.0 or number / len(rates) < 0.6
    assert weights[-1] == 0.0


@given(RATES, st.lists(RATE, min_size=60, max_size=60), st.integers(1, 40))
def test_a_longer_run_has_the_same_factors(
    rates: list[Outcome], agreements: list[float | None], times: int
) -> None:
    """What is left of the linear weight goes by what was learned, until that is below the floor."""
    schedule = WeightSchedule()
    runs = [(n, weaned(rates, agreements, iterations=n)) for n in (len(rates), times * len(rates))]
    for number, (student, teacher) in enumerate(rates, start=1):
        schedule = schedule.after(ADAPTIVE, student, teacher, agreements[number - 1])
        for iterations, weights in runs:
            progress, weight = number / iterations, weights[number - 1]
            left = most(progress) * schedule.factor
            if progress >= 0.6 or (schedule.factor < 1.0 and left < 0.1):
                assert weight == 0.0
            else:
                assert weight / most(progress, teacher) == pytest.approx(schedule.factor)


@given(st.floats(0, 0.59), st.floats(0, 0.38), st.floats(0, 0.38))
def test_time_alone_takes_no_more_than_linear_does(
    progress: float, earlier: float, later: float
) -> None:
    schedule = WeightSchedule(factor=0.5)
    left = 0.5 * WeightSchedule().weight(LINEAR, progress)
    assert schedule.weight(ADAPTIVE, progress) == (left if left >= 0.1 else 0.0)
    assert WeightSchedule().weight(ADAPTIVE, progress) == 2 * left, "what is whole has no floor"
    weighed = [schedule.weight(ADAPTIVE, p, 0.45) for p in (earlier, later)]
    assert weighed == [0.625, 0.625], "what is trusted less does not exceed linear yet"
    assert schedule.weight(ADAPTIVE, 0.6) == 0.0


@given(RATES)
def test_where_it_stands_survives_json(rates: list[Outcome]) -> None:
    schedule = WeightSchedule()
    for student, teacher in rates:
        schedule = schedule.after(ADAPTIVE, student, teacher, student)
        assert WeightSchedule.model_validate_json(schedule.model_dump_json()) == schedule


def test_a_student_behind_its_teacher_keeps_it_until_it_has_caught_up() -> None:
    behind = [(0.1 + i / 30, 1.0) for i in range(20)]
    equal = [(0.98, 1.0)] * 8
    left = factors(weaned([*behind, *equal], iterations=200), 200)
    assert left[:20] == [1.0] * 20
    assert left[20:] == pytest.approx(0.8 ** np.arange(1, 9))


def test_the_weight_rises_again_where_the_student_falls_behind() -> None:
    caught_up = [(1.0, 1.0)] * 5
    behind = [(0.5, 1.0)] * 2
    between = [(0.92, 1.0)] * 1
    weights = weaned([*caught_up, *behind, *between], iterations=200)
    assert (np.diff(weights[:5]) < 0).all()
    assert (np.diff(weights[4:7]) > 0).all()
    left = factors(weights, 200)
    assert left[7] == pytest.approx(left[6]), "between the two margins it stays (hysteresis)"
    back = factors(weaned([*caught_up[:2], *[(0.5, 1.0)] * 4], iterations=200), 200)
    assert back[2:] == pytest.approx([0.8, 1.0, 1.0, 1.0]), "not beyond linear"


# --- a student that learns nothing more ---


@pytest.mark.parametrize("teacher", [0.4, None])
def test_a_student_that_gets_no_better_loses_its_teacher_early(teacher: float | None) -> None:
    """Of a weak teacher, and one that nothing is known of: after some rollouts of patience."""
    weights = weaned([(0.32, teacher)] * 60, iterations=10_000)
    left = factors(weights, 10_000, teacher)
    assert left[:8] == [1.0] * 8
    assert left[8:12] == pytest.approx(0.8 ** np.arange(1, 5))
    assert weights.index(0.0) < 30


@pytest.mark.parametrize(("student", "teacher"), [(0.02, 1.0), (0.1, 0.3), (0.02, 0.2)])
def test_a_student_that_has_not_begun_is_not_stuck(student: float, teacher: float) -> None:
    """While its teacher is known to succeed more often than it hardly ever does."""
    weights = weaned([(student, teacher)] * 100, iterations=1000)
    assert factors(weights, 1000, teacher) == [1.0] * 100
    began = weaned([(0.15, teacher), *[(student, teacher)] * 100], iterations=1000)
    assert began[1] >= began[-1] or teacher > student


def test_where_nothing_is_known_of_the_teacher_a_student_at_nothing_is_stuck() -> None:
    assert 0.0 in weaned([(0.0, None)] * 40, iterations=10_000)


@given(st.floats(0, 0.9), st.floats(0, 0.9), st.integers(0, 7))
def test_patience_begins_anew_with_a_better_student_or_a_closer_one(
    best: float, closest: float, idle: int
) -> None:
    known = WeightSchedule(best=best, closest=closest, idle=idle)
    better = known.after(ADAPTIVE, best + 0.03, None, None)
    assert (better.idle, better.best, better.closest) == (0, best + 0.03, closest)
    closer = known.after(ADAPTIVE, best, None, closest + 0.03)
    assert (closer.idle, closer.best, closer.closest) == (0, best, closest + 0.03)
    assert closer.factor == better.factor == 1.0
    neither = known.after(ADAPTIVE, best + 0.01, None, closest + 0.01)
    assert (neither.idle, neither.best, neither.closest) == (idle + 1, best, closest)
    assert neither.factor == (0.8 if idle == 7 else 1.0)


@pytest.mark.parametrize(("teacher", "counts"), [(None, True), (0.9, True), (0.89, False)])
def test_closer_to_a_teacher_that_often_fails_is_not_better(
    teacher: float | None, counts: bool
) -> None:
    after = WeightSchedule(best=0.5, idle=3).after(ADAPTIVE, 0.5, teacher, 0.9)
    assert (after.idle, after.closest) == ((0, 0.9) if counts else (4, 0.0))


def test_a_student_that_comes_ever_closer_keeps_its_teacher_of_unknown_success() -> None:
    agreements = [0.1 + 0.03 * i for i in range(28)]
    weights = weaned([(0.0, None)] * 28, agreements, iterations=10_000)
    assert factors(weights, 10_000) == [1.0] * 28
    stuck = factors(weaned([(0.0, None)] * 28, [0.5] * 28, iterations=10_000), 10_000)
    assert stuck[:8] == [1.0] * 8
    assert stuck[8:11] == pytest.approx(0.8 ** np.arange(1, 4))


def test_patience_is_in_rollouts() -> None:
    for patience in (1, 3, 20):
        settings = WeaningSettings(patience=patience)
        weights = weaned([(0.32, 0.4)] * 30, iterations=10_000, settings=settings)
        assert weights.count(weights[0]) == patience


def test_without_a_student_that_was_measured_nothing_changes() -> None:
    known = WeightSchedule(factor=0.5, best=0.5, idle=3)
    assert known.after(ADAPTIVE, None, 0.5, 0.9) == known


# --- trust ---


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.02, 1))
def test_a_teacher_that_fails_more_often_is_weighed_less(
    one: float, other: float, factor: float
) -> None:
    schedule = WeightSchedule(factor=factor)
    low, high = sorted((one, other))
    full = schedule.weight(ADAPTIVE, 0.0)
    weighed = [schedule.weight(ADAPTIVE, 0.0, t) for t in (low, high)]
    assert 0.2 * factor <= weighed[0] <= weighed[1] <= full
    assert schedule.weight(ADAPTIVE, 0.0, 0.9) == schedule.weight(ADAPTIVE, 0.0, 1.0) == full
    assert schedule.weight(ADAPTIVE, 0.0, 0.45) == pytest.approx(full / 4)
    assert full == 5.0 * factor


def test_a_teacher_that_is_hardly_trusted_is_not_removed_for_that() -> None:
    """Only what its student has learned removes it, or the time."""
    assert WeightSchedule(factor=0.1).weight(ADAPTIVE, 0.1, 0.0) == pytest.approx(0.02)
    assert WeightSchedule(factor=0.019).weight(ADAPTIVE, 0.1, 1.0) == 0.0


def test_linear_and_constant_trust_everybody() -> None:
    for settings in (LINEAR, WeaningSettings(schedule="constant")):
        weights = [WeightSchedule().weight(settings, 0.2, t) for t in (None, 0.0, 1.0)]
        assert weights == [weights[0]] * 3


@given(st.integers(1, 10**9), st.integers(1, 3000))
def test_the_first_check_has_a_share_of_the_run_and_some_seconds_at_most(
    steps: int, longest: int
) -> None:
    """But room for eight episodes, without which nothing could be found out."""
    least = 8 * longest
    assert ADAPTIVE.first_check(steps, longest) == max(min(steps // 10, 50_000), least)
    few = WeaningSettings(check_share=1.0, check_steps=7)
    assert few.first_check(steps, longest) == max(min(steps, 7), least)


def test_a_weight_below_the_floor_is_none() -> None:
    weights = np.array(weaned([(1.0, 1.0)] * 200))
    removed = int(np.argmax(weights == 0.0))
    assert (weights[:removed] >= 0.1).all()
    left = [most(n / 200) * 0.8**n for n in (removed, removed + 1)]
    assert left[1] < 0.1 <= left[0]
    assert not weights[removed:].any()


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"factor": "1"},
        {"factor": None},
        {"factor": 1.0, "best": []},
        {"idle": -1},
        {"idle": 1.5},
        {"best_at": 0.0},
    ],
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
    after = schedule.after(ADAPTIVE, 0.5, 0.5, 0.5)
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
        schedule = schedule.scored(value)
        student, beside = schedule.scored_success(success, value, teacher, teacher_return)
        schedule = schedule.after(ADAPTIVE, student, beside, None)
        weights.append(schedule.weight(ADAPTIVE, number / len(returns), beside))
    return weights


@pytest.mark.parametrize("success", [1.0, 0.0])
def test_a_student_that_scores_badly_is_not_let_go_early(success: float) -> None:
    """Success is easy, or never comes. The score comes with time, from -90 to 8."""
    slowly = np.interp(np.arange(400), [0, 80, 399], [-90, 8, 8]).tolist()
    left = factors(weights_of(slowly, success, success, 8.0)[:200], 400)
    # The lowest return is the first, at which student and teacher cannot be told apart yet.
    assert left[1:70] == [1.0] * 69, "none of it is taken back before"
    assert left[100] < 0.1
    unscored = weaned([(1.0, 1.0)] * 400)
    assert unscored.index(0.0) < 60, "by its success it would have been"
