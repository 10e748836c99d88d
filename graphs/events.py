"""What a running graph tells whoever watches: LangGraph's custom stream, typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rl.runfolder import Summary


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
class RunStarted:
    """The run is set up and begins."""

    run_dir: str
    env: str
    provider: str
    graph: str
    steps: int


@dataclass(frozen=True)
class RunEnded:
    """The run is over; what is in summary.json."""

    run_dir: str
    summary: Summary


Event = IterationDone | Evaluating | RunStarted | RunEnded
