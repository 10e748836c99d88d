"""Collecting and evaluating, against a corridor that is played slowly, one episode at a time."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import chisquare
from toy_task import (
    EXIT,
    LEFT,
    MAX_STEPS,
    PULL,
    RIGHT,
    Corridor,
    CorridorEnvs,
    CorridorStates,
    first_state,
)

from rl import evaluation
from rl.evaluation import Evaluation, evaluate
from rl.ppo import PPO
from rl.ppo_settings import PPOSettings
from rl.rollout import Collector, EpisodeLog, Passage, Rollout
from rl.seeding import episode_seed, generator
from rl.student import Student, make_student
from rl.student_settings import StudentSettings
from rl.task import IDLE, Episode, FloatArray, IntArray, Observation, Split, StepResult

pytestmark = pytest.mark.usefixtures("one_thread")

TASK = Corridor()


def lively_student(seed: int = 0, scale: float = 60.0) -> Student:
    """A student with a policy far from uniform, so that a wrong probability shows."""
    student = make_student(
        TASK.name, TASK.observation_spec, 3, StudentSettings(hidden=16), "cpu", lambda: seed
    )
    with torch.no_grad():
        student.network.policy_head.weight *= scale
    return student


# --- the corridor, played slowly ---


@dataclass
class SlowEpisode:
    """One episode by the rules in `toy_task`'s docstring, in plain Python."""

    run_seed: int
    split: Split
    env: int
    number: int
    steps: int = 0
    down: bool = False
    return_: float = 0.0

    def __post_init__(self) -> None:
        seed = episode_seed(self.run_seed, self.split, self.env, self.number)
        self.position, self.lever = first_state(seed)

    def step(self, action: int) -> tuple[float, bool, bool]:
        """Reward, terminated, truncated."""
        if action == LEFT:
            self.position -= 1
        if action == RIGHT and (self.position + 1 < EXIT or self.down):
            self.position += 1
        if action == PULL and self.position == self.lever:
            self.down = True
        self.steps += 1
        reward = -0.01
        if self.position == EXIT:
            reward += 1.0
        if self.position == 0:
            reward -= 0.5
        terminated = self.position in (0, EXIT)
        self.return_ += reward
        return reward, terminated, not terminated and self.steps == MAX_STEPS

    @property
    def signature(self) -> int:
        return int(self.down) + 2 * int(self.position == self.lever)

    @property
    def features(self) -> list[float]:
        left, right = self.lever < self.position, self.lever > self.position
        return [self.position / 4 - 1, left, not (left or right), right, self.down]

    def next(self) -> SlowEpisode:
        return SlowEpisode(self.run_seed, self.split, self.env, self.number + 1)


def judged(student: Student, features: list[float]) -> tuple[FloatArray, float]:
    """log pi float32 [A] and the value of one observation."""
    row = torch.tensor([features], dtype=torch.float32)
    with torch.no_grad():
        logits, value = student.network(torch.zeros((1, 0, 0), dtype=torch.uint8), row)
    return torch.log_softmax(logits, dim=1)[0].numpy(), value.item()


def copied(rollout: Rollout) -> Rollout:
    """The buffers as they are now: the collector fills them again."""
    return Rollout(**{name: array.copy() for name, array in vars(rollout).items()})


@dataclass
class Recording:
    """Several rollouts in a row of one collector, and its environments' records."""

    student: Student
    collector: Collector
    rollouts: list[Rollout] = field(default_factory=list)
    states: list[CorridorStates] = field(default_factory=list)


SEED, NUM_ENVS, NUM_STEPS = 11, 5, 23


@pytest.fixture(scope="module")
def recording() -> Recording:
    """Four rollouts, long enough for ends of all kinds, none a whole number of episodes."""
    student = lively_student()
    envs = TASK.make_envs(NUM_ENVS, "train", SEED)
    collector = Collector(TASK, student, envs, NUM_STEPS, generator(SEED, "actions"))
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
        np.testing.assert_allclose(rollout.features[t, i], episode.features, atol=1e-6)
        assert rollout.signatures[t, i] == episode.signature
        log_pi, value = judged(recording.student, episode.features)
        action = rollout.actions[t, i]
        assert rollout.values[t, i] == pytest.approx(value, abs=1e-5)
        assert rollout.log_probs[t, i] == pytest.approx(log_pi[action], abs=1e-4)
        assert rollout.greedy[t, i] == log_pi.argmax()
        reward, terminated, truncated = episode.step(action)
        assert rollout.rewards[t, i] == pytest.approx(reward)
        assert rollout.terminated[t, i] == terminated
        assert rollout.truncated[t, i] == truncated
        last = judged(recording.student, episode.features)[1] if truncated else 0.0
        assert rollout.final_values[t, i] == pytest.approx(last, abs=1e-5)


def test_last_values_are_of_what_follows_the_rollout(recording: Recording) -> None:
    for k, t, i, episode in replayed(recording):
        if t == 0 and k > 0:
            _, value = judged(recording.student, episode.features)
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


def test_signatures_of_recorded_states_are_the_recorded_signatures(recording: Recording) -> None:
    for rollout, states in zip(recording.rollouts, recording.states, strict=True):
        np.testing.assert_array_equal(TASK.signature(states), rollout.signatures.reshape(-1))


def test_the_episode_log_against_plain_bookkeeping(recording: Recording) -> None:
    ended: list[tuple[int, int, int, SlowEpisode, set[int]]] = []
    seen: dict[int, set[int]] = defaultdict(set)
    for k, t, i, episode in replayed(recording):
        seen[i].add(episode.signature)
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
    expected: dict[int, Passage] = defaultdict(Passage)
    for *_, episode, signatures in ended:
        for signature in signatures:
            expected[signature].episodes += 1
            expected[signature].successes += episode.position == EXIT
    assert dict(log.passages) == dict(expected)


def test_drawn_actions_follow_the_policy(recording: Recording) -> None:
    """Over all steps, the share of each action is the mean of its probabilities."""
    counts, expected = np.zeros(3), np.zeros(3)
    for rollout in recording.rollouts:
        for codes, features in zip(rollout.codes, rollout.features, strict=True):
            logits, _ = recording.student.judge(Observation(codes, features))
            expected += torch.softmax(torch.from_numpy(logits), dim=1).numpy().sum(axis=0)
        counts += np.bincount(rollout.actions.reshape(-1), minlength=3)
    assert chisquare(counts, expected * counts.sum() / expected.sum()).pvalue > 1e-3


def test_buffers_have_the_shapes_and_types_that_they_promise() -> None:
    spec = TASK.observation_spec
    rollout = Rollout.allocate(7, 3, spec)
    assert rollout.size == 21
    assert rollout.codes.shape == (7, 3, 0, 0)
    assert rollout.features.shape == (7, 3, spec.features)
    assert rollout.last_values.shape == (3,)
    whole = {"actions", "greedy", "signatures"}
    truths = {"terminated", "truncated"}
    for name, array in vars(rollout).items():
        kind = np.int64 if name in whole else np.bool_ if name in truths else np.float32
        assert array.dtype == (np.uint8 if name == "codes" else kind), name
        assert array.shape[:2] == (7, 3) or name == "last_values"


def test_the_same_seed_collects_the_same_rollout() -> None:
    def collected(seed: int) -> Rollout:
        envs = TASK.make_envs(4, "train", 3)
        collector = Collector(TASK, lively_student(), envs, 9, generator(seed, "actions"))
        collector.collect()
        return copied(collector.collect())

    one, same, other = collected(0), collected(0), collected(1)
    for name, array in vars(one).items():
        np.testing.assert_array_equal(array, vars(same)[name], err_msg=name)
    assert (one.actions != other.actions).any()


def test_a_collector_goes_on_from_a_snapshot(recording: Recording) -> None:
    """Saved after each rollout, as JSON where it is no array, and restored into a fresh one."""

    def fresh(actions_seed: int) -> Collector:
        envs = TASK.make_envs(NUM_ENVS, "train", SEED)
        return Collector(
            TASK, lively_student(), envs, NUM_STEPS, generator(actions_seed, "actions")
        )

    going_on = fresh(SEED)
    for k, expected in enumerate(recording.rollouts):
        resumed = fresh(actions_seed=99)
        arrays, record = going_on.snapshot()
        resumed.restore(arrays, json.loads(json.dumps(record)))
        going_on = resumed
        found = going_on.collect()
        for name, array in vars(expected).items():
            np.testing.assert_array_equal(
                vars(found)[name], array, err_msg=f"{name} of rollout {k}"
            )
    assert going_on.log.ended == recording.collector.log.ended
    assert list(going_on.log.recent) == list(recording.collector.log.recent)


# --- the episode log ---


@st.composite
def histories(draw: st.DrawFn) -> tuple[IntArray, ...]:
    """Signatures, rewards in hundredths, terminated and truncated: int64 [T, N] each."""
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
    signatures, hundredths, terminated, truncated = history
    num_steps, num_envs = signatures.shape
    log = EpisodeLog(num_envs, window)
    assert log.success is None
    assert log.mean_return is None
    outcomes: list[tuple[bool, int]] = []
    returns, seen = [0] * num_envs, [set[int]() for _ in range(num_envs)]
    expected: dict[int, list[int]] = {}
    for t in range(num_steps):
        if t == taken_after:
            assert as_lists(log.take_passages()) == expected
            expected = {}
        ends = terminated[t] > 0, truncated[t] > 0
        log.visit(signatures[t])
        log.step(TASK, hundredths[t].astype(np.float32) / np.float32(100), *ends)
        for i in range(num_envs):
            seen[i].add(int(signatures[t, i]))
            returns[i] += int(hundredths[t, i])
            if ends[0][i] or ends[1][i]:
                success = bool(ends[0][i]) and returns[i] > 0
                outcomes.append((success, returns[i]))
                for signature in seen[i]:
                    expected.setdefault(signature, [0, 0])
                    expected[signature][0] += 1
                    expected[signature][1] += success
                returns[i], seen[i] = 0, set()
    assert as_lists(log.take_passages()) == expected
    assert log.take_passages() == {}
    assert log.ended == len(outcomes)
    assert [round(r * 100) for _, r in log.recent] == [r for _, r in outcomes[-window:]]


def as_lists(passages: dict[int, Passage]) -> dict[int, list[int]]:
    return {key: [passage.episodes, passage.successes] for key, passage in passages.items()}


def test_success_is_what_the_task_calls_success() -> None:
    class Reversed(Corridor):
        def success(self, episode: Episode) -> bool:
            return episode.truncated and episode.length == 2

    log = EpisodeLog(2)
    zeros, no = np.zeros(2, np.float32), np.zeros(2, np.bool_)
    for ended in (no, ~no):
        log.visit(np.array([4, 5]))
        log.step(Reversed(), zeros, no, ended)
    assert [success for success, _ in log.recent] == [True, True]


# --- evaluation ---


def slow_evaluation(student: Student, episodes: int, seed: int, most_envs: int) -> Evaluation:
    """The student's likeliest actions, each environment's episodes one after the other."""
    num_envs = min(episodes, most_envs)
    successes, returns, lengths = 0, [], []
    for i in range(num_envs):
        for number in range(episodes // num_envs + (i < episodes % num_envs)):
            episode = SlowEpisode(seed, "evaluation", i, number)
            over = False
            while not over:
                log_pi, _ = judged(student, episode.features)
                _, terminated, truncated = episode.step(int(log_pi.argmax()))
                over = terminated or truncated
            successes += episode.position == EXIT
            returns.append(episode.return_)
            lengths.append(episode.steps)
    return Evaluation(successes, episodes, float(np.mean(returns)), float(np.mean(lengths)))


@pytest.mark.parametrize("episodes", [1, 2, 7, 8, 9, 15, 16, 30])
def test_a_greedy_evaluation_against_a_slow_one(
    episodes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "MAX_ENVS", 8)
    student = half_trained_student()
    found = evaluate(TASK, student, episodes, seed=5, greedy=True)
    expected = slow_evaluation(student, episodes, 5, most_envs=8)
    assert (found.successes, found.episodes) == (expected.successes, episodes)
    assert found.mean_return == pytest.approx(expected.mean_return, abs=1e-5)
    assert found.mean_length == pytest.approx(expected.mean_length)


def half_trained_student() -> Student:
    """It reaches the exit now and then, and ends in all three ways."""
    student = lively_student(1, scale=1.0)
    settings = PPOSettings(num_steps=32, minibatch_size=128, learning_rate=5e-3)
    ppo = PPO(student, settings, np.random.default_rng(0))
    envs = TASK.make_envs(16, "train", 0)
    collector = Collector(TASK, student, envs, 32, np.random.default_rng(0))
    for _ in range(3):
        ppo.update(collector.collect(), None, 0.0, 0.0)
    return student


class Watched(Corridor):
    """A corridor that remembers what its evaluation environments were asked to do."""

    def __init__(self) -> None:
        self.envs: list[WatchedEnvs] = []

    def make_envs(self, num_envs: int, split: Split, seed: int) -> CorridorEnvs:
        self.envs.append(WatchedEnvs(num_envs, split, seed))
        return self.envs[-1]


class WatchedEnvs(CorridorEnvs):
    """Counts the episodes that ended and the steps of each environment."""

    def __init__(self, num_envs: int, split: Split, seed: int) -> None:
        super().__init__(num_envs, split, seed)
        self.ended, self.steps = np.zeros(num_envs, np.int64), np.zeros(num_envs, np.int64)
        self.made_for, self.closed = (split, seed), 0

    def step(self, actions: IntArray) -> StepResult:
        result = super().step(actions)
        self.ended += result.terminated | result.truncated
        self.steps += actions != IDLE
        return result

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("episodes", [1, 2, 99, 100, 101, 137, 250])
def test_every_environment_plays_its_fixed_share(episodes: int) -> None:
    task, told = Watched(), list[int]()
    result = evaluate(task, lively_student(), episodes, seed=3, on_progress=told.append)
    (envs,) = task.envs
    share = [len(part) for part in np.array_split(np.arange(episodes), min(episodes, 100))]
    assert envs.ended.tolist() == share
    assert result.episodes == episodes
    assert result.mean_length == pytest.approx(envs.steps.sum() / episodes)
    assert told == sorted(set(told))
    assert told[-1] == episodes
    assert envs.made_for == ("evaluation", 3)
    assert envs.closed == 1


def test_an_evaluation_is_a_function_of_seed_and_student() -> None:
    student = lively_student()
    one = evaluate(TASK, student, 120, seed=3)
    assert evaluate(TASK, student, 120, seed=3) == one
    assert evaluate(TASK, student, 120, seed=4) != one
    assert evaluate(TASK, lively_student(seed=1), 120, seed=3) != one


def test_actions_are_drawn_unless_greedy() -> None:
    student = half_trained_student()
    assert evaluate(TASK, student, 100, 3) != evaluate(TASK, student, 100, 3, greedy=True)


def test_an_evaluation_does_not_disturb_training() -> None:
    """Weights, the running episodes and every random stream go on as if there had been none."""

    def trained(evaluated: bool) -> list[torch.Tensor]:
        student, rng = lively_student(), generator(0, "actions")
        ppo = PPO(student, PPOSettings(minibatch_size=64), generator(0, "minibatches"))
        collector = Collector(TASK, student, TASK.make_envs(4, "train", 0), 16, rng)
        for _ in range(3):
            ppo.update(collector.collect(), None, 0.0, 0.0)
            if evaluated:
                evaluate(TASK, student, 30, seed=0)
                evaluate(TASK, student, 30, seed=0, greedy=True)
        return list(student.network.parameters())

    state, legacy = torch.get_rng_state(), np.random.get_state()[1]
    for with_it, without in zip(trained(True), trained(False), strict=True):
        assert torch.equal(with_it, without)
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(np.random.get_state()[1], legacy)


def test_environments_are_closed_when_an_evaluation_breaks() -> None:
    task = Watched()

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(task, lively_student(), 3, seed=0, on_progress=stop)
    assert task.envs[0].closed == 1


def test_rates_and_intervals() -> None:
    result = Evaluation(successes=45, episodes=50, mean_return=0.0, mean_length=1.0)
    assert result.success_rate == 0.9
    # Wilson's interval for 45 of 50, from the formula by hand.
    assert result.ci95 == pytest.approx((0.78640, 0.95652), abs=1e-4)


# --- seeds ---


@given(st.integers(0, 2**31 - 1), st.integers(0, 5000), st.integers(0, 5000), st.integers(0, 5000))
def test_no_training_seed_is_an_evaluation_seed(
    run_seed: int, env: int, episode: int, other: int
) -> None:
    train = episode_seed(run_seed, "train", env, episode)
    tested = episode_seed(run_seed, "evaluation", env, other)
    assert 0 <= train < 2**62 <= tested < 2**63
    assert train % 2**32 != tested % 2**32, "nor where an environment keeps 32 bits of a seed"


def test_seeds_differ_between_runs_environments_and_episodes() -> None:
    seeds = [
        episode_seed(run, split, env, episode)
        for run in range(5)
        for split in ("train", "evaluation")
        for env in range(20)
        for episode in range(20)
    ]
    assert len(set(seeds)) == len(seeds)


def test_streams_are_independent() -> None:
    drawn = {
        (seed, stream, keys): generator(seed, stream, *keys).integers(2**62)
        for seed in (0, 1)
        for stream in ("network", "actions", "minibatches", "evaluation")
        for keys in ((), (1,), (2,), (1, 1))
    }
    assert len(set(drawn.values())) == len(drawn)
    assert generator(3, "actions", 7).integers(2**62) == generator(3, "actions", 7).integers(2**62)
    with pytest.raises(KeyError):
        generator(0, "no such stream")
