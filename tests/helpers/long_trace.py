"""A trace of a hundred thousand calls, each with a conversation, made in about a second."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.trace.writer import TraceWriter

ROWS = 100_000
SITUATIONS = 500
STATUSES = ("ok",) * 17 + ("cached", "timed_out", "unusable_answer")


def make_long_run(path: Path) -> RunFolder:
    """A run folder with such a trace; call i is about situation i % 500, in iteration i // 100."""
    folder = RunFolder.create(path)
    folder.write_config({})
    with TraceWriter(folder.trace) as writer:
        writer.situations({s: f"mission: {s}\nseen: Key {s % 7}" for s in range(SITUATIONS)})
        writer.commit()
    messages = json.dumps([{"role": "user", "content": "where am I? " * 60}])
    with closing(sqlite3.connect(folder.trace)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.executemany(
            "INSERT INTO calls (iteration, env_steps, situation_id, provider, model, attempt,"
            " status, error, messages, tools, settings, answers, plans, prompt_tokens,"
            " completion_tokens, started_at, latency_s, node) VALUES (?, ?, ?, 'openai:m', 'm', 1,"
            " ?, ?, ?, '[]', '{}', '[]', '[]', ?, ?, ?, ?, ?)",
            (
                (
                    i // 100,
                    i // 100 * 2048,
                    i % SITUATIONS,
                    (status := STATUSES[i % len(STATUSES)]),
                    "no answer" if status not in ("ok", "cached") else None,
                    messages,
                    800 + i % 97,
                    i % 13,
                    1.7e9 + i,
                    (i * 7919 % ROWS) / 1000,
                    "cache" if status == "cached" else "planner",
                )
                for i in range(ROWS)
            ),
        )
    return folder
