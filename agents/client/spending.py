"""What a run has spent, written down as it is spent: a process that is killed forgets nothing.

A line of the file is JSON with what one request, one answer or one look into the cache has added.
A request is written down before it is sent.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Annotated, BinaryIO, Final, Self

from pydantic import Field, TypeAdapter, ValidationError

from tutelage.agents.common.files import cut_torn_line, explained

Count = Annotated[int, Field(ge=0)]
Dollars = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Spending:
    """What was spent, by one request or in all.

    calls: requests, answered or not. usd: the cost of answers whose cost is known; unpriced: how
    many others there are. cache_hits: answers that the plan cache has spared.
    """

    calls: Count = 0
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    usd: Dollars = 0.0
    unpriced: Count = 0
    cache_hits: Count = 0

    def __add__(self, other: Spending) -> Spending:
        return Spending(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def beyond(self, other: Spending) -> Spending:
        """What it has more than the other, in each figure."""
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Spending(*(max(a - b, 0) for a, b in pairs))


_SPENDING: Final = TypeAdapter(Spending)
_LINE_LIMIT: Final = 1 << 10
"""Bytes of the longest line that is read."""


class Ledger:
    """Adds up what a run spends. May be used by many threads at once.

    path: of the file that it is written to, and goes on from; None for none. total: all so far.
    problem: what is wrong with the file, in a line; None where all of it can be read. Raises
    RunFolderError where the file cannot be read or written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.total = Spending()
        self.problem: str | None = None
        self._path = path
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self._closed = False
        if path is not None and path.exists():
            self._read(path)

    def add(self, spent: Spending) -> None:
        """Write down what was spent; it counts once that is done."""
        with self._lock:
            if self._path is not None and not self._closed:
                self._write(self._path, spent)
            self.total += spent

    def make_up_for(self, known: Spending) -> None:
        """Add what is known to have been spent and was not written down."""
        missing = known.beyond(self.total)
        if missing != Spending():
            self.add(missing)

    def close(self) -> None:
        """Close the file. A request that is left behind adds nothing to it any more."""
        with self._lock:
            self._closed = True
            if self._file is not None:
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, path: Path, spent: Spending) -> None:
        values = {
            field.name: value for field in fields(spent) if (value := getattr(spent, field.name))
        }
        with explained("write", path):
            if self._file is None:
                self._file = path.open("ab+", buffering=0)
                cut_torn_line(self._file)
            self._file.write(json.dumps(values).encode() + b"\n")

    def _read(self, path: Path) -> None:
        for number, line in enumerate(_lines(path), start=1):
            try:
                self.total += _SPENDING.validate_json(line)
            except ValidationError as error:
                said = error.errors(include_url=False)[0]["msg"]
                self.problem = self.problem or (
                    f"{path}, line {number} is damaged ({said}); what was spent there is not known"
                )


def _lines(path: Path) -> Iterator[bytes]:
    """The lines that are whole: the last one may be torn, of a request that was never sent."""
    with explained("read", path), path.open("rb") as file:
        while line := file.readline(_LINE_LIMIT):
            if line.endswith(b"\n") or len(line) == _LINE_LIMIT:
                yield line
