"""What a provider's error stands for, where its status alone does not say: real errors, by HTTP."""

from __future__ import annotations

import pytest

from helpers.openai_server import Behaviour, OpenAIServer, saying_no, status, teach
from helpers.planners import TASK, settings
from tutelage.agents.client.cures import cause, what_next
from tutelage.agents.client.errors import FailureName
from tutelage.agents.planner.answer import PlannerAnswer
from tutelage.agents.planner.planner import Planner
from tutelage.agents.providers.make import make_chat_model
from tutelage.prompts.library import PromptLibrary

OVER_QUOTA = "You exceeded your current quota, please check your plan and billing details."
LOW = "Your credit balance is too low to access the Anthropic API."


def asked(*behaviours: Behaviour) -> tuple[PlannerAnswer, int]:
    """The answer about a situation, and how many requests it took."""
    chosen = settings(max_tries=3, backoff_s=0.0)
    with OpenAIServer(*behaviours) as server:
        provider = make_chat_model("openai:m", server.base_url, chosen, TASK)
        answer = Planner(TASK, PromptLibrary(None), provider, chosen).ask(1)
        return answer, len(server.requests)


@pytest.mark.parametrize(
    ("behaviour", "name"),
    [
        (saying_no(429, OVER_QUOTA, "insufficient_quota"), "no_credit"),
        (saying_no(429, "Your account is not active", "billing_not_active"), "no_credit"),
        (saying_no(400, LOW, "invalid_request_error"), "no_credit"),
        (status(402, "Insufficient Balance"), "no_credit"),
        (status(401, "The account has been deactivated"), "no_credit"),
        (status(403, "This account is blocked"), "no_credit"),
        (status(400, "API key not valid. Please pass a valid API key."), "refused"),
        (status(404, "The model `m` does not exist"), "not_found"),
    ],
)
def test_what_nobody_but_the_user_can_change_is_asked_once(
    behaviour: Behaviour, name: FailureName
) -> None:
    answer, requests = asked(behaviour)
    assert (answer.failure, answer.advice) == (name, None)
    assert requests == 1


def test_a_quota_that_is_renewed_is_waited_for() -> None:
    """Google says the same of the quota of a minute, without a code that tells."""
    answer, requests = asked(saying_no(429, OVER_QUOTA, "RESOURCE_EXHAUSTED"))
    assert (answer.failure, requests) == ("rate_limited", 3)


def test_a_router_without_a_route_for_tools_is_asked_without_them() -> None:
    """With 404, as for a model that is not there."""
    no_route = status(404, "No endpoints found that support tool use.")
    answer, _ = asked(no_route, teach())
    assert answer.advice is not None
    assert [call.status for call in answer.calls][:2] == ["bad_request", "ok"]


def test_the_key_is_named_where_one_helps() -> None:
    assert what_next("refused", ["A_KEY", "B_KEY"]).endswith("check A_KEY or B_KEY")
    assert what_next("refused", []).endswith("check the server's settings")
    assert cause("refused") == "the key was refused"
