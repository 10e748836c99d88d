"""What each failure of a provider means to people, and what they can do about it."""

from __future__ import annotations

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
    "bad_request": "the server rejected what it was asked",
    "unusable_answer": "no answer held a plan that can be used",
    "cut_off": "the answer was cut at its limit of tokens",
    "filtered": "the provider's content filter refused the question or the answer",
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
    "bad_request": "is the model's name right? The answer above says what it does not take",
    "unusable_answer": "the model answers and calls nothing on offer: try a larger one, or prompts "
    "of your own (--prompts); where it is the task's own script, mend that",
    "cut_off": "a model that thinks needs more: --set teacher.max_tokens=16384; one that goes on "
    "and on is not helped by that",
    "filtered": "other situations may pass; prompts of your own (--prompts) may help",
    "budget_spent": "raise the budget",
    "not_recorded": "record that situation, or add a line for it by hand",
}


def cause(failure: FailureName) -> str:
    """What happened, as a clause."""
    return _CAUSES[failure]


def what_next(failure: FailureName, keys: Sequence[str]) -> str:
    """What to do next. keys: the variables that hold the provider's key."""
    return _NEXT[failure].format(keys=" or ".join(keys) or "the server's settings")
