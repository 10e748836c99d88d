"""Environments that are used again: by one at a time, as good as new, and not after an error."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

from helpers.faulty_task import InFaultyDials, raising
from helpers.gym_tasks import DialTask
from tutelage.rl.errors import TaskCodeError
from tutelage.rl.gymnasium.environments import LocalEnvironments
from tutelage.rl.gymnasium.spares import SpareEnvironments


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many environments were made at once, each time."""
    counts: list[int] = []
    make = LocalEnvironments.__init__

    def counted(self: Any, maker: Any, num_envs: int, keys: Any) -> None:
        counts.append(num_envs)
        make(self, maker, num_envs, keys)

    monkeypatch.setattr(LocalEnvironments, "__init__", counted)
    return counts


def rewards_of(envs: Any, steps: int = 12) -> list[list[float]]:
    envs.reset(np.zeros(envs.num_envs, dtype=np.int64))
    actions = np.zeros((envs.num_envs, 2), dtype=np.int64)
    return [envs.step(actions).rewards.tolist() for _ in range(steps)]


def test_closed_environments_are_used_again_and_play_the_same(made: list[int]) -> None:
    task = DialTask().as_task()
    first = task.make_envs(5, "train", 3)
    played = rewards_of(first)
    first.close()
    again = task.make_envs(5, "train", 3)
    assert rewards_of(again) == played
    assert made == [5]


def test_what_is_in_use_is_nobody_elses(made: list[int]) -> None:
    task = DialTask().as_task()
    one, other = (task.make_envs(2, "train", 3) for _ in range(2))
    assert made == [2, 2]
    one.close()
    one.close()  # again: it is given back once
    task.make_envs(2, "train", 3)
    task.make_envs(2, "train", 3)
    assert made == [2, 2, 2]
    other.close()


def test_environments_of_which_a_method_raised_are_not_used_again(made: list[int]) -> None:
    task = InFaultyDials("step", raising).as_task()
    envs = task.make_envs(2, "train", 3)
    envs.reset()
    with pytest.raises(TaskCodeError):
        envs.step(np.zeros((2, 2), dtype=np.int64))
    envs.close()
    task.make_envs(2, "train", 3)
    assert made == [2, 2]


class Closable:
    """Counts how often it is closed."""

    closed = 0

    def close(self) -> None:
        self.closed += 1


def test_the_oldest_are_closed_where_there_are_too_many() -> None:
    spares = SpareEnvironments(lambda _: pytest.fail("none is to be made"))
    kept = [Closable() for _ in range(5)]
    for number, each in enumerate(kept):
        spares.give_back(number, each)  # type: ignore[arg-type]  # closed is all that it may be
    assert [each.closed for each in kept] == [1, 1, 0, 0, 0]
    assert spares.take(4) is kept[4]


def test_they_are_closed_when_nobody_can_take_them_any_more() -> None:
    spares = SpareEnvironments(lambda _: pytest.fail("none is to be made"))
    kept = [Closable(), Closable()]
    for number, each in enumerate(kept):
        spares.give_back(number, each)  # type: ignore[arg-type]  # closed is all that it may be
    assert spares.take(1) is kept[1]
    del spares
    gc.collect()
    assert [each.closed for each in kept] == [1, 0]
