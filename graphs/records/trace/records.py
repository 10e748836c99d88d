"""The trace's records, and what their fields become in its columns."""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, TypeGuard, TypeVar

from tutelage.agents.client.call_record import CallRecord
from tutelage.agents.common.files import JSON_LEVELS, is_deep
from tutelage.agents.common.redact import Json, json_writer, text_cleaner

PlanRows = list[dict[str, Any]]
"""A distribution over plans, as `rl.advice.advice.Advice.to_json` gives it."""

ADVICE_REJECTED: Final = "advice_doubted"
"""The kind of the event that advice on a situation was found to do harm
(`rl.teaching.teacher_check`)."""
TEACHER_REJECTED: Final = "teacher_rejected"
"""The kind of the event that none of a teacher's advice is followed any more."""
TEACHER_WITHHELD: Final = "teacher_withheld"
"""The kind of the event that a teacher is not followed until it is known to help."""
TEACHER_VERDICTS: Final = ("teacher_enabled", TEACHER_WITHHELD, TEACHER_REJECTED)
"""The kinds of the events that tell what the check finds of the teacher as a whole."""

_FIGURES: Final = re.compile(
    r"(\d+) of (\d+) episodes succeeded with it, (\d+) of (\d+) episodes succeeded without"
)
"""In an `ADVICE_REJECTED` event's message, of `MixedPlayOutcome.summary`."""


@dataclass(frozen=True)
class AdviceRecord:
    """Advice that was given on a situation.

    source: `model`, `cache`, `replay` or `fallback:<which>`. cache_key: under which the plan cache
    holds it; None where it does not. id: given by the trace; None before that.
    """

    iteration: int
    env_steps: int
    situation_id: int
    source: str
    plans: PlanRows
    cache_key: str | None = None
    id: int | None = None


@dataclass(frozen=True)
class VisitRecord:
    """How often one iteration's rollout was in a situation, and with which success.

    coverage: the mean m(s) over the visits. agreement: of student and teacher; None where
    unadvised. episodes, successes: finished episodes that passed through, and those of them that
    succeeded.
    """

    iteration: int
    situation_id: int
    visits: int
    coverage: float
    agreement: float | None
    episodes: int
    successes: int


@dataclass(frozen=True)
class ExampleRecord:
    """One state of a situation, drawn as text. env: the environment's number in the batch.

    inks: the colours of the picture's map (`rl.tasks.watching.Drawing`); None where the task names
    none. decision: `rl.advice.decisions.Decision.to_json`; None in a trace of an older program.
    """

    iteration: int
    situation_id: int
    env: int
    picture: str
    inks: str | None = None
    decision: Json = None
    id: int | None = None


@dataclass(frozen=True)
class EventRecord:
    """Something that happened once: a failure, a spent budget, the teacher's removal.

    situation_id: the situation that somebody was asked about in vain, or that was settled otherwise
    (`STOOD_IN`, `NOBODY`), or whose advice is not followed (`ADVICE_REJECTED`); None for others.
    """

    iteration: int
    env_steps: int
    node: str
    kind: str
    message: str
    situation_id: int | None = None
    id: int | None = None


@dataclass(frozen=True)
class Outcomes:
    """How many of so many episodes succeeded."""

    successes: int
    episodes: int


@dataclass(frozen=True)
class Rejection:
    """Advice that is not followed: episodes with it went worse than those without.

    iteration: when the teacher check found that. message: the finding in words. with_advice,
    without_advice: of the episodes in which the teacher, or the student, acted in that situation;
    None where the message does not hold them.
    """

    iteration: int
    message: str
    with_advice: Outcomes | None = None
    without_advice: Outcomes | None = None

    @classmethod
    def read(cls, iteration: int, message: str) -> Rejection:
        """What an `ADVICE_REJECTED` event of that iteration tells."""
        found = _FIGURES.search(message)
        if found is None:
            return cls(iteration, message)
        taught, of_taught, own, of_own = map(int, found.groups())
        return cls(iteration, message, Outcomes(taught, of_taught), Outcomes(own, of_own))


@dataclass(frozen=True)
class SituationSummary:
    """A situation with everything the run did about it.

    number: from 1, in the order in which the run met them; it stays while the run goes on. calls:
    requests that the run made, those in the plan cache not among them. failures: the calls that
    were not answered. sources: how often advice came from where. plans: the latest advice.
    coverage, agreement: means over all visits (over all advised visits); None where there are none.
    disagreements: in how many of its visits the student is expected to do otherwise than the
    teacher, the sum of coverage x (1 - agreement); None where none was advised. last_iteration: of
    its visits, None where there are none. rejection: of the latest advice, None where that was not
    rejected.
    """

    number: int
    situation_id: int
    text: str
    calls: int
    failures: int
    sources: Mapping[str, int]
    plans: PlanRows | None
    visits: int
    coverage: float | None
    agreement: float | None
    episodes: int
    successes: int
    disagreements: float | None = None
    last_iteration: int | None = None
    rejection: Rejection | None = None


@dataclass(frozen=True)
class CallCount:
    """How many calls are of one kind, and what they took together.

    cost_usd: in US dollars, of those whose cost is known; None where none is. unpriced: how many
    were answered whose cost is not known.
    """

    node: str
    provider: str
    model: str
    status: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    unpriced: int


@dataclass(frozen=True)
class IterationTotals:
    """An iteration over all its situations. coverage, agreement: as in `SituationSummary`."""

    iteration: int
    visits: int
    coverage: float
    agreement: float | None


def teacher_verdict(events: Iterable[EventRecord]) -> EventRecord | None:
    """The last of `TEACHER_VERDICTS`; None where the teacher was not checked."""
    found = [event for event in events if event.kind in TEACHER_VERDICTS]
    return found[-1] if found else None


Record = TypeVar("Record", CallRecord, AdviceRecord, VisitRecord, ExampleRecord, EventRecord)

_Convert = Callable[[Any], Any]

_JSON_TYPES: Final = ("Json", "JsonObject", "JsonObjects", "PlansRead", "PlanRows")


def to_rows(kind: type[Record], records: Iterable[Record]) -> list[tuple[Any, ...]]:
    """The records as rows of their fields but the id, texts redacted. NumPy scalars are fine.

    Raises ValueError for a situation id out of range, TypeError for what is not of its field's
    type.
    """
    converters = _converters()
    columns = [
        (field.name, converters[_kind(field.name, str(field.type))])
        for field in fields(kind)
        if field.name != "id"
    ]
    return [tuple(f(getattr(record, name)) for name, f in columns) for record in records]


def _kind(name: str, annotation: str) -> str:
    """Which converter a field takes: situation ids have one of their own."""
    return annotation.replace("int", "situation_id") if name == "situation_id" else annotation


def json_columns(kind: type) -> list[str]:
    """The columns of a record's table that hold JSON."""
    return [field.name for field in fields(kind) if field.type in _JSON_TYPES]


def from_row(kind: type[Record], row: Iterable[Any]) -> Record:
    """The record of a row of all its fields, in order. Raises ValueError for damaged JSON."""
    columns = list(zip(fields(kind), row, strict=True))
    values = {f.name: _read_json(f.name, str(f.type), v) for f, v in columns}
    return kind(**values)


def read_plans(text: object) -> PlanRows | None:
    """The JSON of a distribution over plans, or of None. Raises ValueError for anything else."""
    found: PlanRows | None = None if text == "null" else _read_json("plans", "PlanRows", text)
    return found


def read_json(text: object) -> Json:
    """A column's JSON. Raises ValueError for what all that shows it could not go on with.

    That is: no text, no JSON, numbers that JSON has not, half characters, and what is nested
    too deeply (`is_deep`).
    """
    if not isinstance(text, str):
        raise ValueError("it is no text")
    try:
        value = json.loads(text, parse_constant=_number, parse_float=_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if "\\ud" in text.lower():  # what UTF-8 cannot hold: UnicodeEncodeError is a ValueError
        json.dumps(value, ensure_ascii=False).encode()
    # Nothing is nested deeper than it has brackets, which are counted in no time.
    if text.count("[") + text.count("{") > JSON_LEVELS and is_deep(value):
        raise ValueError("it is nested too deeply")
    return value


def _read_json(name: str, kind: str, value: Any) -> Any:
    """A field's value out of its column. Raises ValueError, which names the column."""
    if kind not in _JSON_TYPES:
        return value
    try:
        found = read_json(value)
    except ValueError as error:
        raise ValueError(f"damaged JSON in {name}: {error}") from error
    fits = {"PlanRows": _are_plans, "PlansRead": _are_readings}.get(kind)
    if fits is not None and not fits(found):
        raise ValueError(f"damaged JSON in {name}: these are no plans")
    return found


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number of JSON")
    return number


def _are_plans(value: object) -> TypeGuard[PlanRows]:
    return isinstance(value, list) and all(
        isinstance(each, dict)
        and isinstance(share := each.get("p"), int | float)
        and 0 <= share <= 1 + 1e-6
        and _is_plan(each.get("plan"))
        for each in value
    )


def _are_readings(value: object) -> bool:
    return isinstance(value, list) and all(each is None or _is_plan(each) for each in value)


def _is_plan(value: object) -> bool:
    """Whether it is a list of options, each of a name and a target, which may be None."""
    return isinstance(value, list) and all(
        isinstance(step, list)
        and len(step) == 2
        and isinstance(step[0], str)
        and isinstance(step[1], str | None)
        for step in value
    )


def to_situation_id(value: int) -> int:
    """The situation id as a plain int. Raises ValueError where it is not in 0..2**63 - 1."""
    situation_id = operator.index(value)
    if not 0 <= situation_id < 2**63:
        raise ValueError(f"situation id {situation_id} is not in 0..2**63 - 1")
    return situation_id


def _converters() -> dict[str, _Convert]:
    """What brings a field into its column, by the field's annotation."""
    clean = text_cleaner()

    def or_none(convert: _Convert) -> _Convert:
        return lambda value: None if value is None else convert(value)

    return {
        "situation_id": to_situation_id,
        "situation_id | None": or_none(to_situation_id),
        "int": operator.index,
        "int | None": or_none(operator.index),
        "float": float,
        "float | None": or_none(float),
        "str": clean,
        "str | None": or_none(clean),
        **dict.fromkeys(_JSON_TYPES, json_writer()),
    }
