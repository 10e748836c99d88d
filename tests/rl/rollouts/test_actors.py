"""The teacher acting alone: it draws a plan for a situation, holds it, and says when it is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.slow_corridor import TASK
from helpers.toy_task import (
    AT_LEVER,
    LEFT,
    LEVER_DOWN,
    PULL,
    PULL_IT,
    RIGHT,
    WALK_TO_EXIT,
    WALK_TO_LEVER,
    WANDER,
    Corridor,
)
from tutelage.rl.advice.advice import Advice
from tutelage.rl.rollouts.actors import TeacherActor
from tutelage.rl.rollouts.evaluate import evaluate_teacher
from tutelage.rl.tasks.arrays import IntArray
from tutelage.rl.tasks.base import States
from tutelage.rl.tasks.options import Option, OptionActions

GOOD = {
    0: Advice(((WALK_TO_LEVER,),), (1.0,)),
    AT_LEVER: Advice(((PULL_IT,),), (1.0,)),
    LEVER_DOWN: Advice(((WALK_TO_EXIT,),), (1.0,)),
    LEVER_DOWN | AT_LEVER: Advice(((WALK_TO_EXIT,),), (1.0,)),
}
"""All that there is to know of the corridor."""


class Book:
    """Advice that remembers what it was asked for."""

    def __init__(self, advice: Mapping[int, Advice]) -> None:
        self.advice, self.asked = advice, list[int]()

    def __call__(self, situation_ids: Sequence[int]) -> dict[int, Advice]:
        self.asked += situation_ids
        return {s: self.advice[s] for s in situation_ids if s in self.advice}


def actor_of(num_envs: int, book: Book, task: Corridor = TASK, seed: int = 0) -> TeacherActor:
    return TeacherActor(task, num_envs, book, np.random.default_rng(seed))


def everywhere(num_envs: int) -> np.ndarray:
    return np.ones(num_envs, dtype=np.bool_)


def test_good_advice_solves_every_episode_on_the_shortest_way() -> None:
    book = Book(GOOD)
    result, unadvised = evaluate_teacher(TASK, book, 150, seed=3)
    assert (result.successes, result.episodes, unadvised) == (150, 150, 0)
    envs = TASK.make_envs(100, "evaluation", 3)
    shortest = []
    for episode, share in ((0, 100), (1, 50)):
        envs.reset(np.full(100, episode))
        states = envs.states()
        way = abs(states.positions - states.levers) + 1 + (8 - states.levers)
        shortest += way[:share].tolist()
    assert result.mean_length == pytest.approx(np.mean(shortest))


def test_each_situation_is_asked_about_once_and_only_where_one_plays() -> None:
    book = Book(GOOD)
    evaluate_teacher(TASK, book, 40, seed=0)
    assert Counter(book.asked) == dict.fromkeys(GOOD, 1)
    idle = Book(GOOD)
    envs = TASK.make_envs(4, "train", 0)
    envs.reset()
    actor = actor_of(4, idle)
    actions = actor.act(envs, np.zeros(4, dtype=np.bool_))
    assert len(actions) == 4, "the environments take one for each, whoever plays"
    assert actor.unadvised == 0
    assert not idle.asked


def test_an_evaluation_is_a_function_of_its_seed() -> None:
    doubtful = {**GOOD, 0: Advice(((WALK_TO_LEVER,), (WANDER,)), (0.5, 0.5))}
    one, two, other = (evaluate_teacher(TASK, Book(doubtful), 60, seed=s) for s in (1, 1, 2))
    assert one == two
    assert one != other
    assert one[0].mean_length > evaluate_teacher(TASK, Book(GOOD), 60, seed=1)[0].mean_length


class Sides(Corridor):
    """A corridor in which one can be told to go left or right, whatever there is."""

    def encode(self, option: Option) -> int:
        return ("left", "right").index(option.name)

    def act(self, options: IntArray, states: States) -> OptionActions:  # noqa: ARG002
        targets = np.zeros((*options.shape, 3), dtype=np.float32)
        for code in (LEFT, RIGHT):
            targets[options == code, code] = 1.0
        return OptionActions(targets, options >= 0, np.zeros(options.shape, dtype=np.bool_))


BOTH_WAYS = Advice(((Option("left"),), (Option("right"),)), (0.5, 0.5))


def test_a_plan_is_held_until_the_situation_changes() -> None:
    task = Sides()
    book = Book(dict.fromkeys(GOOD, BOTH_WAYS))
    envs = task.make_envs(200, "train", 0)
    envs.reset()
    actor = actor_of(200, book, task)
    held = np.zeros(200, dtype=np.bool_)
    before = np.zeros(200, dtype=np.int64)
    mixed_episodes = 0
    for _ in range(12):
        situations = task.situation_ids(envs.states())
        actions = actor.act(envs, everywhere(200))
        assert (actions == before)[held].all()
        mixed_episodes += int((actions != before)[~held].sum())
        result = envs.step(actions)
        ended = result.terminated | result.truncated
        actor.ended(np.flatnonzero(ended))
        held = (task.situation_ids(envs.states()) == situations) & ~ended
        before = actions
    assert set(actions.tolist()) == {LEFT, RIGHT}
    assert mixed_episodes > 300


def test_plans_are_drawn_as_often_as_the_advice_says() -> None:
    """Samples that were no use leave a share out, which the others take over."""
    task = Sides()
    advice = Advice(((Option("left"),), (Option("right"),)), (0.2, 0.4))
    envs = task.make_envs(3000, "train", 0)
    envs.reset()
    actions = actor_of(3000, Book(dict.fromkeys(GOOD, advice)), task).act(envs, everywhere(3000))
    assert (actions == LEFT).mean() == pytest.approx(1 / 3, abs=0.04)
    assert set(actions.tolist()) == {LEFT, RIGHT}


def test_a_plan_that_cannot_be_carried_out_makes_room_for_one_that_can() -> None:
    hopeless = Advice(((WALK_TO_EXIT,), (PULL_IT, WALK_TO_EXIT)), (0.9, 0.1))
    result, unadvised = evaluate_teacher(TASK, Book({**GOOD, AT_LEVER: hopeless}), 50, seed=0)
    assert (result.successes, unadvised) == (50, 0)


def test_without_advice_it_moves_at_random_and_counts_it() -> None:
    envs = TASK.make_envs(900, "train", 0)
    envs.reset()
    actor = actor_of(900, Book({}))
    playing = everywhere(900)
    playing[:300] = False
    actions = actor.act(envs, playing)
    assert actor.unadvised == 600
    shares = np.bincount(actions[300:], minlength=3) / 600
    assert shares == pytest.approx([1 / 3] * 3, abs=0.08)


def test_what_is_learned_later_serves_from_then_on() -> None:
    advice = dict[int, Advice]()
    actor = actor_of(50, Book(advice))
    envs = TASK.make_envs(50, "train", 0)
    envs.reset()
    actor.act(envs, everywhere(50))
    advice.update({s: Advice(((PULL_IT,), (WANDER,)), (0.5, 0.5)) for s in GOOD})
    advice[AT_LEVER] = Advice(((PULL_IT,),), (1.0,))
    situations = TASK.situation_ids(envs.states())
    actions = actor.act(envs, everywhere(50))
    assert (actions[situations == AT_LEVER] == PULL).all()
    assert actor.unadvised == 50


@given(st.lists(st.booleans(), min_size=6, max_size=6))
def test_a_lookup_that_fails_changes_nothing(failing: list[bool]) -> None:
    """The step can be made again, to the actions that it would have had."""
    doubtful = {s: Advice(((WALK_TO_LEVER,), (WANDER,)), (0.5, 0.5)) for s in GOOD}

    def played(failures: list[bool]) -> list[list[int]]:
        left = list(failures)
        book = Book(doubtful)

        def lookup(situation_ids: Sequence[int]) -> dict[int, Advice]:
            if left and left.pop():
                raise LookupError
            return book(situation_ids)

        envs = TASK.make_envs(5, "train", 0)
        envs.reset()
        actor = TeacherActor(TASK, 5, lookup, np.random.default_rng(0))
        actions: list[list[int]] = []
        while len(actions) < 8:
            try:
                chosen = actor.act(envs, everywhere(5))
            except LookupError:
                continue
            actions.append(chosen.tolist())
            result = envs.step(chosen)
            actor.ended(np.flatnonzero(result.terminated | result.truncated))
        return actions

    assert played(failing) == played([])
