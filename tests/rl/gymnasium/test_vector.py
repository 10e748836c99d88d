"""Environments of Gymnasium as a vector: seeds, replay, ends, and the same with workers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from helpers.gym_tasks import ALL, Cab, Car, Dials, DialTask, Pole, SignTask, random_actions
from tutelage import GymTask
from tutelage.rl.gymnasium.task import GymnasiumTask
from tutelage.rl.tasks.base import Observation, Split, StepResult

NUM_ENVS = 5

each_task = pytest.mark.parametrize("kind", ALL)


def task_of(kind: type[GymTask], workers: int = 0) -> GymnasiumTask:
    task: GymnasiumTask = kind(workers=workers).as_task()  # type: ignore[call-arg]
    return task


def record_of(result: StepResult) -> list[Any]:
    final = None if result.final is None else {k: v.tolist() for k, v in result.final.items()}
    return [
        result.rewards.tolist(),
        result.terminated.tolist(),
        result.truncated.tolist(),
        final,
        {i: str(info) for i, info in result.infos.items()},
    ]


def seen(observation: Observation) -> dict[str, Any]:
    return {key: array.tolist() for key, array in observation.items()}


def played(task: GymnasiumTask, steps: int = 60, seed: int = 3) -> list[Any]:
    """All that can be seen of a game of random actions."""
    envs = task.make_envs(NUM_ENVS, "train", seed)
    rng = np.random.default_rng(0)
    record: list[Any] = []
    try:
        envs.reset()
        for _ in range(steps):
            ids = task.situation_ids(envs.states())
            texts = [task.describe(i) for i in ids.tolist()]
            mask = envs.action_mask()
            record.append([seen(envs.observe()), texts, None if mask is None else mask.tolist()])
            record.append(record_of(envs.step(random_actions(task, envs, rng))))
    finally:
        envs.close()
    return record


class TestSeeds:
    @each_task
    def test_the_same_seed_gives_the_same_game(self, kind: type[GymTask]) -> None:
        task = task_of(kind)
        assert played(task) == played(task_of(kind))
        assert played(task) != played(task, seed=4)

    @each_task
    @pytest.mark.parametrize("workers", [1, 2])
    def test_workers_change_nothing(self, kind: type[GymTask], workers: int) -> None:
        assert played(task_of(kind, workers)) == played(task_of(kind))

    def test_the_splits_have_no_seed_in_common(self) -> None:
        seeds: list[int] = []

        class Noting(Dials):
            def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
                assert seed is not None
                seeds.append(seed)
                return super().reset(seed=seed)

        class Noted(DialTask):
            def __init__(self) -> None:
                super().__init__()
                self.env = Noting

        splits: tuple[Split, ...] = ("train", "evaluation")
        for split in splits:
            envs = Noted().as_task().make_envs(20, split, 1)
            for k in range(20):
                envs.reset(np.full(20, k))
        assert len(set(seeds)) == len(seeds) == 800
        # Whatever is drawn: one bit tells them apart.
        assert all(seed < 2**30 for seed in seeds[:400])
        assert all(2**30 <= seed < 2**31 for seed in seeds[400:])

    @each_task
    def test_episodes_are_found_again_by_their_numbers(self, kind: type[GymTask]) -> None:
        task = task_of(kind)
        envs, again = (task.make_envs(NUM_ENVS, "evaluation", 7) for _ in range(2))
        rng = np.random.default_rng(1)
        envs.reset()
        episodes = np.zeros(NUM_ENVS, dtype=np.int64)
        actions: list[list[Any]] = [[] for _ in range(NUM_ENVS)]
        for _ in range(70):
            chosen = random_actions(task, envs, rng)
            result = envs.step(chosen)
            for i, over in enumerate(result.terminated | result.truncated):
                episodes[i] += over
                actions[i] = [] if over else [*actions[i], chosen[i]]
        again.reset(episodes)
        for step in range(max(map(len, actions))):
            active = np.array([step < len(done) for done in actions])
            column = [done[step] if step < len(done) else 0 * chosen[0] for done in actions]
            assert not again.step(np.array(column), active).infos
        assert seen(again.observe()) == seen(envs.observe())
        assert [str(s) for s in again.states().rows()] == [str(s) for s in envs.states().rows()]


class TestSteps:
    def test_idle_environments_stay_as_they_are(self) -> None:
        task = task_of(Car)
        envs = task.make_envs(4, "train", 0)
        envs.reset()
        before = envs.observe()["observation"]
        active = np.array([True, False, True, False])
        result = envs.step(np.full((4, 1), 0.5, np.float32), active)
        after = envs.observe()["observation"]
        assert (before != after).any(axis=1).tolist() == active.tolist()
        assert result.rewards[~active].tolist() == [0.0, 0.0]
        assert not result.terminated.any()

    def test_no_environment_may_be_active(self) -> None:
        envs = task_of(Pole).make_envs(2, "train", 0)
        envs.reset()
        assert envs.step(np.zeros(2, np.int64), np.zeros(2, np.bool_)).final is None

    @pytest.mark.parametrize("workers", [0, 2])
    def test_the_limit_of_steps_truncates(self, workers: int) -> None:
        task = task_of(Car, workers)
        envs = task.make_envs(3, "train", 0)
        envs.reset()
        ends = []
        for step in range(1, 81):
            before = envs.observe()["observation"]
            result = envs.step(np.zeros((3, 1), np.float32))
            if result.truncated.any():
                ends.append(step)
                assert result.truncated.all()
                assert result.final is not None
                # One step after the last state, and not yet the next episode's first.
                assert np.abs(result.final["observation"] - before).max() < 0.05
                assert (result.final["observation"] != envs.observe()["observation"]).any()
                assert list(result.infos) == [0, 1, 2]
        envs.close()
        assert ends == [40, 80]

    def test_terminated_wins(self) -> None:
        envs = task_of(SignTask).make_envs(2, "train", 0)
        envs.reset()
        for _ in range(5):
            result = envs.step(np.zeros(2, np.int64))
        assert result.terminated.all()
        assert not result.truncated.any()
        assert result.final is None
        assert [info["step"] for info in result.infos.values()] == [5, 5]
        assert [len(info["memory"]) for info in result.infos.values()] == [2, 2]

    def test_states_that_were_kept_stay(self) -> None:
        """Though the environment gives the same array again and again."""
        task = task_of(DialTask)
        envs = task.make_envs(3, "train", 0)
        envs.reset()
        kept = envs.states()[:]
        before = [str(state) for state in kept.rows()]
        for _ in range(4):
            envs.step(np.zeros((3, 2), np.int64))
        assert [str(state) for state in kept.rows()] == before

    def test_observations_cannot_be_changed_by_a_method(self) -> None:
        envs = task_of(SignTask).make_envs(1, "train", 0)
        envs.reset()
        with pytest.raises(ValueError, match="read-only"):
            envs.states().row(0).observation["picture"][0, 0] = 1

    def test_what_a_method_does_to_the_memory_stays_its_own(self) -> None:
        class Careless(SignTask):
            def situation(self, obs: Any, info: Any) -> str:
                info["memory"].append("spoilt")
                info["step"] = "spoilt"
                return super().situation(obs, info)

        task = Careless().as_task()
        envs = task.make_envs(2, "train", 0)
        envs.reset()
        first = [task.describe(int(i)) for i in task.situation_ids(envs.states())]
        assert first == [task.describe(int(i)) for i in task.situation_ids(envs.states())]

    def test_masks_follow_the_states(self) -> None:
        envs = task_of(Cab).make_envs(4, "train", 0)
        envs.reset()
        for _ in range(20):
            mask = envs.action_mask()
            assert mask is not None
            expected = [s.info["action_mask"].astype(bool).tolist() for s in envs.states().rows()]
            assert mask.tolist() == expected
            envs.step(mask.argmax(axis=1))
