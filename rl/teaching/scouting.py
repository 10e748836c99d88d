"""Scouting: random options find the situations that lie ahead.

A student that has learned nothing yet takes long to reach the situations to which its teacher will
soon lead it. An agent that carries out options, even random ones, visits them within an episode.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Final

import numpy as np

from tutelage.rl.advice.advice import Advice
from tutelage.rl.rollouts.actors import TeacherActor
from tutelage.rl.tasks.base import Task
from tutelage.rl.tasks.seeding import generator

MOST_SCOUTS: Final = 64
"""Largest useful number of environments."""
_STEPS: Final = 100
"""Steps of each environment: an episode or several, as short as those of students."""
_SECONDS: Final = 1.0
"""Time limit: some environments are slow."""


def scout(task: Task, num_envs: int, seed: int) -> dict[int, int]:
    """The situations that random options lead to, in the order in which they were visited.

    Each with the number of environments that visited it; the levels are of the training split. How
    many steps there is time for depends on the machine, so the situations may differ.
    """
    envs = task.make_envs(num_envs, "train", int(generator(seed, "scout").integers(2**31)))
    actor = TeacherActor(task, num_envs, lambda met: _anything(task, met), generator(seed, "scout"))
    everywhere = np.ones(num_envs, dtype=np.bool_)
    met: dict[int, set[int]] = {}
    try:
        envs.reset()
        ends = monotonic() + _SECONDS
        for _ in range(_STEPS):
            result = envs.step(actor.act(envs, everywhere))
            for row, situation in enumerate(actor.situations.tolist()):
                met.setdefault(situation, set()).add(row)
            actor.ended(np.flatnonzero(result.terminated | result.truncated))
            if monotonic() > ends:
                break
    finally:
        envs.close()
    return {situation: len(rows) for situation, rows in met.items()}


def _anything(task: Task, situations: Sequence[int]) -> Mapping[int, Advice]:
    """All options of each situation, equally likely."""
    offered = {s: task.options(s) for s in situations}
    return {
        s: Advice(tuple((option,) for option in options), (1 / len(options),) * len(options))
        for s, options in offered.items()
        if options
    }
