"""An evaluation at the terminal: progress while episodes are played, then the figures."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from graphs.evaluation import evaluate_run
from graphs.views.results import student_rows
from graphs.views.text import console, print_json, safe


def show(run: Path, episodes: int, env: str | None, seed: int | None, as_json: bool) -> None:
    """Evaluate the student of a run and print how it did."""
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("sampled, then argmax actions", total=2 * episodes)
        ways = {"before": 0, "ended": 0}

        def advance(ended: int) -> None:
            if ended < ways["ended"]:  # the count begins anew for the second way
                ways["before"] = episodes
            ways["ended"] = ended
            progress.update(task, completed=ways["before"] + ended)

        result = evaluate_run(run, episodes, env, seed, advance)
    student = result["student"]
    if as_json:
        print_json({**result, "student": student.model_dump(mode="json")})
        return
    table = Table(title=safe(f"{result['env']}, seed {result['seed']}"), show_header=False)
    for name, value in student_rows(student):
        table.add_row(safe(name, "dim"), safe(value))
    console().print(table)
