"""Damage to the files of a run: bytes, values of JSON, cells and tables of SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from hypothesis import strategies as st

from helpers.fuzzed_values import DEEP, ODD, Draw, places, replaced
from tutelage.graphs.records.checkpoints import digest_of

_ANY: Final = st.one_of(ODD, DEEP, st.just(...))
_NUMBERS: Final = st.integers(0, 2**31)

TABLES: Final = ("situations", "calls", "advice", "visits", "examples", "events")
_CELLS: Final = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.binary(max_size=20),
    ODD.map(lambda value: value if isinstance(value, str) else json.dumps(value)),
    st.integers(1, 5000).map(lambda depth: "[" * depth + "]" * depth),
    DEEP.map(json.dumps),
)


def of_cells(draw: Draw, path: Path) -> None:
    """Other values in cells of a trace, rows and tables that are gone."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # the disk need not keep up
        for _ in range(draw(st.integers(1, 4))):
            table = draw(st.sampled_from(TABLES))
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            column = draw(st.sampled_from(columns or ["id"]))
            statement = draw(
                st.sampled_from(
                    [
                        *[f"UPDATE {table} SET {column} = ?1"] * 12,
                        f"UPDATE {table} SET {column} = ?1 WHERE rowid = 1",
                        f"DELETE FROM {table}",
                        f"DROP TABLE {table}",
                        f"ALTER TABLE {table} DROP COLUMN {column}",
                        f"ALTER TABLE {table} RENAME COLUMN {column} TO other",
                        "PRAGMA user_version = 99",
                        f"CREATE VIEW other AS SELECT * FROM {table}",
                        "PRAGMA writable_schema = 1",
                        "UPDATE sqlite_master SET sql = ?1",
                    ]
                )
            )
            value = draw(_CELLS)
            if isinstance(value, str):
                value = value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
            with suppress(sqlite3.Error):  # what SQLite does not take is no damage
                connection.execute(statement, (value,) if "?1" in statement else ())


def of_bytes(draw: Draw, path: Path) -> None:
    """A part of a file changed, cut off, or put in twice; or all of it something else."""
    content = path.read_bytes() if path.is_file() else b""
    at = draw(_NUMBERS) % (len(content) + 1)
    new = draw(st.one_of(st.binary(max_size=40), st.sampled_from([b"\0" * 4096, b"[" * 100_000])))
    kind = draw(st.sampled_from(["changed", "cut", "put in", "other"]))
    forms = {
        "changed": content[:at] + new + content[at + len(new) :],
        "cut": content[:at],
        "put in": content[:at] + new + content[at:],
        "other": new,
    }
    path.write_bytes(forms[kind])


def of_values(draw: Draw, path: Path) -> None:
    """Other values in a file of JSON, or of lines of it; a checkpoint's record keeps its digest."""
    lines = path.read_bytes().splitlines() if path.suffix == ".jsonl" else [path.read_bytes()]
    if not lines:
        return
    at = draw(_NUMBERS) % len(lines)
    value = json.loads(lines[at])
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(value))
        if found:
            replaced(value, found[draw(_NUMBERS) % len(found)], draw(_ANY))
    if isinstance(value, dict) and isinstance(value.get("record"), dict | list):
        with suppress(ValueError, RecursionError):  # such a record has no digest
            value["record_sha256"] = digest_of(value["record"])
    lines[at] = json.dumps(value).encode()
    path.write_bytes(b"\n".join(lines) + b"\n")


def of_kind(draw: Draw, path: Path) -> None:
    """No file, or a folder, a link or nothing in its place."""
    path.unlink(missing_ok=True)
    match draw(st.sampled_from(["gone", "folder", "link", "empty"])):
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to(path.with_name("nowhere"))
        case "empty":
            path.touch()


def damage(draw: Draw, run: Path) -> None:
    """Damage one or two files of a run's folder."""
    names = sorted(str(p.relative_to(run)) for p in run.rglob("*") if p.is_file())
    names = [name for name in names if not name.endswith((".lock", "-shm", "-wal"))]
    for name in draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True)):
        kinds: list[Callable[[Draw, Path], None]] = [of_bytes, of_kind]
        if name.endswith((".json", ".jsonl")):
            kinds += [of_values] * 6
        if name.endswith(".sqlite"):
            kinds += [of_cells] * 4
        draw(st.sampled_from(kinds))(draw, run / name)
