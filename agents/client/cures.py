"""What each failure of a provider means to people, and what they can do about it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from tutelage.agents.client.errors import FailureName

_CAUSES: Final[dict[FailureName, str]] = {
    "provider_down": "the server could not be reached, or failed",
    "timed_out": "the server gave no answer in time",
    "rate_limited": "the server was asked too often",
    "refused": "the key was refused",
    "no_credit": "the account has no credit left, or is blocked",
    "not_found": "there is no such model at that address",
    "not_compatible": "no OpenAI-compatible answer came from that address",
    "bad_request": "the server rejected what it was asked",
    "too_long": "the question did not fit into the model's context",
    "filtered": "the provider's content filter refused the question or the answer",
    "unusable_answer": "no answer held a plan that can be used",
    "cut_off": "the answer was cut at its limit of tokens",
    "budget_spent": "the budget was spent",
    "not_recorded": "the recording holds no answer to what came up",
}

_NEXT: Final[dict[FailureName, str]] = {
    "provider_down": "is the server running there, and is the address right (--base-url)?",
    "timed_out": "a larger --set teacher.timeout_s=… may help, or a smaller model",
    "rate_limited": "wait, or ask for less at once: --set teacher.concurrency=1",
    "refused": "the key is wrong or lacks rights: check {keys}",
    "no_credit": "see the account's plan and billing at the provider, or take the key of another "
    "account: {keys}",
    "not_found": "is the model's name right, and the address (--base-url)?",
    "not_compatible": "does the address end in /v1 (--base-url)? It must be that of an "
    "OpenAI-compatible API",
    "bad_request": "is the model's name right? The answer above says what it does not take",
    "too_long": "start the server with a larger context (llama-server -c 8192, vllm serve "
    "--max-model-len 8192, OLLAMA_CONTEXT_LENGTH=8192), or make the prompts shorter (--prompts)",
    "filtered": "change the words that it objects to (--prompts), or the filter at the provider",
    "unusable_answer": "the model answers and calls nothing on offer: try a larger one, or prompts "
    "of your own (--prompts); where it is the task's own script, mend that",
    "cut_off": "a model that thinks needs more: --set teacher.max_tokens=16384; one that goes on "
    "and on is not helped by that",
    "budget_spent": "raise the budget",
    "not_recorded": "record that situation, or add a line for it by hand",
}


_NEXT_WHERE_SAID: Final = (
    (
        re.compile(r"certificate is not trusted.*SSL_CERT_FILE"),
        "set SSL_CERT_FILE to a file with the certificate of the authority that signed it",
    ),
    (
        re.compile(r"certificate is not trusted"),
        "the server's certificate is to be mended there; is the address (--base-url) right?",
    ),
    (
        re.compile(r"the proxy refuses|by way of HTTPS_PROXY"),
        "mend the proxy in HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, or name the server's host in "
        "NO_PROXY",
    ),
    (
        re.compile(r"WRONG_VERSION_NUMBER"),
        "the server there speaks no TLS: http:// in place of https:// (--base-url)?",
    ),
    (
        re.compile(r"\b[Cc]ode:? 5\d\d\b"),
        "the server was reached and failed: its own log says why; it may pass",
    ),
)
"""What to do about a server that is down, where the words of the error tell more than its name."""


def cause(failure: FailureName) -> str:
    """What happened, as a clause."""
    return _CAUSES[failure]


def what_next(failure: FailureName, keys: Sequence[str], said: str = "") -> str:
    """What to do next.

    keys: the variables that hold the provider's key. said: the words of the error.
    """
    if failure == "provider_down":
        for words, todo in _NEXT_WHERE_SAID:
            if words.search(said):
                return todo
    return _NEXT[failure].format(keys=" or ".join(keys) or "the server's settings")
