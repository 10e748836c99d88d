"""The teacher's trial: a few episodes that it plays itself, to know how good its advice is.

They are played with the advice in hand: no LLM is asked for them. How good that is changes with
the advice only, so a trial ends once enough episodes were played since the last change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict

from rl.acting import Actor, TeacherActor
from rl.advice import Advice
from rl.evaluation import play
from rl.seeding import generator
from rl.task import Task

_AT_A_TIME: Final = 16
_ENOUGH: Final = 96
"""Episodes since the advice last changed: a standard error of at most 0.05."""
_LEAST: Final = 16
"""Episodes without which nothing is said of a success rate."""


class Trial(BaseModel):
    """The teacher's outcomes so far.

    advised: the number of situations with advice when it was last played. fresh: episodes since
    that number changed. successes, episodes: with halves of older outcomes, as numbers. played,
    env_steps: what it all took.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    advised: int = 0
    fresh: int = 0
    successes: float = 0.0
    episodes: float = 0.0
    played: int = 0
    env_steps: int = 0

    @property
    def success(self) -> float | None:
        """The teacher's success rate; None while too few episodes were played."""
        return self.successes / self.episodes if self.episodes >= _LEAST else None

    def after(self, task: Task, advice: Mapping[int, Advice], seed: int) -> Trial:
        """The trial with some more episodes, where its advice has changed lately.

        The levels are training levels of a stream of their own: no evaluation's, no student's.
        """
        changed = len(advice) != self.advised
        fresh = 0 if changed else self.fresh
        if not advice or fresh >= _ENOUGH:
            return self
        # What was played with other advice counts half: there was less of it.
        kept = 0.5 if changed else 1.0
        first = self.played // _AT_A_TIME

        def make(num_envs: int) -> Actor:
            draws = generator(seed, "trial", first)
            return TeacherActor(task, num_envs, lambda _: advice, draws)

        levels = int(generator(seed, "trial").integers(2**31))
        done = play(task, make, _AT_A_TIME, levels, split="train", first_episode=first)
        return Trial(
            advised=len(advice),
            fresh=fresh + done.episodes,
            successes=self.successes * kept + done.successes,
            episodes=self.episodes * kept + done.episodes,
            played=self.played + done.episodes,
            env_steps=self.env_steps + round(done.mean_length * done.episodes),
        )
