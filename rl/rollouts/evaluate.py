"""Evaluation: the student alone, or its teacher alone, on seeds of the evaluation split."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tutelage.rl.policy.policy import Policy
from tutelage.rl.rollouts.actors import Actor, AdviceLookup, PolicyActor, TeacherActor
from tutelage.rl.rollouts.episodes import FixedEpisodes
from tutelage.rl.rollouts.results import Evaluation, StudentResult
from tutelage.rl.tasks.arrays import ActionArray
from tutelage.rl.tasks.base import Split, StepResult, Task, VectorEnv
from tutelage.rl.tasks.seeding import generator

MAX_ENVS = 100


def num_envs_for(episodes: int) -> int:
    """How many environments share so many episodes."""
    return min(episodes, MAX_ENVS)


def evaluate(
    task: Task,
    student: Policy,
    episodes: int,
    seed: int,
    greedy: bool = False,
    on_progress: Callable[[int], None] | None = None,
    on_step: Callable[[], None] | None = None,
) -> Evaluation:
    """Play episodes 0 .. episodes - 1 of the evaluation split with the student.

    Actions are drawn from the policy, or its likeliest ones where `greedy`. Every environment
    plays a fixed number of episodes, so that long ones are not left out. The same seed and
    student give the same result. on_progress: told how many episodes have ended. on_step:
    called before each step; what it raises ends the evaluation.
    """
    rng = None if greedy else generator(seed, "evaluation")
    actor = PolicyActor(student, num_envs_for(episodes), rng)
    return play(task, actor, episodes, seed, on_progress, on_step).outcome()


def evaluate_teacher(
    task: Task,
    advise: AdviceLookup,
    episodes: int,
    seed: int,
    on_progress: Callable[[int], None] | None = None,
) -> tuple[Evaluation, int]:
    """The teacher alone, on the episodes that `evaluate` plays with the student.

    Also how many steps it had no advice for (`TeacherActor`). advise: may be called at every step.
    """
    actor = TeacherActor(task, num_envs_for(episodes), advise, generator(seed, "teacher"))
    played = play(task, actor, episodes, seed, on_progress)
    return played.outcome(), actor.unadvised


def play(
    task: Task,
    actor: Actor,
    episodes: int,
    seed: int,
    on_progress: Callable[[int], None] | None = None,
    on_step: Callable[[], None] | None = None,
    split: Split = "evaluation",
    first_episode: int = 0,
) -> FixedEpisodes:
    """Some of a split's episodes, in the order in which they ended.

    actor: for `num_envs_for(episodes)` environments. first_episode: the number of each
    environment's first. on_progress, on_step: as in `evaluate`.
    """
    num_envs = num_envs_for(episodes)
    envs = task.make_envs(num_envs, split, seed)
    envs.reset(np.full(num_envs, first_episode, dtype=np.int64))
    played = FixedEpisodes(episodes, num_envs)
    try:
        while played.playing.any():
            if on_step is not None:
                on_step()
            before = len(played.ended)
            play_step(task, envs, actor, played)
            if on_progress and len(played.ended) > before:
                on_progress(len(played.ended))
    finally:
        envs.close()
    return played


def evaluate_both_ways(
    task: Task,
    student: Policy,
    episodes: int,
    seed: int,
    on_progress: Callable[[int], None] | None = None,
    on_step: Callable[[], None] | None = None,
) -> StudentResult:
    """The student's result: with sampled actions, and its argmax success beside that.

    Arguments as in `evaluate`, which is called twice.
    """
    sampled = evaluate(task, student, episodes, seed, False, on_progress, on_step)
    greedy = evaluate(task, student, episodes, seed, True, on_progress, on_step)
    return StudentResult(**sampled.figures(), argmax_success_rate=greedy.success_rate)


def play_step(
    task: Task, envs: VectorEnv, actor: Actor, episodes: FixedEpisodes
) -> tuple[ActionArray, StepResult]:
    """One step of the environments that still have episodes to play, and its actions."""
    playing = episodes.playing
    actions = actor.act(envs, playing)
    result = envs.step(actions, playing)
    actor.ended(episodes.step(task, result))
    return actions, result
