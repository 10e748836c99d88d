"""What a running graph tells whoever watches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tutelage.graphs.records.shapes import Summary


@dataclass(frozen=True)
class IterationDone:
    """One iteration is over; row: its row of metrics.jsonl."""

    row: Mapping[str, Any]


@dataclass(frozen=True)
class Evaluating:
    """An evaluation is under way."""

    done: int
    episodes: int


@dataclass(frozen=True)
class Notice:
    """Something that people should know, in one line."""

    text: str


@dataclass(frozen=True)
class RunStarted:
    """The run is set up and begins, or goes on after `env_steps`.

    episodes: those that it plays, where no student learns; `steps` is then the most it can take.
    scored: whether returns tell more than successes do (`rl.tasks.base.Task`).
    """

    run_dir: str
    env: str
    provider: str
    graph: str
    steps: int
    env_steps: int
    episodes: int | None = None
    scored: bool = False


@dataclass(frozen=True)
class RunEnded:
    """The run is over; what is in summary.json."""

    run_dir: str
    summary: Summary


@dataclass(frozen=True)
class Asking:
    """A person is asked at the terminal, which is theirs until that is over."""

    begins: bool


Event = IterationDone | Evaluating | Asking | Notice | RunStarted | RunEnded

Tell = Callable[[Event], None]
"""Tells whoever watches a run."""
