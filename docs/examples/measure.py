"""Trains the worked examples with and without their scripted teacher, and prints a Markdown table.

    python measure.py                       all of them, three seeds, two runs at a time
    python measure.py taxi mountain_car     only these

Each run is the command in the example's docstring. A threshold is reached at the first of two
consecutive evaluations at or above it. Without a teacher, students have five times as many steps as
the slowest one took with a teacher. Runs that have ended are kept in --folder and not done again.
"""

import argparse
import ast
import json
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean

from tutelage.rl.rollouts.statistics import t_interval

HERE = Path(__file__).parent
RETURN, SUCCESS = ("eval_return", "mean_return"), ("eval_success", "success_rate")
THRESHOLDS = {  # by example: the score, as metrics and summary name it, and what it must reach
    "taxi": (RETURN, 7.0),
    "cliff_walking": (RETURN, -15.0),
    "acrobot": (RETURN, -100.0),
    "mountain_car": (SUCCESS, 0.95),
    "reacher": (RETURN, -6.0),
    "catch_fruit": (SUCCESS, 0.9),
    "text_world": (RETURN, 0.9),
    "crane": (SUCCESS, 0.95),
    "own_level": (SUCCESS, 0.95),
}
HEAD = """\
| example | threshold | with teacher: steps to it, mean (range) | score at the end (95 % interval) \
| longest run | without: steps | reached it | best score |
| --- | --- | --- | --- | --- | --- | --- | --- |"""


@dataclass
class Run:
    """What a run came to. reached: the steps to the threshold, None where it was not reached."""

    steps: int
    reached: int | None
    best: float
    final: float
    seconds: float


def command_of(example):
    """The arguments of the command in an example's docstring."""
    text = ast.get_docstring(ast.parse((HERE / f"{example}.py").read_text("utf-8")))
    return shlex.split(text[text.index("tutelage run") :].replace("\\\n", " "))[1:]


def train(folder, example, graph, seed, *more):
    """One run, or what is left of it in the folder."""
    path = folder.absolute() / f"{example}-{graph}-{seed}"
    if not (path / "summary.json").is_file():
        named = command_of(example)
        if graph == "student_only":  # which has nobody to wean off, and refuses what is about it
            weaned = [i for i, word in enumerate(named) if word.startswith("weaning.")]
            named = [w for i, w in enumerate(named) if i not in weaned and i + 1 not in weaned]
        command = [sys.executable, "-m", "tutelage", *named, "--graph", graph]
        command += ["--seed", str(seed), "--run-dir", str(path), *more]
        subprocess.run(command, cwd=HERE, check=True, stdout=subprocess.DEVNULL)
    (in_metrics, in_summary), threshold = THRESHOLDS[example]
    rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text("utf-8").splitlines()]
    scores = [(row["env_steps"], row[in_metrics]) for row in rows if in_metrics in row]
    reached = next((a[0] for a, b in pairwise(scores) if min(a[1], b[1]) >= threshold), None)
    best = max(score for _, score in scores)
    end = json.loads((path / "summary.json").read_text("utf-8"))
    return Run(end["env_steps"], reached, best, end["student"][in_summary], end["wall_s"])


def row_of(example, taught, alone):
    """A line of the table."""
    (_, name), threshold = THRESHOLDS[example]
    took = [run.reached for run in taught if run.reached is not None]
    steps = f"{fmean(took):,.0f} ({min(took):,} to {max(took):,})" if took else "never"
    finals = [run.final for run in taught]
    low, high = t_interval(finals) or (finals[0], finals[0])
    high = min(high, 1.0) if name == "success_rate" else high
    cells = (
        example,
        f"{name.replace('_', ' ')} {threshold:g}",
        steps if len(took) == len(taught) else f"{steps}; {len(took)} of {len(taught)} seeds",
        f"{fmean(finals):.3g} ({low:.3g} to {high:.3g})",
        f"{max(run.seconds for run in taught):.0f} s",
        f"{alone[0].steps:,}",
        f"{sum(run.reached is not None for run in alone)} of {len(alone)} seeds",
        f"{max(run.best for run in alone):.3g}",
    )
    return f"| {' | '.join(cells)} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("examples", nargs="*", default=list(THRESHOLDS), metavar="EXAMPLE")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--folder", type=Path, default=Path("runs/examples"))
    given = parser.parse_args()
    with ThreadPoolExecutor(given.jobs) as pool:

        def start(name, graph, *more):
            return [pool.submit(train, given.folder, name, graph, s, *more) for s in range(3)]

        running = {name: start(name, "teacher_student") for name in given.examples}
        taught = {name: [run.result() for run in runs] for name, runs in running.items()}
        for name, runs in taught.items():
            steps = 5 * max(run.reached or run.steps for run in runs)
            running[name] = start(name, "student_only", "--steps", str(steps))
        print(HEAD)
        for name, runs in taught.items():
            print(row_of(name, runs, [run.result() for run in running[name]]), flush=True)


if __name__ == "__main__":
    main()
