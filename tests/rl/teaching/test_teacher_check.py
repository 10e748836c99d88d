"""The teacher check: what it finds of good, wrong, partly wrong and silent teachers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from typing import Any, cast
from unittest.mock import MagicMock

import numpy as np
import pytest
from gymnasium.spaces import Discrete
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from helpers.corridor_advice import GOOD, TASK, student_of
from helpers.steering_task import AWAY, FAST, Steering
from helpers.tiny_runs import make_run
from helpers.toy_task import (
    AT_LEVER,
    LEVER_DOWN,
    WALK_TO_EXIT,
    WALK_TO_LEVER,
    WANDER,
    Corridor,
)
from tutelage.graphs.config.config import RunConfig
from tutelage.graphs.nodes import teacher_check as node
from tutelage.graphs.records.trace.records import ADVICE_REJECTED
from tutelage.graphs.state import TeachState
from tutelage.rl.advice.advice import Advice
from tutelage.rl.advice.labels import Labels, mixed_with_uniform, with_retention_targets
from tutelage.rl.policy.policy import make_policy
from tutelage.rl.policy.settings import StudentSettings
from tutelage.rl.tasks.action_targets import action_targets
from tutelage.rl.tasks.arrays import IntArray
from tutelage.rl.tasks.base import Episode, States
from tutelage.rl.tasks.options import Option
from tutelage.rl.teaching.success_counts import SuccessCount
from tutelage.rl.teaching.teacher_check import TeacherCheck
from tutelage.rl.teaching.teacher_checker import TeacherChecker

EVERYWHERE = range(4)
PLENTY = 100_000
"""Steps before the first update, for all that is played of the corridor there."""
EPISODE = TASK.max_episode_steps
WALK_AWAY = Advice(((WANDER,),), (1.0,))
"""A random walk that never pulls the lever: the exit stays shut, and in the end it is the pit."""
WRONG = dict.fromkeys(GOOD, WALK_AWAY)
MIXED = {**GOOD, AT_LEVER: WALK_AWAY}
STUDENT = student_of()
OTHER_LEVELS = 3
"""A seed by which WRONG is no help. By 0, what is not rejected of it leads to the lever by chance
more often than the student gets there."""


def checked(
    advice: Mapping[int, Advice],
    rounds: int = 8,
    check: TeacherCheck | None = None,
    seed: int = 0,
    first_steps: int = PLENTY,
) -> TeacherCheck:
    """The check after some calls with the same advice and a student that learns nothing."""
    if check is None:
        return _checked(tuple(sorted(advice.items())), rounds, seed, first_steps)
    examiner = TeacherChecker(TASK, STUDENT, seed, first_steps)
    for _ in range(rounds):
        check = examiner.after(check, advice, EVERYWHERE, 0)
    return check


@cache
def _checked(
    advice: tuple[tuple[int, Advice], ...], rounds: int, seed: int, first_steps: int
) -> TeacherCheck:
    return checked(dict(advice), rounds, TeacherCheck(), seed, first_steps)


def with_room(check: TeacherCheck, room: int) -> TeacherCheck:
    return check.model_copy(update={"room": room})


def count(successes: int, episodes: int) -> SuccessCount:
    return SuccessCount(successes=float(successes), episodes=float(episodes))


class Renumbered(Corridor):
    """The corridor with other numbers for its situations, in another order."""

    def situation_ids(self, states: States) -> IntArray:
        return 1000 - super().situation_ids(states)

    def describe(self, situation_id: int) -> str:
        return super().describe(1000 - situation_id)

    def options(self, situation_id: int) -> tuple[Option, ...]:
        return super().options(1000 - situation_id)


@pytest.mark.parametrize("advice", [GOOD, WRONG, MIXED, {0: GOOD[0]}])
def test_the_numbers_of_situations_mean_nothing(advice: dict[int, Advice]) -> None:
    ours = TeacherChecker(TASK, STUDENT, 0, 2500).after(TeacherCheck(), advice, [0], 0)
    renumbered = {1000 - s: given for s, given in advice.items()}
    theirs = TeacherChecker(Renumbered(), STUDENT, 0, 2500).after(
        TeacherCheck(), renumbered, [1000], 0
    )
    moved = {"met", "mixed", "rejected", "ahead"}
    assert theirs.model_dump(exclude=moved) == ours.model_dump(exclude=moved)
    assert {1000 - int(s): c for s, c in theirs.mixed.items()} == {
        int(s): c for s, c in ours.mixed.items()
    }
    assert {1000 - s for s in theirs.rejected} == set(ours.rejected)
    assert [1000 - s for s in theirs.ahead] == ours.ahead


@pytest.mark.parametrize("advice", [GOOD, WRONG, MIXED])
def test_the_order_of_situations_means_nothing(advice: dict[int, Advice]) -> None:
    examiner = TeacherChecker(TASK, STUDENT, 0, 2500)
    turned = dict(reversed(advice.items()))
    assert examiner.after(TeacherCheck(), turned, reversed(EVERYWHERE), 0) == examiner.after(
        TeacherCheck(), advice, EVERYWHERE, 0
    )


# --- what is found of teachers ---


@pytest.mark.parametrize(("room", "episodes"), [(4, 4), (7, 4), (20, 10), (40, 16)])
def test_a_good_teacher_is_known_by_its_teams_first_episodes(room: int, episodes: int) -> None:
    """Half of the room is left for what the team comes to."""
    check = checked(GOOD, rounds=1, first_steps=room * EPISODE)
    assert (check.enabled, check.decided, check.is_rejected) == (True, True, False)
    assert check.team == check.together == count(episodes, episodes)
    assert (check.batches, check.alone.episodes, check.mixed) == (1, 0, {})
    assert check.success == (1.0 if episodes == 16 else None), "four are too few for a rate"


def test_a_good_teacher_is_known_by_its_team_alone() -> None:
    check = checked(GOOD)
    assert check.success == 1.0
    assert check.followed(GOOD) == GOOD
    assert (check.mixed_episodes, check.mixed, check.fresh) == (0, {}, 96)
    assert check.alone.episodes == 0
    assert check.is_over
    assert checked(GOOD, rounds=1, check=check) == check, "enough was played"


def test_one_wrong_answer_does_not_spoil_the_right_ones() -> None:
    check = checked(MIXED, rounds=1)
    assert check.rejected == [AT_LEVER]
    assert set(check.followed(MIXED)) == set(GOOD) - {AT_LEVER}
    contrast = check.mixed[str(AT_LEVER)]
    assert contrast.taught.above(contrast.own) < -2
    assert contrast.taught.episodes >= 8


def test_a_wrong_teacher_is_rejected_by_episodes_that_count() -> None:
    check = checked(WRONG, rounds=1, seed=OTHER_LEVELS)
    assert check.is_rejected
    assert check.followed(WRONG) == {}
    assert check.together.above(check.alone) < 1.64
    assert min(check.together.episodes, check.alone.episodes) > 448
    assert check.mixed_episodes == 128 + 16 * len(WRONG)
    spent = with_room(check, 0)
    assert checked(WRONG, rounds=3, check=spent) == spent, "nothing more is spent on it at once"
    assert not check.is_over, "it is tried again later"


def test_what_is_left_of_a_wrong_teacher_is_followed_where_that_does_better() -> None:
    """Undecided, after as many episodes as would have rejected it."""
    check = checked(WRONG, rounds=1)
    assert (check.enabled, check.decided, check.rejected) == (True, False, [AT_LEVER])
    assert set(check.followed(WRONG)) == set(WRONG) - {AT_LEVER}
    assert check.together.above(check.alone) >= 1.64
    assert check.paired == 448 + check.mixed_episodes - 128


NO_HELP = {s: Advice(((WALK_TO_EXIT,),), (1.0,)) for s in (0, AT_LEVER)}
"""The exit is shut as long as nobody has pulled the lever."""


def no_help_so_far(advice: Mapping[int, Advice]) -> TeacherCheck:
    """The record by which this advice was no better than the student, without any room."""
    asked = checked(advice, rounds=1, first_steps=0)
    few = {"team": count(8, 512), "together": count(8, 512), "alone": count(8, 512)}
    found = {**few, "team_unmet": count(0, 512), "fresh": 512, **ALL_DONE}
    return asked.model_copy(update={**found, "enabled": False, "decided": True})


@pytest.mark.parametrize(("advice", "helps"), [(GOOD, True), (NO_HELP, False)])
def test_a_rejected_teacher_is_tried_again_and_followed_where_it_helps_by_now(
    advice: dict[int, Advice], helps: bool
) -> None:
    """It says what it said before, to another student. A quarter of the run's steps is for that."""
    begun = check = no_help_so_far(advice)
    assert check.is_rejected
    examiner, calls = TeacherChecker(TASK, student_of(seed=1), 0, 0), 0
    while calls < 20 and not check.enabled:
        assert check.is_rejected
        assert check.followed(advice) == {}
        calls += 1
        before, check = check, examiner.after(check, advice, EVERYWHERE, 1000 * calls)
        assert check.env_steps - begun.env_steps <= 250 * calls
        old = 2 if before.fresh >= 192 else 1
        more = check.fresh - before.fresh // old
        assert more >= 2
        assert check.together.episodes == before.together.episodes / old + more
        assert check.alone.episodes == before.alone.episodes / old + more
    assert (check.enabled, check.decided) == (helps, not helps)
    assert (check.together.above(check.alone) >= 3) == helps
    assert bool(check.followed(advice)) == helps
    assert (check.paired, check.mixed_episodes) == (begun.paired, begun.mixed_episodes)
    assert calls > 1


@pytest.mark.parametrize("first_steps", [4 * EPISODE, 16 * EPISODE, 2000])
def test_a_wrong_teacher_is_not_followed_while_it_is_looked_at(first_steps: int) -> None:
    """It is no verdict: that takes more episodes than these."""
    check = checked(WRONG, rounds=1, first_steps=first_steps)
    assert 0 < check.env_steps <= first_steps
    assert (check.enabled, check.decided, check.is_rejected) == (False, False, False)


def test_a_silent_teacher_is_followed_where_it_speaks() -> None:
    forgetful = {s: advice for s, advice in GOOD.items() if s != AT_LEVER}
    check = checked(forgetful)
    assert check.followed(forgetful) == forgetful


def test_the_student_plays_beside_the_team_that_often_fails() -> None:
    """At the same time and as often: else a student that gets better would speak for its team."""
    check = checked(WRONG, rounds=1)
    assert check.alone.episodes == check.paired + 16 > 400
    assert check.team.episodes == check.together.episodes >= check.alone.episodes


def test_two_that_can_hardly_be_told_apart_play_more_but_not_for_ever() -> None:
    assert checked(WRONG, rounds=1).paired == 448 + 16 * len(WRONG)
    clear = checked({0: GOOD[0]}, rounds=1)
    assert clear.enabled
    assert clear.paired == 0


def test_new_advice_is_tried_anew_and_doubts_about_it_are_dropped() -> None:
    before = with_room(checked(MIXED), 2000)
    assert before.rejected == [AT_LEVER]
    after = checked(GOOD, rounds=1, check=before)
    assert after.fresh == 16 <= before.fresh
    assert after.team.episodes == before.team.episodes / 2 + 16
    assert after.rejected == []
    spent = with_room(checked(GOOD), 3000).model_copy(update={"mixed_episodes": 10_000})
    anew = checked(MIXED, rounds=1, check=spent)
    assert 0 < anew.mixed_episodes < 200, "it is looked at closely anew"
    assert anew.rejected == [AT_LEVER]
    other = checked({**MIXED, LEVER_DOWN: WALK_AWAY}, rounds=1, check=before)
    assert AT_LEVER in other.rejected, "its own advice is the same"


def test_a_rejected_teacher_is_looked_at_anew_when_it_says_something_else() -> None:
    rejected = with_room(checked(WRONG, rounds=1, seed=OTHER_LEVELS), 3000)
    assert rejected.is_rejected
    changed = checked(GOOD, rounds=1, check=rejected)
    assert changed.enabled
    assert changed.rejected == []
    assert changed.env_steps > rejected.env_steps
    assert changed.team.rate is not None
    assert rejected.team.rate is not None
    assert changed.team.rate > rejected.team.rate


def test_without_advice_nothing_is_played() -> None:
    check = checked({})
    assert check.success is None
    assert (check.batches, check.env_steps) == (0, 0)


# --- places that the teacher was not asked about ---


def test_where_the_team_mostly_meets_what_nobody_asked_about_it_is_followed_undecided() -> None:
    """The lever is reached in the check before it is in the rollouts."""
    first = {0: GOOD[0]}
    examiner, check = TeacherChecker(TASK, STUDENT, 0, PLENTY), TeacherCheck()
    for call in range(4):
        check = examiner.after(check, first, [0], 0)
        assert (check.enabled, check.decided) == (call > 0, False), "what is ahead comes first"
        assert bool(check.ahead) == (call in (0, 2)), "nobody answers; it is asked about again"
    assert check.followed(first) == first
    assert check.team_unmet.rate == 1.0
    assert check.team.episodes == check.mixed_episodes == check.paired == 0
    assert check.together.episodes == 64
    assert check.success is None
    assert check.alone.episodes == 16, "the student is not compared with it over and over"


def test_places_that_are_still_to_be_answered_are_not_counted() -> None:
    """Those that the teacher has left unanswered are: there is nothing to wait for."""
    first = {0: WALK_AWAY}
    examiner = TeacherChecker(TASK, STUDENT, 0, 2500)
    pending = settled = examiner.after(TeacherCheck(), first, [0], 0)
    pending = examiner.after(pending, first, [0], 0)
    settled = examiner.after(settled, first, EVERYWHERE, 0)
    assert pending.team.episodes < pending.together.episodes
    assert settled.team.episodes > pending.team.episodes
    assert set(settled.met) == {str(s) for s in EVERYWHERE}
    assert set(pending.met) == {"0"}


def test_where_the_teacher_leads_is_asked_about_before_anything_is_concluded() -> None:
    examiner = TeacherChecker(TASK, STUDENT, 0, PLENTY)
    first = {0: GOOD[0]}
    check = examiner.after(TeacherCheck(enabled=False), first, [0], 0)
    assert set(check.ahead) == set(EVERYWHERE) - {0}
    assert (check.enabled, check.batches) == (False, 1)
    told = examiner.after(check, GOOD, check.ahead, 0)
    assert (told.enabled, told.decided, told.ahead) == (True, True, [])
    assert told.success == 1.0
    # Nobody could say anything about it: the check goes by what is known.
    untold = examiner.after(check, first, check.ahead, 0)
    assert untold.ahead == []
    assert untold.team.episodes > 0


# --- the verdict, from what was counted ---

FEW: dict[str, int] = {}
MIXED_DONE = {"mixed_episodes": 192}
ALL_DONE = {"mixed_episodes": 192, "paired": 512}


@pytest.mark.parametrize(
    ("played", "team", "alone", "enabled", "decided"),
    [
        (FEW, (15, 16), (0, 0), True, True),
        (FEW, (13, 16), (0, 16), True, False),
        (FEW, (4, 16), (0, 16), True, False),  # 2 errors
        (FEW, (3, 16), (1, 16), False, False),  # 1
        (FEW, (0, 16), (16, 16), False, False),
        (MIXED_DONE, (4, 16), (1, 16), True, False),  # 1.4 errors
        (MIXED_DONE, (3, 16), (2, 16), False, False),  # 0.5
        (MIXED_DONE, (0, 16), (16, 16), False, True),
        (ALL_DONE, (24, 512), (8, 512), True, False),
        (ALL_DONE, (14, 512), (8, 512), False, True),
        (ALL_DONE, (8, 512), (8, 512), False, True),
        (ALL_DONE, (256, 512), (0, 512), True, False),
        (ALL_DONE, (480, 512), (512, 512), True, True),
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_the_verdict_goes_by_the_evidence(
    played: dict[str, int],
    team: tuple[int, int],
    alone: tuple[int, int],
    enabled: bool,
    decided: bool,
    before: bool,
) -> None:
    """Whatever it was before. There is room for nothing: what is known is judged."""
    known = checked(GOOD, rounds=1, first_steps=0).model_copy(
        update={
            "team": count(*team),
            "together": count(*team),
            "team_unmet": count(0, team[1]),
            "alone": count(*alone),
            "fresh": team[1],
            "enabled": before,
            **played,
        }
    )
    check = checked(GOOD, rounds=1, check=known)
    assert check.batches == 0
    assert (check.enabled, check.decided) == (enabled, decided)
    assert check.is_rejected == (decided and not enabled)
    assert bool(check.followed(GOOD)) == enabled


def test_teams_that_failed_in_unasked_places_say_nothing_against_the_advice() -> None:
    known = checked(GOOD, rounds=1, first_steps=0).model_copy(
        update={"together": count(0, 512), "alone": count(500, 512), "fresh": 512, **ALL_DONE}
    )
    for unmet, followed in ((257, True), (256, False)):
        told = known.model_copy(update={"team_unmet": count(unmet, 512), "team": count(0, 255)})
        check = checked(GOOD, rounds=1, check=told)
        assert (check.enabled, check.is_rejected) == (followed, not followed)
        assert check.decided != followed


@pytest.mark.parametrize("before", [True, False])
def test_what_nothing_was_played_of_stays_as_it_was(before: bool) -> None:
    """But nothing is followed before the first check."""
    few = 4 * EPISODE - 1
    check = checked(GOOD, first_steps=few, check=TeacherCheck(enabled=before))
    assert (check.enabled, check.decided, check.env_steps) == (False, False, 0)
    later = TeacherCheck(enabled=before, run_steps=0, room=few)
    check = checked(GOOD, first_steps=few, check=later)
    assert (check.enabled, check.decided, check.env_steps) == (before, False, 0)


def test_what_was_unmet_counts_half_until_all_that_was_ahead_is_asked_about() -> None:
    """New advice tells nothing of places that it is not about."""
    examiner = TeacherChecker(TASK, STUDENT, 0, 0)
    known = examiner.after(TeacherCheck(), {0: WALK_AWAY}, [0], 0).model_copy(
        update={"team_unmet": count(12, 16), "fresh": 16, "ahead": [AT_LEVER, LEVER_DOWN]}
    )
    told = {0: GOOD[0]}
    some = examiner.after(known, told, [AT_LEVER], 0)
    assert (some.team_unmet, some.fresh) == (count(6, 8), 0)
    assert (some.enabled, some.decided) == (True, False), "it says little, and is followed"
    asked = examiner.after(known, told, [AT_LEVER, LEVER_DOWN], 0)
    assert (asked.team_unmet, asked.fresh) == (SuccessCount(), 0)
    assert (asked.enabled, asked.decided) == (False, False)


# --- what it may take ---

ADVICE = st.dictionaries(st.sampled_from(sorted(GOOD)), st.booleans(), max_size=4).map(
    lambda right: {s: GOOD[s] if good else WALK_AWAY for s, good in right.items()}
)


@settings(max_examples=25)
@given(
    st.integers(0, 2000),
    st.lists(st.tuples(ADVICE, st.sampled_from([0, 64, 256]), st.booleans()), max_size=5),
)
def test_it_never_takes_more_than_its_room_and_rejects_by_evidence_only(
    first_steps: int, calls: list[tuple[dict[int, Advice], int, bool]]
) -> None:
    """Whatever the advice, and with new advice each time. The record survives JSON."""
    examiner, check = TeacherChecker(TASK, STUDENT, 0, first_steps), TeacherCheck()
    begun = now = 128
    for advice, steps, everywhere in calls:
        now += steps
        before = check
        check = examiner.after(check, advice, EVERYWHERE if everywhere else advice, now)
        assert check.env_steps >= before.env_steps
        assert check.env_steps + check.room <= first_steps + 8 * (now - begun)
        assert check.run_steps == now
        assert set(check.followed(advice)) <= set(advice) - set(check.rejected)
        assert all(check.mixed[str(s)].taught.episodes for s in check.rejected)
        if check.is_rejected:
            some = 16 * sum(bool(digest) for digest in check.met.values())
            assert check.mixed_episodes + 32 > 128 + some
            assert check.alone.episodes > 0 < check.together.episodes
            assert (check.team_unmet.rate or 0.0) <= 0.5
            assert check.paired + 32 > 448 + some or check.together.above(check.alone) <= -3
        assert TeacherCheck.model_validate_json(check.model_dump_json()) == check


@pytest.mark.parametrize("advice", [GOOD, WRONG, MIXED, {0: GOOD[0]}, {0: WALK_AWAY}])
@pytest.mark.parametrize("first_steps", [0, 130, 1000])
def test_before_the_first_update_it_takes_what_it_was_given(
    advice: dict[int, Advice], first_steps: int
) -> None:
    """However often it is asked, and however much of the advice is new."""
    examiner, check = TeacherChecker(TASK, STUDENT, 0, first_steps), TeacherCheck()
    for number in range(1, 5):
        told = dict(list(advice.items())[:number])
        check = examiner.after(check, told, told, 8192)
    assert check.env_steps <= first_steps
    assert check.room == first_steps - check.env_steps


HALF = {"team": count(8, 16), "fresh": 16}


@pytest.mark.parametrize(
    ("state", "rate"),
    [
        ({}, 1),
        ({"enabled": False}, 8),
        ({"fresh": 16, "enabled": False}, 8),
        ({**HALF, "enabled": False, **ALL_DONE}, 8),
        ({**HALF, **FEW}, 1),
        ({**HALF, **ALL_DONE}, 1),
        ({"decided": True}, 0.25),
        ({"decided": True, "enabled": False}, 0.25),
        ({"fresh": 16, "team_unmet": count(9, 16)}, 0.25),
        ({"fresh": 16, "team_unmet": count(9, 16), "enabled": False}, 0.25),
    ],
)
def test_beside_the_training_it_takes_so_much_for_each_step_of_the_run(
    state: dict[str, Any], rate: float
) -> None:
    """Much while learning waits for it, little where it only makes sure; saved up, but not all."""
    check = TeacherCheck(run_steps=1000, room=7, **state)
    examiner = TeacherChecker(TASK, STUDENT, 0, 500)
    assert examiner.after(check, {}, (), 1100).room == 7 + 100 * rate
    assert examiner.after(check, {}, (), 1000).room == 7
    batch = 32 * EPISODE
    assert examiner.after(with_room(check, batch - 10), {}, (), 1100).room == batch
    richer = TeacherChecker(TASK, STUDENT, 0, 2000)
    assert richer.after(with_room(check, 1990), {}, (), 1100).room == 2000
    rollout = int(rate * 100_000)
    assert richer.after(with_room(check, 1990), {}, (), 101_000).room == rollout


def test_it_goes_on_beside_the_training_until_it_is_decided() -> None:
    begun = checked(WRONG, rounds=1).model_copy(
        update={"room": 0, "paired": 512 - 96, "decided": False}
    )
    examiner, check, calls = TeacherChecker(TASK, STUDENT, 0, 300), begun, 0
    while not check.decided:
        calls += 1
        check = examiner.after(check, WRONG, EVERYWHERE, 256 * calls)
        assert begun.env_steps < check.env_steps <= begun.env_steps + 8 * 256 * calls
    assert check.is_rejected
    assert check.paired > 512 - 32
    assert calls > 1
    assert examiner.after(with_room(check, 0), WRONG, EVERYWHERE, 256 * calls) == with_room(
        check, 0
    )
    later = examiner.after(with_room(check, 0), WRONG, EVERYWHERE, 256 * (calls + 8))
    assert check.env_steps < later.env_steps <= check.env_steps + 256 * 8 // 4


def test_advice_that_is_followed_on_a_hint_is_compared_before_all_else() -> None:
    """Else mixed play, which has no bound then, would take the room, and the hint stay for ever."""
    hint = {"team": count(4, 16), "together": count(4, 16), "alone": count(1, 16), "fresh": 16}
    known = checked(WRONG, rounds=1, first_steps=0).model_copy(update={**hint, **MIXED_DONE})
    examiner, check = TeacherChecker(TASK, STUDENT, 0, 300), known
    for calls in range(1, 4):
        check = examiner.after(check, WRONG, EVERYWHERE, 256 * calls)
    assert check.paired > 3
    assert check.together.episodes == check.alone.episodes == check.paired + 16
    assert check.mixed_episodes == known.mixed_episodes


def test_a_followed_team_that_falls_short_is_checked_on_and_forgets() -> None:
    """One step for each of the run's, and old episodes count ever less: the student changes."""
    first = {0: GOOD[0]}
    check = with_room(checked(first, rounds=1), 0)
    assert (check.enabled, check.decided, check.falls_short) == (True, False, True)
    examiner, now = TeacherChecker(TASK, STUDENT, 0, 0), 0
    for now in (1200, 2400):
        before, check = check, examiner.after(check, first, EVERYWHERE, now)
        assert check.enabled
        assert before.mixed_episodes < check.mixed_episodes <= before.mixed_episodes + 32
        assert before.env_steps < check.env_steps <= before.env_steps + before.room + 1200
    long = check.model_copy(
        update={"fresh": 192, "team": count(80, 200), "room": 0, "paired": ALL_DONE["paired"]}
    )
    aged = examiner.after(long, first, EVERYWHERE, now + 1200)
    assert 96 <= aged.fresh == 96 + aged.team.episodes - 100 <= 96 + 16
    assert aged.alone == long.alone.halved()


def test_a_followed_teacher_is_given_up_where_its_student_no_longer_needs_it() -> None:
    check = checked({0: GOOD[0]}, rounds=1)
    assert check.enabled
    better = {"alone": count(90, 96), "mixed": {}, "room": 0, **MIXED_DONE}
    assert checked({0: GOOD[0]}, rounds=1, check=check.model_copy(update=better)).is_rejected


def test_what_is_raised_at_a_step_ends_it() -> None:
    class LateError(Exception):
        """The run's time is over."""

    def late() -> None:
        raise LateError

    examiner = TeacherChecker(TASK, STUDENT, 0, PLENTY, late)
    with pytest.raises(LateError):
        examiner.after(TeacherCheck(), GOOD, EVERYWHERE, 0)


def test_it_is_a_function_of_its_seed_and_record() -> None:
    mixed = {**MIXED, LEVER_DOWN: Advice(((WALK_TO_LEVER,),), (1.0,))}
    half = TeacherCheck.model_validate_json(
        checked(mixed, rounds=3, first_steps=3000).model_dump_json()
    )
    assert checked(mixed, rounds=5, check=half, first_steps=3000) == checked(
        mixed, rounds=8, first_steps=3000
    )
    assert checked(mixed, rounds=3, seed=1, first_steps=3000) != half


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
    return TeacherChecker(task, student, 0, 20_000).after(TeacherCheck(), advice, (0, 1), 0)


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
    assert checked({0: GOOD[0]}, rounds=1).falls_short
    assert checked(WRONG, rounds=1).falls_short


def test_what_is_still_to_be_answered_is_no_place_without_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither by the teacher, nor by the model that stands in for it."""
    checker = MagicMock()
    checker.return_value.after.side_effect = lambda check, *_: check
    monkeypatch.setattr(node, "TeacherChecker", checker)
    context = MagicMock(steps=30_000, config=RunConfig(seed=7))
    context.task.max_episode_steps = 100
    context.teacher.pending, context.teacher.pending_fallbacks = (2,), (3,)
    state = {"situations": [1, 2, 3, 4], "env_steps": 128, "teacher_check": TeacherCheck()}
    state |= {"advice": {}, "stand_ins": {}, "iteration": 1}
    update = node.teacher_check(cast(TeachState, state), MagicMock(context=context))
    assert checker.call_args.args[2:4] == (7, 3000)
    assert checker.return_value.after.call_args.args[2:] == ([1, 4], 128)
    assert update["situations"] == [1, 2, 3, 4], "they are asked about all the same"


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("env", ["MiniGrid-DoorKey-5x5-v0", "SimpleDoorKey"])
def test_a_run_with_a_wrong_teacher_is_the_run_without_one(env: str, tmp_path: Any) -> None:
    small: dict[str, Any] = {"env": env, "num_envs": 16, "ppo__num_steps": 64}
    small |= {"steps": 3 * 16 * 64}
    alone = make_run(tmp_path / "alone", graph="student_only", **small)
    # A tenth of so few steps would not hold the four episodes without which nothing is known.
    wrong = make_run(tmp_path / "wrong", provider="adversarial", weaning__check_share=1.0, **small)
    apart = ("teacher_weight", "teacher_success", "trial_steps", "doubted", "llm_calls")
    assert wrong.rows[0].llm_calls > 0
    assert 0 < wrong.rows[0].trial_steps <= small["steps"]
    for row in wrong.rows:
        assert row.trial_steps <= small["steps"] + 8 * (row.env_steps - 16 * 64)
    assert wrong.figures(*apart, "cache_hits") == alone.figures(*apart, "cache_hits")
    assert wrong.folder.student.read_bytes() == alone.folder.student.read_bytes()


@pytest.mark.usefixtures("one_thread")
def test_a_weak_teacher_is_followed_where_it_is_right(tmp_path: Any) -> None:
    """A student that knows nothing succeeds in one or two of a hundred episodes, it in five."""
    rollout, steps = 64 * 32, 12 * 64 * 32
    weak = make_run(
        tmp_path,
        env="SimpleDoorKey",
        provider="weak",
        num_envs=64,
        ppo__num_steps=32,
        steps=steps,
        weaning__check_share=1.0,
    )
    assert weak.rows[0].llm_calls == 8, "what it leads on to was asked about at once"
    assert weak.rows[0].trial_steps <= steps
    for before, row in pairwise(weak.rows):
        assert row.trial_steps - before.trial_steps <= 8 * rollout + 32 * 100
    followed = [row for row in weak.rows if row.advised_share]
    assert len(followed) >= 4
    assert all(row.doubted == 1 for row in followed)
    assert all(0 < (row.teacher_weight or 0) < 1 for row in followed), "it often fails"
    with weak.trace() as trace:
        (rejected,) = [e.situation_id for e in trace.events() if e.kind == ADVICE_REJECTED]
        assert rejected is not None
        assert "red door (locked)" in trace.situation_of(rejected).text


@pytest.mark.parametrize(
    ("succeeded", "played", "known"),
    [(1, 3, None), (1, 4, 0.25), (7, 15, 7 / 15), (8, 15, None), (15, 16, 15 / 16)],
)
def test_a_few_episodes_tell_that_a_team_is_poor(
    succeeded: int, played: int, known: float | None
) -> None:
    """Where new advice has halved the counts, it is not unknown: the unknown weigh in full."""
    check = TeacherCheck(team=SuccessCount(successes=succeeded, episodes=played))
    assert check.success == known


def test_a_few_failures_among_places_without_answers_tell_nothing() -> None:
    check = TeacherCheck(
        team=SuccessCount(successes=0, episodes=6),
        team_unmet=SuccessCount(successes=10, episodes=16),
    )
    assert check.success is None
