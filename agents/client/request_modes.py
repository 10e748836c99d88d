"""The ladder of request modes, from the one that says most down to plain text.

Servers differ in what they can do: some do not enforce `tool_choice`, some know no tools, some take
no `n` or no `seed`. A server that rejects a request in one mode gets it in the next.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

from tutelage.agents.common.settings import TeacherSettings

OutputMode = Literal["logprobs", "required", "auto", "json", "text"]
"""logprobs: one letter for an option, with the probabilities of all letters. required: tools, one
of which must be called. auto: tools, and a check that one was called. json: an answer held to a
JSON schema. text: one line of a small grammar (`agents.planner.plan_grammar`)."""

OUTPUT_MODES: Final[tuple[OutputMode, ...]] = get_args(OutputMode)
WITH_TOOLS: Final[frozenset[OutputMode]] = frozenset({"required", "auto"})

_BLAMES_N: Final = re.compile(r"(?<![\w-])n(?![\w-])")
_BLAMES_SEED: Final = re.compile(r"\bseed\b", re.IGNORECASE)
_BLAMES_LIMIT: Final = re.compile(r"\bmax_(completion_)?tokens\b")
_BLAMES_OUTPUT_MODE: Final = re.compile(
    r"tool|function|jinja|response_format|json_schema", re.IGNORECASE
)


def output_modes_for(settings: TeacherSettings) -> tuple[OutputMode, ...]:
    """The output modes that the settings allow, the first to try first."""
    return OUTPUT_MODES if settings.uncertainty == "logprobs" else OUTPUT_MODES[1:]


@dataclass(frozen=True)
class RequestMode:
    """How a request is put. with_n: all samples in one request. with_seed: a seed with it.

    limit: how it says the most tokens of an answer: by the name that the provider's servers know,
    by OpenAI's other name, or not at all. thinks: the model was seen to think before it answers.
    """

    output_mode: OutputMode
    with_n: bool
    with_seed: bool
    limit: Literal["named", "renamed", "none"] = "named"
    thinks: bool = False

    def after_rejection(self, complaint: str) -> RequestMode | None:
        """The mode to try after the server or the client library refused; None after the last.

        complaint: its words. They often name the culprit; else `n` goes first, then the seed.
        """
        if self.output_mode == "logprobs":
            return self._lower()
        if self.limit != "none" and _BLAMES_LIMIT.search(complaint):
            return replace(self, limit="renamed" if self.limit == "named" else "none")
        without_n = replace(self, with_n=False) if self.with_n else None
        without_seed = replace(self, with_seed=False) if self.with_seed else None
        if without_n and _BLAMES_N.search(complaint):
            return without_n
        if without_seed and _BLAMES_SEED.search(complaint):
            return without_seed
        if _BLAMES_OUTPUT_MODE.search(complaint):
            return self._lower()
        return without_n or without_seed or self._lower()

    def after_nonsense(self) -> RequestMode | None:
        """The mode to try for a model whose answers have no form at all; None after the last.

        A model that was given tools and only talked would talk on `auto` too.
        """
        if self.output_mode in WITH_TOOLS:
            return replace(self, output_mode="json")
        return self._lower()

    def _lower(self) -> RequestMode | None:
        rung = OUTPUT_MODES.index(self.output_mode) + 1
        if rung == len(OUTPUT_MODES):
            return None
        return replace(self, output_mode=OUTPUT_MODES[rung])
