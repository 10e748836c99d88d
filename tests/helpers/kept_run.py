"""A run folder that is kept with the tests, so that what is damaged in it is the same each time.

A run taught by a server that was stopped after its checkpoints 2 and 4. Its files lie in `of_a_run`
as they were written; the trace is there as the SQL that makes it. Nothing in them names a machine:
all paths are relative, so that commands are typed beside the run folder. To make them anew:

    PYTHONPATH=.package:tests python -m helpers.kept_run
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from safetensors import safe_open

from helpers.fork_server import ForkServer, Kill
from helpers.fuzzed_values import places
from helpers.key_forms import KEY
from helpers.openai_server import OpenAIServer, repeating, teach
from helpers.small_runs import SMALL

KEPT: Final = Path(__file__).with_name("of_a_run")
NOBODY: Final = "http://127.0.0.1:9/v1"
"""In place of the server's address, whose port others are given later: nobody is given this one."""
_ADDRESS: Final = re.compile(r"http://127\.0\.0\.1:\d+/v1")


def lay_out(run: Path) -> None:
    """Put the kept run folder there."""
    shutil.copytree(KEPT, run, ignore=shutil.ignore_patterns("*.sql"))
    (run / "trace.sqlite").write_bytes(_trace())


@cache
def _trace() -> bytes:
    """The trace as a database."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript((KEPT / "trace.sql").read_text("utf-8"))
        return connection.serialize()


def make(folder: Path) -> Path:
    """Make such a run in an empty folder; returns its own folder."""
    settings = {
        **SMALL,
        "cache": "plans.sqlite",
        "student.hidden": 8,
        "teacher.max_tries": 2,
        "teacher.backoff_s": 0.0,
    }
    with pytest.MonkeyPatch.context() as patch, OpenAIServer(repeating(teach(), KEY)) as teacher:
        patch.setenv("OPENAI_API_KEY", KEY)
        arguments = ["run", "--run-dir", "run", "--env", "helpers.toy_task:Corridor", "--wait"]
        arguments += ["--provider", "openai:test-model", "--base-url", teacher.base_url]
        for name, value in settings.items():
            arguments += ["--set", f"{name}={value}"]
        stop = Kill(4, "RunFolder.append_metrics:after", number=signal.SIGTERM)
        with ForkServer() as server:
            done = server.run(arguments, kill=stop, cwd=str(folder))
    assert done.code == 128 + signal.SIGTERM, done.err
    (folder / "run" / ".lock").unlink()
    return folder / "run"


def shape(run: Path) -> set[str]:
    """What a run's files are made of, whatever their values: versions, names, tables."""
    found = set()
    for path in run.rglob("*"):
        name = str(path.relative_to(run))
        if path.suffix in (".json", ".jsonl"):
            text = path.read_text("utf-8")
            lines = text.splitlines() if path.suffix == ".jsonl" else [text]
            parts = {part for line in lines for part in _parts_of(json.loads(line))}
        elif path.suffix == ".safetensors":
            with safe_open(path, "np") as tensors:
                parts = {*tensors.keys()}
        elif path.suffix == ".sqlite":
            with closing(sqlite3.connect(path)) as connection:
                parts = {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master")}
                parts.add(f"version {_version_of(connection)}")
        else:
            parts = {""}
        found |= {f"{name}: {part}" for part in parts}
    return found


def _parts_of(value: dict[str, Any]) -> Iterator[str]:
    """The names in a value of JSON, and the versions; places in lists and ids are all the same."""
    for path in places(value):
        names = ["*" if str(name).isdecimal() else name for name in path]
        if path == ("schema_version",):
            names.append(str(value["schema_version"]))
        yield ".".join(names)


def _version_of(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _main() -> None:
    """Make the kept run folder anew."""
    with tempfile.TemporaryDirectory() as folder:
        run = make(Path(folder))
        with closing(sqlite3.connect(run / "trace.sqlite")) as connection:
            lines = [*connection.iterdump(), f"PRAGMA user_version = {_version_of(connection)};"]
        (run / "trace.sqlite").unlink()
        (run / "trace.sql").write_text("\n".join(lines) + "\n", "utf-8")
        for path in (run / "trace.sql", run / "config.json"):
            path.write_text(_ADDRESS.sub(NOBODY, path.read_text("utf-8")), "utf-8")
        shutil.rmtree(KEPT, ignore_errors=True)
        shutil.copytree(run, KEPT)


if __name__ == "__main__":
    _main()
