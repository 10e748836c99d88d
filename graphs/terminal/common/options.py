"""Options and arguments that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from tutelage.graphs.terminal.common import completion
from tutelage.graphs.terminal.common.help import FIELDS, OUTPUT, TASK, TEACHER

_A_RUN: Final = "A run: its folder, a unique piece of its name, or @last."


def _named(run: Path | None) -> Path | None:
    """The run that was named. Raises RunFolderError."""
    from tutelage.graphs.records.run_names import find_run

    return None if run is None else find_run(str(run))


def _one_or_several(run: Path) -> Path:
    """The run, or the folder of runs, that was named. Raises RunFolderError."""
    from tutelage.graphs.records.run_names import find_run

    return find_run(str(run), with_groups=True)


def _all_named(runs: list[Path] | None) -> list[Path] | None:
    """The runs, and folders of runs, that were named. Raises RunFolderError."""
    from tutelage.graphs.records.run_names import find_run

    return None if runs is None else [find_run(str(run), with_groups=True) for run in runs]


def _each_named(runs: list[Path]) -> list[Path]:
    """The runs that were named, no folders of runs. Raises RunFolderError."""
    from tutelage.graphs.records.run_names import find_run

    return [find_run(str(run)) for run in runs]


def _named_or_to_come(run: Path) -> Path:
    """The run that was named, or the path of one that has not begun. Raises RunFolderError."""
    from tutelage.graphs.records.run_names import find_run_to_come

    return find_run_to_come(str(run))


Json = Annotated[
    bool, typer.Option("--json", help="Print JSON for machines.", rich_help_panel=OUTPUT)
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Overwrite a file that is there already.", rich_help_panel=OUTPUT),
]
Run = Annotated[
    Path,
    typer.Argument(metavar="RUN", help=_A_RUN, callback=_named, autocompletion=completion.runs),
]
RunToCome = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help=f"{_A_RUN[:-1]}; or the folder of one that has not begun yet.",
        callback=_named_or_to_come,
        autocompletion=completion.runs,
    ),
]
RunOrGroup = Annotated[
    Path,
    typer.Argument(
        metavar="RUN|COMPARISON",
        help="A run or a folder of runs: its folder, a unique piece of its name, or @last.",
        callback=_one_or_several,
        autocompletion=completion.runs,
    ),
]
Runs = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN...",
        help="Runs: their folders, folders of some, unique pieces of their names, or @last.",
        callback=_all_named,
        autocompletion=completion.runs,
    ),
]
RunsAlone = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN...",
        help="Runs: their folders, unique pieces of their names, or @last.",
        callback=_each_named,
        autocompletion=completion.runs,
    ),
]
RunsOrNone = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[RUN]...",
        help="Finished runs: their folders, folders of some, pieces of their names, or @last.",
        callback=_all_named,
        autocompletion=completion.runs,
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="TOML or JSON file of fields.", rich_help_panel=FIELDS),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any config field; see `config show`. env.NAME: an argument of your task.",
        autocompletion=completion.assignments,
        rich_help_panel=FIELDS,
    ),
]
Axis = Annotated[
    str,
    typer.Option(
        "--x",
        help="Along the curves' axis: env_steps, total (with the teacher check's) or wall_s.",
        rich_help_panel=OUTPUT,
    ),
]
Prompts = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Your prompt templates' folder; `shipped`: none of yours.",
        rich_help_panel=TEACHER,
    ),
]
Provider = Annotated[
    str | None,
    typer.Option(
        help="The teacher: offline, openai:MODEL, …",
        autocompletion=completion.providers,
        rich_help_panel=TEACHER,
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(help="Address of an OpenAI-compatible server.", rich_help_panel=TEACHER),
]
OwnBaseUrls = Annotated[
    list[str] | None,
    typer.Option(
        "--base-url",
        help="The run's own address, said again: your key may be sent there. Once for each.",
        rich_help_panel=TEACHER,
    ),
]
Graph = Annotated[
    str | None,
    typer.Option(
        help="The graph; see `graphs list`.",
        autocompletion=completion.graphs,
        rich_help_panel=TASK,
    ),
]
Env = Annotated[
    str | None,
    typer.Option(
        help="The task; see `envs list`.", autocompletion=completion.envs, rich_help_panel=TASK
    ),
]
Engine = Annotated[
    str | None,
    typer.Option(
        help="What plays MiniGrid's levels: batched or gymnasium; none takes what there is.",
        rich_help_panel=TASK,
    ),
]
Seed = Annotated[int | None, typer.Option(help="Seed of everything random.", rich_help_panel=TASK)]


def refuse_no_run(run: Path) -> None:
    """See that there is a run, before torch and LangGraph are imported. Raises RunFolderError."""
    from tutelage.graphs.records.run_folder import RunFolder

    RunFolder.open(run)


def of_run(help: str, name: str = "--run") -> Any:
    """An option that names a run. help: what it is for."""
    return typer.Option(
        name, metavar="RUN", help=help, callback=_named, autocompletion=completion.runs
    )
