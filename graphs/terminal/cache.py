"""`cache`: the cache of the teacher's answers."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from tutelage.agents.common.invocation import hint
from tutelage.graphs.terminal.common.options import Force, Json, of_run
from tutelage.graphs.terminal.common.tables import print_rows
from tutelage.graphs.terminal.common.text import console, print_json, safe
from tutelage.graphs.terminal.common.written import tell_written

CacheFile = Annotated[Path | None, typer.Option(help="The cache; none for your own.")]

app = typer.Typer(help="See or empty the cache of the teacher's answers.", no_args_is_help=True)


@app.command("show")
def cache_show(
    file: CacheFile = None,
    as_json: Json = False,
) -> None:
    """Show what the plan cache holds.

    Example: python cli.py cache show
    """
    from tutelage.agents.common.redact import value_redactor
    from tutelage.agents.store.plan_cache import PlanCache, default_cache_path

    path = file or default_cache_path()
    with closing(PlanCache(path)) as cache:
        entries = list(cache.entries().values())
    counts = Counter((entry.provider, entry.model) for entry in entries)
    found = [
        {
            "provider": provider,
            "model": model,
            "answers": count,
            "latest": max(e.date for e in entries if (e.provider, e.model) == (provider, model)),
        }
        for (provider, model), count in counts.most_common()
    ]
    rows = value_redactor()(found)
    if as_json:
        print_json({"file": str(path), "entries": rows})
        return
    console().print(safe(str(path)), soft_wrap=True)
    print_rows(rows, as_json=False)


@app.command("export")
def cache_export(
    target: Annotated[Path, typer.Argument(help="The JSON lines to write.", metavar="FILE")],
    run: Annotated[Path | None, of_run("Only the answers behind this run.")] = None,
    file: CacheFile = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write recorded answers, to be replayed, shared or imported.

    No key and no secret is in them.

    Example: python cli.py cache export answers.jsonl --run runs/my-run
    """
    from tutelage.agents.store.plan_cache import PlanCache, default_cache_path
    from tutelage.agents.store.recordings import of_entry, write_recording
    from tutelage.graphs.analysis.recorded import answers_behind
    from tutelage.graphs.records.outputs import check_output

    check_output(target, force)
    if run is not None:
        answers, left_out = answers_behind(run), 0
    else:
        with closing(PlanCache(file or default_cache_path())) as cache:
            found = [of_entry(key, entry) for key, entry in cache.entries().items()]
        answers = [answer for answer in found if answer is not None]
        left_out = len(found) - len(answers)
    write_recording(target, answers)
    if as_json:
        print_json({"file": str(target), "answers": len(answers), "left_out": left_out})
        return
    tell_written(target, f"{len(answers)} answers")
    if left_out:
        console().print(safe(f"{left_out} left out: their messages name no situation", "yellow"))
    if answers:
        line = hint("run", "--provider", f"replay:{target}")
        console().print(Text("next: "), safe(line, "bold"), soft_wrap=True)


@app.command("import")
def cache_import(
    source: Annotated[Path, typer.Argument(help="Recorded answers, JSON lines.", metavar="FILE")],
    file: CacheFile = None,
    as_json: Json = False,
) -> None:
    """Take recorded answers into the cache.

    All lines are taken, or none where one is bad.

    Example: python cli.py cache import answers.jsonl
    """
    from tutelage.agents.common.redact import redact
    from tutelage.agents.store.plan_cache import CacheEntry, PlanCache, default_cache_path
    from tutelage.agents.store.recordings import RecordingError, read_recording

    problems, answers = [], {}
    try:
        answers = read_recording(source)
    except RecordingError as error:
        problems = error.problems
    entries: dict[str, CacheEntry] = {}
    for number, answer in answers.items():
        if answer.key is None:
            problems.append(
                f"{source}, line {number}: no key, so no run would find it in a cache; teach from "
                f"it with --provider replay:{source}"
            )
        elif entries.setdefault(answer.key, answer.entry()).advice != answer.advice:
            problems.append(f"{source}, line {number}: another line has its key, and other plans")
    if problems:
        for problem in problems:
            console(stderr=True).print(safe(redact(problem), "red"), soft_wrap=True)
        many = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        line = f"nothing was taken: {many} in {source}"
        console(stderr=True).print(safe(line), soft_wrap=True)
        raise typer.Exit(2)
    path = file or default_cache_path()
    with closing(PlanCache(path)) as cache:
        there = cache.get_many(entries)
        cache.put_many({key: entry for key, entry in entries.items() if key not in there})
    new = len(entries) - len(there)
    if as_json:
        print_json({"file": str(path), "answers": new, "known": len(there)})
        return
    console().print(
        safe(f"{new} answers taken into {path}, {len(there)} were there already"), soft_wrap=True
    )


@app.command("clear")
def cache_clear(
    file: CacheFile = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Forget every stored answer.

    The teacher is then asked, and paid, again.

    Example: python cli.py cache clear --yes
    """
    from tutelage.agents.store.plan_cache import PlanCache, default_cache_path

    if not yes:
        typer.confirm("Forget every stored answer?", abort=True, err=as_json)
    path = file or default_cache_path()
    with closing(PlanCache(path)) as cache:
        forgotten = cache.clear()
    if as_json:
        print_json({"file": str(path), "answers": forgotten})
        return
    console().print(safe(f"{forgotten} answers forgotten in {path}"), soft_wrap=True)
