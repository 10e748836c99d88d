"""A person as the teacher: a chat model that asks the person at the terminal.

It is asked like any model, with options as tools, and answers with calls of them. The interface to
the person, a `Person`, is attached when a run is put together.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr

from tutelage.agents.providers.scripted_base import (
    EmbeddedModel,
    answer_with,
    options_of,
    situation_text,
)
from tutelage.rl.tasks.options import Option, Plan

MODEL_NAME: Final = "human"


class Person(Protocol):
    """The interface to a person who can be asked for a plan."""

    def ask(
        self, situation: str, options: Sequence[Option], picture: str | None, max_options: int
    ) -> Plan:
        """A plan of options on offer, at least one and at most `max_options` of them.

        picture: a state of the situation drawn as text, where there is one.
        """

    def close(self) -> None:
        """No answer is awaited any more."""


class HumanTeacher(EmbeddedModel):
    """A chat model behind which a person sits.

    All samples of a situation are the one plan that the person gives, and nobody is asked twice
    about a situation. max_options: the longest plan that is taken.
    """

    max_options: int = 5

    _person: Person | None = PrivateAttr(None)
    _pictures: dict[str, str] = PrivateAttr(default_factory=dict)
    _given: dict[tuple[str, tuple[Option, ...]], Plan] = PrivateAttr(default_factory=dict)
    _turn: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    @property
    def _llm_type(self) -> str:
        return "human-no-llm"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """All that its answers depend on, besides the messages, the tools and the person."""
        return {"model_name": MODEL_NAME, "is_llm": False, "max_options": self.max_options}

    def attach(self, person: Person) -> None:
        """Ask this person from now on."""
        self._person = person

    def illustrate(self, pictures: Mapping[str, str]) -> None:
        """Show these drawn states, by their situations' text, when asking about them."""
        self._pictures.update({text.strip(): picture for text, picture in pictures.items()})

    def close(self) -> None:
        """Close the interface: no answer is awaited any more."""
        if self._person is not None:
            self._person.close()

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002  # the base class's signature
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002  # likewise
        *,
        n: int = 1,
        tools: Sequence[dict[str, Any]] = (),
        **kwargs: Any,  # noqa: ARG002  # tool_choice and what else is bound
    ) -> ChatResult:
        """The person's plan, `n` times."""
        plan = self._plan(situation_text(messages).strip(), tuple(options_of(tools)))
        return ChatResult(generations=[ChatGeneration(message=_answer(plan)) for _ in range(n)])

    def _plan(self, situation: str, options: tuple[Option, ...]) -> Plan:
        if self._person is None:
            raise RuntimeError("there is nobody to be asked")
        with self._turn:  # one question at a time
            key = (situation, options)
            if key not in self._given and options:
                picture = self._pictures.get(situation)
                self._given[key] = self._person.ask(situation, options, picture, self.max_options)
            return self._given.get(key, ())


def human_behind(provider: object) -> HumanTeacher | None:
    """The model behind which a person sits; None for any other provider."""
    model = getattr(provider, "model", None)
    return model if isinstance(model, HumanTeacher) else None


def _answer(plan: Plan) -> AIMessage:
    usage = UsageMetadata(input_tokens=0, output_tokens=0, total_tokens=0)
    return answer_with(plan, usage, MODEL_NAME, otherwise="There is nothing to choose from.")
