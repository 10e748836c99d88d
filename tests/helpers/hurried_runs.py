"""What several tests of failures share."""

from __future__ import annotations

from typing import Any

from helpers.openai_server import (
    Behaviour,
    Reply,
    teach,
)
from helpers.tiny_runs import (
    ROLLOUT,
)

PROVIDER = "openai:test-model"


HURRIED: dict[str, Any] = {
    "provider": PROVIDER,
    "env": "ColoredDoorKey",
    "steps": 4 * ROLLOUT,
    "weaning__schedule": "constant",
    "teacher__max_tries": 2,
    "teacher__backoff_s": 0.0,
    "ppo__epochs": 1,
    "ppo__advised_epochs": 1,
    "student__hidden": 16,
    "evaluation__final_episodes": 1,
}
"""Four quick iterations with a teacher that stays; failures are tried twice, without a pause."""


def after(seconds: float) -> Behaviour:
    """A good answer, after so long."""
    return lambda body: Reply(body=teach()(body).body, delay_s=seconds)
