"""The teacher acts alone through a number of episodes, a round of steps at a time.

They are the episodes of `evaluate_teacher`, played alike; here they can be left where advice is
missing, or between two rounds to be gone on with by another process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from tutelage.rl.rollouts.actors import AdviceLookup, TeacherActor
from tutelage.rl.rollouts.episodes import FixedEpisodes
from tutelage.rl.rollouts.evaluate import num_envs_for, play_step
from tutelage.rl.rollouts.replay import EpisodeReplay
from tutelage.rl.rollouts.results import Evaluation
from tutelage.rl.tasks.base import States, Task
from tutelage.rl.tasks.seeding import generator


class TeacherEpisodes:
    """Episodes 0 .. episodes - 1 of the evaluation split, played by the teacher.

    env_steps: the environment steps so far.
    """

    def __init__(self, task: Task, episodes: int, seed: int) -> None:
        num_envs = num_envs_for(episodes)
        self._task, self.episodes, self.env_steps = task, episodes, 0
        self._envs = task.make_envs(num_envs, "evaluation", seed)
        self._envs.reset()
        self._played = FixedEpisodes(episodes, num_envs)
        self._rng = generator(seed, "teacher")
        self._actor = TeacherActor(task, num_envs, lambda _: {}, self._rng)
        self._replay = EpisodeReplay(num_envs, task.max_episode_steps, task.action_space)
        self._left = 0

    @property
    def between_rounds(self) -> bool:
        """Whether the last round has come to its end."""
        return self._left == 0 or self.over

    @property
    def over(self) -> bool:
        """Whether all episodes have ended."""
        return not self._played.playing.any()

    @property
    def ended(self) -> int:
        """How many episodes have ended."""
        return len(self._played.ended)

    @property
    def unadvised(self) -> int:
        """How many steps the teacher had no advice for."""
        return self._actor.unadvised

    def states(self) -> States:
        """The states in which the teacher acts next, one for each environment."""
        return self._envs.states()

    def begin_round(self, steps: int) -> None:
        """Let the next calls of `play` come to so many steps of each environment."""
        self._left = steps

    def play(self, advise: AdviceLookup, on_step: Callable[[], None]) -> None:
        """Play the round to its end.

        What `advise` or `on_step`, called before each step, raises leaves the round where it is:
        the next call goes on with the same step.
        """
        self._actor.advise = advise
        while not self.between_rounds:
            on_step()
            playing = self._played.playing
            actions, result = play_step(self._task, self._envs, self._actor, self._played)
            self.env_steps += int(playing.sum())
            self._replay.step(actions, result.terminated | result.truncated, playing)
            self._left -= 1

    def outcome(self) -> Evaluation | None:
        """How the episodes that have ended went; None before the first."""
        return self._played.outcome() if self.ended else None

    def snapshot(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """What is needed to go on from between two rounds: arrays by name, the rest as JSON."""
        return self._replay.snapshot(self._envs), {
            "rng": self._rng.bit_generator.state,
            "actor": self._actor.snapshot(),
            "played": self._played.snapshot(),
            "env_steps": self.env_steps,
        }

    def restore(self, arrays: dict[str, NDArray[Any]], record: dict[str, Any]) -> None:
        """Go on from a snapshot: the environments replay their running episodes.

        Raises ReplayError where they cannot, KeyError, TypeError or ValueError for no snapshot.
        """
        self._replay.restore(arrays, self._envs)
        self._rng.bit_generator.state = record["rng"]
        self._actor.restore(record["actor"])
        self._played.restore(record["played"])
        self.env_steps = int(record["env_steps"])

    def close(self) -> None:
        """Release the environments."""
        self._envs.close()
