"""OpenAI's chat model for servers that send more, or other things, than OpenAI itself.

It keeps what a server's model thought before it answered. Servers such as vLLM and llama.cpp send
that beside the answer. LangChain's package drops what OpenAI itself does not send; its packages for
other providers keep it where it is put here.

It says what came in place of an answer: an error inside a body of status 200, a web page.

And it reads an answer whose tokens nobody can count: LangChain's package does sums with whatever
the server has put there, and takes a number that is missing for 0.
"""

from __future__ import annotations

from typing import Any, Final, cast

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.messages import AIMessage, BaseMessage, UsageMetadata
from langchain_core.outputs import ChatResult
from langchain_openai import ChatOpenAI
from openai import ContentFilterFinishReasonError, LengthFinishReasonError

from tutelage.agents.client.bodies import check_body, check_text
from tutelage.agents.client.numbers import count_of

_SENT: Final = ("reasoning_content", "reasoning")
"""The names under which servers send what the model thought."""

_COUNTS: Final = {
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "total_tokens": "total_tokens",
}
"""OpenAI's names of an answer's numbers of tokens, and LangChain's."""

_DETAILS: Final = ("prompt_tokens_details", "completion_tokens_details")
"""Where OpenAI says what kinds of tokens those were."""


class ReasoningChatOpenAI(ChatOpenAI):
    """The chat model, with `additional_kwargs["reasoning_content"]` where the server sends any.

    renames_limit: the most tokens of an answer goes out as `max_tokens`, the older name, which
    other servers know; OpenAI's own want `max_completion_tokens`. Raises BodyError and
    NotCompatibleError (`agents.client.errors`), too.
    """

    renames_limit: bool = False

    def _get_request_payload(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        payload: dict[str, Any] = super()._get_request_payload(*args, **kwargs)
        if self.renames_limit and "max_completion_tokens" in payload:
            payload["max_tokens"] = payload.pop("max_completion_tokens")
        return payload

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        try:
            return super()._generate(messages, stop, run_manager, **kwargs)
        except (LengthFinishReasonError, ContentFilterFinishReasonError) as error:
            # OpenAI's package raises for JSON that was cut; it is paid for, and says how it ended.
            if error.completion is None:
                raise
            return self._create_chat_result(error.completion)
        except Exception as error:
            # Where the package cannot read an answer, the answer says more than the package.
            response = getattr(error, "response", None)
            if getattr(response, "status_code", None) == 200:
                check_text(cast(Any, response).text)
            raise

    def _create_chat_result(
        self, response: Any, generation_info: dict[str, Any] | None = None
    ) -> ChatResult:
        plain = isinstance(response, dict | list | str)
        sent = response if plain else response.model_dump(warnings=False)
        check_body(sent)
        counted = _is_counted(sent.get("usage"))
        if not counted:
            uncounted = {"usage": None}
            is_plain = isinstance(response, dict)
            response = response | uncounted if is_plain else response.model_copy(update=uncounted)
        result = super()._create_chat_result(response, generation_info)
        for generation, choice in zip(result.generations, sent["choices"], strict=True):
            said, message = choice["message"], generation.message
            if not isinstance(message, AIMessage):
                continue
            if not counted:
                message.usage_metadata = _known(sent.get("usage"))
            words = next((said[name] for name in _SENT if isinstance(said.get(name), str)), None)
            if words:
                message.additional_kwargs["reasoning_content"] = words
        return result


def _is_counted(usage: Any) -> bool:
    """Whether what a server says of its tokens consists of counts: LangChain's package adds up."""
    if not isinstance(usage, dict):
        return False
    details = [usage.get(name) or {} for name in _DETAILS]
    return all(
        isinstance(each, dict) and all(n is None or count_of(n) is not None for n in each.values())
        for each in details
    ) and all(count_of(usage.get(name)) is not None for name in _COUNTS)


def _known(usage: Any) -> UsageMetadata | None:
    """The counts among what a server says of its tokens; None where it says nothing."""
    if not isinstance(usage, dict):
        return None
    known = {kept: count_of(usage.get(name)) for name, kept in _COUNTS.items()}
    return cast(UsageMetadata, {name: n for name, n in known.items() if n is not None})
