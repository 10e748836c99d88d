"""What a running graph tells whoever watches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tutelage.graphs.records.shapes import Summary
from tutelage.rl.tasks.options import Plan


@dataclass(frozen=True)
class IterationDone:
    """One iteration is over.

    row: its row of metrics.jsonl. cost_usd: of all tokens so far; None where it is not known.
    most_calls: the most requests that the run may make; covered: the share of the student's steps
    that the answers cover (`graphs.state.covered_share`). None where there is no such limit.
    asked: how often the teacher has been asked about a situation so far; failures: how often that
    failed, by the failure's name (`agents.client.errors`).
    """

    row: Mapping[str, Any]
    cost_usd: float | None = 0.0
    most_calls: int | None = None
    covered: float | None = None
    asked: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Doing:
    """Something that may take a while has begun; it lasts until another event says otherwise.

    what: in a few words, such as `loading torch`.
    """

    what: str


@dataclass(frozen=True)
class Waiting:
    """Training waits for an LLM; told again and again until another event says otherwise.

    asked: situations whose answers have not come. waited_s: for how long this wait has lasted.
    """

    asked: int
    waited_s: float


@dataclass(frozen=True)
class Advised:
    """The teacher has answered. situation: what it was told; plan: its likeliest."""

    situation: str
    plan: Plan


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


Event = (
    IterationDone | Evaluating | Doing | Waiting | Advised | Asking | Notice | RunStarted | RunEnded
)

Tell = Callable[[Event], None]
"""Tells whoever watches a run."""
