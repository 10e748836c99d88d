"""`eval`: a run's student, and its teacher, on held-out episodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress
from rich.table import Table

from tutelage.graphs.terminal.common import completion
from tutelage.graphs.terminal.common.help import TASK, TEACHER, GroupedCommand
from tutelage.graphs.terminal.common.options import Json, OwnBaseUrls, Run, refuse_no_run
from tutelage.graphs.terminal.common.text import console, print_json, safe

if TYPE_CHECKING:
    from tutelage.graphs.analysis.evaluation import RunTest, TeacherTest

app = typer.Typer()


@app.command("eval", cls=GroupedCommand)
def evaluate(
    run: Run,
    episodes: Annotated[
        int, typer.Option(min=1, help="Episodes, each way.", rich_help_panel=TASK)
    ] = 1000,
    env: Annotated[
        str | None,
        typer.Option(
            help="The task; none takes the run's own.",
            show_default=False,
            autocompletion=completion.envs,
            rich_help_panel=TASK,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="The seed; none takes the run's own.", show_default=False, rich_help_panel=TASK
        ),
    ] = None,
    teacher: Annotated[
        bool,
        typer.Option(
            "--teacher",
            help="Test the teacher too, acting through its options.",
            rich_help_panel=TEACHER,
        ),
    ] = False,
    base_url: OwnBaseUrls = None,
    as_json: Json = False,
) -> None:
    """Test a run's student alone, on episodes never seen in training.

    Examples:

    python cli.py eval runs/my-run --episodes 1000

    python cli.py eval runs/my-run --env LavaDoorKey --teacher
    """
    refuse_no_run(run)
    from pydantic import TypeAdapter

    from tutelage.graphs.analysis.evaluation import RunTest
    from tutelage.graphs.terminal.run.summary import student_rows

    test = _evaluated(run, episodes, env, seed, teacher, base_url or [])
    if as_json:
        print_json(TypeAdapter(RunTest).dump_python(test, mode="json"))
        return
    table = Table(title=safe(f"{test.env}, seed {test.seed}"), show_header=False)
    if test.student is not None:
        _add(table, student_rows(test.student))
    if test.teacher is not None:
        table.add_section()
        _add(table, _teacher_rows(test.teacher))
    console().print(table)


def _add(table: Table, rows: Iterable[tuple[str, str]]) -> None:
    for name, value in rows:
        table.add_row(safe(name, "dim"), safe(value))


def _evaluated(
    run: Path,
    episodes: int,
    env: str | None,
    seed: int | None,
    teacher: bool,
    base_urls: Sequence[str],
) -> RunTest:
    """The evaluation, with progress on a terminal and nothing at all elsewhere."""
    from tutelage.graphs.analysis.evaluation import config_of, evaluate_run
    from tutelage.graphs.config.events import Event, Notice
    from tutelage.graphs.registry import find_graph
    from tutelage.graphs.terminal.run.dialogue import TerminalPerson

    err = console(stderr=True)
    ways = 2 * find_graph(config_of(run).graph).learns + teacher
    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("playing", total=ways * episodes)
        before = latest = 0

        def advance(ended: int) -> None:
            nonlocal before, latest
            if ended < latest:  # the count begins anew with the next way of playing
                before += episodes
            latest = ended
            progress.update(task, completed=before + ended)

        def tell(event: Event) -> None:
            if isinstance(event, Notice):
                err.print(safe(event.text, "yellow"), soft_wrap=True)

        return evaluate_run(
            run, episodes, env, seed, teacher, advance, tell, TerminalPerson, base_urls
        )


def _teacher_rows(test: TeacherTest) -> list[tuple[str, str]]:
    from tutelage.graphs.terminal.run.summary import return_and_length, solved

    return [
        (f"teacher alone ({test.provider})", solved(test.result)),
        ("episode return, length", return_and_length(test.result)),
        ("steps without advice", f"{test.unadvised_steps:,}"),
        (
            "asked",
            f"{test.calls:,} calls, {test.cache_hits:,} situations from the cache, "
            f"{test.failures:,} failed",
        ),
    ]
