"""`trace`: what the teacher was asked and what came of it."""

from __future__ import annotations

from typing import Annotated

import typer

from graphs.commands.options import Json, Run

app = typer.Typer(
    help="Look into what the teacher was asked and what came of it.", no_args_is_help=True
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
            help="Situations: visits, id, calls, failed, m, agree, success. "
            "Calls: id, iteration, situation, node, status, tokens, latency, cost, started."
        ),
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="The other way round.")] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="The most rows; people get 50 without it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the situations of a run, its calls, or what failed; also while it goes on.

    With filters for calls, situations are those about which such calls were made. Figures are
    sorted from the largest on, all else from the least.

    Examples:

    python cli.py trace list runs/my-run

    python cli.py trace list runs/my-run --text "red key" --iteration 1..10

    python cli.py trace list runs/my-run calls --sort latency --limit 10

    python cli.py trace list runs/my-run failures --json
    """
    from graphs.views import trace_list as view
    from rl.trace_search import Wanted

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
    as_json: Json = False,
) -> None:
    """Show a situation or a call: prompt, turns, plans, advice, and what came of it.

    Examples:

    python cli.py trace show runs/my-run 1

    python cli.py trace show runs/my-run c1 --brief
    """
    from graphs.views import trace_show as view

    view.show(run, id, brief, as_json)


@app.command("open")
def trace_open(run: Run) -> None:
    """Browse a run's trace full-screen: search, maps, plans, and the student beside its teacher.

    Also while the run goes on. The keys are those of `less` and `vim`; `?` lists them.

    Example: python cli.py trace open runs/my-run
    """
    from graphs.views.browser import open_browser

    open_browser(run)
