"""The plan cache at the terminal."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path

from agents.plan_cache import PlanCache, default_cache_path
from graphs.views import listings
from graphs.views.text import console, print_json, safe


def show(file: Path | None, as_json: bool) -> None:
    """How many answers of which model the cache holds, and where it is."""
    path = file or default_cache_path()
    with closing(PlanCache(path)) as cache:
        entries = cache.entries()
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
    listings.print_rows(console(), rows, as_json=False)


def clear(file: Path | None) -> None:
    """Forget every stored answer."""
    path = file or default_cache_path()
    with closing(PlanCache(path)) as cache:
        forgotten = cache.clear()
    console().print(safe(f"{forgotten} answers forgotten in {path}"), soft_wrap=True)
