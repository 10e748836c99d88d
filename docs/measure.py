"""Measures what docs/teachers.md says of schedules and teachers, and prints Markdown tables.

    python docs/measure.py levels            the default schedule beside `linear`, on all levels
    python docs/measure.py levels --most 50000 --seeds 0,1,2 SimpleDoorKey LavaDoorKey
    python docs/measure.py wrong             wrong teachers on MiniGrid-DoorKey-5x5-v0
    python docs/measure.py weak              teachers with a weak model's faults, on ColoredDoorKey

Runs that have ended are kept in --folder and not done again. *Area*: mean success of the held-out
episodes that are played during training. *Greedy*: success of the likeliest actions as a share of
that of drawn ones, at the end. Differences are paired by level and seed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean, median
from threading import Event
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / ".package"))

import numpy as np
from scipy.stats import bootstrap, ttest_rel

from tutelage.graphs.analysis.experiments import Experiment, Job, seeds_of, status_of
from tutelage.graphs.config.config import ConfigError, RunConfig, with_fields
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.rl.errors import UserError
from tutelage.rl.minigrid.script import GridScript
from tutelage.rl.rollouts.statistics import t_interval
from tutelage.rl.tasks.registry import make_task
from tutelage.rl.tasks.shipped import shipped_tasks

SCHEDULES: Final = ("adaptive", "linear")
DOOR_KEY: Final = "MiniGrid-DoorKey-5x5-v0"
WRONG: Final = ("none", "offline", "adversarial", "faulty:0.3", "forgetful:0.3", "weak")
FAULTS: Final = ("none", "swaps", "shuts", "drops")
"""Of a weak model on ColoredDoorKey: it swaps the keys' colours in a third of its answers; never
opens the door with another thing in sight; drops the right key in a fifth."""


class Result:
    """What a run came to."""

    def __init__(self, folder: Path) -> None:
        found = RunFolder.open(folder)
        summary = found.read_summary()
        assert summary is not None
        assert summary.student is not None
        assert summary.student.argmax_success_rate is not None
        self.curve = [(row.env_steps, row.eval_success) for row in found.read_metrics()]
        tested = [success for _, success in self.curve if success is not None]
        self.area = fmean(tested)
        self.end = summary.student.success_rate
        self.greedy = summary.student.argmax_success_rate
        self.steps_to_95 = summary.steps_to_95
        self.removed_at = summary.teacher_removed_at_step

    def area_until(self, step: int) -> float:
        """The area up to a step."""
        return fmean(s for at, s in self.curve if s is not None and at <= step)


def train(folder: Path, jobs: int, runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Result]:
    """Make the runs of these names and fields that the folder lacks, and read all of them.

    Ends the command where some of them have failed: a table without them would be another one.
    """
    queue = []
    for name, fields in runs.items():
        path = folder / name
        config = with_fields(RunConfig(), {**fields, "run_dir": str(path)})
        queue.append(Job(name, config, path, status_of(path, config)))

    def tell(job: Job) -> None:
        if job.status in ("finished", "failed"):
            print(f"{job.name}: {job.problem or job.status}", flush=True)

    Experiment(folder, queue).run(jobs, Event(), tell)
    failed = [job.name for job in queue if job.status != "finished"]
    if failed:
        sys.exit(
            f"{len(failed)} of {len(queue)} runs failed, so there is no table: "
            f"{', '.join(failed)}. Their lines are above; the same command makes them anew."
        )
    return {job.name: Result(job.path) for job in queue}


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values, adjusted for being many (Holm 1979), in their order."""
    order = np.argsort(p_values)
    adjusted = np.empty(len(p_values))
    largest = 0.0
    for rank, i in enumerate(order):
        largest = max(largest, (len(p_values) - rank) * p_values[i])
        adjusted[i] = min(largest, 1.0)
    return [float(p) for p in adjusted]


def levels(asked: argparse.Namespace) -> None:
    """The table of all levels: each schedule's area and end, and the pooled differences."""
    names = asked.names or [task.name for task in shipped_tasks()]
    runs = {}
    for seed in asked.seeds:
        for name in names:
            default = make_task(name, 7).default_steps
            steps = min(default, asked.most)
            for schedule in SCHEDULES:
                runs[f"{name}-{schedule}-{seed}"] = {
                    "env": name,
                    "steps": steps,
                    "seed": seed,
                    "weaning.schedule": schedule,
                    # Before the first update the check may take what it may in a whole run.
                    "weaning.check_share": min(0.1 * default / steps, 1.0),
                    "evaluation.every": max(steps // 10, 1),
                }
    found = train(asked.folder, asked.jobs, runs)
    print(
        "\n| level | area: adaptive | linear | end: adaptive | linear | greedy | removed at | p |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    rows = {}
    for name in names:
        rows[name] = [
            [found[f"{name}-{schedule}-{seed}"] for seed in asked.seeds] for schedule in SCHEDULES
        ]
    worse = [
        _p_worse([r.area for r in ours], [r.area for r in theirs]) for ours, theirs in rows.values()
    ]
    for (name, (ours, theirs)), p in zip(rows.items(), holm(worse), strict=True):
        figures = [fmean(r.area for r in ours), fmean(r.area for r in theirs)]
        figures += [fmean(r.end for r in ours), fmean(r.end for r in theirs)]
        figures.append(_greedy(ours))
        removed = median(r.removed_at or 0 for r in ours)
        print(f"| {name} | " + " | ".join(f"{x:.3f}" for x in figures), end="")
        print(f" | {removed:,.0f} | {p:.2f} |")
    for kind in ("area", "end"):
        differences = [
            getattr(a, kind) - getattr(b, kind)
            for ours, theirs in rows.values()
            for a, b in zip(ours, theirs, strict=True)
        ]
        print(
            f"\nPooled difference of {kind}, adaptive minus linear: {_with_interval(differences)}"
        )


def _p_worse(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The p-value of the first being lower, paired."""
    differences = np.subtract(ours, theirs)
    if len(differences) < 2 or np.ptp(differences) == 0:
        return 1.0
    return float(ttest_rel(ours, theirs, alternative="less").pvalue)


def _greedy(results: Sequence[Result]) -> float:
    """Success of the likeliest actions as a share of that of drawn ones."""
    drawn = fmean(r.end for r in results)
    return fmean(r.greedy for r in results) / drawn if drawn else float("nan")


def _with_interval(values: Sequence[float]) -> str:
    mean, interval = fmean(values), t_interval(values)
    return f"{mean:+.4f}" + (f" ({interval[0]:+.4f} to {interval[1]:+.4f})" if interval else "")


def wrong(asked: argparse.Namespace) -> None:
    """The table of wrong teachers: areas up to where the mean without one first reaches 0.9."""
    # The others are measured beside it: without it there is no step to measure up to.
    providers = list(dict.fromkeys(["none", *(asked.names or WRONG)]))
    runs = {}
    for seed in asked.seeds:
        for provider in providers:
            fields: dict[str, Any] = {
                "env": DOOR_KEY,
                "steps": 163_840,
                "seed": seed,
                "evaluation.every": 8_192,
                "evaluation.episodes": 200,
            }
            if provider == "none":
                fields["graph"] = "student_only"
            else:
                fields |= {"provider": provider, "teacher.seed": seed}
            runs[f"{provider.replace(':', '_')}-{seed}"] = fields
    found = train(asked.folder, asked.jobs, runs)
    by_provider = {
        p: [found[f"{p.replace(':', '_')}-{seed}"] for seed in asked.seeds] for p in providers
    }
    curves = [[s for _, s in r.curve if s is not None] for r in by_provider["none"]]
    steps = [at for at, s in by_provider["none"][0].curve if s is not None]
    reached = np.flatnonzero(np.mean(curves, axis=0) >= 0.9)
    until = steps[int(reached[0])] if len(reached) else steps[-1]
    print(f"\nArea up to step {until:,}.\n")
    print("| provider | area | to no teacher | to the offline teacher | end | greedy |")
    print("| --- | --- | --- | --- | --- | --- |")
    areas = {p: [r.area_until(until) for r in rs] for p, rs in by_provider.items()}
    for provider, results in by_provider.items():
        ratios = [_ratio(areas[provider], areas[p]) for p in ("none", "offline") if p in areas]
        print(f"| {provider} | {fmean(areas[provider]):.3f} | " + " | ".join(ratios), end="")
        print(f" | {fmean(r.end for r in results):.3f} | {_greedy(results):.3f} |")


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """The ratio of two means, with its interval (bootstrap over seeds)."""
    if len(ours) < 2 or ours == theirs:
        return f"{fmean(ours) / fmean(theirs):.3f}"
    drawn = bootstrap(
        (ours, theirs),
        lambda a, b, axis=-1: np.mean(a, axis) / np.mean(b, axis),
        paired=True,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return f"{fmean(ours) / fmean(theirs):.3f} ({drawn.low:.3f} to {drawn.high:.3f})"


def weak(asked: argparse.Namespace) -> None:
    """The table of teachers with a weak model's faults."""
    faults = asked.names or list(FAULTS)
    if unknown := set(faults) - set(FAULTS):
        raise ConfigError(
            f"{', '.join(sorted(unknown))}: no such fault; known: {', '.join(FAULTS)}"
        )
    asked.folder.mkdir(parents=True, exist_ok=True)
    runs = {}
    for seed in asked.seeds:
        for fault in faults:
            fields: dict[str, Any] = {"env": "ColoredDoorKey", "seed": seed}
            if fault != "none":
                answers = asked.folder.absolute() / f"{fault}-{seed}.jsonl"
                answers.write_text("".join(answers_with(fault, seed)), encoding="utf-8")
                fields["provider"] = f"replay:{answers}"
            runs[f"{fault}-{seed}"] = fields
    found = train(asked.folder, asked.jobs, runs)
    print("\n| fault | area | 95 % first reached | end | greedy | removed at |")
    print("| --- | --- | --- | --- | --- | --- |")
    for fault in faults:
        results = [found[f"{fault}-{seed}"] for seed in asked.seeds]
        reached = ", ".join(f"{r.steps_to_95:,}" if r.steps_to_95 else "never" for r in results)
        print(f"| {fault} | {fmean(r.area for r in results):.3f} | {reached}", end="")
        print(f" | {fmean(r.end for r in results):.3f} | {_greedy(results):.3f}", end="")
        print(f" | {', '.join(f'{r.removed_at:,}' for r in results)} |")


def answers_with(fault: str, seed: int) -> list[str]:
    """The lines of a recording: the script's best plan in every situation, with the fault."""
    task = make_task("ColoredDoorKey", 7)
    lines = []
    for text in _situations():
        offered = {str(option): option for option in task.options(task.read(text))}
        if not offered:
            continue
        found = GridScript().candidates(text, list(offered.values()), 5)
        plan = [str(option) for option in found[0].plan]
        draw = int(hashlib.sha256(f"{fault}{seed}{text}".encode()).hexdigest(), 16) % 1000 / 1000
        _, carrying, seen, _ = text.split("\n")
        if fault == "swaps" and draw < 1 / 3:
            other = {"red key": "blue key", "blue key": "red key"}
            turned = [_renamed(step, other) for step in plan]
            plan = turned if all(step in offered for step in turned) else plan
        elif fault == "shuts" and "door" in seen and ";" in seen:
            keys = sorted(step for step in offered if step.startswith("go_to") and "key" in step)
            plan = [step for step in plan if not step.startswith("open")] or keys[:1]
        elif fault == "drops" and "blue key" in carrying and draw < 1 / 5:
            plan = ["drop()"]
        plans = [{"plan": plan, "p": 1.0}]
        lines.append(json.dumps({"format": 1, "situation": text, "plans": plans}) + "\n")
    return lines


def _renamed(step: str, names: Mapping[str, str]) -> str:
    for name, other in names.items():
        if name in step:
            return step.replace(name, other)
    return step


def _situations() -> list[str]:
    """The texts of all situations that there can be in ColoredDoorKey."""
    texts = []
    for carried in ("nothing", "red key", "blue key"):
        lying = [key for key in ("red key", "blue key") if key != carried]
        for count in range(len(lying) + 1):
            for keys in combinations(lying, count):
                for door in ([], ["blue door (locked)"]):
                    seen = "; ".join([*keys, *door]) or "nothing"
                    begun = f"mission: open the door\ncarrying: {carried}\nseen: {seen}"
                    texts += [f"{begun}\nunexplored: {u}" for u in ("yes", "no")]
    return texts


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("levels", "wrong", "weak"))
    parser.add_argument("names", nargs="*", help="levels, providers or faults; none takes all")
    parser.add_argument("--seeds", default="0,1,2", help="default: %(default)s")
    parser.add_argument("--most", type=int, default=10**9, help="steps of a run, at most")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs side by side")
    parser.add_argument("--folder", type=Path, default=Path("runs/measured"))
    asked = parser.parse_args()
    try:
        asked.seeds = seeds_of(asked.seeds)
        {"levels": levels, "wrong": wrong, "weak": weak}[asked.what](asked)
    except UserError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
