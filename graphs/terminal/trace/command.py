"""`trace`: requests to the teacher, its answers, and how the student fared there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tutelage.graphs.terminal.common import completion
from tutelage.graphs.terminal.common.options import (
    BaseUrl,
    Force,
    Json,
    Prompts,
    Provider,
    Run,
    RunToCome,
    refuse_no_run,
)

app = typer.Typer(
    help="Look into what the teacher was asked and what came of it.",
    no_args_is_help=True,
)

TraceId = Annotated[
    str, typer.Argument(metavar="ID", help="A situation (1) or a call (c1) of `trace list`.")
]


@app.command("list")
def trace_list(
    run: Run,
    what: Annotated[str, typer.Argument(help="situations, calls, or failures.")] = "situations",
    iteration: Annotated[str | None, typer.Option(help="These iterations: 5, 5..20, 5..")] = None,
    text: Annotated[str | None, typer.Option(help="Situations whose text has this in it.")] = None,
    node: Annotated[
        str | None, typer.Option(help="Calls of this node: planner, cache or fallback.")
    ] = None,
    status: Annotated[
        str | None, typer.Option(help="Calls that ended so: ok, cached, failed, timed_out, …")
    ] = None,
    cached: Annotated[
        bool | None,
        typer.Option("--cached/--not-cached", help="Calls that the plan cache replayed, or not."),
    ] = None,
    tokens: Annotated[
        str | None, typer.Option(help="Calls of so many tokens, in and out: 500.., ..100")
    ] = None,
    latency: Annotated[
        str | None, typer.Option(help="Calls that took so many seconds: 0.5..2, 10..")
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            help="Situations: visits, id, calls, failed, coverage (the share of the advice that "
            "could be carried out), agree, disagree (visits in which the student would do "
            "otherwise than its teacher), rejected, success, last (iteration of a visit). "
            "Calls: id, iteration, situation, node, status, tokens, latency, cost, started."
        ),
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="The other way round.")] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="The most rows; people get 50 without it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the situations of a run, its calls, or what failed.

    This works while the run goes on, too.

    With filters for calls, situations are those about which such calls were made. Figures are
    sorted from the largest on, all else from the least.

    Examples:

    python cli.py trace list runs/my-run

    python cli.py trace list runs/my-run --text "red key" --iteration 1..10

    python cli.py trace list runs/my-run calls --sort latency --limit 10

    python cli.py trace list runs/my-run failures --json
    """
    from tutelage.graphs.records.trace.search import Wanted
    from tutelage.graphs.terminal.trace import listing as view

    wanted = Wanted(
        iteration=view.span_of("--iteration", iteration),
        text=text,
        node=node,
        status=status,
        cached=cached,
        tokens=view.span_of("--tokens", tokens),
        latency_s=view.span_of("--latency", latency),
    )
    view.show(run, what, wanted, sort, reverse, limit, as_json)


@app.command("show")
def trace_show(
    run: Run,
    id: TraceId,
    brief: Annotated[bool, typer.Option("--brief", help="Leave the prompts out.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="The whole system prompt and the model's reasoning.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show a situation or a call with all that belongs to it.

    It shows prompt, messages, plans, advice, and the student there.

    A long system prompt is folded, and so is a model's reasoning.

    Examples:

    python cli.py trace show runs/my-run 1

    python cli.py trace show runs/my-run c1 --full
    """
    from tutelage.graphs.terminal.trace import show as view

    view.show(run, id, brief, full, as_json)


@app.command("open")
def trace_open(run: Run) -> None:
    """Browse a run's trace full-screen.

    It has a search, maps, plans, and the student beside its teacher.

    Also while the run goes on. The keys are those of `less` and `vim`; `?` lists them.

    Example: python cli.py trace open runs/my-run
    """
    from tutelage.graphs.terminal.trace.browser import open_browser

    open_browser(run)


@app.command("follow")
def trace_follow(
    run: RunToCome,
    last: Annotated[
        int, typer.Option(min=0, help="How much of what is there already comes first.")
    ] = 10,
    as_json: Json = False,
) -> None:
    """Show what happens in a run as it happens, until it ends.

    Ctrl-C leaves the run alone.

    Waits for a run that has not begun yet. With --json, a JSON object a line.

    Example: python cli.py trace follow runs/my-run
    """
    from tutelage.graphs.terminal.trace import follow as view

    raise typer.Exit(view.show(run, last, as_json))


@app.command("stats")
def trace_stats(run: Run, as_json: Json = False) -> None:
    """Show cost, cache hits, failures, latency, and agreement.

    Agreement is shown over time and by situation.

    Example: python cli.py trace stats runs/my-run
    """
    from tutelage.graphs.terminal.trace import stats as view

    view.show(run, as_json)


@app.command("diff")
def trace_diff(
    a: Annotated[
        str,
        typer.Argument(
            metavar="RUN[:ID]",
            help="A run, as elsewhere; or a situation or a call of it.",
            autocompletion=completion.runs,
        ),
    ],
    b: Annotated[
        str,
        typer.Argument(
            metavar="RUN[:ID]",
            help="What it is compared with, of the same kind.",
            autocompletion=completion.runs,
        ),
    ],
    as_json: Json = False,
) -> None:
    """Show where two calls or two runs differ.

    Prompt, answer and advice are compared, those of two runs by situation.

    Examples:

    python cli.py trace diff runs/my-run:c1 runs/my-run:c2

    python cli.py trace diff runs/my-run runs/other-run
    """
    from tutelage.graphs.terminal.trace import diff as view

    view.show(a, b, as_json)


@app.command("replay")
def trace_replay(
    run: Run,
    id: TraceId,
    provider: Provider = None,
    base_url: BaseUrl = None,
    prompts: Prompts = None,
    as_json: Json = False,
) -> None:
    """Ask about a situation again, and show what differs.

    It may be asked of another teacher, or with other prompts.

    The run folder stays as it is, and no cache is used. It says what the answer has cost. It asks
    with the prompts that `run` would use now, and says where they differ from the recorded ones.

    Examples:

    python cli.py trace replay runs/my-run 1 --prompts my_prompts

    python cli.py trace replay runs/my-run c1 --provider openai:MODEL
    """
    refuse_no_run(run)
    from tutelage.graphs.terminal.trace import diff as view

    raise typer.Exit(view.show_replay(run, id, provider, base_url, prompts, as_json))


@app.command("export")
def trace_export(
    run: Run,
    file: Annotated[
        Path | None, typer.Argument(help="Where to; standard output without it.")
    ] = None,
    force: Force = False,
) -> None:
    """Write each request as an OpenTelemetry span, a JSON line each.

    It has gen_ai.* attributes.

    A collector's otlpjsonfile receiver reads the file.

    Example: python cli.py trace export runs/my-run spans.jsonl
    """
    from tutelage.graphs.terminal.trace import export as view

    view.export(run, file, force)
