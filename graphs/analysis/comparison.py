"""Comparing runs. Those that differ only in their seed are one condition, with intervals.

The success of a condition is the mean over its seeds. Its interval is Student's over the seeds, and
never narrower than Wilson's over all their episodes: seeds that happen to agree are no proof. The
difference of two conditions is treated alike, by Welch's interval over the seeds and Newcombe's
over the episodes. Every other figure has Student's or Welch's alone, which a single seed cannot
give.

Wilson's and Newcombe's stay within what a rate and a difference of two can be. Of Student's and
Welch's the part beyond that is left out: no true value lies there, so they lose none of their
confidence. Episodes pooled would be too sure, for those of one student tell of that student alone;
so would a bootstrap over so few seeds. What is made of two bounded intervals of Student's (Zou and
Donner 2008) would be half as wide again at three seeds, whose spread it does not pool.

Steps are counted twice: those of the student, and in total, with those of the teacher check.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median
from typing import Any, Final, Generic, TypeVar

from tutelage.graphs.config.config import ConfigError, RunConfig, flat, without_own_fields
from tutelage.graphs.records.run_folder import RunFolder, list_runs
from tutelage.graphs.records.shapes import Summary
from tutelage.rl.rollouts.results import StudentResult
from tutelage.rl.rollouts.statistics import (
    Interval,
    newcombe_interval,
    t_interval,
    welch_interval,
    wilson_interval,
)

METHODS: Final = {
    "interval": "95 %: Student's t over the seeds; for success never narrower than Wilson's "
    "(1927) over all episodes, and within 0 and 100 %",
    "difference": "95 %: Welch's (1947) over the seeds; for success never narrower than "
    "Newcombe's (1998, method 10) over all episodes, and within -100 and 100 %",
}

NOT_COMPARED: Final = frozenset(
    {"seed", "run_dir", "cache", "checkpoint_every", "loggers", "evaluation.final_episodes"}
)
"""Fields that make no other condition of a run: what is random, where it lies, how often it is
saved, how long the student is tested at the end."""


@dataclass(frozen=True)
class RunRecord:
    """A run. config: by dotted key; fields that it lacks have their defaults."""

    path: Path
    config: Mapping[str, Any]

    @property
    def compared(self) -> dict[str, Any]:
        """The configuration without what two seeds of it may differ in."""
        return {key: value for key, value in self.config.items() if key not in NOT_COMPARED}


@dataclass(frozen=True)
class Result(RunRecord):
    """A run that ended."""

    summary: Summary
    student: StudentResult


Run = TypeVar("Run", bound=RunRecord)


@dataclass(frozen=True)
class Condition(Generic[Run]):
    """Runs that differ only in their seed. differs: the fields in which conditions differ."""

    differs: Mapping[str, Any]
    runs: tuple[Run, ...]

    @property
    def name(self) -> str:
        """The fields in which it differs from the others; the task where there are none."""
        values = {k: "none" if value is None else value for k, value in self.differs.items()}
        parts = [f"{key.rpartition('.')[2]}={value}" for key, value in values.items()]
        return " ".join(parts) or str(self.runs[0].config["env"])


def find_runs(paths: Sequence[Path]) -> list[Path]:
    """Run folders, those that lie in a folder that is none included, each once, in order.

    Raises RunFolderError where there is none.
    """
    found: dict[Path, None] = {}
    for path in paths:
        below = [] if (path / "config.json").is_file() else sorted(e.path for e in list_runs(path))
        if not below:
            RunFolder.open(path)
        found |= dict.fromkeys(below or [path])
    return list(found)


def stored_fields(folder: RunFolder) -> dict[str, Any]:
    """A run's configuration by dotted key. Nothing that it names is imported.

    Raises RunFolderError.
    """
    defaults = flat(RunConfig().model_dump(mode="json"))
    return {**defaults, **flat(without_own_fields(folder.read_config()))}


def task_arguments(path: Path) -> dict[str, str]:
    """The arguments of a run's task as people type them, by dotted key: `env.size`, `5`.

    Raises RunFolderError.
    """
    given = flat({"env_args": RunFolder.open(path).read_config().get("env_args", {})})
    return {k: v if isinstance(v, str) else json.dumps(v) for k, v in given.items()}


def read_result(path: Path) -> Result | None:
    """A run's result, None where it has not ended. Raises RunFolderError."""
    folder = RunFolder.open(path)
    summary = folder.read_summary()
    if summary is None or summary.student is None:
        return None
    return Result(path, stored_fields(folder), summary, summary.student)


def conditions_of(runs: Sequence[Run]) -> tuple[list[Condition[Run]], list[Path]]:
    """The conditions, in the order in which they first come, and what was left out of them.

    A second run of a condition with the same seed is left out: it is no further evidence.
    """
    groups: dict[str, dict[Any, Run]] = {}
    repeated = []
    for run in runs:
        key = json.dumps(run.compared, sort_keys=True, default=str)
        seeds = groups.setdefault(key, {})
        if seeds.setdefault(run.config["seed"], run) is not run:
            repeated.append(run.path)
    members = [tuple(seeds.values()) for seeds in groups.values()]
    differing = _differing([runs[0].compared for runs in members])
    conditions = [
        Condition({key: runs[0].compared.get(key) for key in differing}, runs) for runs in members
    ]
    return conditions, repeated


def compare(paths: Sequence[Path], episodes: int | None = None) -> dict[str, Any]:
    """The comparison of runs as plain values: conditions, and each against the first.

    episodes: a student that its run tested on fewer is tested anew; None takes what is there.
    Raises ConfigError where no run has ended, and RunFolderError.
    """
    found = {path: read_result(path) for path in paths}
    ended = [result for result in found.values() if result is not None]
    if not ended:
        given = ", ".join(map(str, paths)) or "none given"
        raise ConfigError(
            f"no finished run with a student to compare ({given}); allowed: runs that have ended, "
            f"but for those in which the teacher alone acts"
        )
    left_out = [path for path, result in found.items() if result is None]
    unfinished = [path for path in left_out if not _teacher_acted(path)]
    if episodes is not None:
        ended = [_tested(result, episodes) for result in ended]
    conditions, repeated = conditions_of(ended)
    return {
        "methods": METHODS,
        "settings": [_figures(condition) for condition in conditions],
        "differences": [_difference(each, conditions[0]) for each in conditions[1:]],
        "unfinished": [str(path) for path in unfinished],
        "without_student": [str(path) for path in left_out if path not in unfinished],
        "repeated": [str(path) for path in repeated],
        "unanswered": [str(r.path) for c in conditions for r in c.runs if _code(r) == "no_answer"],
    }


def _teacher_acted(path: Path) -> bool:
    """Whether a run has ended in which no student was trained."""
    summary = RunFolder.open(path).read_summary()
    return summary is not None and summary.teacher is not None and summary.student is None


def _tested(result: Result, episodes: int) -> Result:
    """The result on at least so many episodes."""
    if result.student.episodes >= episodes:
        return result
    # Here and not above, for it imports torch.
    from tutelage.graphs.analysis.evaluation import evaluate_run

    student = evaluate_run(result.path, episodes).student
    assert student is not None, "the run's own result is a student's"
    return replace(result, student=student)


def _differing(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys that have not the same value in all."""
    keys = dict.fromkeys(key for config in configs for key in config)
    return [key for key in keys if any(c.get(key) != configs[0].get(key) for c in configs)]


def _figures(condition: Condition[Result]) -> dict[str, Any]:
    runs = condition.runs
    summaries, students = [r.summary for r in runs], [r.student for r in runs]
    costs = [s.llm.cost_usd for s in summaries]
    argmax = [s.argmax_success_rate for s in students if s.argmax_success_rate is not None]
    return {
        "name": condition.name,
        "differs": dict(condition.differs),
        "env": summaries[0].env,
        "graph": summaries[0].graph,
        "provider": summaries[0].provider,
        "seeds": [s.seed for s in summaries],
        "runs": [str(r.path) for r in runs],
        "outcomes": [_code(r) for r in runs],
        "episodes": sum(s.episodes for s in students),
        "success": _success(condition),
        "argmax_success": _mean(argmax) if argmax else None,
        "return": _mean([s.mean_return for s in students]),
        "length": _mean([s.mean_length for s in students]),
        "steps_to_95": _reached([s.steps_to_95 for s in summaries]),
        "total_steps_to_95": _reached([s.total_steps_to_95 for s in summaries]),
        "evaluations": [s.evaluations for s in summaries],
        "env_steps": _mean([s.env_steps for s in summaries]),
        "total_steps": _mean([s.total_steps for s in summaries]),
        "teacher_removed_at_step": [s.teacher_removed_at_step for s in summaries],
        "wall_s": _mean([s.wall_s for s in summaries]),
        "llm_calls": _mean([s.llm.calls for s in summaries]),
        "llm_situations": _mean([s.llm.situations for s in summaries]),
        "cost_usd": None if None in costs else _mean([c for c in costs if c is not None]),
    }


def _code(run: Result) -> str | None:
    """What happened in a run (`OutcomeCode`); None for one of an older program."""
    return None if run.summary.outcome is None else run.summary.outcome.code


def _success(condition: Condition[Result]) -> dict[str, Any]:
    rates = [r.student.success_rate for r in condition.runs]
    wilson = wilson_interval(*_pooled(condition))
    low, high = _wider(t_interval(rates), wilson)
    return {"mean": fmean(rates), "ci95": (max(low, 0.0), min(high, 1.0)), "by_seed": rates}


def _mean(values: Sequence[float]) -> dict[str, Any]:
    return {"mean": fmean(values), "ci95": t_interval(values), "by_seed": list(values)}


def _reached(steps: Sequence[int | None]) -> dict[str, Any]:
    """Steps to 95 %. The median counts seeds that never got there as the slowest."""
    middle = median(float("inf") if s is None else s for s in steps)
    return {
        "median": int(middle) if middle < float("inf") else None,
        "reached": sum(s is not None for s in steps),
        "by_seed": list(steps),
    }


def _difference(condition: Condition[Result], base: Condition[Result]) -> dict[str, Any]:
    """The differences between a condition and the base, with their intervals."""
    pair = (condition, base)
    students = [[r.student for r in s.runs] for s in pair]
    rates = [[s.success_rate for s in group] for group in students]
    (successes1, episodes1), (successes2, episodes2) = map(_pooled, pair)
    newcombe = newcombe_interval((successes1, successes2), (episodes1, episodes2))
    low, high = _wider(welch_interval(rates[0], rates[1]), newcombe)
    success = {
        "difference": fmean(rates[0]) - fmean(rates[1]),
        "ci95": (max(low, -1.0), min(high, 1.0)),
    }
    return {
        "setting": condition.name,
        "against": base.name,
        "success": success,
        "return": _welch([[s.mean_return for s in group] for group in students]),
        "length": _welch([[s.mean_length for s in group] for group in students]),
    }


def _welch(pair: Sequence[Sequence[float]]) -> dict[str, Any]:
    return {"difference": fmean(pair[0]) - fmean(pair[1]), "ci95": welch_interval(pair[0], pair[1])}


def _pooled(condition: Condition[Result]) -> tuple[int, int]:
    """Successes and episodes of all seeds together."""
    students = [r.student for r in condition.runs]
    successes = sum(round(s.success_rate * s.episodes) for s in students)
    return successes, sum(s.episodes for s in students)


def _wider(over_seeds: Interval | None, over_episodes: Interval) -> Interval:
    if over_seeds is None:
        return over_episodes
    return min(over_seeds[0], over_episodes[0]), max(over_seeds[1], over_episodes[1])
