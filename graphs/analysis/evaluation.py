"""Testing a run: its student alone, and its teacher alone, on held-out episodes."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tutelage.agents.planner.answer import PlannerAnswer
from tutelage.agents.providers.make import keep_tracing_private
from tutelage.agents.teacher.faults import ProviderRefusedError
from tutelage.agents.teacher.teacher import Teacher
from tutelage.graphs.config.config import ConfigError, RunConfig
from tutelage.graphs.config.events import Tell
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.registry import find_graph
from tutelage.graphs.runtime.run import stored_config
from tutelage.graphs.runtime.run_spec import MakePerson, RunSpec, open_teacher
from tutelage.graphs.runtime.tasks import task_of
from tutelage.graphs.runtime.trust import check_address
from tutelage.rl.advice.advice import Advice
from tutelage.rl.policy.policy import Policy, load_student
from tutelage.rl.rollouts.evaluate import evaluate_both_ways, evaluate_teacher
from tutelage.rl.rollouts.results import StudentResult, TeacherResult
from tutelage.rl.tasks.base import Task
from tutelage.rl.tasks.option_mdp import OptionTask

Progress = Callable[[int], None]


@dataclass(frozen=True)
class TeacherTest:
    """The result of evaluating a teacher alone.

    unadvised_steps: environment steps without advice, in which it moved at random.
    cost_usd: None where a price is not known.
    """

    result: TeacherResult
    provider: str
    unadvised_steps: int
    calls: int
    cache_hits: int
    failures: int
    cost_usd: float | None


@dataclass(frozen=True)
class RunTest:
    """The result of evaluating a run. student, teacher: None where they were not evaluated."""

    run: str
    env: str
    seed: int
    student: StudentResult | None
    teacher: TeacherTest | None


def evaluate_run(
    path: Path,
    episodes: int,
    env: str | None = None,
    seed: int | None = None,
    teacher: bool = False,
    on_progress: Progress | None = None,
    tell: Tell = lambda _: None,
    make_person: MakePerson | None = None,
    base_urls: Sequence[str] = (),
) -> RunTest:
    """Evaluate the student of a run, if it has one, and with `teacher` its teacher.

    env, seed: another task, which must look the same to the student, and another seed than the
    run's own. on_progress: is called with the number of episodes that have ended, from 0 on for
    each way of playing. tell: is called with messages for people. make_person: see
    `open_teacher`. base_urls: see `resume`. Raises UserError.
    """
    config = config_of(path, env, seed)
    with ExitStack() as resources:
        # All of it before anything is played: a mistake should not cost an evaluation.
        student, asked = None, None
        if not teacher or find_graph(config.graph).learns:
            student, task = student_of(path, config)
        else:
            task = task_of(config)
        if teacher:
            check_address(path, config, base_urls, f"eval {shlex.quote(str(path))} --teacher")
            asked = teacher_of(path, config, task, tell, resources, make_person)
        result = tested = None
        if student is not None:
            result = evaluate_both_ways(task, student, episodes, config.seed, on_progress)
        if asked is not None:
            tested = _test_teacher(asked, task, config.seed, episodes, on_progress)
    return RunTest(str(path), task.name, config.seed, result, tested)


def config_of(path: Path, env: str | None = None, seed: int | None = None) -> RunConfig:
    """A run's configuration; arguments as in `evaluate_run`. Raises ConfigError, RunFolderError.

    The arguments of the run's own task are not those of another one.
    """
    config = stored_config(RunFolder.open(path))
    changed: dict[str, Any] = {} if seed is None else {"seed": seed}
    if env is not None and env != config.env:
        changed |= {"env": env, "env_args": {}}
    return config.model_copy(update=changed)


def student_of(path: Path, config: RunConfig) -> tuple[Policy, Task]:
    """A run's student and the task to play. config: as `config_of` gives it.

    Raises ConfigError, PolicyFileError or UnknownTaskError.
    """
    student, task = policy_of(path, config), task_of(config)
    if not student.spec.fits(task):
        raise ConfigError(
            f"env = {config.env!r}: the student of {path} was taught on {student.spec.task} and "
            f"cannot see or act there; allowed: tasks that look like that one"
        )
    return student, task


def policy_of(path: Path, config: RunConfig) -> Policy:
    """A run's student. Raises ConfigError or PolicyFileError."""
    if not find_graph(config.graph).learns:
        raise ConfigError(
            f"{path} has no student: its graph, {config.graph}, trains none; allowed: runs of "
            f"another graph, and `eval --teacher`, which tests the teacher"
        )
    torch.set_num_threads(config.threads)  # small networks: more threads mostly wait for others
    return load_student(path)


def teacher_of(
    path: Path,
    config: RunConfig,
    task: Task,
    tell: Tell,
    resources: ExitStack,
    make_person: MakePerson | None = None,
) -> Teacher:
    """The teacher of a run, asked with the prompts that the run has recorded.

    task: where it is to teach, by whose ids it is asked. Its addresses must have been checked, see
    `graphs.runtime.trust.check_address`. Raises as `evaluate_run` does.
    """
    keep_tracing_private()
    spec = RunSpec(config, RunFolder.open(path).recorded_prompts, task)
    teacher = open_teacher(spec, tell, resources, make_person)
    if teacher is None:
        raise ConfigError(
            f"--teacher: this run had none (graph = {config.graph!r}, weaning.schedule = "
            f"{config.weaning.schedule!r}); allowed: runs with a teacher"
        )
    return teacher


def _test_teacher(
    teacher: Teacher, task: Task, seed: int, episodes: int, on_progress: Progress | None
) -> TeacherTest:
    """The teacher acts through its options, by cached advice or by asking anew.

    Raises ProviderRefusedError where it refuses to: the result would be nobody's.
    """
    adviser = Adviser(teacher)

    def advise(situation_ids: Sequence[int]) -> Mapping[int, Advice]:
        advice = adviser(situation_ids)
        if teacher.refusal is not None:
            raise ProviderRefusedError(teacher.refusal)
        return advice

    # The task inside where the student picks options: the teacher acts through these anyhow.
    played_in = task.task if isinstance(task, OptionTask) else task
    played, unadvised = evaluate_teacher(played_in, advise, episodes, seed, on_progress)
    teacher.close()
    counted = teacher.counters
    return TeacherTest(
        result=played.of_teacher(),
        provider=teacher.provider.name,
        unadvised_steps=unadvised,
        calls=counted.calls,
        cache_hits=counted.cache_hits,
        failures=sum(counted.failures.values()),
        cost_usd=teacher.cost_usd,
    )


class Adviser:
    """A teacher as the lookup that an acting teacher needs: every answer is waited for.

    A situation is asked about once, and its advice is remembered; where the teacher failed and
    nobody stands in, it stays without advice.
    """

    def __init__(self, teacher: Teacher) -> None:
        self._teacher = teacher
        self._asked: set[int] = set()
        self._known: dict[int, Advice] = {}

    def __call__(self, situation_ids: Sequence[int]) -> Mapping[int, Advice]:
        fresh = [s for s in situation_ids if s not in self._asked]
        self._asked.update(fresh)
        self._learn(self._teacher.lookup(fresh))
        # Situations are counted in place of iterations: what has failed is not asked about again.
        self._teacher.submit([s for s in fresh if s not in self._known], len(self._asked))
        self._learn(self._teacher.harvest(wait_for_all=True))
        unsettled = [s for s in fresh if s not in self._known]
        self._learn(self._teacher.settle(unsettled, len(self._asked)))
        while self._teacher.pending_fallbacks:
            self._learn(self._teacher.settle([], len(self._asked), wait_for_all=True))
        return {s: self._known[s] for s in situation_ids if s in self._known}

    def _learn(self, answers: Iterable[PlannerAnswer]) -> None:
        self._known |= {a.situation_id: a.advice for a in answers if a.advice is not None}
