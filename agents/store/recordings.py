"""Recorded answers as JSON lines: written from a run or a cache, read back, or written by hand.

A line needs a situation's text and the plans for it:

    {"situation": "mission: ...\\ncarrying: nothing\\n...",
     "plans": [{"plan": ["pick_up(red key)", "open(red door)"], "p": 0.8}, {"plan": ["explore()"]}]}

A step is an option as it is shown everywhere, or a list of its name and target. `p` is the share of
a plan; plans without one share equally in what the others leave. All other fields say where an
answer came from: format, env, provider, model, date, prompt_tokens, completion_tokens, calls (the
requests: messages, tools, settings, answers) and key (its place in a plan cache).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from tutelage.agents.client.call_record import Exchange
from tutelage.agents.common.files import replace_file
from tutelage.agents.common.redact import json_writer, redact
from tutelage.agents.store.plan_cache import CALLS, CacheEntry, now
from tutelage.rl.advice.advice import Advice
from tutelage.rl.errors import UserError
from tutelage.rl.tasks.options import Option, Plan
from tutelage.rl.user_files import NotUtf8Error, decoded, open_plain

FORMAT: Final = 1
"""The version of a line that this program writes, and the newest it reads."""

_KEY: Final = re.compile(r"[0-9a-f]{64}")
_STEP: Final = re.compile(r"([^()]+)\((.*)\)", re.DOTALL)
_BLOCK: Final = re.compile(r"^```situation[ \t]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
_FIELDS: Final = frozenset(
    {"format", "situation", "plans", "env", "provider", "model", "date", "key", "calls"}
    | {"prompt_tokens", "completion_tokens"}
)
_LONGEST_LINE: Final = 1 << 24
_MOST_SHOWN: Final = 3


class RecordingError(UserError):
    """Recorded answers that cannot be read or written.

    problems: all that is wrong, a line each. The message is one line.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        more = len(self.problems) - _MOST_SHOWN
        shown = "; ".join(self.problems[:_MOST_SHOWN])
        super().__init__(f"{shown}; and {more} more" if more > 0 else shown)


@dataclass(frozen=True)
class RecordedAnswer:
    """A teacher's advice on one situation, and where it came from.

    key: its place in a plan cache, None where it has none. calls: the requests that brought it.
    """

    situation: str
    advice: Advice
    env: str | None = None
    provider: str | None = None
    model: str | None = None
    date: str | None = None
    key: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    calls: tuple[Exchange, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The fields of its line."""
        plans = [
            {"plan": [_written(option) for option in plan], "p": p}
            for plan, p in zip(self.advice.plans, self.advice.probs, strict=True)
        ]
        about = {k: v for k, v in vars(self).items() if k not in ("situation", "advice", "calls")}
        calls = [vars(call) for call in self.calls]
        return {
            "format": FORMAT,
            "situation": self.situation,
            "plans": plans,
            **about,
            "calls": calls,
        }

    def entry(self) -> CacheEntry:
        """The entry of a plan cache."""
        return CacheEntry(
            advice=self.advice,
            calls=self.calls,
            provider=self.provider or "unknown",
            model=self.model or "unknown",
            date=self.date or now(),
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
        )


def of_entry(key: str, entry: CacheEntry) -> RecordedAnswer | None:
    """An answer of a plan cache; None where its messages do not say which situation it is for."""
    messages = [message for call in entry.calls for message in call.messages]
    situation = situation_in(messages)
    if situation is None:
        return None
    return RecordedAnswer(situation, key=key, **vars(entry))


def situation_in(messages: Iterable[Mapping[str, Any]]) -> str | None:
    """The situation that the user's messages hold in a fenced block, as every prompt must."""
    texts = [str(m.get("content")) for m in messages if m.get("role") == "user"]
    blocks = [block for text in texts for block in _BLOCK.findall(text)]
    return str(blocks[-1]).strip() if blocks else None


def write_recording(path: Path, answers: Iterable[RecordedAnswer]) -> None:
    """Write answers, a line each, without secrets. Raises RecordingError."""
    to_json = json_writer()
    lines = [to_json(answer.to_json()) for answer in answers]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, lambda place: _write(place, lines))
    except OSError as error:
        raise RecordingError([f"{path} cannot be written: {error.strerror or error}"]) from error


def read_recording(path: Path) -> dict[int, RecordedAnswer]:
    """All answers of a file by their lines' numbers. Raises RecordingError naming every bad line.

    Nothing of a bad line is repeated: the file may be anything.
    """
    answers, problems = {}, []
    for number, line in _lines(path):
        try:
            answers[number] = _answer(line)
        except NotUtf8Error as error:
            problems.append(f"{path}, line {number}: {error}")
            if number == 1:  # all of the file, then
                break
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            problems.append(f"{path}, line {number}: {_reason(error)}")
    if not answers and not problems:
        problems.append(f"{path} holds no answer")
    if problems:
        raise RecordingError(problems)
    return answers


def _write(place: Path, lines: list[str]) -> None:
    place.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, numbered from 1."""
    try:
        with open_plain(path) as file:
            number = 0
            while line := file.readline(_LONGEST_LINE):
                number += 1
                if line.strip():
                    yield number, line
    except OSError as error:
        raise RecordingError([f"{path} cannot be read: {error.strerror or error}"]) from error


def _answer(line: bytes) -> RecordedAnswer:
    values = json.loads(decoded(line))
    if not isinstance(values, dict):
        raise ValueError("no JSON object")
    unknown = sorted(set(values) - _FIELDS)
    if unknown:
        raise ValueError(
            f"unknown field {redact(unknown[0])[:40]!r}; allowed: {', '.join(sorted(_FIELDS))}"
        )
    version = values.get("format", FORMAT)
    if version != FORMAT:
        raise ValueError(f"format {redact(str(version))[:20]!r}; this program knows {FORMAT}")
    return RecordedAnswer(
        situation=_text(values, "situation", required=True) or "",
        advice=_advice(values.get("plans")),
        env=_text(values, "env"),
        provider=_text(values, "provider"),
        model=_text(values, "model"),
        date=_text(values, "date"),
        key=_key(values),
        prompt_tokens=_count(values, "prompt_tokens"),
        completion_tokens=_count(values, "completion_tokens"),
        calls=CALLS.validate_python(values.get("calls", ())),
    )


def _text(values: Mapping[str, Any], name: str, required: bool = False) -> str | None:
    value = values.get(name)
    if value is None and not required:
        return None
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} is no text")
    return value.strip()


def _key(values: Mapping[str, Any]) -> str | None:
    key = _text(values, "key")
    if key is not None and not _KEY.fullmatch(key):
        raise ValueError("key is not 64 digits from 0 to f")
    return key


def _count(values: Mapping[str, Any], name: str) -> int:
    value = values.get(name, 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise ValueError(f"{name} is no count")
    return value


def _advice(rows: Any) -> Advice:
    """The distribution over plans; those without a share divide what is left equally."""
    if not isinstance(rows, list) or not rows:
        raise ValueError("plans is no list of at least one plan")
    plans = [_plan(row) for row in rows]
    given = [_share(row) for row in rows]
    left = 1.0 - sum(p for p in given if p is not None)
    missing = given.count(None)
    shares = [left / missing if p is None else p for p in given]
    if any(p <= 0.0 for p in shares) or sum(shares) > 1.0001:
        raise ValueError("the shares p of the plans are not above 0 and together at most 1")
    if len(set(plans)) < len(plans):
        raise ValueError("two plans are the same")
    return Advice(tuple(plans), tuple(shares))


def _plan(row: Any) -> Plan:
    steps = row.get("plan") if isinstance(row, dict) and set(row) <= {"plan", "p"} else None
    if not isinstance(steps, list) or not steps:
        raise ValueError('a plan is not of the form {"plan": ["option(target)", ...], "p": 0.5}')
    return tuple(_option(step) for step in steps)


def _share(row: Mapping[str, Any]) -> float | None:
    share = row.get("p")
    if share is None:
        return None
    if not isinstance(share, int | float) or isinstance(share, bool):
        raise ValueError("a share p is no number")
    return float(share)


def _option(step: Any) -> Option:
    if isinstance(step, str) and (found := _STEP.fullmatch(step.strip())):
        return Option(found[1].strip(), found[2].strip() or None)
    match step:
        case [str(name), str(target)]:
            return Option(name, target)
        case [str(name), None]:
            return Option(name)
    raise ValueError('a step is not of the form "option(target)" or ["option", "target"]')


def _written(option: Option) -> str | list[str | None]:
    """A step as text, where that says it all."""
    text = str(option)
    try:
        same = _option(text) == option
    except ValueError:
        same = False
    return text if same else [option.name, option.target]


def _reason(error: Exception) -> str:
    """Why a line is bad, in words of our own."""
    match error:
        case RecursionError():
            return "nested too deeply"
        case json.JSONDecodeError():
            return f"no JSON ({error.msg}, column {error.colno})"
        case ValidationError():
            return f"calls are no requests ({error.errors()[0]['msg'].lower()})"
        case ValueError():
            return str(error)
    return "not of the form of a recorded answer"
