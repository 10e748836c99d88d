"""What several tests of mixed play share."""

from __future__ import annotations

from helpers.toy_task import AT_LEVER, LEVER_DOWN, PULL_IT, WALK_TO_EXIT, WALK_TO_LEVER, Corridor
from tutelage.rl.advice.advice import Advice
from tutelage.rl.policy.policy import Policy, make_policy
from tutelage.rl.policy.settings import StudentSettings

GOOD = {
    situation_id: Advice(((option,),), (1.0,))
    for situation_id, option in {
        0: WALK_TO_LEVER,
        AT_LEVER: PULL_IT,
        LEVER_DOWN: WALK_TO_EXIT,
        LEVER_DOWN | AT_LEVER: WALK_TO_EXIT,
    }.items()
}


TASK = Corridor()


def student_of(memory: str = "none", seed: int = 0) -> Policy:
    """A new student of the corridor, which knows nothing yet."""
    settings = StudentSettings.model_validate({"hidden": 16, "memory": memory})
    return make_policy(TASK, settings, "cpu", seed)
