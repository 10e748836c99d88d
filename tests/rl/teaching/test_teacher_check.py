"""The teacher check: what it finds of good, wrong, partly wrong and silent teachers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Discrete
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from helpers.corridor_advice import GOOD, TASK, student_of
from helpers.steering_task import AWAY, FAST, Steering
from helpers.tiny_runs import make_run
from helpers.toy_task import AT_LEVER, LEVER_DOWN, WALK_TO_LEVER, WANDER, Corridor
from tutelage.graphs.records.trace.records import ADVICE_REJECTED
from tutelage.rl.advice.advice import Advice
from tutelage.rl.advice.labels import Labels, mixed_with_uniform, with_retention_targets
from tutelage.rl.policy.policy import make_policy
from tutelage.rl.policy.settings import StudentSettings
from tutelage.rl.tasks.action_targets import action_targets
from tutelage.rl.tasks.arrays import IntArray
from tutelage.rl.tasks.base import Episode, States
from tutelage.rl.tasks.options import Option
from tutelage.rl.teaching.teacher_check import SuccessCount, TeacherCheck, TeacherChecker

EVERYWHERE = range(4)
WALK_AWAY = Advice(((WANDER,),), (1.0,))
"""A random walk that never pulls the lever: the exit stays shut, and in the end it is the pit."""


def checked(
    advice: dict[int, Advice], rounds: int = 8, check: TeacherCheck | None = None, seed: int = 0
) -> TeacherCheck:
    """The check after some iterations with the same advice and a student that learns nothing."""
    examiner = TeacherChecker(TASK, student_of(), seed)
    check = check or TeacherCheck()
    for _ in range(rounds):
        check = examiner.after(check, advice, EVERYWHERE, 0)
    return check


class Renumbered(Corridor):
    """The corridor with other numbers for its situations, in another order."""

    def situation_ids(self, states: States) -> IntArray:
        return 1000 - super().situation_ids(states)

    def describe(self, situation_id: int) -> str:
        return super().describe(1000 - situation_id)

    def options(self, situation_id: int) -> tuple[Option, ...]:
        return super().options(1000 - situation_id)


@pytest.mark.parametrize("advice", [GOOD, dict.fromkeys(GOOD, WALK_AWAY), {0: GOOD[0]}])
def test_the_numbers_of_situations_mean_nothing(advice: dict[int, Advice]) -> None:
    ours = TeacherChecker(TASK, student_of(), 0).after(TeacherCheck(), advice, [0], 0)
    renumbered = {1000 - s: given for s, given in advice.items()}
    theirs = TeacherChecker(Renumbered(), student_of(), 0).after(
        TeacherCheck(), renumbered, [1000], 0
    )
    assert (theirs.team, theirs.together, theirs.alone) == (ours.team, ours.together, ours.alone)
    assert {1000 - int(s): c for s, c in theirs.mixed.items()} == {
        int(s): c for s, c in ours.mixed.items()
    }
    assert {1000 - s for s in theirs.rejected} == set(ours.rejected)
    assert [1000 - s for s in theirs.ahead] == ours.ahead
    assert (theirs.enabled, theirs.env_steps) == (ours.enabled, ours.env_steps)


def test_a_good_teacher_is_known_by_its_team_alone() -> None:
    check = checked(GOOD)
    assert check.success == 1.0
    assert check.followed(GOOD) == GOOD
    assert (check.mixed_episodes, check.mixed, check.fresh) == (0, {}, 96)
    assert check.env_steps > 0
    assert checked(GOOD, rounds=1, check=check) == check, "enough was played"


def test_one_wrong_answer_does_not_spoil_the_right_ones() -> None:
    mixed = {**GOOD, AT_LEVER: WALK_AWAY}
    check = checked(mixed, rounds=1)
    assert check.rejected == [AT_LEVER]
    assert set(check.followed(mixed)) == set(GOOD) - {AT_LEVER}
    contrast = check.mixed[str(AT_LEVER)]
    assert contrast.taught.above(contrast.own) < -2


def test_a_silent_teacher_is_followed_where_it_speaks() -> None:
    forgetful = {s: advice for s, advice in GOOD.items() if s != AT_LEVER}
    check = checked(forgetful)
    assert check.followed(forgetful) == forgetful


def test_nothing_is_held_against_advice_in_places_that_nobody_has_asked_about() -> None:
    """The lever is reached in the check before it is in the rollouts."""
    first = {0: GOOD[0]}
    check = TeacherChecker(TASK, student_of(), 0).after(TeacherCheck(), first, [0], 0)
    assert check.team_unmet.above(check.alone_unmet) > 1.64
    assert check.team.successes == 0
    assert check.followed(first) == first
    assert check.mixed_episodes == 0
    assert check.team.episodes < check.together.episodes == 32


def test_where_the_teacher_leads_is_asked_about_before_anything_is_concluded() -> None:
    examiner = TeacherChecker(TASK, student_of(), 0)
    first = {0: GOOD[0]}
    check = examiner.after(TeacherCheck(enabled=False), first, [0], 0)
    assert set(check.ahead) == set(EVERYWHERE) - {0}
    assert not check.enabled
    told = examiner.after(check, GOOD, check.ahead, 0)
    assert (told.enabled, told.ahead) == (True, [])
    assert told.success == 1.0
    # Nobody could say anything about it: the check goes by what is known.
    untold = examiner.after(check, first, check.ahead, 0)
    assert untold.ahead == []
    assert untold.team.episodes > 0


def test_new_advice_is_tried_anew_and_doubts_about_it_are_dropped() -> None:
    mixed = {**GOOD, AT_LEVER: WALK_AWAY}
    before = checked(mixed)
    assert before.fresh == 96
    after = checked(GOOD, rounds=1, check=before)
    assert after.fresh == 32
    assert after.team.episodes == before.team.episodes / 2 + 32
    assert after.rejected == []
    spent = checked(GOOD).model_copy(update={"mixed_episodes": 10_000})
    assert checked(mixed, rounds=1, check=spent).rejected == [AT_LEVER], (
        "it is looked at closely anew"
    )
    other = checked({**mixed, LEVER_DOWN: GOOD[0]}, rounds=1, check=before)
    assert AT_LEVER in other.rejected, "its own advice is the same"


def test_the_student_plays_beside_the_team_that_often_fails() -> None:
    """At the same time and as often: else a student that gets better would speak for its team."""
    check = checked({0: WALK_AWAY}, rounds=3)
    assert check.alone.episodes == check.team.episodes > 32
    assert checked(GOOD).alone.episodes == 0


def test_two_that_can_hardly_be_told_apart_play_more_but_not_for_ever() -> None:
    alike = checked({0: WALK_AWAY}, rounds=1)
    assert 0 < alike.paired <= 448 + 16
    assert alike.alone.episodes == 32 + alike.paired
    assert checked({0: WALK_AWAY}, rounds=9, check=alike) == alike
    clear = checked({s: advice for s, advice in GOOD.items() if s != AT_LEVER}, rounds=1)
    assert clear.enabled
    assert clear.paired == 0


def test_it_takes_no_more_steps_than_it_is_allowed() -> None:
    """Some, and one for each of the run's: new advice in each iteration would have no end else."""
    examiner = TeacherChecker(TASK, student_of(), 0)
    spent = TeacherCheck(env_steps=300_001)
    refused = examiner.after(spent, GOOD, EVERYWHERE, 0)
    assert (refused.env_steps, refused.batches, refused.enabled) == (300_001, 0, True)
    assert examiner.after(refused, GOOD, EVERYWHERE, 1).batches == 1


def test_without_advice_nothing_is_played() -> None:
    check = checked({})
    assert check.success is None
    assert (check.batches, check.env_steps) == (0, 0)


def test_it_is_a_function_of_its_seed_and_record() -> None:
    mixed = {**GOOD, AT_LEVER: WALK_AWAY, LEVER_DOWN: Advice(((WALK_TO_LEVER,),), (1.0,))}
    half = TeacherCheck.model_validate_json(checked(mixed, rounds=3).model_dump_json())
    assert checked(mixed, rounds=5, check=half) == checked(mixed, rounds=8)
    assert checked(mixed, rounds=3, seed=1) != half


@pytest.mark.parametrize("record", [{"met": "no"}, {"team": {"successes": "1"}}, {"other": 1}])
def test_a_damaged_record_is_refused(record: Any) -> None:
    with pytest.raises(ValidationError):
        TeacherCheck.model_validate(record)


@given(*[st.integers(0, 60)] * 4)
def test_the_statistic_is_antisymmetric_and_grows_with_the_evidence(
    a: int, more_a: int, b: int, more_b: int
) -> None:
    first = SuccessCount(successes=float(a), episodes=float(a + more_a))
    second = SuccessCount(successes=float(b), episodes=float(b + more_b))
    assert first.above(second) == -second.above(first)
    if first.episodes and second.episodes:
        sign = np.sign(a / (a + more_a) - b / (b + more_b))
        assert np.sign(first.above(second)) == pytest.approx(sign)
        twice = [
            SuccessCount(successes=2 * t.successes, episodes=2 * t.episodes)
            for t in (first, second)
        ]
        assert abs(twice[0].above(twice[1])) >= abs(first.above(second))


# --- where the return tells more than the success ---

RETURNS = st.lists(st.integers(-100, 100).map(float), min_size=2, max_size=30)


def counted(returns: list[float]) -> SuccessCount:
    return SuccessCount().plus(0, len(returns), returns)


@given(RETURNS, RETURNS)
def test_mean_returns_are_compared_as_welch_does(first: list[float], second: list[float]) -> None:
    """By the population's variances; antisymmetric, and less sure with half the evidence."""
    one, two = counted(first), counted(second)
    found = one.above_in_return(two)
    assert found == -two.above_in_return(one)
    assert one.mean_return == pytest.approx(np.mean(first))
    error = np.sqrt(np.var(first) / len(first) + np.var(second) / len(second))
    if error > 0.01:
        assert found == pytest.approx((np.mean(first) - np.mean(second)) / error, abs=1e-6)
        if min(len(first), len(second)) >= 4:
            assert one.halved().above_in_return(two.halved()) == pytest.approx(found / 2**0.5)


def test_returns_that_never_vary_are_told_apart_unless_they_are_alike() -> None:
    good, bad = counted([-13.1] * 32), counted([-100.0] * 32)
    assert good.above_in_return(bad) > 1000
    assert bad.above_in_return(good) < -1000
    same = counted([-13.1] * 7).plus(0, 9, [-13.1] * 9)
    assert abs(good.above_in_return(same)) < 0.01
    assert counted([0.0] * 4).above_in_return(counted([0.0] * 4)) == 0.0
    assert good.above_in_return(SuccessCount()) == 0.0
    assert SuccessCount().mean_return is None


def test_numbers_beyond_all_measure_end_nothing() -> None:
    """A record may hold any; their squares have no place in a float."""
    vast = SuccessCount(episodes=4.0, returns=1e300, squares=1e308)
    assert vast.above_in_return(counted([1.0, 2.0])) > 0
    assert vast.halved().mean_return == vast.mean_return


class Hopeless(Steering):
    """Nobody succeeds; the return tells who is better."""

    def success(self, episode: Episode) -> bool:  # noqa: ARG002 - the protocol's
        return False


class Unscored(Hopeless):
    scored = False


def checked_in(task: Steering, option: Option) -> TeacherCheck:
    student = make_policy(task, StudentSettings(hidden=16), "cpu", seed=0)
    advice = dict.fromkeys((0, 1), Advice(((option,),), (1.0,)))
    return TeacherChecker(task, student, 0).after(TeacherCheck(), advice, (0, 1), 0)


@pytest.mark.parametrize("actions", ["Box", "MultiDiscrete", "Discrete"])
def test_a_teacher_of_better_returns_helps_and_one_of_worse_ones_does_not(actions: str) -> None:
    good, wrong = (checked_in(Hopeless(actions), option) for option in (FAST, AWAY))
    for check in (good, wrong):
        assert check.success == 0.0
        assert check.together.mean_return is not None
        assert check.alone.mean_return is not None
    assert good.enabled
    assert good.together.above_in_return(good.alone) > 3
    assert good.team.mean_return == pytest.approx(-7, abs=3)
    assert not wrong.enabled
    assert wrong.rejected == [0, 1], "in mixed play its returns were the worse ones"
    assert TeacherCheck.model_validate_json(good.model_dump_json()) == good


def test_a_clear_score_is_enough_to_decide() -> None:
    """Where nobody succeeds, no episodes are spent on comparing successes."""
    check = checked_in(Hopeless("Box"), FAST)
    assert check.enabled
    assert check.paired == check.mixed_episodes == 0


class Easy(Steering):
    """Everybody succeeds; the return tells who is better."""

    def success(self, episode: Episode) -> bool:  # noqa: ARG002 - the protocol's
        return True


def test_where_success_is_easy_a_teacher_of_worse_returns_is_not_followed() -> None:
    good, wrong = (checked_in(Easy("Box"), option) for option in (FAST, AWAY))
    assert good.enabled
    assert wrong.success == 1.0
    assert not wrong.followed(dict.fromkeys((0, 1), Advice(((AWAY,),), (1.0,))))


def test_where_returns_tell_nothing_they_are_not_counted() -> None:
    check = checked_in(Unscored("Box"), FAST)
    assert (check.together.returns, check.together.squares) == (0.0, 0.0)
    assert not check.enabled


def test_a_team_that_succeeds_tells_its_return() -> None:
    """The student is measured by it (`WeightSchedule.scored_success`)."""
    check = checked_in(Steering("Box"), FAST)
    assert check.success is not None
    assert check.success > 0.9
    assert check.team.mean_return == pytest.approx(-7, abs=3)


# --- what is held on to, and whole runs ---


def test_what_is_held_on_to_stands_where_there_is_no_advice() -> None:
    labels = Labels(
        np.array([[1, 0], [0, 0], [0.2, 0.8]], np.float32), np.array([0.7, 0, 1], np.float32)
    )
    policy = np.array([[0.5, 0.5], [0.1, 0.9], [0.4, 0.6]], np.float32)
    after = with_retention_targets(labels, policy, 0.5)
    assert after.targets == pytest.approx(np.array([[1, 0], [0.1, 0.9], [0.2, 0.8]]))
    assert after.coverage == pytest.approx(np.array([0.7, 0.5, 1]))
    assert with_retention_targets(labels, policy, 0.0) is labels


def test_where_something_is_still_to_be_found_out_anything_may_be_done() -> None:
    policy = np.array([[1, 0, 0], [0.5, 0.5, 0]], np.float32)
    mask = np.array([[True, True, True], [True, True, False]])
    kind = action_targets(Discrete(3))
    mixed = mixed_with_uniform(kind, policy, mask, 0.3)
    assert mixed == pytest.approx(np.array([[0.8, 0.1, 0.1], [0.5, 0.5, 0]]))
    assert mixed_with_uniform(kind, policy, None, 0.3).sum(axis=1) == pytest.approx(1)
    assert mixed_with_uniform(kind, policy, None, 0.0) == pytest.approx(policy)


def test_a_team_that_succeeds_leaves_nothing_to_be_found_out() -> None:
    assert not checked(GOOD).falls_short
    assert not TeacherCheck().falls_short
    assert checked({0: WALK_AWAY}).falls_short


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("env", ["MiniGrid-DoorKey-5x5-v0", "SimpleDoorKey"])
def test_a_run_with_a_wrong_teacher_is_the_run_without_one(env: str, tmp_path: Any) -> None:
    small: dict[str, Any] = {"env": env, "num_envs": 16, "ppo__num_steps": 64}
    small |= {"steps": 3 * 16 * 64}
    alone = make_run(tmp_path / "alone", graph="student_only", **small)
    wrong = make_run(tmp_path / "wrong", provider="adversarial", **small)
    apart = ("teacher_weight", "teacher_success", "trial_steps", "doubted", "llm_calls")
    assert wrong.rows[0].llm_calls > 0
    assert wrong.figures(*apart, "cache_hits") == alone.figures(*apart, "cache_hits")
    assert wrong.folder.student.read_bytes() == alone.folder.student.read_bytes()
    with wrong.trace() as trace:
        assert "teacher_rejected" in [event.kind for event in trace.events()]


@pytest.mark.usefixtures("one_thread")
def test_a_weak_teacher_is_followed_where_it_is_right(tmp_path: Any) -> None:
    """A student that knows nothing succeeds in one or two of a hundred episodes, it in five."""
    weak = make_run(
        tmp_path, env="SimpleDoorKey", provider="weak", num_envs=64, ppo__num_steps=32, steps=6144
    )
    assert weak.rows[0].llm_calls == 8, "what it leads on to was asked about at once"
    assert all(row.advised_share and row.doubted == 1 for row in weak.rows[:-1])
    assert weak.rows[-1].trial_steps == weak.rows[0].trial_steps < 150_000
    with weak.trace() as trace:
        (rejected,) = [e.situation_id for e in trace.events() if e.kind == ADVICE_REJECTED]
        assert rejected is not None
        assert "red door (locked)" in trace.situation_of(rejected).text
