"""Mixed play of teacher and student: who acts where, and the record of it."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.corridor_advice import GOOD, TASK, student_of
from helpers.toy_task import AT_LEVER
from tutelage.rl.advice.advice import Advice
from tutelage.rl.policy.policy import Policy
from tutelage.rl.teaching.mixed_play import MixedActor, MixedPlay, play_mixed


def played(
    share: float,
    advice: dict[int, Advice] = GOOD,
    episodes: int = 64,
    seed: int = 0,
    student: Policy | None = None,
) -> MixedPlay:
    rng = np.random.default_rng(seed)
    return play_mixed(TASK, student or student_of(), advice, share, episodes, 7, 0, rng)


def test_the_teacher_alone_and_the_student_alone_are_the_ends_of_the_scale() -> None:
    taught, own = played(1.0), played(0.0)
    assert taught.successes == 64
    assert {who for episode in taught.episodes for who in episode.taught.values()} == {True}
    assert own.successes < 32
    assert {who for episode in own.episodes for who in episode.taught.values()} == {False}
    assert taught.env_steps < own.env_steps <= 64 * TASK.max_episode_steps


def test_who_acts_is_drawn_for_each_situation_of_each_episode() -> None:
    episodes = played(0.3, episodes=100).episodes + played(0.3, episodes=100, seed=1).episodes
    drawn = {s: [e.taught[s] for e in episodes if s in e.taught] for s in GOOD}
    for draws in (drawn[0], drawn[AT_LEVER]):
        assert np.mean(draws) == pytest.approx(0.3, abs=4 * np.sqrt(0.21 / len(draws)))
    both = [(e.taught[0], e.taught[AT_LEVER]) for e in episodes if {0, AT_LEVER} <= set(e.taught)]
    assert set(both) == {(True, True), (True, False), (False, True), (False, False)}


def test_where_the_teacher_is_silent_the_student_acts() -> None:
    without = {s: advice for s, advice in GOOD.items() if s != AT_LEVER}
    episodes = played(1.0, without).episodes
    met = [e for e in episodes if AT_LEVER in e.taught]
    assert met
    assert {e.taught[AT_LEVER] for e in met} == {None}
    assert 0 < sum(e.success for e in met) < len(met), "a new student pulls by chance alone"


def test_the_same_draws_give_the_same_episodes() -> None:
    assert played(0.5) == played(0.5)
    assert played(0.5) != played(0.5, seed=1)


def test_the_student_remembers_what_was_done_in_its_place() -> None:
    student = student_of(memory="gru")
    envs = TASK.make_envs(3, "train", 0)
    envs.reset()
    actor = MixedActor(TASK, student, 3, GOOD, 1.0, np.random.default_rng(0))
    for _ in range(3):
        actions = actor.act(envs, np.ones(3, dtype=np.bool_))
        done = actor._student._memory.previous
        assert done.tolist() == np.eye(3)[actions].tolist()
        result = envs.step(actions)
        actor.ended(np.flatnonzero(result.terminated | result.truncated))


def test_what_is_called_at_each_step_can_end_it() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play_mixed(TASK, student_of(), GOOD, 0.5, 8, 7, 0, np.random.default_rng(0), stop)
