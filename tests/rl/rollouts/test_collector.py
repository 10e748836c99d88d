"""Collecting, against a corridor that is played slowly; and the log of episodes."""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import chisquare

from helpers.slow_corridor import TASK, SlowEpisode, lively_student, policy_and_value
from helpers.small_students import ACTIONS, picture, student_for, vector
from helpers.toy_task import EXIT, Corridor, CorridorStates
from tutelage.rl.policy.policy import Policy
from tutelage.rl.policy.settings import StudentSettings
from tutelage.rl.rollouts.buffer import Rollout
from tutelage.rl.rollouts.collector import Collector
from tutelage.rl.rollouts.episodes import EpisodeLog, EpisodeOutcomes
from tutelage.rl.tasks.arrays import IntArray
from tutelage.rl.tasks.base import Episode, StepResult
from tutelage.rl.tasks.seeding import generator
from tutelage.rl.tasks.spaces import CategoryGrid

pytestmark = pytest.mark.usefixtures("one_thread")


def copied(rollout: Rollout) -> Rollout:
    """The buffers as they are now: the collector fills them again."""
    return copy.deepcopy(rollout)


def assert_same(found: Rollout, expected: Rollout, which: str = "") -> None:
    """In all buffers, bit for bit."""
    for name, array in vars(expected).items():
        if name != "observations":
            np.testing.assert_array_equal(vars(found)[name], array, err_msg=f"{name} {which}")
    for key, array in expected.observations.items():
        np.testing.assert_array_equal(found.observations[key], array, err_msg=f"{key} {which}")


@dataclass
class Recording:
    """Several rollouts in a row of one collector, and their states."""

    student: Policy
    collector: Collector
    rollouts: list[Rollout] = field(default_factory=list)
    states: list[CorridorStates] = field(default_factory=list)


SEED, NUM_ENVS, NUM_STEPS = 11, 5, 23
GAMMA = 0.97


@pytest.fixture(scope="module")
def recording() -> Recording:
    """Four rollouts, long enough for ends of all kinds, none a whole number of episodes."""
    student = lively_student()
    envs = TASK.make_envs(NUM_ENVS, "train", SEED)
    collector = Collector(TASK, student, envs, NUM_STEPS, generator(SEED, "actions"), GAMMA)
    made = Recording(student, collector)
    for _ in range(4):
        made.rollouts.append(copied(collector.collect()))
        states = collector.states()
        assert isinstance(states, CorridorStates)
        made.states.append(states)
    kinds = {
        "exit": any((r.terminated & (r.rewards > 0)).any() for r in made.rollouts),
        "pit": any((r.terminated & (r.rewards < 0)).any() for r in made.rollouts),
        "time-out": any(r.truncated.any() for r in made.rollouts),
    }
    assert all(kinds.values()), f"the recording must hold every kind of end: {kinds}"
    return made


def replayed(recording: Recording) -> Iterator[tuple[int, int, int, SlowEpisode]]:
    """(rollout, step, env, the episode before that step); the caller steps the episode."""
    for i in range(NUM_ENVS):
        episode = SlowEpisode(SEED, "train", i, 0)
        for k, rollout in enumerate(recording.rollouts):
            for t in range(NUM_STEPS):
                yield k, t, i, episode
                if rollout.terminated[t, i] or rollout.truncated[t, i]:
                    episode = episode.next()


def test_every_step_is_recorded_as_it_was(recording: Recording) -> None:
    for k, t, i, episode in replayed(recording):
        rollout = recording.rollouts[k]
        seen = rollout.observations["features"][t, i]
        np.testing.assert_allclose(seen, episode.features, atol=1e-6)
        assert rollout.situation_ids[t, i] == episode.situation_id
        log_pi, value = policy_and_value(recording.student, episode.features)
        action = rollout.actions[t, i]
        assert rollout.values[t, i] == pytest.approx(value, abs=1e-5)
        assert rollout.log_probs[t, i] == pytest.approx(log_pi[action], abs=1e-4)
        assert rollout.greedy[t, i] == log_pi.argmax()
        reward, terminated, truncated = episode.step(action)
        assert rollout.rewards[t, i] == pytest.approx(reward)
        assert rollout.terminated[t, i] == terminated
        assert rollout.truncated[t, i] == truncated
        last = policy_and_value(recording.student, episode.features)[1] if truncated else 0.0
        assert rollout.final_values[t, i] == pytest.approx(last, abs=1e-5)


def test_last_values_are_of_what_follows_the_rollout(recording: Recording) -> None:
    for k, t, i, episode in replayed(recording):
        if t == 0 and k > 0:
            _, value = policy_and_value(recording.student, episode.features)
            assert recording.rollouts[k - 1].last_values[i] == pytest.approx(value, abs=1e-5)
        episode.step(recording.rollouts[k].actions[t, i])


def test_a_final_value_is_not_that_of_the_next_episode(recording: Recording) -> None:
    """Where the environment restarts at once, the two are easily confused."""
    different = 0
    for rollout in recording.rollouts:
        for t, i in np.argwhere(rollout.truncated[:-1]):
            different += abs(rollout.final_values[t, i] - rollout.values[t + 1, i]) > 1e-3
    assert different > 0


def test_recorded_states_are_those_before_each_step(recording: Recording) -> None:
    for k, t, i, episode in replayed(recording):
        states, row = recording.states[k], t * NUM_ENVS + i
        assert len(states) == NUM_STEPS * NUM_ENVS
        assert states.positions[row] == episode.position
        assert states.levers[row] == episode.lever
        assert states.down[row] == episode.down
        episode.step(recording.rollouts[k].actions[t, i])


def test_situation_ids_of_recorded_states_are_the_recorded_ones(recording: Recording) -> None:
    for rollout, states in zip(recording.rollouts, recording.states, strict=True):
        np.testing.assert_array_equal(TASK.situation_ids(states), rollout.situation_ids.reshape(-1))


def test_the_episode_log_against_plain_bookkeeping(recording: Recording) -> None:
    ended: list[tuple[int, int, int, SlowEpisode, set[int]]] = []
    seen: dict[int, set[int]] = defaultdict(set)
    for k, t, i, episode in replayed(recording):
        seen[i].add(episode.situation_id)
        _, terminated, truncated = episode.step(recording.rollouts[k].actions[t, i])
        if terminated or truncated:
            ended.append((k, t, i, episode, seen.pop(i)))
    ended.sort(key=lambda entry: entry[:3])
    log = recording.collector.log
    outcomes = [(e.position == EXIT, e.return_) for *_, e, _ in ended]
    assert log.ended == len(ended)
    assert [success for success, _ in log.recent] == [success for success, _ in outcomes]
    assert [r for _, r in log.recent] == pytest.approx([r for _, r in outcomes], abs=1e-5)
    assert log.success == pytest.approx(np.mean([success for success, _ in outcomes]))
    assert log.mean_return == pytest.approx(np.mean([r for _, r in outcomes]), abs=1e-5)
    expected: dict[int, EpisodeOutcomes] = defaultdict(EpisodeOutcomes)
    for *_, episode, situation_ids in ended:
        for situation_id in situation_ids:
            expected[situation_id].episodes += 1
            expected[situation_id].successes += episode.position == EXIT
    assert dict(log.outcomes) == dict(expected)


def test_drawn_actions_follow_the_policy(recording: Recording) -> None:
    """Over all steps, the share of each action is the mean of its probabilities."""
    counts, expected = np.zeros(3), np.zeros(3)
    for rollout in recording.rollouts:
        for features in rollout.observations["features"]:
            logits, _ = recording.student.policy_and_value({"features": features})
            expected += torch.softmax(torch.from_numpy(logits), dim=1).numpy().sum(axis=0)
        counts += np.bincount(rollout.actions.reshape(-1), minlength=3)
    assert chisquare(counts, expected * counts.sum() / expected.sum()).pvalue > 1e-3


def test_there_are_no_states_before_the_first_rollout() -> None:
    collector = Collector(
        TASK, lively_student(), TASK.make_envs(2, "train", 0), 3, generator(0, "actions"), GAMMA
    )
    with pytest.raises(RuntimeError, match="nothing was collected"):
        collector.states()


def test_buffers_have_the_shapes_and_types_that_they_promise() -> None:
    space = {"grid": CategoryGrid(2, 4, 5), "features": vector(3), "pixels": picture(8, 9, 2)}
    settings = StudentSettings(memory="gru", hidden=8)
    student = student_for(space, Discrete(5), settings, masks_actions=True)
    rollout = Rollout.allocate(7, 3, student)
    assert rollout.size == 21
    observed = rollout.observations
    assert {key: seen.shape[2:] for key, seen in observed.items()} == {
        "grid": (2, 4),
        "features": (3,),
        "pixels": (8, 9, 2),
    }
    assert {key: seen.dtype for key, seen in observed.items()} == {
        "grid": np.uint8,
        "features": np.float32,
        "pixels": np.uint8,
    }
    assert rollout.actions.shape == rollout.greedy.shape == (7, 3)
    assert rollout.last_values.shape == (3,)
    assert rollout.params.shape == (7, 3, 5)
    assert rollout.hidden.shape == (3, 8)
    assert rollout.previous.shape == (7, 3, 5)
    assert rollout.durations is None
    assert rollout.mask is not None
    assert rollout.mask.shape == (7, 3, 5)
    whole = {"actions", "greedy", "situation_ids", "episodes"}
    truths = {"terminated", "truncated", "mask"}
    others = {"observations", "durations"}
    for name, array in vars(rollout).items():
        if name not in others:
            kind = np.int64 if name in whole else np.bool_ if name in truths else np.float32
            assert array.dtype == kind, name
            assert array.shape[:2] == (7, 3) or name in {"last_values", "hidden"}


@pytest.mark.parametrize(
    ("actions", "shape", "dtype", "num_params"),
    [("MultiDiscrete", (3,), np.int64, 6), ("Box", (3,), np.float32, 6)],
)
def test_buffers_of_other_actions(actions: str, shape: Any, dtype: Any, num_params: int) -> None:
    rollout = Rollout.allocate(7, 3, student_for({"a": vector(2)}, ACTIONS[actions]))
    for array in (rollout.actions, rollout.greedy):
        assert (array.shape, array.dtype) == ((7, 3, *shape), dtype)
    assert rollout.params.shape == (7, 3, num_params)
    assert rollout.mask is None
    assert rollout.previous.shape == (7, 3, 0)


def test_the_same_seed_collects_the_same_rollout() -> None:
    def collected(seed: int) -> Rollout:
        envs = TASK.make_envs(4, "train", 3)
        collector = Collector(TASK, lively_student(), envs, 9, generator(seed, "actions"), GAMMA)
        collector.collect()
        return copied(collector.collect())

    one, same, other = collected(0), collected(0), collected(1)
    assert_same(one, same)
    assert (one.actions != other.actions).any()


def test_a_collector_goes_on_from_a_snapshot(recording: Recording) -> None:
    """Saved after each rollout, as JSON where it is no array, and restored into a fresh one."""

    def fresh(actions_seed: int) -> Collector:
        envs = TASK.make_envs(NUM_ENVS, "train", SEED)
        return Collector(
            TASK, lively_student(), envs, NUM_STEPS, generator(actions_seed, "actions"), GAMMA
        )

    going_on = fresh(SEED)
    for k, expected in enumerate(recording.rollouts):
        resumed = fresh(actions_seed=99)
        arrays, record = going_on.snapshot()
        resumed.restore(arrays, json.loads(json.dumps(record)))
        going_on = resumed
        assert_same(going_on.collect(), expected, f"of rollout {k}")
    assert going_on.log.ended == recording.collector.log.ended
    assert list(going_on.log.recent) == list(recording.collector.log.recent)


# --- the episode log ---


@st.composite
def histories(draw: st.DrawFn) -> tuple[IntArray, ...]:
    """Situation ids, rewards in hundredths, terminated and truncated: int64 [T, N] each."""
    shape = (draw(st.integers(1, 12)), draw(st.integers(1, 3)))
    keys = st.one_of(st.integers(-2, 3), st.sampled_from([-(2**63), 2**63 - 1]))
    return (
        draw(hnp.arrays(np.int64, shape, elements=keys)),
        draw(hnp.arrays(np.int64, shape, elements=st.integers(-100, 100))),
        draw(hnp.arrays(np.int64, shape, elements=st.integers(0, 1))),
        draw(hnp.arrays(np.int64, shape, elements=st.integers(0, 1))),
    )


@settings(max_examples=200)
@given(histories(), st.integers(1, 4), st.integers(0, 12))
def test_the_episode_log_keeps_any_history(
    history: tuple[IntArray, ...], window: int, taken_after: int
) -> None:
    situation_ids, hundredths, terminated, truncated = history
    num_steps, num_envs = situation_ids.shape
    log = EpisodeLog(num_envs, num_steps, window)
    assert log.success is None
    assert log.mean_return is None
    outcomes: list[tuple[bool, int]] = []
    returns, seen = [0] * num_envs, [set[int]() for _ in range(num_envs)]
    expected: dict[int, list[int]] = {}
    for t in range(num_steps):
        if t == taken_after:
            assert as_lists(log.take_outcomes()) == expected
            expected = {}
        ends = terminated[t] > 0, truncated[t] > 0
        log.visit(situation_ids[t])
        rewards = hundredths[t].astype(np.float32) / np.float32(100)
        log.step(TASK, StepResult(rewards, *ends, None))
        for i in range(num_envs):
            seen[i].add(int(situation_ids[t, i]))
            returns[i] += int(hundredths[t, i])
            if ends[0][i] or ends[1][i]:
                success = bool(ends[0][i]) and returns[i] > 0
                outcomes.append((success, returns[i]))
                for situation_id in seen[i]:
                    expected.setdefault(situation_id, [0, 0])
                    expected[situation_id][0] += 1
                    expected[situation_id][1] += success
                returns[i], seen[i] = 0, set()
    assert as_lists(log.take_outcomes()) == expected
    assert log.take_outcomes() == {}
    assert log.ended == len(outcomes)
    assert [round(r * 100) for _, r in log.recent] == [r for _, r in outcomes[-window:]]


def as_lists(outcomes: dict[int, EpisodeOutcomes]) -> dict[int, list[int]]:
    return {key: [outcome.episodes, outcome.successes] for key, outcome in outcomes.items()}


def test_success_is_what_the_task_calls_success() -> None:
    class Reversed(Corridor):
        def success(self, episode: Episode) -> bool:
            return episode.truncated and episode.length == 2

    log = EpisodeLog(2, longest=2)
    zeros, no = np.zeros(2, np.float32), np.zeros(2, np.bool_)
    for ended in (no, ~no):
        log.visit(np.array([4, 5]))
        log.step(Reversed(), StepResult(zeros, no, ended, None))
    assert [success for success, _ in log.recent] == [True, True]
