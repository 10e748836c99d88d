"""The ladder of ways to ask for a plan, from the one that says most down to plain text.

Servers differ in what they can do: some do not enforce `tool_choice`, some know no tools, some take
no `n` or no `seed`. So a request is put in a manner, and a server that rejects one gets the next.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

from tutelage.agents.common.settings import TeacherSettings

Way = Literal["logprobs", "required", "auto", "json", "text"]
"""logprobs: one letter for an option, with the probabilities of all letters. required: tools, one
of which must be called. auto: tools, and a check that one was called. json: an answer held to a
JSON schema. text: one line of a small grammar (`agents.planner.plan_grammar`)."""

WAYS: Final[tuple[Way, ...]] = get_args(Way)
WITH_TOOLS: Final[frozenset[Way]] = frozenset({"required", "auto"})

_BLAMES_N: Final = re.compile(r"(?<![\w-])n(?![\w-])")
_BLAMES_SEED: Final = re.compile(r"\bseed\b", re.IGNORECASE)
_BLAMES_WAY: Final = re.compile(r"tool|function|jinja|response_format|json_schema", re.IGNORECASE)


def ways_for(settings: TeacherSettings) -> tuple[Way, ...]:
    """The rungs of the ladder, the first to try first."""
    return WAYS if settings.uncertainty == "logprobs" else WAYS[1:]


@dataclass(frozen=True)
class Manner:
    """How a request is put. with_n: all samples in one request. with_seed: a seed with it."""

    way: Way
    with_n: bool
    with_seed: bool

    def after_rejection(self, complaint: str) -> Manner | None:
        """What to try after the server or the client library has said no; None at the foot.

        complaint: its words. They often name the culprit; else `n` goes first, then the seed.
        """
        if self.way == "logprobs":
            return self._lower()
        if self.with_n and _BLAMES_N.search(complaint):
            return replace(self, with_n=False)
        if self.with_seed and _BLAMES_SEED.search(complaint):
            return replace(self, with_seed=False)
        if _BLAMES_WAY.search(complaint):
            return self._lower()
        if self.with_n:
            return replace(self, with_n=False)
        if self.with_seed:
            return replace(self, with_seed=False)
        return self._lower()

    def after_nonsense(self) -> Manner | None:
        """What to try for a model whose answers have not the form of one; None at the foot.

        One that was given tools and only talked would talk on `auto` too.
        """
        return replace(self, way="json") if self.way in WITH_TOOLS else self._lower()

    def _lower(self) -> Manner | None:
        rung = WAYS.index(self.way) + 1
        return replace(self, way=WAYS[rung]) if rung < len(WAYS) else None
