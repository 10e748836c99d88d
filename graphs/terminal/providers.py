"""`providers`: the teachers that can be asked, what they cost, and whether one works."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tutelage.agents.common.invocation import hint
from tutelage.agents.common.redact import json_writer, redact
from tutelage.graphs.terminal.common import completion
from tutelage.graphs.terminal.common.options import (
    Assignments,
    BaseUrl,
    ConfigFile,
    Env,
    Json,
    Prompts,
    Seed,
)
from tutelage.graphs.terminal.common.tables import print_rows
from tutelage.graphs.terminal.common.text import console, print_json, safe

if TYPE_CHECKING:
    from tutelage.agents.exam.check import Check
    from tutelage.graphs.analysis.needs import Need

app = typer.Typer(help="See and try the teachers that can be asked.", no_args_is_help=True)


@app.command("list")
def providers_list(as_json: Json = False) -> None:
    """List well-known teachers, and what each of them still needs.

    It says whether package and key are there, and what to install.

    Example: python cli.py providers list
    """
    from tutelage.agents.providers.catalogue import list_providers

    rows: list[dict[str, Any]] = [
        {
            "name": info.name,
            "package": info.package,
            "installed": info.installed,
            "install": info.install,
            "key": " or ".join(info.key_variables) or None,
            "key_present": info.key_present,
        }
        for info in list_providers()
    ]
    if as_json:
        print_json(rows)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("name", "package", "installed", "key"):
        # Names are typed and copied: the others give way in a narrow terminal.
        table.add_column(heading, overflow="fold", no_wrap=heading in ("name", "package"))
    for row in rows:
        table.add_row(
            safe(row["name"]),
            safe(row["package"]),
            safe("yes", "green") if row["installed"] else safe(row["install"], "yellow"),
            _key_cell(row["key"], row["key_present"]),
        )
    console().print(table)
    line = f"does one work? {hint('providers', 'check', 'NAME')}"
    console().print(Text(line, style="dim"), soft_wrap=True)


@app.command("prices")
def providers_prices(as_json: Json = False) -> None:
    """List the prices that are known, and say where yours go.

    Example: python cli.py providers prices
    """
    from tutelage.agents.client.prices import list_prices, own_file

    rows = [
        {
            "provider": row.provider,
            "model": row.model,
            "usd_per_million_prompt_tokens": row.price.input_usd,
            "usd_per_million_completion_tokens": row.price.output_usd,
            "checked": None if row.checked is None else str(row.checked),
            "file": str(row.file),
        }
        for row in list_prices()
    ]
    if as_json:
        print_json({"own_file": str(own_file()), "prices": rows})
        return
    columns = {
        "provider": "provider",
        "model": "model",
        "USD per million in": "usd_per_million_prompt_tokens",
        "out": "usd_per_million_completion_tokens",
        "checked": "checked",
    }
    print_rows(rows, as_json=False, columns=columns)
    console().print(safe(f"yours go into {own_file()}", "dim"), soft_wrap=True)


@app.command("check")
def providers_check(
    name: Annotated[
        str,
        typer.Argument(
            help="As for `run --provider`: openai:MODEL, offline, replay:FILE, …",
            autocompletion=completion.providers,
        ),
    ],
    base_url: BaseUrl = None,
    env: Env = None,
    prompts: Prompts = None,
    seed: Seed = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    as_json: Json = False,
) -> None:
    """Ask a teacher about one real situation.

    It shows how the teacher answers, how fast, and at what cost, and what a run on the task may
    need: situations, requests, tokens and dollars.

    Exit code 0 where advice came out, 1 where none did, 2 for a mistake to be mended first.

    Examples:

    python cli.py providers check offline

    python cli.py providers check openai:MODEL --base-url http://localhost:8000/v1
    """
    from tutelage.agents.exam.check import check
    from tutelage.agents.providers.human import human_behind
    from tutelage.agents.providers.replay import make_provider
    from tutelage.graphs.analysis.needs import need_of
    from tutelage.graphs.config.config import make_config
    from tutelage.graphs.runtime.run_spec import checked_library
    from tutelage.graphs.runtime.tasks import task_of
    from tutelage.graphs.terminal.run.dialogue import TerminalPerson
    from tutelage.rl.rollouts.example_states import rich_state
    from tutelage.rl.teaching.scouting import MOST_SCOUTS, scout

    options = {
        "provider": name,
        "base_url": base_url,
        "env": env,
        "prompts": prompts,
        "seed": seed,
    }
    chosen = make_config(config, assignments or [], options)
    settings = chosen.teacher
    task = task_of(chosen)
    provider = make_provider(chosen.provider, chosen.base_url, settings, task)
    library = checked_library(chosen.prompts)
    example = rich_state(task, chosen.seed)
    if not as_json:
        console().print(safe(f"{provider.name} · {task.name} · one situation", "bold"))
    human = human_behind(provider)
    if human is not None:
        human.attach(TerminalPerson(lambda _event: None))
        human.illustrate({task.describe(example.situation_id): example.picture})
        result = check(task, example.situation_id, library, provider, settings)
    else:
        with console(stderr=True).status("asking"):
            result = check(task, example.situation_id, library, provider, settings)
    need = None
    if result.works and result.requests and human is None:
        with console(stderr=True).status("looking for the situations of a run"):
            most = settings.calls_of(bounded=not provider.wait_always)
            need = need_of(scout(task, MOST_SCOUTS, chosen.seed), MOST_SCOUTS, result, most)
    if as_json:
        told = {**result.to_json(), "run": None if need is None else need.to_json()}
        # What a server says may hold the key that it was sent.
        print_json(json.loads(json_writer()(told)))
    else:
        _print_check(result, chosen.provider)
        for name, value in [] if need is None else _needs(need):
            console().print(Text(f"{name:<12}", style="dim"), safe(value), soft_wrap=True)
    raise typer.Exit(0 if result.works else 1)


def _print_check(result: Check, provider: str) -> None:
    from tutelage.agents.client.cures import what_next
    from tutelage.agents.providers.catalogue import keys_at_hand, variables_of

    out = console()
    out.print(Panel(safe(result.situation), title="what the teacher is told", expand=False))
    for call in result.requests:
        good = call.error is None
        settings = ", ".join(f"{name} {value}" for name, value in call.settings.items())
        line = f"{'✓' if good else '✗'} {call.status} after {call.latency_s:.2f} s · {settings}"
        out.print(safe(line, "green" if good else "red"), soft_wrap=True)
        if call.error:
            out.print(safe(f"  {redact(call.error)}", "red"), soft_wrap=True)
    for name, value in _figures(result):
        out.print(Text(f"{name:<12}", style="dim"), safe(value), soft_wrap=True)
    advice = result.answer.advice
    for plan, p in zip(advice.plans, advice.probs, strict=True) if advice else ():
        out.print(safe(f"  {p:.2f}  {' → '.join(map(str, plan))}", "cyan"), soft_wrap=True)
    if not result.works and result.answer.failure is not None:
        keys = keys_at_hand(provider) or variables_of(provider.partition(":")[0])
        said = next((call.error for call in reversed(result.requests) if call.error), "")
        hints = what_next(result.answer.failure, keys, said)
        out.print(safe(f"{result.answer.failure}: {hints}", "bold red"), soft_wrap=True)


def _figures(result: Check) -> list[tuple[str, str]]:
    tokens_in, tokens_out = result.tokens()
    counted = "not counted" if tokens_in is None else f"{tokens_in:,} in, {tokens_out:,} out"
    cost = "not known" if result.cost_usd is None else f"{result.cost_usd:.6f} USD"
    source = f" ({result.price_source})" if result.price_source else ""
    output_mode = result.answer.output_mode if result.works and result.requests else "none"
    return [
        ("asked by", output_mode),
        ("requests", f"{len(result.requests)} in {result.latency_s:.2f} s"),
        ("tokens", counted),
        ("cost", f"{cost}{source}"),
        ("advice", "" if result.works else "none"),
    ]


def _needs(need: Need) -> list[tuple[str, str]]:
    """What a run may need, as figures with their uncertainty."""
    least, most = need.situations
    parts = [
        f"about {_span(need.over_all(1))} situations",
        f"{_span(need.over_all(need.requests))} requests",
    ]
    if need.tokens_in is not None and need.tokens_out is not None:
        parts.append(f"{_span(need.over_all(need.tokens_in + need.tokens_out))} tokens")
    cost = need.over_all(need.cost_usd)
    parts.append("cost not known" if cost is None else f"{_span(cost, money=True)} USD")
    unsure = "a taught student may come to a few more"
    if most > 2 * least:
        unsure = (
            f"a wide guess: random options met {least:,} in a moment, nearly all of them new, and "
            "a run asks about what its student comes to"
        )
    rows = [("a run here", f"{', '.join(parts)} ({unsure})")]
    if need.most_requests is not None:
        usd = "" if not need.bounded_usd else f", {_money(need.bounded_usd)} USD"
        rows.append(
            ("its bound", f"{need.most_requests:,} requests{usd}; --budget-calls sets another")
        )
    return rows


def _span(span: tuple[float, float] | None, money: bool = False) -> str:
    """From one figure to another, each to two digits where it is large."""
    least, most = span or (0.0, 0.0)
    figures = list(dict.fromkeys(_money(v) if money else _rounded(v) for v in (least, most)))
    return " to ".join(figures)


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if value < 1000 else f"{float(f'{value:.2g}'):,.0f}"


def _money(usd: float) -> str:
    return f"{usd:.2f}" if usd >= 1 else f"{usd:.2g}"


def _key_cell(variables: str | None, present: bool) -> Text:
    if variables is None:
        return safe("none needed", "dim")
    if present:
        return safe(f"{variables}, set", "green")
    return safe(f"{variables}, not set", "yellow")
