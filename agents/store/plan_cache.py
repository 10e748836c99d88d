"""The plan cache: a model's answers, replayed only where it would see exactly the same.

With the advice it keeps the conversation behind it, for the trace of a run that replays it. One
SQLite file for all runs, a LangGraph store inside. Losing it costs money, not correctness: so
a damaged file is set aside, a value that cannot be read is a miss, and a file that is locked for
too long, or has no room left, is passed over. A file that is another program's is left alone: a
stranger's configuration may name any.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from langchain_core.messages import BaseMessage, convert_to_openai_messages
from langgraph.store.base import GetOp, Op, PutOp
from langgraph.store.base import Item as StoredItem
from langgraph.store.sqlite import SqliteStore
from pydantic import TypeAdapter

from tutelage.agents.client.call_record import Exchange
from tutelage.agents.common.files import is_damage, set_aside
from tutelage.agents.common.redact import json_writer, redact
from tutelage.agents.store.plan_file import SUFFIX, CacheError, CacheFullError, is_full, open_store
from tutelage.rl.advice.advice import Advice
from tutelage.rl.tasks.options import Option
from tutelage.rl.user_files import cache_folder

logger = logging.getLogger(__name__)

KEY_VERSION: Final = 3
"""Raise it when stored advice changes its meaning: old entries are then never found."""

_NAMESPACE: Final = ("plans",)
_BATCH: Final = 500
"""Keys in one statement: SQLite bounds its variables."""
_ALL: Final = 2**31 - 1
CALLS: Final = TypeAdapter(tuple[Exchange, ...])

Result = TypeVar("Result")


@dataclass(frozen=True)
class CacheEntry:
    """One stored answer.

    calls: the requests that brought it. date: when it was stored, ISO 8601, UTC. Tokens: those
    of all requests about the situation, failed ones too.
    """

    advice: Advice
    calls: tuple[Exchange, ...]
    provider: str
    model: str
    date: str
    prompt_tokens: int
    completion_tokens: int

    def to_json(self) -> dict[str, Any]:
        """As it is stored, secrets in the calls replaced.

        The calls are a text of their own: models write what the store's JSON cannot hold, such as
        integers beyond 64 bits.
        """
        calls = json_writer()([vars(call) for call in self.calls])
        return {**vars(self), "advice": self.advice.to_json(), "calls": calls}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> CacheEntry:
        """The inverse. Raises KeyError, TypeError, ValueError or AttributeError."""
        advice, calls = Advice.from_json(value["advice"]), CALLS.validate_json(value["calls"])
        return _ENTRY.validate_python({**value, "advice": advice, "calls": calls})

    def is_on_offer(self, options: Iterable[Option]) -> bool:
        """Whether all its plans consist of these options: a file can be tampered with."""
        offered = set(options)
        return all(offered.issuperset(plan) for plan in self.advice.plans)


_ENTRY: Final = TypeAdapter(CacheEntry)


def default_cache_path() -> Path:
    """The file in the user's cache folder, see `rl.user_files.cache_folder`."""
    return cache_folder() / "plans.sqlite"


def now() -> str:
    """The time in UTC, to the second, as entries are dated."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def cache_key(
    identity: Mapping[str, Any],
    messages: Sequence[BaseMessage],
    tools: Sequence[Mapping[str, Any]],
    *,
    output_mode: str,
    samples: int,
    max_options: int,
    uncertainty: str,
    lookups: Mapping[str, str],
) -> str:
    """SHA-256 of all that an answer depends on.

    identity: provider, model, address and sampling settings, as in `ChatProvider.identity`.
    output_mode: how the model was to answer. samples: k. max_options: longer answers were refused.
    uncertainty: where the shares were to come from. lookups: what each look-up on offer tells, by
    its tool's name: the model may have looked at any of them.
    """
    seen = {
        "version": KEY_VERSION,
        "identity": dict(identity),
        "messages": convert_to_openai_messages(messages),
        "tools": list(tools),
        "output_mode": output_mode,
        "samples": samples,
        "max_options": max_options,
        "uncertainty": uncertainty,
        "lookups": dict(lookups),
    }
    text = json.dumps(seen, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


class PlanCache:
    """The cache in one file; may be used by many threads, and by many processes at once.

    busy_s: how long to wait while another process writes. on_warning: called with a line on what
    went wrong, the same line once; the log, unless given. warnings: those lines so far. Raises
    CacheError where the file cannot be used at all, CacheFullError where there is no room for it.
    """

    def __init__(
        self, path: Path, busy_s: float = 10.0, on_warning: Callable[[str], None] = logger.warning
    ) -> None:
        self.path = path
        self._busy_s = busy_s
        self._on_warning = on_warning
        self.warnings: list[str] = []
        self._lock = threading.RLock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._store = self._opened()
        except (OSError, sqlite3.Error) as error:
            kind = CacheFullError if is_full(error) else CacheError
            raise kind(f"plan cache {path} cannot be used: {error}") from error

    def get_many(self, keys: Iterable[str]) -> dict[str, CacheEntry]:
        """The entries of those keys that have one."""
        items = self._batched([GetOp(_NAMESPACE, key) for key in dict.fromkeys(keys)])
        return self._entries(item for item in items if isinstance(item, StoredItem))

    def put_many(self, entries: Mapping[str, CacheEntry]) -> None:
        """Store entries, each in the place of an older one."""
        self._batched([PutOp(_NAMESPACE, key, entry.to_json()) for key, entry in entries.items()])

    def entries(self) -> dict[str, CacheEntry]:
        """All entries that can be read, by their keys, oldest first."""
        found = self._entries(self._all_items())
        return dict(sorted(found.items(), key=lambda item: item[1].date))

    def clear(self) -> int:
        """Remove everything. Returns how much that was."""
        items = self._all_items()
        self._batched([PutOp(_NAMESPACE, item.key, None) for item in items])
        return len(items)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._store.conn.close()

    def _batched(self, ops: Sequence[Op]) -> list[Any]:
        """The store's results; those of a batch that fails are missing."""
        results: list[Any] = []
        for start in range(0, len(ops), _BATCH):
            batch = ops[start : start + _BATCH]
            results += self._guarded(partial(self._run, batch)) or []
        return results

    def _run(self, ops: Sequence[Op]) -> list[Any]:
        return self._store.batch(ops)

    def _all_items(self) -> Sequence[StoredItem]:
        return self._guarded(lambda: self._store.search(_NAMESPACE, limit=_ALL)) or []

    def _entries(self, items: Iterable[StoredItem]) -> dict[str, CacheEntry]:
        """The entries that can be read, by their keys."""
        found = {}
        for item in items:
            try:
                found[item.key] = CacheEntry.from_json(item.value)
            except (KeyError, TypeError, ValueError, AttributeError):
                short = redact(item.key)[:12]
                self._warn(f"plan cache {self.path}: entry {short} cannot be read, passed over")
        return found

    def _guarded(self, operation: Callable[[], Result]) -> Result | None:
        """The operation's result. SQLite's failures end in a warning and None.

        The store reports a failing read as ValueError, with SQLite's own error as its cause.
        """
        with self._lock:
            for _ in range(2):
                try:
                    return operation()
                except (sqlite3.Error, ValueError) as error:
                    fault = error if isinstance(error, sqlite3.Error) else error.__cause__
                    is_misuse = isinstance(fault, sqlite3.ProgrammingError)  # such as closed
                    if not isinstance(fault, sqlite3.Error) or is_misuse:
                        raise
                    if not self._recovered(fault):
                        return None
            return None

    def _recovered(self, fault: sqlite3.Error) -> bool:
        """Whether trying again may help: the file was damaged and there is a new one now."""
        if not is_damage(fault):
            if self._store.conn.in_transaction:
                self._store.conn.rollback()
            self._warn(f"plan cache {self.path}: {fault}; going on without it")
            return False
        self._store.conn.close()
        self._set_aside()
        self._store = self._opened()
        return True

    def _opened(self) -> SqliteStore:
        """The store in the file, which is made where there is none, and renewed if damaged."""
        try:
            return open_store(self.path, self._busy_s)
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            self._set_aside()
            return open_store(self.path, self._busy_s)

    def _set_aside(self) -> None:
        """Rename the file. Raises CacheError for one that may be anything else."""
        if self.path.suffix != SUFFIX:
            raise CacheError(
                f"{self.path} is no plan cache, and is left as it is: a name that does not end in"
                f" {SUFFIX} may be any file's"
            )
        aside = set_aside(self.path)
        self._warn(f"plan cache {self.path} is damaged; kept as {aside.name}, starting a new one")

    def _warn(self, line: str) -> None:
        if line not in self.warnings:
            self.warnings.append(line)
            self._on_warning(line)
