"""Acting by options: what is allowed, how long an option runs, what it earns, that it replays."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.toy_task import (
    EXIT_REWARD,
    MAX_STEPS,
    OPTIONS,
    PULL_IT,
    STEP_REWARD,
    WALK_TO_EXIT,
    WALK_TO_LEVER,
    WANDER,
    Corridor,
    CorridorEnvs,
)
from tutelage.rl.advice.advice import Advice
from tutelage.rl.advice.labels import label
from tutelage.rl.policy.policy import Policy, make_policy
from tutelage.rl.policy.settings import StudentSettings
from tutelage.rl.ppo.gae import advantages_of
from tutelage.rl.rollouts.collector import Collector
from tutelage.rl.rollouts.evaluate import evaluate
from tutelage.rl.rollouts.replay import EpisodeReplay, ReplayError
from tutelage.rl.tasks.arrays import IntArray
from tutelage.rl.tasks.option_mdp import IDLE, NoOptionsError, OptionEnvs, OptionTask
from tutelage.rl.tasks.options import Option
from tutelage.rl.tasks.registry import make_task

GAMMA, BOUND = 0.9, 4
TASK = OptionTask(Corridor(), GAMMA, BOUND)
SLOT = {option: slot for slot, option in enumerate(OPTIONS)}


def envs_of(num_envs: int, task: OptionTask = TASK, seed: int = 0) -> OptionEnvs:
    envs = task.make_envs(num_envs, "train", seed)
    envs.reset()
    return envs


def any_allowed(envs: OptionEnvs, rng: np.random.Generator) -> IntArray:
    allowed = envs.action_mask()
    return np.array([rng.choice(np.flatnonzero(row)) for row in allowed])


def small_student(task: OptionTask = TASK, seed: int = 0) -> Policy:
    return make_policy(task, StudentSettings(hidden=16), "cpu", seed)


class TestChoosing:
    def test_actions_are_the_options_then_the_primitive_ones(self) -> None:
        assert TASK.action_names == (*map(str, OPTIONS), "left", "right", "pull")
        assert TASK.action_space == Discrete(7)
        assert TASK.masks_actions

    def test_allowed_is_what_is_on_offer_and_possible_and_not_done(self) -> None:
        envs, plain = envs_of(60), Corridor().make_envs(60, "train", 0)
        plain.reset()
        rng = np.random.default_rng(0)
        for _ in range(12):
            allowed, inner = envs.action_mask(), envs.states().inner
            done = Corridor().act(np.tile(np.arange(4), (60, 1)), inner)
            for row, situation_id in enumerate(Corridor().situation_ids(inner)):
                offered = Corridor().options(int(situation_id))
                for option, slot in SLOT.items():
                    possible = done.feasible[row, slot] and not done.finished[row, slot]
                    assert allowed[row, slot] == (option in offered and possible)
            assert not allowed[:, 4:].any()
            envs.step(any_allowed(envs, rng))

    def test_where_no_option_is_possible_the_primitive_actions_are(self) -> None:
        class Silent(Corridor):
            def options(self, situation_id: int) -> tuple[Option, ...]:
                return super().options(situation_id) if situation_id else ()

        task = OptionTask(Silent(), GAMMA, BOUND)
        envs = envs_of(50, task)
        allowed = envs.action_mask()
        silent = task.situation_ids(envs.states()) == 0
        assert silent.any()
        assert allowed[silent].tolist() == [[False] * 4 + [True] * 3] * silent.sum()
        result = envs.step(np.full(50, 4 + 2), silent)
        assert result.durations.tolist() == silent.tolist()  # one step each

    def test_what_is_not_allowed_is_refused(self) -> None:
        envs = envs_of(5)
        with pytest.raises(ValueError, match="not on offer or cannot be carried out"):
            envs.step(np.full(5, SLOT[WALK_TO_EXIT]))

    def test_a_student_never_picks_what_is_not_allowed(self) -> None:
        student = small_student()
        envs = envs_of(200)
        seen, allowed = envs.observe(), envs.action_mask()
        for rng in (None, np.random.default_rng(0)):
            actions = student.act(seen, rng, mask=allowed)
            assert allowed[np.arange(200), actions].all()
        only = np.zeros_like(allowed)
        only[:, 2] = True
        assert set(student.act(seen, mask=only)) == {2}

    def test_a_task_that_does_not_list_its_options_is_one_line(self) -> None:
        class Mute(Corridor):
            all_options = None

        with pytest.raises(NoOptionsError, match="the task does not list them"):
            OptionTask(Mute(), GAMMA, BOUND)

    def test_a_task_with_actions_of_another_kind_is_one_line(self) -> None:
        class Sliding(Corridor):
            action_space = Box(-1, 1, (2,), np.float32)

        with pytest.raises(NoOptionsError, match=r"actions are Box.*needed: a Discrete") as caught:
            OptionTask(Sliding(), GAMMA, BOUND)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("name", ["ColoredDoorKey", "MiniGrid-Empty-5x5-v0"])
    def test_a_grid_task_lists_every_option_it_offers(self, name: str) -> None:
        plain = make_task(name, 7)
        task = OptionTask(plain, GAMMA, 6)
        assert len(set(task.codes.tolist())) == len(task.table)
        envs = envs_of(8, task)
        rng = np.random.default_rng(0)
        for _ in range(10):
            situation_ids = task.situation_ids(envs.states()).tolist()
            assert {o for s in situation_ids for o in task.options(s)} <= set(task.table)
            assert (envs.step(any_allowed(envs, rng)).durations > 0).all()


class TestRunning:
    """One corridor at a time, by hand: an option against the primitive steps that it stands for."""

    @given(seed=st.integers(0, 200), choice=st.integers(0, 10))
    @settings(max_examples=60, deadline=None)
    def test_an_option_is_its_primitive_steps(self, seed: int, choice: int) -> None:
        envs, plain = envs_of(1, seed=seed), Corridor().make_envs(1, "train", seed)
        plain.reset()
        rng = np.random.default_rng(choice)
        for _ in range(8):
            allowed = envs.action_mask()
            told = [SLOT[o] for o in (WALK_TO_LEVER, PULL_IT, WALK_TO_EXIT) if allowed[0, SLOT[o]]]
            slot = int(rng.choice(told))
            got = envs.step(np.array([slot]))
            rewards, ended = played_by_hand(plain, slot)
            assert got.durations is not None
            assert got.discounted is not None
            assert got.durations[0] == len(rewards)
            assert got.rewards[0] == pytest.approx(sum(rewards))
            expected = sum(GAMMA**i * reward for i, reward in enumerate(rewards))
            assert got.discounted[0] == pytest.approx(expected)
            assert bool(got.terminated[0] | got.truncated[0]) == ended
            assert envs.observe()["features"].tolist() == plain.observe()["features"].tolist()

    def test_those_that_wait_are_not_stepped_and_idle_ones_do_nothing(self) -> None:
        envs = envs_of(40)
        before = envs.states().inner.positions.copy()
        actions = np.full(40, SLOT[WANDER])
        allowed = envs.action_mask()
        active = allowed[:, SLOT[WANDER]] & (np.arange(40) >= 20)
        result = envs.step(actions, active)
        assert (result.durations[~active] == 0).all()
        assert (result.rewards[~active] == 0).all()
        after = envs.states().inner.positions
        assert (after == before)[~active].all()
        assert set(result.durations[active].tolist()) >= {BOUND}
        assert (np.array(envs.carried_out)[:, ~active] == IDLE).all()
        steps = (np.array(envs.carried_out) != IDLE).sum(axis=0)
        assert steps.tolist() == result.durations.tolist()

    def test_the_last_sights_of_the_truncated_come_in_their_order(self) -> None:
        """Episodes that run out at different steps of one option."""
        envs = envs_of(30)
        wandering, seen = np.random.default_rng(0), 0
        for _ in range(60):
            allowed = envs.action_mask()
            actions = np.where(allowed[:, SLOT[WANDER]], SLOT[WANDER], SLOT[PULL_IT])
            result = envs.step(actions, wandering.random(30) >= 0.3)
            assert (result.final is None) == (not result.truncated.any())
            if result.final is not None:
                seen += len(result.final["features"])
                assert len(result.final["features"]) == result.truncated.sum()
        assert seen > 5

    def test_an_episode_counts_primitive_steps_and_rewards(self) -> None:
        student = small_student()
        result = evaluate(TASK, student, 200, seed=0)
        per_step = result.mean_return - result.successes / 200 * EXIT_REWARD
        pits = (per_step - STEP_REWARD * result.mean_length) / -0.5
        assert 0 <= pits <= 1.0001 - result.success_rate
        assert pits * 200 == pytest.approx(round(pits * 200), abs=1e-3)
        assert result.mean_length <= MAX_STEPS


def played_by_hand(plain: CorridorEnvs, option: int) -> tuple[list[float], bool]:
    """The rewards of an option carried out step by step, and whether the episode ended."""
    rewards: list[float] = []
    while len(rewards) < BOUND:
        done = Corridor().act(np.array([[option]]), plain.states())
        if rewards and (done.finished[0, 0] or not done.feasible[0, 0]):
            break
        result = plain.step(np.array([done.targets[0, 0].argmax()]))
        rewards.append(float(result.rewards[0]))
        if result.terminated[0] or result.truncated[0]:
            return rewards, True
    return rewards, False


class TestReplaying:
    def test_an_episode_is_played_again_to_the_same_state_though_options_draw(self) -> None:
        envs = envs_of(20, seed=5)
        replay = EpisodeReplay(20, MAX_STEPS, TASK.action_space)
        rng = np.random.default_rng(1)
        for _ in range(9):
            actions = any_allowed(envs, rng)
            result = envs.step(actions)
            replay.step(actions, result.terminated | result.truncated)
        again = TASK.make_envs(20, "train", 5)
        EpisodeReplay(20, MAX_STEPS, TASK.action_space).restore(replay.snapshot(envs), again)
        assert again.observe()["features"].tolist() == envs.observe()["features"].tolist()
        actions = any_allowed(envs, rng)
        assert again.step(actions).discounted.tolist() == envs.step(actions).discounted.tolist()

    def test_a_record_of_what_cannot_have_been_picked_is_refused(self) -> None:
        envs = envs_of(3)
        replay = EpisodeReplay(3, MAX_STEPS, TASK.action_space)
        replay.step(np.full(3, SLOT[WALK_TO_EXIT]), np.zeros(3, dtype=np.bool_))
        with pytest.raises((ValueError, ReplayError)):
            EpisodeReplay(3, MAX_STEPS, TASK.action_space).restore(replay.snapshot(envs), envs)


class TestLearning:
    def test_a_rollout_holds_what_the_learner_needs(self) -> None:
        student = small_student()
        envs = TASK.make_envs(8, "train", 0)
        collector = Collector(TASK, student, envs, 10, np.random.default_rng(0), GAMMA)
        rollout = collector.collect()
        assert rollout.mask is not None
        assert rollout.durations is not None
        assert np.take_along_axis(rollout.mask, rollout.actions[..., None], 2).all()
        assert rollout.env_steps == rollout.durations.sum() > rollout.size
        assert len(collector.states()) == 80
        picture = TASK.picture(collector.states(), 17)
        assert picture.count("@") == 1

    def test_advice_on_options_is_the_label(self) -> None:
        """The first option of a plan that can be carried out, mixed over plans."""
        envs = envs_of(30)
        envs.step(np.full(30, SLOT[WALK_TO_LEVER]), np.arange(30) < 15)
        states = envs.states()
        here = states.situation_ids == 2
        assert 0 < here.sum() < 30
        advice = {
            0: Advice(((WALK_TO_EXIT, WALK_TO_LEVER), (WANDER,)), (0.75, 0.25)),
            2: Advice(((WALK_TO_LEVER, PULL_IT), (WALK_TO_EXIT,)), (0.5, 0.5)),
        }
        labels = label(TASK, states, states.situation_ids, advice)
        assert labels.coverage.tolist() == np.where(here, 0.5, 1.0).tolist()
        assert (labels.targets[~here] == [0.75, 0, 0, 0.25, 0, 0, 0]).all()
        assert (labels.targets[here] == [0, 1.0, 0, 0, 0, 0, 0]).all()

    def test_longer_steps_are_discounted_more(self) -> None:
        """GAE with gamma^k, against the sum that defines it."""
        rng = np.random.default_rng(0)
        steps, lam = 7, 0.8
        rewards, values = rng.normal(size=(2, steps, 1)).astype(np.float32)
        durations = rng.integers(1, 6, (steps, 1))
        nothing = np.zeros((steps, 1), dtype=np.bool_)
        last = np.array([0.3], dtype=np.float32)
        got = advantages_of(
            *(rewards, values, nothing, nothing, np.zeros_like(values), last),
            gamma=np.asarray(GAMMA**durations, dtype=np.float32),
            gae_lambda=lam,
        )
        following = np.append(values[1:, 0], last)
        deltas = rewards[:, 0] + GAMMA ** durations[:, 0] * following - values[:, 0]
        for t in range(steps):
            weight = [GAMMA ** durations[t:k, 0].sum() * lam ** (k - t) for k in range(t, steps)]
            assert got[t, 0] == pytest.approx(float(np.dot(weight, deltas[t:])), abs=1e-5)
