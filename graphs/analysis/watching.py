"""An episode of a run's student, step by step, with what its teacher would say at each."""

from __future__ import annotations

import shlex
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tutelage.graphs.analysis.actions import Action, Actions, action_of
from tutelage.graphs.analysis.evaluation import Adviser, config_of, student_of, teacher_of
from tutelage.graphs.config.config import RunConfig
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.trace.reader import TraceReader
from tutelage.graphs.runtime.run_spec import MakePerson
from tutelage.graphs.runtime.trust import check_address
from tutelage.rl.advice.advice import Advice
from tutelage.rl.advice.decisions import Advised, advised, options_at
from tutelage.rl.errors import UserError
from tutelage.rl.rollouts.actors import AdviceLookup
from tutelage.rl.rollouts.episodes import EpisodeTracker
from tutelage.rl.rollouts.evaluate import evaluate_teacher
from tutelage.rl.rollouts.results import TeacherResult
from tutelage.rl.tasks.action_targets import action_targets
from tutelage.rl.tasks.arrays import ActionArray, ImageArray
from tutelage.rl.tasks.base import Episode, States, Task, VectorEnv, encode_plans
from tutelage.rl.tasks.option_mdp import OptionEnvs, OptionTask
from tutelage.rl.tasks.seeding import generator
from tutelage.rl.tasks.watching import Drawing, Watchable, World
from tutelage.rl.tasks.wrappers import find_ability

TILE = 32
"""Pixels of a cell's side in an image."""


@dataclass(frozen=True)
class Frame:
    """One step of a watched episode, before its action; the last one is after the last action.

    situation: what the teacher is told; aliases: what it calls by other names. picture: as the
    task draws it; memory, truth: what the agent knows beside what is there, None where the task
    does not tell. images: truth and memory in pixels, where they were asked for. plans, said: the
    advice and what it comes to here, None without. student: its policy as targets
    (`rl.tasks.action_targets`). action: what is done next; None in the last frame, in which success
    tells how it ended.
    """

    episode: int
    step: int
    return_: float
    situation: str
    aliases: Mapping[str, str]
    picture: str
    memory: Drawing | None
    truth: Drawing | None
    images: tuple[ImageArray, ImageArray] | None
    actions: Actions
    plans: Sequence[Mapping[str, Any]]
    said: Advised | None
    student: tuple[float, ...]
    action: Action | None
    success: bool | None = None

    @property
    def teacher(self) -> tuple[float, ...] | None:
        """The teacher's targets here; None where it says nothing."""
        return self.said.targets if self.said is not None and self.said.coverage > 0 else None

    def to_json(self) -> dict[str, Any]:
        """Plain values, for machines."""
        said = self.said
        return {
            "episode": self.episode,
            "step": self.step,
            "return": self.return_,
            "situation": self.situation,
            "picture": self.picture,
            "truth": None if self.truth is None else "\n".join(self.truth.letters),
            "plans": list(self.plans),
            "current_steps": None if said is None else list(said.steps),
            "coverage": None if said is None else said.coverage,
            "teacher": None if said is None else self.actions.by_column(said.targets),
            "student": self.actions.by_column(self.student),
            "action": None if self.action is None else self.actions.values(self.action),
            "success": self.success,
        }


class EpisodeViewer:
    """The student of a run, its task, and who advises; closed when `resources` are.

    provider: asked about situations in the place of what the run's trace holds, which costs what it
    costs; None asks nobody. argmax: the likeliest actions, not drawn ones. images: draw pixels.
    make_person: see `open_teacher`. base_urls: see `resume`. Raises UserError.
    """

    def __init__(
        self,
        path: Path,
        resources: ExitStack,
        seed: int | None = None,
        provider: str | None = None,
        argmax: bool = False,
        images: bool = False,
        make_person: MakePerson | None = None,
        base_urls: Sequence[str] = (),
    ) -> None:
        config = config_of(path, seed=seed)
        self._student, self._task = student_of(path, config)
        self._watchable = find_ability(self._task, Watchable)
        self._seed, self._argmax, self._images = config.seed, argmax, images
        self._advise = _adviser(
            path, config, self._task, provider, resources, make_person, base_urls
        )

    def frames(self, episode: int) -> Generator[Frame, None, None]:
        """One episode of the evaluation split, from its first state to its end."""
        envs = self._task.make_envs(1, "evaluation", self._seed)
        world = None
        try:
            if self._watchable is not None:
                world = self._watchable.world("evaluation", self._seed, 0, episode)
            envs.reset(np.array([episode], dtype=np.int64))
            yield from self._play(envs, world, episode)
        finally:
            envs.close()
            if world is not None:
                world.close()

    def advice_alone(self, episodes: int) -> tuple[TeacherResult, float]:
        """The teacher alone on held-out episodes, by the advice that the viewer knows.

        Also the share of its steps for which there is no advice, in which it acts at random.
        """
        # The task inside where the student picks options: the teacher acts through these anyhow.
        task = self._task.task if isinstance(self._task, OptionTask) else self._task
        played, unadvised = evaluate_teacher(task, self._advise, episodes, self._seed)
        steps = played.mean_length * played.episodes
        return played.of_teacher(), unadvised / steps if steps else 0.0

    def _play(self, envs: VectorEnv, world: World | None, episode: int) -> Iterator[Frame]:
        rng = generator(self._seed, "evaluation", episode)
        student, head = self._student, self._student.head
        memory = student.initial_state(1)
        tracker = EpisodeTracker(1)
        while True:
            params, _ = student.policy_and_value(envs.observe(), memory, envs.action_mask())
            actions = head.likeliest(params) if self._argmax else head.sample(params, rng)[0]
            place = (episode, int(tracker.lengths[0]), float(tracker.returns[0]))
            policy = tuple(head.as_targets(params)[0].tolist())
            frame = self._frame(envs.states(), world, place, policy, action_of(actions, 0))
            yield frame
            result = envs.step(actions)
            student.did(memory, actions)
            if world is not None:
                for primitive in _primitive(envs, actions):
                    world.step(primitive)
            ended = tracker.step(result)
            if ended:
                yield self._last(frame, world, ended[0])
                return

    def _frame(
        self,
        states: States,
        world: World | None,
        place: tuple[int, int, float],
        student: tuple[float, ...],
        action: Action,
    ) -> Frame:
        task, watchable = self._task, self._watchable
        situation_id = int(task.situation_ids(states)[0])
        advice = self._advise([situation_id]).get(situation_id)
        said = None
        if advice is not None:
            (options,) = options_at(task, states, [0], [situation_id])
            said = advised(advice, options, action_targets(task.action_space))
        images = None
        if world is not None and self._images:
            images = (world.truth_image(TILE), world.remembered_image(states, 0, TILE))
        return Frame(
            *place,
            situation=task.describe(situation_id),
            aliases={} if watchable is None else watchable.aliases(states, 0),
            picture=task.picture(states, 0),
            memory=None if world is None else world.remembered(states, 0),
            truth=None if world is None else world.truth(),
            images=images,
            actions=Actions.of(task),
            plans=[] if advice is None else advice.to_json(),
            said=said,
            student=student,
            action=action,
        )

    def _last(self, frame: Frame, world: World | None, ended: Episode) -> Frame:
        """The frame after the last action.

        Its memory is that of the frame before, for the environment has begun another episode.
        """
        images = frame.images
        if world is not None and images is not None:
            images = (world.truth_image(TILE), images[1])
        return replace(
            frame,
            step=ended.length,
            return_=ended.return_,
            truth=None if world is None else world.truth(),
            images=images,
            action=None,
            success=bool(self._task.success(ended)),
        )


def _primitive(envs: VectorEnv, actions: ActionArray) -> list[int]:
    """The primitive actions of the only environment: the action, or all steps of an option."""
    if isinstance(envs, OptionEnvs):
        return [int(each[0]) for each in envs.carried_out]
    return [int(actions[0])]


def _adviser(
    path: Path,
    config: RunConfig,
    task: Task,
    provider: str | None,
    resources: ExitStack,
    make_person: MakePerson | None,
    base_urls: Sequence[str],
) -> AdviceLookup:
    if provider is None:
        return _recorded(path, task)
    base_url = config.base_url if provider == config.provider else None
    asked = config.model_copy(update={"provider": provider, "base_url": base_url})
    typed = f"watch {shlex.quote(str(path))} --provider {shlex.quote(provider)}"
    check_address(path, asked, base_urls, typed)
    return Adviser(teacher_of(path, asked, task, lambda _: None, resources, make_person))


def _recorded(path: Path, task: Task) -> AdviceLookup:
    """The latest advice in a run's trace, by the ids that its situations have in this process.

    What a trace holds may be no situation of this task, and no advice on it.
    """
    known: dict[int, Advice] = {}
    with TraceReader(RunFolder.open(path).trace) as reader:
        for situation in reader.situations():
            try:
                advice = Advice.from_json(situation.plans or [])
                situation_id = task.read(situation.text)
                task.options(situation_id)  # a task may know only the options that were on offer
                encode_plans(task, advice.plans)
            except (ValueError, KeyError, TypeError, UserError):
                continue
            known[situation_id] = advice
    return lambda situation_ids: {s: known[s] for s in situation_ids if s in known}
