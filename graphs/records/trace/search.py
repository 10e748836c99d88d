"""Finding rows of a trace: what is wanted, by which figure it is sorted, and the SQL of it.

Every search is answered from indexes: the rows of calls hold whole conversations, and reading
those of a long run takes a thousand times as long as their figures do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from tutelage.agents.client.call_record import CACHED, OK
from tutelage.graphs.records.trace.records import ADVICE_REJECTED, TEACHER_REJECTED
from tutelage.graphs.records.trace.schema import TraceError
from tutelage.rl.errors import one_of

FAILED: Final = "failed"
"""As a wanted status: any that is a failure."""

Span = tuple[float | None, float | None]
"""The least and the most that are wanted, both included; None for no bound."""

EVERYTHING: Final[Span] = (None, None)


@dataclass(frozen=True)
class Wanted:
    """Which rows are wanted; by default all of them.

    text: a part of the situation's text, in any case. node, status: exactly these; the status
    `failed` is any failure. cached: only what the plan cache replayed, or only the rest. tokens:
    of a call, in and out. latency_s: seconds.
    """

    iteration: Span = EVERYTHING
    text: str | None = None
    node: str | None = None
    status: str | None = None
    cached: bool | None = None
    tokens: Span = EVERYTHING
    latency_s: Span = EVERYTHING

    @property
    def asks_about_calls(self) -> bool:
        """Whether anything is wanted of a call that a situation without one has not."""
        spans = (self.tokens, self.latency_s)
        given = (self.node, self.status, self.cached)
        return any(value is not None for value in given) or spans != (EVERYTHING, EVERYTHING)

    def of_calls(self) -> tuple[list[str], dict[str, Any]]:
        """SQL conditions on rows with the columns of calls, and their values."""
        terms: list[str] = []
        values: dict[str, Any] = {}
        for name, wanted in (("node", self.node), ("status", self.status)):
            if wanted == FAILED and name == "status":
                terms.append(f"status NOT IN ('{OK}', '{CACHED}')")
            elif wanted is not None:
                terms.append(f"{name} = :{name}")
                values[name] = wanted
        if self.cached is not None:
            terms.append(f"(status = '{CACHED}') = {int(self.cached)}")
        spans = (
            ("iteration", "iteration", self.iteration),
            ("prompt_tokens + completion_tokens", "tokens", self.tokens),
            ("latency_s", "latency_s", self.latency_s),
        )
        for column, name, span in spans:
            terms += _within(column, name, span, values)
        return terms, values

    def of_visits(self) -> tuple[list[str], dict[str, Any]]:
        """SQL conditions on rows that have an iteration, and their values."""
        values: dict[str, Any] = {}
        return _within("iteration", "iteration", self.iteration, values), values

    def of_texts(self) -> tuple[list[str], dict[str, Any]]:
        """SQL conditions on situations, and their values; `folded` is `str.casefold`."""
        if self.text is None:
            return [], {}
        return ["instr(folded(text), :text)"], {"text": self.text.casefold()}


class CallRow(NamedTuple):
    """A call, or the failure of all that was tried, without its conversation.

    kind: `call`; `given up` where a situation was left without an answer; or `rejected` where the
    advice on it is not followed, or none of the teacher's, for the reason that error gives. id
    counts calls by themselves. number, text: of the situation, None where it is the teacher. Others
    as in `CallRecord`; what only a call has is None.
    """

    kind: str
    id: int
    iteration: int
    env_steps: int
    node: str
    status: str
    number: int | None
    situation_id: int | None
    text: str | None
    provider: str | None
    model: str | None
    attempt: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    started_at: float | None
    latency_s: float | None
    cost_usd: float | None
    error: str | None


_CALLS: Final = """
    SELECT 'call' AS kind, id, iteration, env_steps, node, status, situation_id, provider, model,
        attempt, prompt_tokens, completion_tokens, started_at, latency_s, cost_usd, error
    FROM listed_calls
"""
_REJECTED: Final = f"kind IN ('{ADVICE_REJECTED}', '{TEACHER_REJECTED}')"
_GIVEN_UP: Final = f"""
    SELECT IIF({_REJECTED}, 'rejected', 'given up'), id, iteration, env_steps, node, kind,
        situation_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        IIF({_REJECTED}, message, NULL)
    FROM sound_events WHERE situation_id IS NOT NULL OR kind = '{TEACHER_REJECTED}'
"""
_CALL_ORDERS: Final[Mapping[str, tuple[str, bool]]] = {
    "id": ("iteration, kind, id", False),
    "iteration": ("iteration", False),
    "situation": ("number", False),
    "node": ("node", False),
    "status": ("status", False),
    "tokens": ("prompt_tokens + completion_tokens", True),
    "latency": ("latency_s", True),
    "cost": ("cost_usd", True),
    "started": ("started_at", False),
}
SITUATION_ORDERS: Final[Mapping[str, tuple[str, bool]]] = {
    "visits": ("visits", True),
    "id": ("number", False),
    "calls": ("calls", True),
    "failed": ("failures", True),
    "coverage": ("coverage", True),
    "agree": ("agreement", True),
    "disagree": ("disagreements", True),
    "rejected": ("rejection IS NOT NULL", True),
    "success": ("success", True),
    "last": ("last_iteration", True),
}
"""By what situations can be sorted: the column, and whether the largest comes first. `disagree` is
where student and teacher disagree the most: in how many visits, and not in which share of them.
"""

_REJECTION: Final = f"""
    SELECT json_array(e.iteration, e.message) FROM sound_events e
    WHERE e.situation_id = s.situation_id AND e.kind = '{ADVICE_REJECTED}' AND NOT EXISTS (
        SELECT 1 FROM sound_advice a
        WHERE a.situation_id = e.situation_id AND a.iteration > e.iteration AND a.plans IS NOT (
            SELECT plans FROM sound_advice b
            WHERE b.situation_id = e.situation_id AND b.iteration <= e.iteration
            ORDER BY b.id DESC LIMIT 1
        )
    )
    ORDER BY e.id DESC LIMIT 1
"""
"""The last rejection of a situation's advice, unless other advice came after it."""


def added(column: str) -> str:
    """The sum of a column of whole numbers: SQLite's own fails where it is no such number."""
    return f"CAST(TOTAL({column}) AS INTEGER)"


def search_calls(
    wanted: Wanted, failures_only: bool, sort: str, reverse: bool
) -> tuple[str, dict[str, Any]]:
    """The query that finds calls, with its values.

    Its columns are the fields of `CallRow`, then how many calls were found in all.
    failures_only: calls that failed, and situations that were given up. Raises TraceError for an
    unknown `sort`.
    """
    terms, values = wanted.of_calls()
    texts, more = wanted.of_texts()
    source = f"{_CALLS} UNION ALL {_GIVEN_UP}" if failures_only else _CALLS
    if failures_only:
        terms.append(f"status NOT IN ('{OK}', '{CACHED}')")
    if texts:
        terms.append(
            f"situation_id IN (SELECT situation_id FROM sound_situations WHERE {_all(texts)})"
        )
    query = f"""
        SELECT {", ".join(CallRow._fields)}, COUNT(*) OVER ()
        FROM (SELECT * FROM ({source}) WHERE {_all(terms)})
        LEFT JOIN sound_situations USING (situation_id)
        ORDER BY {_order(sort, _CALL_ORDERS, reverse)}, iteration, kind, id
    """
    return query, values | more


def search_situations(
    wanted: Wanted, sort: str, reverse: bool, situation_id: int | None = None
) -> tuple[str, dict[str, Any]]:
    """The query that finds situations and what was done about them, with its values.

    Its columns are the fields of `SituationSummary`, sources and plans as JSON. Calls and visits
    are counted of the wanted calls and iterations alone. situation_id: only this situation. Raises
    TraceError for an unknown `sort`.
    """
    calls, values = wanted.of_calls()
    visits, more = wanted.of_visits()
    values |= more
    terms, more = wanted.of_texts()
    values |= more
    if wanted.asks_about_calls:
        terms.append(
            "situation_id IN (SELECT situation_id FROM listed_calls WHERE " + _all(calls) + ")"
        )
    elif wanted.iteration != EVERYTHING:
        terms.append("(visits > 0 OR calls > 0)")
    if situation_id is not None:
        values["situation_id"] = situation_id
        terms.append("situation_id = :situation_id")
        calls.append("situation_id = :situation_id")
        visits.append("situation_id = :situation_id")
    query = f"""
        SELECT number, situation_id, text, calls, failures,
            (
                SELECT json_group_object(source, times) FROM (
                    SELECT source, COUNT(*) AS times FROM sound_advice a
                    WHERE a.situation_id = found.situation_id GROUP BY source
                )
            ),
            IFNULL((
                SELECT plans FROM sound_advice a WHERE a.situation_id = found.situation_id
                ORDER BY id DESC LIMIT 1
            ), 'null'),
            visits, coverage, agreement, episodes, successes, disagreements, last_iteration,
            rejection
        FROM (
            SELECT s.number, s.situation_id, s.text, IFNULL(c.calls, 0) AS calls,
                IFNULL(c.failures, 0) AS failures, IFNULL(v.visits, 0) AS visits, v.coverage,
                v.agreement, IFNULL(v.episodes, 0) AS episodes,
                IFNULL(v.successes, 0) AS successes, v.disagreements, v.last_iteration,
                ({_REJECTION}) AS rejection, 1.0 * v.successes / NULLIF(v.episodes, 0) AS success
            FROM sound_situations s
            LEFT JOIN (
                SELECT situation_id, COUNT(*) AS calls, SUM(status != '{OK}') AS failures
                FROM listed_calls WHERE status != '{CACHED}' AND {_all(calls)} GROUP BY situation_id
            ) c USING (situation_id)
            LEFT JOIN (
                SELECT situation_id, {added("visits")} AS visits,
                    {added("episodes")} AS episodes, {added("successes")} AS successes,
                    SUM(visits * coverage) / TOTAL(visits) AS coverage,
                    SUM(visits * agreement)
                        / TOTAL(CASE WHEN agreement IS NOT NULL THEN visits END) AS agreement,
                    SUM(visits * coverage * (1 - agreement)) AS disagreements,
                    MAX(iteration) AS last_iteration
                FROM sound_visits WHERE {_all(visits)} GROUP BY situation_id
            ) v USING (situation_id)
        ) found
        WHERE {_all(terms)}
        ORDER BY {_order(sort, SITUATION_ORDERS, reverse)}, number
    """
    return query, values


def _within(column: str, name: str, span: Span, values: dict[str, Any]) -> list[str]:
    terms = []
    for sign, end, bound in ((">=", "least", span[0]), ("<=", "most", span[1])):
        if bound is not None:
            terms.append(f"{column} {sign} :{end}_{name}")
            values[f"{end}_{name}"] = bound
    return terms


def _all(terms: list[str]) -> str:
    return " AND ".join(terms) or "TRUE"


def _order(sort: str, orders: Mapping[str, tuple[str, bool]], reverse: bool) -> str:
    """Figures from the largest on, all else from the least; what has none always comes last."""
    if sort not in orders:
        raise TraceError(f"cannot sort by {sort!r}{one_of(sort, orders)}")
    columns, largest_first = orders[sort]
    direction = "DESC" if largest_first != reverse else "ASC"
    return ", ".join(f"{column} IS NULL, {column} {direction}" for column in columns.split(", "))
