"""What a run may need of its teacher, by a look at the task and one answer."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from helpers.openai_server import OpenAIServer, rejects, status, teach
from helpers.planners import LIBRARY, TASK, settings
from tutelage.agents.exam.check import Check, check
from tutelage.agents.providers.make import make_chat_model
from tutelage.graphs.analysis.needs import Need, need_of

PRICES: dict[str, Any] = {
    "usd_per_million_prompt_tokens": 10.0,
    "usd_per_million_completion_tokens": 20.0,
}
TypeIn = Callable[..., subprocess.CompletedProcess[bytes]]


def checked(*behaviours: Any, **values: Any) -> Check:
    chosen = settings(max_tries=1, **values)
    with OpenAIServer(*behaviours) as server:
        provider = make_chat_model("openai:m", server.base_url, chosen)
        return check(TASK, 1, LIBRARY, provider, chosen)


def needed(met: dict[int, int], most: int | None = 500, **values: Any) -> Need:
    need = need_of(met, 64, checked(**values), most)
    assert need is not None
    return need


def test_what_was_met_again_and_again_is_all_there_is() -> None:
    need = needed({1: 64, 2: 30, 3: 2}, **PRICES)
    assert need.situations == (3, 3)
    told = need.to_json()
    assert told["requests"] == (3, 3)
    assert told["prompt_tokens"] == (300, 300)
    assert told["completion_tokens"] == (150, 150), "five samples of ten tokens each"
    assert told["cost_usd"] == pytest.approx((0.006, 0.006))
    assert told["most_usd"] == pytest.approx(1.0)


def test_what_was_met_but_once_tells_of_much_that_was_not_met() -> None:
    """Chao 1987: 100 * 99 / (2 * 10) unseen ones, times 63/64."""
    met = {**dict.fromkeys(range(100), 1), **dict.fromkeys(range(100, 109), 2), 200: 64}
    assert needed(met).situations == (110, 110 + 487)


def test_a_server_that_gives_one_answer_at_a_time_takes_a_request_for_each() -> None:
    need = need_of({1: 9}, 64, checked(rejects("n", teach())), 500)
    assert need is not None
    assert need.requests == 5, "the one that found it out is not made again"


def test_what_is_not_known_stays_unknown() -> None:
    need = needed({1: 9}, most=None)
    told = need.to_json()
    assert told["cost_usd"] is None
    assert told["most_usd"] is None
    assert told["most_requests"] is None


def test_nothing_is_said_where_no_advice_came_out() -> None:
    assert need_of({1: 9}, 64, checked(status(500)), 500) is None
    asked = checked()
    recorded = replace(asked, answer=replace(asked.answer, calls=()))
    assert need_of({1: 9}, 64, recorded, 500) is None, "as a recording, which asks nobody"


@pytest.mark.slow
def test_check_says_it_for_people_and_for_programs(type_in: TypeIn) -> None:
    words = ["providers", "check", "openai:m", "--env", "helpers.toy_task:Corridor"]
    prices = [w for name, value in PRICES.items() for w in ("--set", f"teacher.{name}={value}")]
    with OpenAIServer() as server:
        words += ["--base-url", server.base_url, *prices]
        found = json.loads(type_in(*words, "--json").stdout)
        told = type_in(*words).stdout.decode()
        free = json.loads(type_in(*words[:2], "offline", *words[3:5], "--json").stdout)
    assert found["run"] == {
        "situations": [4, 4],
        "requests": [4, 4],
        "prompt_tokens": [400, 400],
        "completion_tokens": [200, 200],
        "cost_usd": pytest.approx([0.008, 0.008]),
        "most_requests": 500,
        "most_usd": pytest.approx(1.0),
    }
    assert "about 4 situations, 4 requests, 600 tokens, 0.008 USD" in told
    assert "500 requests, 1.00 USD; --budget-calls sets another" in told
    assert free["run"]["most_requests"] is None
    assert free["run"]["cost_usd"] == [0, 0]
