"""A grammar of what a provider may answer: OpenAI's completions and errors, each part odd."""

from __future__ import annotations

import gzip
import json
from typing import Any, Final

from hypothesis import strategies as st

from helpers.fuzzed_values import DEEP, NUMBERS, ODD, TEXTS, mostly
from helpers.key_forms import FORMS
from helpers.openai_server import Behaviour, Body, Reply

_OPTION: Final = "an option on offer"
"""Stands for the name of the first tool of the request, which is not known before."""

_ANY: Final = st.one_of(ODD, DEEP)
_ARGUMENTS: Final = st.one_of(st.just("{}"), ODD.map(json.dumps), TEXTS, st.just("[" * 5000), _ANY)
_CALL: Final = mostly(
    st.fixed_dictionaries(
        {
            "id": mostly(st.just("call_0"), _ANY),
            "type": mostly(st.just("function"), _ANY),
            "function": mostly(
                st.fixed_dictionaries(
                    {"name": mostly(st.just(_OPTION), _ANY), "arguments": _ARGUMENTS}
                ),
                _ANY,
            ),
        }
    ),
    _ANY,
)
_CONTENT: Final = st.one_of(
    st.none(),
    TEXTS,
    st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": _ANY}), max_size=2),
    ODD.map(lambda value: f"<tool_call>{json.dumps({'name': _OPTION, 'arguments': value})}"),
    _ANY,
)
_LOGPROBS: Final = st.fixed_dictionaries(
    {
        "content": mostly(
            st.lists(
                st.fixed_dictionaries(
                    {
                        "token": mostly(TEXTS, _ANY),
                        "logprob": mostly(NUMBERS, _ANY),
                        "bytes": _ANY,
                        "top_logprobs": mostly(st.just([]), _ANY),
                    }
                ),
                max_size=3,
            ),
            _ANY,
        )
    }
)
_CHOICE: Final = mostly(
    st.fixed_dictionaries(
        {
            "index": mostly(st.just(0), _ANY),
            "message": mostly(
                st.fixed_dictionaries(
                    {
                        "role": mostly(st.just("assistant"), _ANY),
                        "content": _CONTENT,
                        "tool_calls": mostly(st.lists(_CALL, max_size=3), _ANY),
                    },
                    optional={"refusal": _ANY, "reasoning_content": _ANY, "function_call": _ANY},
                ),
                _ANY,
            ),
            "finish_reason": mostly(st.just("stop"), _ANY),
        },
        optional={"logprobs": st.one_of(_LOGPROBS, _ANY)},
    ),
    _ANY,
)
_USAGE: Final = st.fixed_dictionaries(
    {},
    optional={
        "prompt_tokens": st.one_of(NUMBERS, _ANY),
        "completion_tokens": st.one_of(NUMBERS, _ANY),
        "total_tokens": st.one_of(NUMBERS, _ANY),
        "prompt_tokens_details": _ANY,
        "completion_tokens_details": _ANY,
    },
)
_COMPLETION: Final = st.fixed_dictionaries(
    {
        "id": mostly(st.just("chatcmpl"), _ANY),
        "object": mostly(st.just("chat.completion"), _ANY),
        "created": mostly(st.just(0), _ANY),
        "model": mostly(st.just("test-model"), _ANY),
        "choices": mostly(st.lists(_CHOICE, max_size=3), _ANY),
    },
    optional={"usage": mostly(_USAGE, _ANY), "error": _ANY, "service_tier": _ANY},
)
_ERROR: Final = st.one_of(
    st.fixed_dictionaries(
        {"error": st.one_of(st.fixed_dictionaries({"message": _ANY, "code": _ANY}), _ANY)}
    ),
    _ANY,
)
_HEADERS: Final = st.dictionaries(
    st.sampled_from(["x-request-id", "retry-after-ms", "x-should-retry", "www-authenticate"]),
    st.sampled_from(["", "-1", "nan", "0", "true", "bytes", FORMS[0], FORMS[4]]),
    max_size=2,
)


def _sent(value: Any) -> bytes:
    return json.dumps(value).encode()


def _reply(status: int, content: bytes, headers: dict[str, str], cut: int | None) -> Reply:
    return Reply(status, content, headers=headers, cut=cut)


_CUTS: Final = mostly(st.none(), mostly(st.none(), st.integers(0, 200)))
REPLIES: Final = st.one_of(
    *[st.builds(_reply, st.just(200), _COMPLETION.map(_sent), _HEADERS, _CUTS)] * 15,
    st.builds(
        _reply,
        st.sampled_from([400, 404, 408, 409, 413, 422, 429, 500, 503, 599]),
        _ERROR.map(_sent),
        _HEADERS,
        _CUTS,
    ),
    st.builds(
        _reply,
        st.sampled_from([200, 201, 204, 500]),
        st.one_of(
            st.binary(max_size=60),
            TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")),
            st.sampled_from([b"[" * 100_000, b'{"a":' * 20_000, b"9" * 50_000, b"null", b"{}"]),
            _COMPLETION.map(lambda value: gzip.compress(_sent(value), mtime=0)),
        ),
        st.one_of(_HEADERS, st.just({"content-encoding": "gzip"})),
        _CUTS,
    ),
    st.just(Reply(status=0)),
)
"""Answers of every kind, most of them completions."""


def answering(reply: Reply) -> Behaviour:
    """Gives this answer, the names of options filled in."""

    def answer(body: Body) -> Reply:
        tools = body.get("tools") or [{"function": {"name": "explore"}}]
        content = reply.content.replace(_OPTION.encode(), tools[0]["function"]["name"].encode())
        return Reply(reply.status, content, headers=reply.headers, cut=reply.cut)

    return answer
