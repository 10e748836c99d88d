"""`trace`: what the teacher was asked and what came of it."""

from __future__ import annotations

from typing import Annotated

import typer

from graphs.commands.options import Json, Run

app = typer.Typer(
    help="Look into what the teacher was asked and what came of it.", no_args_is_help=True
)


@app.command("list")
def trace_list(run: Run, as_json: Json = False) -> None:
    """List the situations of a run: how often asked, what advice, what came of it.

    Example: python cli.py trace list runs/my-run
    """
    from graphs.views import text, traces

    with traces.open_trace(run) as reader:
        rows = traces.situation_rows(reader)
    if as_json:
        text.print_json(rows)
    else:
        traces.print_situations(text.console(), rows)


@app.command("show")
def trace_show(
    run: Run,
    situation: Annotated[int, typer.Argument(help="An id from `trace list`, or a signature.")],
    brief: Annotated[bool, typer.Option("--brief", help="Leave the prompt out.")] = False,
    as_json: Json = False,
) -> None:
    """Show one situation: messages, raw answers, tool calls, advice, visits, agreement.

    Example: python cli.py trace show runs/my-run 1
    """
    from graphs.views import text, traces

    with traces.open_trace(run) as reader:
        details = traces.situation_details(reader, situation)
    if as_json:
        text.print_json(details)
    else:
        traces.print_situation(text.console(), details, brief)
