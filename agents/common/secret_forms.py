"""The forms in which a secret comes back: as it is, escaped, in hex or base64, cut into pieces.

A text is read in several ways; each keeps only the signs that count there and where they stand.
What must not be found is then looked for in what is left, so that blanks, dashes, quotes and line
ends between the parts of a secret hide nothing.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_LOOSE: Final = 12
"""Letters and digits from which on a secret is looked for in other forms: shorter ones are words
that also occur in harmless texts."""

_PIECE: Final = 6
"""Signs of the pieces that a secret is cut into."""

_FEWEST_PIECES: Final = 4
"""With fewer of them half of a secret may be an ordinary word."""

_PATHS: Final = ("/", "~", ".")
"""How the path of a key's file begins: its folders are also those of other files."""

_ESCAPE: Final = re.compile(
    r"%([0-9a-fA-F]{2})|\\x([0-9a-fA-F]{2})|\\u00([0-9a-fA-F]{2})"
    r"|&#x0*([0-9a-fA-F]{2});|&#0*([0-9]{2,3});"
)
"""One sign of ASCII, as in URLs, in JSON and programs, and in HTML."""

_ESCAPES: Final = ("%", "\\", "&#")
"""What each of them holds."""

_NO_WORD: Final = re.compile(r"[^A-Za-z0-9]+")
_NO_HEX: Final = re.compile(r"0x|[^0-9a-fA-F]+")
_SMALL: Final = bytes(range(256)).lower()
_NO_WORD_BYTES: Final = bytes(n for n in range(256) if _NO_WORD.match(chr(n)))
_NO_HEX_BYTES: Final = bytes(n for n in range(256) if _NO_HEX.match(chr(n)))
_BASE64: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-")

Span = tuple[int, int]
"""Begin and end of a part of a text."""


@dataclass(frozen=True)
class Forms:
    """What a secret leaves of itself in each reading.

    words: its letters and digits, in small letters. hex: those of its bytes. base64: the part that
    does not depend on what stands around it, for each of the three places where it may begin.
    pieces: `words` cut up, empty where it is too short for that, or a path.
    """

    words: str
    hex: str
    base64: tuple[str, ...]
    pieces: tuple[str, ...]


@lru_cache(maxsize=256)
def forms_of(secret: str) -> Forms | None:
    """The forms to look for; None for what is so short that only itself is."""
    words = _NO_WORD.sub("", secret).lower()
    if len(words) < _LOOSE:
        return None
    content = secret.encode("utf-8", "surrogateescape")
    ends = range(0, len(words) - _PIECE + 1, _PIECE)
    pieces = tuple(words[end : end + _PIECE] for end in ends)
    return Forms(
        words,
        content.hex(),
        tuple(_NO_WORD.sub("", _inner(content, before)) for before in range(3)),
        pieces if len(pieces) >= _FEWEST_PIECES and not secret.startswith(_PATHS) else (),
    )


def hidden_in(text: str, secrets: Iterable[Forms]) -> Iterator[Span]:
    """The parts of a text that hold one of these secrets in one of its forms."""
    words, hexadecimal, plain = _readings(text)
    for forms in secrets:
        in_pieces = _in_pieces(words.replace(forms.words, " "), forms)
        if in_pieces or forms.words in words:
            signs, places = _read(text, _ESCAPE, _NO_WORD)
            yield from _spans(signs.lower(), places, forms.words)
            if in_pieces:  # none of them is left: the rest could be put together
                yield from _piece_spans(signs.lower(), places, forms)
        if forms.hex in hexadecimal:
            signs, places = _read(text, None, _NO_HEX)
            yield from _spans(signs.lower(), places, forms.hex)
        for form in forms.base64:
            if form in plain:
                signs, places = _read(text, None, _NO_WORD)
                done = 0
                for begin, end in _spans(signs, places, form):
                    if end > done:  # else it lies in the run of the one before
                        begin, done = _run(text, begin, end)
                        yield begin, done


def may_hide(text: str, secrets: Iterable[Forms]) -> bool:
    """Whether `hidden_in` might find anything in this text, or in any stretch of whole lines of it.

    For many texts at once: much quicker than to look into each. No is certain, yes is not.
    """
    words, hexadecimal, plain = _readings(text)
    return any(
        forms.words in words
        or _in_pieces(words, forms)
        or forms.hex in hexadecimal
        or any(form in plain for form in forms.base64)
        for forms in secrets
    )


def edges(text: str, secrets: Sequence[Forms]) -> str:
    """As much of a text in which `may_hide` finds nothing as can be part of a secret that goes on
    in another text: its begin and its end, on two lines; all of it where that is hardly less.
    """
    longest = max((len(f) for s in secrets for f in (s.words, s.hex, *s.base64)), default=0)
    needed = longest + 8  # what is cut off may be the half of an escape
    size = 6 * needed
    words, _, _ = _readings(text)
    if 2 * size >= len(text) or any(piece in words for s in secrets for piece in s.pieces):
        return text
    ends = (text[:size], text[-size:])
    enough = all(len(signs) >= needed for end in ends for signs in _readings(end))
    return "\n".join(ends) if enough else text


def _readings(text: str) -> tuple[str, str, str]:
    """The signs of a text that count as words (escapes read), as hex, and as base64.

    The first two in small letters. They are what `_read` gives, but twenty times as quick.
    """
    content = text.encode("utf-8", "replace")  # beyond ASCII no sign counts
    plain = content.translate(None, _NO_WORD_BYTES)
    words = plain
    if any(sign in text for sign in _ESCAPES):
        unescaped = _ESCAPE.sub(_unescaped, text).encode("utf-8", "replace")
        words = unescaped.translate(None, _NO_WORD_BYTES)
    rest = content.replace(b"0x", b"") if b"0x" in content else plain
    hexadecimal = rest.translate(_SMALL, _NO_HEX_BYTES)
    return words.lower().decode(), hexadecimal.decode(), plain.decode()


def _unescaped(match: re.Match[str]) -> str:
    *hexadecimal, decimal = match.groups()
    code = int(decimal) if decimal else int(next(filter(None, hexadecimal)), 16)
    return chr(code) if code < 128 else " "


def _in_pieces(words: str, forms: Forms) -> bool:
    """Whether half of a secret's pieces are there."""
    missing, most = 0, len(forms.pieces) // 2
    for piece in forms.pieces:
        if piece not in words:
            missing += 1
            if missing > most:
                return False
    return bool(forms.pieces)


def _inner(content: bytes, before: int) -> str:
    """The base64 of bytes that follow so many others, without what those and later ones change."""
    text = base64.b64encode(b"\0" * before + content).decode().rstrip("=")
    begin = (before * 8 + 5) // 6
    return text[begin : (before + len(content)) * 8 // 6]


def _read(
    text: str, escape: re.Pattern[str] | None, dropped: re.Pattern[str]
) -> tuple[str, list[Span]]:
    """The signs that count in a reading, and where each stands in the text."""
    signs: list[str] = []
    places: list[Span] = []

    def take(begin: int, end: int) -> None:
        for match in re.finditer(f"(?:{dropped.pattern})|(.)", text[begin:end], re.DOTALL):
            if match[1] is not None:
                signs.append(match[1])
                places.append((begin + match.start(), begin + match.end()))

    done = 0
    for match in escape.finditer(text) if escape else ():
        take(done, match.start())
        sign = _unescaped(match)
        if not dropped.fullmatch(sign):
            signs.append(sign)
            places.append(match.span())
        done = match.end()
    take(done, len(text))
    return "".join(signs), places


def _spans(signs: str, places: list[Span], form: str) -> Iterator[Span]:
    """Where a form stands in the text."""
    at = signs.find(form)
    while at >= 0:
        yield places[at][0], places[at + len(form) - 1][1]
        at = signs.find(form, at + len(form))


def _piece_spans(signs: str, places: list[Span], forms: Forms) -> Iterator[Span]:
    """Where any run of a secret's signs as long as a piece stands."""
    for begin in range(len(forms.words) - _PIECE + 1):
        yield from _spans(signs, places, forms.words[begin : begin + _PIECE])


def _run(text: str, begin: int, end: int) -> Span:
    """The whole run of base64 around a part: what stands beside a secret gives parts of it away."""
    while begin > 0 and text[begin - 1] in _BASE64:
        begin -= 1
    while end < len(text) and text[end] in _BASE64:
        end += 1
    return begin, end


def joined(spans: Iterable[Span]) -> list[Span]:
    """The parts in order; those that touch or overlap are one."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found
