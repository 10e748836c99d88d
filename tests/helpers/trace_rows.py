"""What several tests of trace share."""

from __future__ import annotations

from typing import Any

from tutelage.agents.client.call_record import CallRecord
from tutelage.graphs.records.trace.records import VisitRecord
from tutelage.rl.advice.advice import Advice
from tutelage.rl.tasks.options import Option

ADVICE = Advice(
    ((Option("pick_up", "red key"), Option("open", "red door")), (Option("explore"),)), (0.75, 0.25)
)


CALL = CallRecord(
    iteration=1,
    env_steps=2048,
    node="planner",
    situation_id=2**63 - 1,
    provider="openai",
    model="small-model",
    attempt=1,
    status="ok",
    error=None,
    messages=[{"role": "system", "content": "Hilf dem Schüler 🗝"}, {"role": "user", "content": ""}],
    tools=[{"name": "explore", "parameters": {}}],
    settings={"temperature": 0.7, "k": 4, "stop": None},
    answers=[{"tool_calls": [{"name": "explore", "args": {}}], "logprob": -0.5}],
    plans=[[["explore", None]], None],
    prompt_tokens=812,
    completion_tokens=None,
    started_at=1.9e9,
    latency_s=0.25,
)


def visit(iteration: int, situation_id: int, visits: int = 1, **more: Any) -> VisitRecord:
    values = {"coverage": 1.0, "agreement": None, "episodes": 0, "successes": 0} | more
    return VisitRecord(iteration, situation_id, visits, **values)
