"""The embedded teacher: a chat model that is a script and no LLM.

It reads the same messages as a model would and answers with the same tool calls, so that
everything runs without a key, without a network and with the same result every time. What it knows
of a world it knows from the task's own script (`rl.tasks.scripts`), whose plans it draws from.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import SkipValidation

from tutelage.agents.planner.lookups import is_lookup
from tutelage.agents.planner.option_tools import tool_name
from tutelage.agents.providers.scripted_base import (
    EmbeddedModel,
    answer_with,
    options_of,
    situation_text,
)
from tutelage.rl.tasks.options import Option, Plan
from tutelage.rl.tasks.scripts import BEST, SENSIBLE, Candidate, Script

MODEL_NAME: Final = "offline-script"

_CHARACTERS_PER_TOKEN: Final = 4
"""A rule of thumb for English; the script has no tokens of its own."""
RECORD_OF_FAILURE: Final = "plans here: tried and mostly failed"
"""The text of a look-up where the last plans have failed."""
NOTHING_SAID: Final[Plan] = (Option("script_says_nothing"),)
"""The answer where the task's script has none. Of an answer's form, so that no other is tried."""
_NO_TOOLS: Final = "I am a script and no LLM: I answer with calls of the tools I am given."


class OfflineTeacher(EmbeddedModel):
    """A chat model that answers with a script's plans. It is no LLM.

    It reads the last fenced `situation` block of the last human message and the tools bound to it.
    What a script says that is not on offer is called all the same, and refused as a model's would
    be: with what is allowed.

    Each answer is drawn with a hash of (seed, situation, options on offer, sample index), never
    with a generator that remembers earlier calls: the same situation gets the same answers in any
    order, in any thread, and however a prompt words it.

    script: the task's. seed: changes every draw. temperature: divides the scores of the plans; 0
    always answers with the best. max_options: the longest plan it gives.
    """

    script_name: ClassVar[str] = MODEL_NAME

    script: SkipValidation[Script]
    seed: int = 0
    temperature: float = 1.0
    max_options: int = 5

    @property
    def _llm_type(self) -> str:
        return "offline-script-no-llm"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """All that its answers depend on, besides the messages and tools."""
        return {
            "model_name": self.script_name,
            "is_llm": False,
            "script_version": self.script.version,
            "seed": self.seed,
            "temperature": self.temperature,
            "max_options": self.max_options,
        }

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002  # the base class's signature
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002  # likewise
        *,
        n: int = 1,
        first_sample: int = 0,
        tools: Sequence[dict[str, Any]] = (),
        **kwargs: Any,  # noqa: ARG002  # tool_choice and what else is bound
    ) -> ChatResult:
        """`n` answers, those of sample indices first_sample, first_sample + 1, ...

        It looks everything up that it may, once, before it answers.
        """
        lookups = _lookups_to_make(messages, tools)
        if lookups:
            return self._result([lookups] * n, _usage(messages, [lookups]))
        offered, text = options_of(tools), situation_text(messages).strip()
        answers = _looked_up(messages)
        found: Sequence[Candidate] = []
        if offered:
            found = self._weigh(text, offered) or [Candidate(NOTHING_SAID, BEST)]
        if RECORD_OF_FAILURE in answers:
            found = reconsidered(found)
        key = json.dumps([text, answers, [str(option) for option in offered]])
        plans = [self._draw(found, key, first_sample + i) if found else () for i in range(n)]
        return self._result(plans, _usage(messages, plans))

    def _weigh(self, text: str, offered: Sequence[Option]) -> list[Candidate]:
        """The plans to draw from in a situation, given by its text, best first; none for silence.

        At least one option is offered. What is drawn here, a subclass's blunder for one, may depend
        on the text alone.
        """
        return as_called(self.script.candidates(text, offered, self.max_options))

    def _draw(self, found: Sequence[Candidate], key: str, sample: int) -> Plan:
        return draw(found, self.temperature, hashed(self.seed, key, sample))

    def _result(self, plans: Sequence[Plan], usage: UsageMetadata) -> ChatResult:
        name = self.script_name
        answers = [answer_with(plan, usage, name, otherwise=_NO_TOOLS) for plan in plans]
        generations = [ChatGeneration(message=answer) for answer in answers]
        return ChatResult(generations=generations, llm_output={"model_name": name})


def reconsidered(found: Sequence[Candidate]) -> list[Candidate]:
    """The plans where the best has failed: it changes places with the other sensible ones."""
    swapped = {BEST: SENSIBLE, SENSIBLE: BEST}
    if all(candidate.score != SENSIBLE for candidate in found):
        return list(found)
    return [Candidate(c.plan, swapped.get(c.score, c.score)) for c in found]


def draw(found: Sequence[Candidate], temperature: float, uniform: float) -> Plan:
    """The plan at a point in [0, 1) of softmax(score / temperature); the best at temperature 0."""
    if temperature <= 0.0:
        return max(found, key=lambda candidate: candidate.score).plan
    top = max(candidate.score for candidate in found)
    weights = [math.exp((candidate.score - top) / temperature) for candidate in found]
    left = uniform * sum(weights)
    for candidate, weight in zip(found, weights, strict=True):
        left -= weight
        if left < 0.0:
            return candidate.plan
    return found[-1].plan


def as_called(found: Sequence[Candidate]) -> list[Candidate]:
    """Plans with the names that their options have as tools."""
    return [
        Candidate(tuple(Option(tool_name(step.name), step.target) for step in c.plan), c.score)
        for c in found
    ]


def hashed(*parts: int | str) -> float:
    """A number in [0, 1), evenly spread, that depends on the parts alone."""
    digest = hashlib.blake2b(json.dumps(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def _lookups_to_make(messages: Sequence[BaseMessage], tools: Sequence[dict[str, Any]]) -> Plan:
    """Calls of the look-up tools on offer that have not been made yet."""
    made = {call["name"] for m in messages if isinstance(m, AIMessage) for call in m.tool_calls}
    names = [tool["function"]["name"] for tool in tools]
    return tuple(Option(name) for name in names if is_lookup(name) and name not in made)


def _looked_up(messages: Sequence[BaseMessage]) -> str:
    """The answers to its look-ups."""
    return "\n".join(str(message.text) for message in messages if isinstance(message, ToolMessage))


def _usage(messages: Sequence[BaseMessage], plans: Sequence[Plan]) -> UsageMetadata:
    """The whole request's tokens, as OpenAI's protocol counts them: characters over four."""
    into = sum(len(str(message.text)) for message in messages) // _CHARACTERS_PER_TOKEN
    out = sum(len(str(step)) for plan in plans for step in plan) // _CHARACTERS_PER_TOKEN
    return UsageMetadata(input_tokens=into, output_tokens=out, total_tokens=into + out)
