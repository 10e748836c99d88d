"""Options and arguments that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tutelage.graphs.terminal.common import completion

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Run = Annotated[Path, typer.Argument(help="A run folder.", autocompletion=completion.runs)]
Runs = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN...",
        help="Run folders, or folders in which there are some.",
        autocompletion=completion.runs,
    ),
]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="TOML or JSON file of fields.")]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any config field; see `config show`. env.NAME: an argument of your task.",
        autocompletion=completion.assignments,
    ),
]
Axis = Annotated[
    str,
    typer.Option(
        "--x",
        help="Along the curves' axis: env_steps, total (with the teacher check's) or wall_s.",
    ),
]
Prompts = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Your prompt templates' folder; `shipped`: none of yours."),
]
Provider = Annotated[
    str | None,
    typer.Option(help="The teacher: offline, openai:MODEL, …", autocompletion=completion.providers),
]
BaseUrl = Annotated[str | None, typer.Option(help="Address of an OpenAI-compatible server.")]
OwnBaseUrls = Annotated[
    list[str] | None,
    typer.Option(
        "--base-url",
        help="The run's own address, said again: your key may be sent there. Once for each.",
    ),
]
Graph = Annotated[
    str | None,
    typer.Option(help="The graph; see `graphs list`.", autocompletion=completion.graphs),
]
Env = Annotated[
    str | None,
    typer.Option(help="The task; see `envs list`.", autocompletion=completion.envs),
]
Engine = Annotated[
    str | None, typer.Option(help="What plays MiniGrid's levels: batched or gymnasium.")
]
Seed = Annotated[int | None, typer.Option(help="Seed of everything random.")]


def refuse_no_run(run: Path) -> None:
    """See that there is a run, before torch and LangGraph are imported. Raises RunFolderError."""
    from tutelage.graphs.records.run_folder import RunFolder

    RunFolder.open(run)
