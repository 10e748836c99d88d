"""The teacher's exam: situations whose sensible plans were found by hand, asked and marked.

The situations and plans are in files that the tasks come with (`rl.tasks.shipped.exam_files`). A
plan in them ends with the step that changes the situation, for then the teacher is asked again;
within the situation what is impossible stays so. An answer is therefore marked without the steps
that are impossible there, as the task tells: the rest must begin with one of the sensible plans.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

import yaml

from tutelage.agents.client.pool import RequestPool
from tutelage.agents.planner.answer import PlannerAnswer
from tutelage.agents.planner.planner import Planner
from tutelage.rl.tasks.options import Option, Plan
from tutelage.rl.tasks.shipped import exam_files

_STEP: Final = re.compile(r"(\w+)\(([^()]*)\)")


@runtime_checkable
class Examinable(Protocol):
    """The part of a task that an exam needs: situations by their texts."""

    def read(self, text: str) -> int:
        """The situation id of a situation's text. Raises ValueError for another text."""

    def carried_out(self, text: str, plan: Plan) -> Plan:
        """The steps of a plan that are carried out while the situation of that text lasts."""


@dataclass(frozen=True)
class Item:
    """One situation of the exam.

    text: as the task describes it. sensible: the sensible plans, each up to the step that changes
    the situation. why: the reason, for people.
    """

    task: str
    text: str
    sensible: tuple[Plan, ...]
    why: str

    def accepts(self, plan: Plan, task: Examinable) -> bool:
        """Whether the steps of a plan that the task carries out begin with a sensible plan."""
        done = task.carried_out(self.text, plan)
        return any(done[: len(good)] == good for good in self.sensible)


@dataclass(frozen=True)
class Marked:
    """An item with a teacher's answer. The shares are of all samples and sum to 1 at most."""

    item: Item
    answer: PlannerAnswer
    task: Examinable

    @property
    def sensible(self) -> float:
        """The share of sensible plans."""
        return sum(p for plan, p in self._plans() if self.item.accepts(plan, self.task))

    @property
    def wrong(self) -> list[tuple[Plan, float]]:
        """The plans that are not sensible, each with its share, the likeliest first."""
        return [(plan, p) for plan, p in self._plans() if not self.item.accepts(plan, self.task)]

    @property
    def unusable(self) -> float:
        """The share of samples without a plan: the answer held none, or did not come."""
        return max(0.0, 1.0 - sum(p for _, p in self._plans()))

    def _plans(self) -> list[tuple[Plan, float]]:
        advice = self.answer.advice
        return [] if advice is None else list(zip(advice.plans, advice.probs, strict=True))


@cache
def items() -> tuple[Item, ...]:
    """All situations of the exam, by task."""
    found = []
    for file in exam_files():
        tasks: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
        for task, rows in tasks.items():
            for row in rows:
                plans = tuple(tuple(_step(file, step) for step in plan) for plan in row["sensible"])
                found.append(Item(task, row["situation"], plans, row["why"]))
    return tuple(found)


def ask(
    planner: Planner,
    task: Examinable,
    asked: Sequence[Item],
    concurrency: int,
    on_progress: Callable[[int], None] = lambda _: None,
) -> list[Marked]:
    """Ask a planner about situations of its task and mark its answers, in the order of the items.

    concurrency: the largest number of questions at a time. on_progress: is called with the number
    of answers so far. Raises what `Planner.ask` raises.
    """
    pool: RequestPool[PlannerAnswer] = RequestPool(concurrency)
    futures = [pool.submit(partial(planner.ask, task.read(item.text))) for item in asked]
    try:
        for done, _ in enumerate(as_completed(futures), start=1):
            on_progress(done)
        return [Marked(item, f.result(), task) for item, f in zip(asked, futures, strict=True)]
    finally:
        pool.close()


def mean(shares: Iterable[float]) -> float:
    """The mean of shares; there must be some."""
    found = list(shares)
    return sum(found) / len(found)


def _step(file: Path, text: str) -> Option:
    found = _STEP.fullmatch(text)
    if found is None:
        raise ValueError(f"{file}: {text!r} is no step; needed: name() or name(target)")
    return Option(found[1], found[2] or None)
