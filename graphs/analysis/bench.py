"""What each part of training costs on this machine, measured one after the other in one process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import torch

from tutelage.graphs.analysis.bench_rivals import (
    RivalMissingError,
    Work,
    rate,
    stable_baselines,
    sync_vector,
)
from tutelage.graphs.config.config import RunConfig
from tutelage.graphs.records.shapes import Summary
from tutelage.graphs.runtime.run import run
from tutelage.graphs.runtime.tasks import task_of
from tutelage.rl.advice.advice import Advice
from tutelage.rl.advice.labels import label
from tutelage.rl.minigrid.catalogue import SHIPPED
from tutelage.rl.minigrid.codes import ACTION_NAMES, TOGGLE
from tutelage.rl.minigrid.engine.families import family_of
from tutelage.rl.minigrid.engine.simulator import BatchedSimulator
from tutelage.rl.minigrid.levels import register_levels
from tutelage.rl.minigrid.simulator import GymnasiumSimulator, Simulator, make_minigrid, missions_of
from tutelage.rl.policy.policy import make_policy
from tutelage.rl.ppo.ppo import PPO
from tutelage.rl.rollouts.collector import Collector
from tutelage.rl.tasks.arrays import IntArray
from tutelage.rl.tasks.base import Task
from tutelage.rl.tasks.numbering import Numbering
from tutelage.rl.tasks.seeding import generator

RESET_EVERY: Final = 25
"""Episode length of the figures with resets."""
_PARTS: Final = 14
"""How many figures the time is shared among, the runs taking several shares each."""
_RUN_SHARES: Final = 3


@dataclass(frozen=True)
class Figure:
    """How fast a part is.

    steps_per_s: environment steps a second if nothing else were done; None where it could not be
    measured, and `note` says why. ratio: how many times faster than the rival named in `versus`.
    """

    name: str
    steps_per_s: float | None
    note: str = ""
    ratio: float | None = None
    versus: str | None = None

    @property
    def microseconds(self) -> float | None:
        """Microseconds for each environment step."""
        return 1e6 / self.steps_per_s if self.steps_per_s else None


@dataclass(frozen=True)
class Bench:
    """All figures, and where the time of the run with labels on every step went.

    shares: of its wall time without imports and evaluation, 0..1, by phase.
    """

    env: str
    num_envs: int
    threads: int
    figures: tuple[Figure, ...]
    shares: dict[str, float]


def measure(config: RunConfig, seconds: float, tell: Callable[[str], None]) -> Bench:
    """Measure everything in about so many seconds, compiling aside.

    config: its env, student, PPO and num_envs; the teacher is the offline one. tell: is called with
    what is measured next. Raises ConfigError or UnknownTaskError.
    """
    share = seconds / _PARTS
    torch.set_num_threads(config.threads)
    task = task_of(config)
    figures = []
    for name, work in {**_engines(config), **_learning(config, task)}.items():
        tell(name)
        figures.append(Figure(name, rate(work, share)))
    tell("end to end")
    taught = _trained(config, "constant", share * _RUN_SHARES)
    alone = _trained(config, "off", share * _RUN_SHARES)
    figures.append(Figure("end to end, labels on every step", taught.steps_per_s))
    figures.append(Figure("end to end, no teacher", alone.steps_per_s))
    figures += _rivals(config, figures, share, tell)
    return Bench(task.name, config.num_envs, config.threads, tuple(figures), _shares(taught))


def _random_actions(
    config: RunConfig, num_actions: int, but: int | None = None
) -> Iterator[IntArray]:
    """Actions of all environments, without end. but: one that is never done."""
    rng = generator(config.seed, "actions")
    allowed = np.delete(np.arange(num_actions), [] if but is None else but)
    actions = rng.choice(allowed, size=(512, config.num_envs))
    while True:
        yield from actions


def _env_id(config: RunConfig) -> str | None:
    """Gymnasium's id of a shipped task; None for a task of one's own."""
    register_levels()
    return next((info.env_id for info in SHIPPED if info.name == config.env), None)


def _engines(config: RunConfig) -> dict[str, Work]:
    """The engines of a shipped task, each alone: a step and what the agents see of it."""
    env_id = _env_id(config)
    if env_id is None:
        return {}
    made: dict[str, Simulator] = {}
    family = family_of(make_minigrid(env_id))
    if family is not None:
        made["batched"] = BatchedSimulator(family, config.num_envs)
    envs = [make_minigrid(env_id) for _ in range(config.num_envs)]
    made["gymnasium"] = GymnasiumSimulator(envs, Numbering(missions_of(envs[0])))
    works: dict[str, Work] = {}
    for name, simulator in made.items():
        works[f"{name} engine, no resets"] = _engine_work(config, simulator, False)
        works[f"{name} engine, {RESET_EVERY}-step episodes"] = _engine_work(config, simulator, True)
    return works


def _engine_work(config: RunConfig, simulator: Simulator, resets: bool) -> Work:
    """One step of all worlds; with resets, each world begins anew every so many steps.

    A world that has ended is played on, which costs the same. No door is opened: one in the outer
    wall leads off MiniGrid's grid, where it stops with an error.
    """
    rows = np.arange(config.num_envs)
    actions = _random_actions(config, len(ACTION_NAMES), but=TOGGLE)
    seeds = generator(config.seed, "evaluation").integers(2**62, size=(RESET_EVERY, len(rows)))
    simulator.restart(rows, seeds[0])
    count = 0

    def step() -> None:
        nonlocal count
        simulator.step(next(actions))
        count += 1
        over = np.flatnonzero((rows + count) % RESET_EVERY == 0) if resets else rows[:0]
        if len(over):
            simulator.restart(over, seeds[count % RESET_EVERY, : len(over)])

    return Work(step, config.num_envs)


def _learning(config: RunConfig, task: Task) -> dict[str, Work]:
    """The parts of an iteration, each alone."""
    num_actions = len(task.action_names)
    seed = int(generator(config.seed, "network").integers(2**31))
    student = make_policy(task, config.student, config.device, seed)
    envs = task.make_envs(config.num_envs, "train", config.seed)
    actions = generator(config.seed, "actions")
    gamma = config.ppo.gamma_for(task.max_episode_steps)
    collector = Collector(task, student, envs, config.ppo.num_steps, actions, gamma)
    # All passes, each time: the same rollout again and again soon moves the policy too far.
    settings = config.ppo.model_copy(update={"target_kl": float("inf"), "gamma": gamma})
    ppo = PPO(student, settings, generator(config.seed, "minibatches"))
    rollout = collector.collect()
    states = collector.states()
    situation_ids = rollout.situation_ids.reshape(-1).copy()
    advice = {int(s): _all_options(task, int(s)) for s in np.unique(situation_ids)}
    known = {s: a for s, a in advice.items() if a is not None}
    labels = label(task, states, situation_ids, known)
    playing = task.make_envs(config.num_envs, "train", config.seed)
    playing.reset()
    random_actions = _random_actions(config, num_actions)
    seen, memory = playing.observe(), student.initial_state(config.num_envs)

    def step() -> None:
        playing.step(next(random_actions))
        playing.observe()

    of_envs: dict[str, Callable[[], object]] = {
        "engine, remembered map and what is seen": step,
        "situation_ids": lambda: task.situation_ids(playing.states()),
        "student forward": lambda: student.policy_and_value(seen, memory),
    }
    of_rollouts: dict[str, Callable[[], object]] = {
        "labels": lambda: label(task, states, situation_ids, known),
        "collecting": collector.collect,
        "PPO update with labels": lambda: ppo.update(rollout, labels, 1.0, 0.0),
        "PPO update": lambda: ppo.update(rollout, None, 1.0, 0.0),
    }
    works = {name: Work(work, config.num_envs) for name, work in of_envs.items()}
    return works | {name: Work(work, int(rollout.size)) for name, work in of_rollouts.items()}


def _all_options(task: Task, situation_id: int) -> Advice | None:
    """A plan of all options on offer: as much as a label may cost."""
    options = task.options(situation_id)
    return Advice((tuple(options),), (1.0,)) if options else None


def _trained(config: RunConfig, schedule: str, seconds: float) -> Summary:
    """A run with the offline teacher: a short one to know its pace, then one of about that time."""
    rollout = config.num_envs * config.ppo.num_steps
    pace = _run_of(config, schedule, 2 * rollout).steps_per_s
    return _run_of(config, schedule, max(2, round(pace * seconds / rollout)) * rollout)


def _run_of(config: RunConfig, schedule: str, steps: int) -> Summary:
    with TemporaryDirectory(prefix="tutelage-bench-") as name:
        folder = Path(name)
        weaning = config.weaning.model_copy(update={"schedule": schedule})
        evaluation = config.evaluation.model_copy(update={"every": 2**62, "final_episodes": 1})
        changes = {
            "graph": "teacher_student",
            "provider": "offline",
            "base_url": None,
            "steps": steps,
            "run_dir": folder / "run",
            "cache": folder / "plans.sqlite",
            "weaning": weaning,
            "evaluation": evaluation,
        }
        return run(config.model_copy(update=changes))


def _shares(summary: Summary) -> dict[str, float]:
    spent = summary.time.model_dump()
    working = summary.env_steps / summary.steps_per_s
    names = ("collect", "advice", "update", "graph", "record")
    return {name: spent[f"{name}_s"] / working for name in names}


def _rivals(
    config: RunConfig, ours: list[Figure], share: float, tell: Callable[[str], None]
) -> list[Figure]:
    """Gymnasium's vector and Stable-Baselines3's PPO on the same levels, where there are any."""
    env_id = _env_id(config)
    if env_id is None:
        return []
    by_name = {figure.name: figure.steps_per_s for figure in ours}
    tell("Gymnasium's SyncVectorEnv")
    vector = sync_vector(env_id, config.num_envs, share)
    stepping = by_name["engine, remembered map and what is seen"]
    rivals = [_against("Gymnasium SyncVectorEnv", vector, stepping, "ours with its map")]
    tell("Stable-Baselines3's PPO")
    try:
        learning = stable_baselines(env_id, config, share)
    except RivalMissingError as error:
        return [*rivals, Figure("Stable-Baselines3 PPO", None, str(error))]
    training = by_name["end to end, no teacher"]
    return [*rivals, _against("Stable-Baselines3 PPO", learning, training, "ours, no teacher")]


def _against(name: str, rival: float, ours: float | None, what: str) -> Figure:
    return Figure(name, rival, ratio=ours / rival if ours else None, versus=what)
