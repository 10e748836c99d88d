"""The plan cache at the terminal."""

from __future__ import annotations

import shlex
from collections import Counter
from contextlib import closing
from pathlib import Path

from rich.text import Text

from tutelage.agents.store.plan_cache import CacheEntry, PlanCache, default_cache_path
from tutelage.agents.store.recordings import (
    RecordingError,
    of_entry,
    read_recording,
    write_recording,
)
from tutelage.graphs.analysis.recorded import answers_behind
from tutelage.graphs.terminal.common import tables
from tutelage.graphs.terminal.common.text import console, print_json, safe


def show(file: Path | None, as_json: bool) -> None:
    """How many answers of which model the cache holds, and where it is."""
    path = file or default_cache_path()
    with closing(PlanCache(path)) as cache:
        entries = list(cache.entries().values())
    counts = Counter((entry.provider, entry.model) for entry in entries)
    rows = [
        {
            "provider": provider,
            "model": model,
            "answers": count,
            "latest": max(e.date for e in entries if (e.provider, e.model) == (provider, model)),
        }
        for (provider, model), count in counts.most_common()
    ]
    if as_json:
        print_json({"file": str(path), "entries": rows})
        return
    console().print(safe(str(path)), soft_wrap=True)
    tables.print_rows(console(), rows, as_json=False)


def export(target: Path, run: Path | None, file: Path | None) -> None:
    """Write a run's answers, or all of a cache, as JSON lines."""
    if run is not None:
        answers, left_out = answers_behind(run), 0
    else:
        with closing(PlanCache(file or default_cache_path())) as cache:
            found = [of_entry(key, entry) for key, entry in cache.entries().items()]
        answers = [answer for answer in found if answer is not None]
        left_out = len(found) - len(answers)
    write_recording(target, answers)
    console().print(safe(f"{len(answers)} answers written to {target}"), soft_wrap=True)
    if left_out:
        console().print(safe(f"{left_out} left out: their messages name no situation", "yellow"))
    if answers:
        hint = f"python cli.py run --provider {shlex.quote(f'replay:{target}')}"
        console().print(Text("next: "), safe(hint, "bold"), soft_wrap=True)


def take_in(source: Path, file: Path | None) -> bool:
    """Take recorded answers into a cache, all of them or none; whether it did.

    What the cache has already stays as it is.
    """
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
            console(stderr=True).print(safe(problem, "red"), soft_wrap=True)
        many = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        line = f"nothing was taken: {many} in {source}"
        console(stderr=True).print(safe(line), soft_wrap=True)
        return False
    path = file or default_cache_path()
    with closing(PlanCache(path)) as cache:
        there = cache.get_many(entries)
        cache.put_many({key: entry for key, entry in entries.items() if key not in there})
    new = len(entries) - len(there)
    console().print(
        safe(f"{new} answers taken into {path}, {len(there)} were there already"), soft_wrap=True
    )
    return True


def clear(file: Path | None) -> None:
    """Forget every stored answer."""
    path = file or default_cache_path()
    with closing(PlanCache(path)) as cache:
        forgotten = cache.clear()
    console().print(safe(f"{forgotten} answers forgotten in {path}"), soft_wrap=True)
