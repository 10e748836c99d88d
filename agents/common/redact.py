"""Keeps secrets out of what is stored or shown: API keys, tokens and bearer headers.

Messages and settings should hold none, but a server can say the key that it was sent, as it is or
in another form (`agents.common.secret_forms`). So every answer is redacted before it is read. And
what is stored may be a stranger's, or older: it is redacted again where it is read to be shown.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import unquote

from tutelage.agents.common.secret_forms import (
    Forms,
    Span,
    edges,
    forms_of,
    hidden_in,
    joined,
    may_hide,
)

Json = Any
"""Anything that `json.dumps` writes."""

REDACTED: Final = "[redacted]"

MIN_LENGTH: Final = 8
"""Shorter values (`none`, `local`, `1`) are placeholders that also occur as ordinary words."""

_SECRET_NAME: Final = re.compile(r"(^|_)(API_?KEY|KEY|TOKEN|SECRET|PASSWORD)$")

_LONGEST_TOKEN: Final = 256
"""Bytes of the longest list of them that is read as a text."""

_KEY_SHAPES: Final = re.compile(
    r"sk-[A-Za-z0-9_-]{16,}|Bearer \S+"
    # xAI, Groq, Hugging Face, NVIDIA, Google and AWS.
    r"|\b(?:xai-|gsk_|hf_|nvapi-)[A-Za-z0-9_-]{16,}|\bAIza[A-Za-z0-9_-]{30,}|\bAKIA[A-Z0-9]{16}\b"
)
_SHAPES_BEGIN: Final = ("sk-", "Bearer ", "xai-", "gsk_", "hf_", "nvapi-", "AIza", "AKIA")
"""What each of these holds: quickly found."""

_NO_TEXTS: Final = frozenset({int, float, bool, type(None)})

_AT_ONCE: Final = 16
"""Values that are looked through together."""

_LONG: Final = 1_500
"""Characters from which on a text that came before is known again..."""
_MOST_KEPT: Final = 256
"""... and how many such texts are."""

Value = TypeVar("Value")


def is_secret_name(name: str) -> bool:
    """Whether the value of an environment variable of that name is a secret."""
    return _SECRET_NAME.search(name.upper()) is not None


def redactor(also: Iterable[str] = ()) -> Callable[[str], str]:
    """A function that redacts one text, with the environment's secrets as they are now.

    For a batch of texts: the environment is read once, at the first text, instead of for every one.
    also: secrets that are not in the environment.
    """
    known_secrets = cache(partial(_known_secrets, also))
    return lambda text: _redacted(text, known_secrets())


def value_redactor(also: Iterable[str] = ()) -> Callable[[Any], Any]:
    """A function that redacts all texts in a tree of mappings, lists and tuples, names included.

    A secret that several texts hold together is taken out of each: the strings of a list, the same
    field of several rows, or all of them in their order. Where it finds one, lists come back for
    tuples; else the very same value. also: as in `redactor`.
    """
    known_secrets = cache(partial(_known_secrets, also))
    return lambda value: _redacted_value(value, known_secrets())


def values_redactor() -> Callable[[Sequence[Value]], list[Value]]:
    """A function that does with each of many values what `value_redactor` does with one.

    Where they hold nothing it is much quicker, and gives back the very same values.
    """
    known_secrets = cache(_known_secrets)
    told = _LongTexts()

    def redact_values(values: Sequence[Value]) -> list[Value]:
        known, done = known_secrets(), list[Value]()
        for begin in range(0, len(values), _AT_ONCE):
            some = values[begin : begin + _AT_ONCE]
            if _may_hold(some, known, told):
                some = [_redacted_value(value, known) for value in some]
            done += some
        return done

    return redact_values


def redact(text: str) -> str:
    """The text with every secret replaced by `[redacted]`.

    A secret is the value (8 characters or more) of an environment variable whose name ends in
    `KEY`, `TOKEN`, `SECRET` or `PASSWORD`, the password in any variable that holds a URL, or
    anything of the shape of a well-known service's key or of `Bearer ...`. Where it is long enough
    to be no word, it is also found in base64, in hex, escaped, and in pieces.
    """
    return redactor()(text)


@dataclass(frozen=True)
class _Known:
    """The environment's secrets. literal: finds them as they are. forms: those in other forms."""

    secrets: tuple[str, ...]
    literal: re.Pattern[str]
    forms: tuple[Forms, ...]


def _known_secrets(also: Iterable[str] = ()) -> _Known | None:
    values = {v.strip() for name, v in os.environ.items() if is_secret_name(name)} | {*also}
    for value in os.environ.values():
        values |= set(_passwords(value))
    secrets = sorted((v for v in values if len(v) >= MIN_LENGTH), key=lambda v: (-len(v), v))
    return _known(tuple(secrets)) if secrets else None


@lru_cache(maxsize=8)
def _known(secrets: tuple[str, ...]) -> _Known:
    forms = [found for secret in secrets if (found := forms_of(secret))]
    return _Known(secrets, re.compile("|".join(map(re.escape, secrets))), tuple(forms))


def _passwords(value: str) -> Iterator[str]:
    """The password of a URL, as it stands there and as it is sent."""
    _, separator, rest = value.partition("://")
    password = rest.rpartition("@")[0].partition(":")[2] if separator else ""
    if password:
        yield from (password, unquote(password))


def _redacted(text: str, known: _Known | None) -> str:
    if known is not None:
        # A pass of its own: a key shape must not bite off half of a known secret.
        text = known.literal.sub(REDACTED, text)
        if len(text) >= MIN_LENGTH:
            text = _cut(text, joined(hidden_in(text, known.forms)))
    return _KEY_SHAPES.sub(REDACTED, text) if _may_have_a_shape(text) else text


def _redacted_value(value: Any, known: _Known | None) -> Any:
    if not _may_hold([value], known):
        return value

    def clean(text: str) -> str:
        return _redacted(text, known)

    # Together first: where one part is gone already, the others look harmless.
    return _mapped(_together(value, known), clean, clean)


class _LongTexts:
    """Long texts that hold nothing: most of them, such as system prompts, come again and again."""

    def __init__(self) -> None:
        self._edges: dict[str, str] = {}

    def in_short(self, text: str, known: _Known | None) -> str:
        """As much of a text as must be looked at together with others; itself if it holds any."""
        if len(text) < _LONG:
            return text
        found = self._edges.get(text)
        if found is None:
            forms = () if known is None else known.forms
            found = text if _may_hold([text], known) else edges(text, forms)
            if len(self._edges) >= _MOST_KEPT:
                self._edges.clear()
            self._edges[text] = found
        return found


def _may_hold(values: Iterable[Any], known: _Known | None, told: _LongTexts | None = None) -> bool:
    """Whether anything might be redacted in one of these values. No is certain, yes is not.

    It looks at all of their texts at once, one below the other, in place of each by itself.
    """
    whole: list[str] = []
    together: list[str] = []
    for value in values:
        found = _texts(value)
        texts = found.texts if told is None else [told.in_short(t, known) for t in found.texts]
        whole += found.names
        whole += texts
        for group in found.same_field():
            together += [texts[place] for place in group]
    lines = "\n".join(whole)
    if _may_have_a_shape(lines) and _KEY_SHAPES.search(lines):
        return True
    if known is None:
        return False
    if any(secret in lines for secret in known.secrets):
        return True
    return may_hide("\n".join([lines, *together]), known.forms)


def _may_have_a_shape(text: str) -> bool:
    return any(begin in text for begin in _SHAPES_BEGIN)


def _mapped(value: Any, clean: Callable[[str], str], name: Callable[[str], str]) -> Any:
    """The value with other texts. name: what becomes of those that name a mapping's items."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {
            name(key) if isinstance(key, str) else key: _mapped(item, clean, name)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        spelled = _spelled(value)
        if spelled is None:
            return [_mapped(item, clean, name) for item in value]
        cleaned = clean(spelled)
        return list(value) if cleaned == spelled else cleaned
    return value


def _spelled(value: list[Any] | tuple[Any, ...]) -> str | None:
    """The text that a short list of bytes spells, as servers send it beside each token; or None."""
    if not value or type(value[0]) is not int or type(value[-1]) is not int:
        return None  # at once: most lists are none
    if len(value) <= _LONGEST_TOKEN and all(type(n) is int and 0 <= n < 256 for n in value):
        return bytes(value).decode("latin-1")
    return None


def _together(value: Any, known: _Known | None) -> Any:
    """The value without the secrets that several of its texts hold together."""
    found = _texts(value)
    if known is None or len(found.texts) < 2:
        return value
    clean = [*found.texts]
    for group in (range(len(clean)), *found.same_field()):
        _take_out(clean, group, known)
    in_turn = iter(clean)
    return _mapped(value, lambda _: next(in_turn), lambda name: name)


class _Texts(NamedTuple):
    """Every text of a tree, in order. fields: the number of the field that each stands in.

    names: of the items of mappings, each once.
    """

    texts: list[str]
    fields: list[int]
    names: Iterable[str]

    def same_field(self) -> list[list[int]]:
        """The places of texts that stand in one field, where some do and others do not."""
        if not self.names:
            return []
        places: dict[int, list[int]] = {}
        for place, field in enumerate(self.fields):
            if field in places:
                places[field].append(place)
            else:
                places[field] = [place]
        return [group for group in places.values() if 1 < len(group) < len(self.texts)]


def _texts(value: Any) -> _Texts:
    texts: list[str] = []
    fields: list[int] = []
    numbers: dict[tuple[int, str], int] = {}

    def gather(item: Any, field: int) -> None:
        kind = type(item)  # the usual kinds first: this is done for all that a trace holds
        if kind is str:
            texts.append(item)
            fields.append(field)
        elif kind is dict:
            for name, inner in item.items():
                place = (field, name if type(name) is str else str(name))
                number = numbers.get(place)
                if number is None:
                    number = numbers[place] = len(numbers) + 1
                if type(inner) is str:
                    texts.append(inner)
                    fields.append(number)
                elif type(inner) not in _NO_TEXTS:
                    gather(inner, number)
        elif kind is list or kind is tuple:
            spelled = _spelled(item)
            for inner in item if spelled is None else (spelled,):
                if type(inner) is str:
                    texts.append(inner)
                    fields.append(field)
                elif type(inner) not in _NO_TEXTS:
                    gather(inner, field)
        elif isinstance(item, Mapping):
            gather(dict(item), field)
        elif isinstance(item, list | tuple):
            gather(list(item), field)
        elif isinstance(item, str):
            gather(str(item), field)

    gather(value, 0)
    return _Texts(texts, fields, {name for _, name in numbers})


def _take_out(texts: list[str], group: Sequence[int], known: _Known) -> None:
    """Take what holds a secret out of these texts, read one after another."""
    whole = "\n".join(texts[place] for place in group)
    spans = joined(hidden_in(whole, known.forms))
    begin = turn = 0
    for place in group if spans else ():
        end = begin + len(texts[place])
        within = []
        while turn < len(spans) and spans[turn][0] < end:
            first, last = spans[turn]
            if last > begin:
                within.append((max(first, begin) - begin, min(last, end) - begin))
            if last > end:  # it goes on in the next text
                break
            turn += 1
        texts[place] = _cut(texts[place], within)
        begin = end + 1


def _cut(text: str, spans: Iterable[Span]) -> str:
    """The text with `[redacted]` for each of these parts, which are in order."""
    kept, done = [], 0
    for begin, end in spans:
        kept += [text[done:begin], REDACTED]
        done = end
    return "".join([*kept, text[done:]])


_TOO_DEEP: Final = "[nested too deeply to be kept]"


def text_cleaner() -> Callable[[str], str]:
    """A function that redacts a text and replaces what UTF-8 cannot hold: lone surrogates."""
    redact = redactor()
    return lambda text: _storable(redact(text))


def json_writer() -> Callable[[Json], str]:
    """A function that writes a value as JSON, its texts redacted, numbers that are none as null.

    What is nested too deeply to be written becomes a text that says so.
    """
    redact_value = value_redactor()

    def to_json(value: Json) -> str:
        try:
            return json.dumps(_plain(redact_value(value)), ensure_ascii=False)
        except RecursionError:
            return json.dumps(_TOO_DEEP)

    return to_json


def _plain(value: Json) -> Json:
    """The value with texts that UTF-8 can hold, and null for what JSON has no number for."""
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_storable(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _storable(text: str) -> str:
    """The text with a `?` for each lone surrogate."""
    return text.encode("utf-8", "replace").decode("utf-8")
