"""What a run is made from, and its teacher: all that is needed before anything is learned.

Apart from torch and LangGraph, which take seconds to load: by then the teacher has been asked.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from tutelage.agents.client.chat_model import ChatProvider
from tutelage.agents.client.spending import Ledger
from tutelage.agents.common.settings import TeacherSettings
from tutelage.agents.providers.human import Person, human_behind
from tutelage.agents.providers.make import ProviderError
from tutelage.agents.providers.replay import Provider, make_provider
from tutelage.agents.store.plan_cache import PlanCache, default_cache_path
from tutelage.agents.store.plan_file import CacheFullError
from tutelage.agents.teacher.fallback import make_models
from tutelage.agents.teacher.teacher import Teacher
from tutelage.graphs.config.config import SETTLED, ConfigError, RunConfig, flat
from tutelage.graphs.config.events import Doing, Notice, Tell
from tutelage.graphs.loggers.base import check_loggers
from tutelage.graphs.registry import find_graph
from tutelage.graphs.runtime.tasks import task_of
from tutelage.prompts.library import PromptLibrary, find_library
from tutelage.prompts.template import PromptError
from tutelage.rl.tasks.base import Task
from tutelage.rl.tasks.registry import is_own_code, settings_of
from tutelage.rl.teaching.scouting import MOST_SCOUTS, scout

MakePerson = Callable[[Tell], Person]
"""Makes the interface to a person. The function that it is given tells a run's watchers."""

_WIDESPREAD: Final = 0.25
"""The share of scouts that must have met a situation for it to be worth a question in advance."""


class RunSpec:
    """What is checked before a run folder is touched: graph, device, task, prompts, provider.

    recorded: the folder of the prompts that a run has recorded, where it is gone on with. task: the
    configuration's, where it is there already: ids of situations are those of one task.
    Raises ConfigError, ProviderError, PromptError, UnknownGraphError or UnknownTaskError.
    """

    def __init__(
        self, config: RunConfig, recorded: Path | None = None, task: Task | None = None
    ) -> None:
        self.graph = find_graph(config.graph)
        _check_device(config.device)
        check_loggers(config.loggers)
        self.config = config
        self.task: Task = task or task_of(config)
        self.library = checked_library(recorded or config.prompts)
        self.provider: Provider | None = None
        self.second_models: dict[str, ChatProvider] = {}
        if self.graph.taught and config.weaning.first_weight > 0:
            self.provider = make_provider(
                config.provider, config.base_url, config.teacher, self.task
            )
            self.second_models = make_models(config.teacher, self.task)

    @property
    def waits(self) -> bool:
        """Whether every answer of the teacher is waited for."""
        return self.config.wait or not self.graph.learns or _never_slow(self.provider)

    @property
    def steps(self) -> int:
        """Environment steps of the run; the most that it can take where the teacher acts."""
        if not self.graph.learns:
            return self.config.evaluation.final_episodes * self.task.max_episode_steps
        return self.config.steps or self.task.default_steps

    @property
    def gamma(self) -> float:
        """The discount factor of a step."""
        return self.config.ppo.gamma_for(self.task.max_episode_steps)

    def resolved(self) -> dict[str, Any]:
        """The configuration as JSON has it, what it leaves to the task settled.

        Which fields these are stands in it too: the same wish finds the run again.
        """
        wished = self.config.model_dump(mode="json")
        settled: dict[str, Any] = {}
        if self.graph.learns:
            settled = {"steps": self.steps, "ppo": {**wished["ppo"], "gamma": self.gamma}}
        if not is_own_code(self.config.env):  # a task of one's own has its settings in its own code
            settings = settings_of(self.task, self.config.task)
            settled["task"] = settings.model_dump(mode="json")
        resolved = {**wished, **settled}
        left_open = flat(wished)
        fields = [key for key, value in flat(resolved).items() if left_open[key] != value]
        return {**resolved, SETTLED: fields}


def checked_library(folder: Path | None) -> PromptLibrary:
    """The prompt templates, all of them checked. Raises PromptError with every problem."""
    library = find_library(folder)
    problems = library.check()
    if problems:
        raise PromptError(*problems)
    return library


def _check_device(device: str) -> None:
    if device == "cpu":
        return
    import torch  # here and not above: see the top

    if not torch.cuda.is_available():
        raise ConfigError("device = 'cuda': no CUDA device is available here; allowed: cpu")


def _never_slow(provider: Provider | None) -> bool:
    return provider is not None and provider.wait_always


def _in_turn(config: RunConfig) -> TeacherSettings:
    """How the teacher is asked: one request at a time where a run with a limit is to be repeatable.

    Else it would be chance which of several requests at the same time are the last within it.
    """
    if not config.wait or not config.teacher.has_budget:
        return config.teacher
    return config.teacher.model_copy(update={"concurrency": 1})


def open_teacher(
    spec: RunSpec,
    tell: Tell,
    resources: ExitStack,
    make_person: MakePerson | None = None,
    spending: Path | None = None,
) -> Teacher | None:
    """The run's teacher with its cache, closed when `resources` are; None where it has none.

    make_person: of the interface through which a person is asked, where one is the teacher.
    spending: the file of what the run has spent; None for no run folder. Raises CacheError,
    RunFolderError, and ProviderError where there is no such interface.
    """
    if spec.provider is None:
        return None
    human = human_behind(spec.provider)
    if human is not None:
        if make_person is None:
            raise ProviderError("provider 'human': there is no interface here to ask a person")
        human.attach(make_person(tell))
    path = spec.config.cache or default_cache_path()
    cache = None
    try:
        cache = PlanCache(path, on_warning=lambda line: tell(Notice(line)))
        resources.callback(cache.close)
    except CacheFullError as error:
        tell(Notice(f"{error}; going on without it"))
    ledger = resources.enter_context(Ledger(spending))
    if ledger.problem is not None:
        tell(Notice(ledger.problem))
    teacher = Teacher(
        spec.task,
        spec.library,
        spec.provider,
        _in_turn(spec.config),
        cache,
        lambda line: tell(Notice(line)),
        spec.second_models,
        ledger,
    )
    resources.callback(teacher.close)
    return teacher


def ask_in_advance(spec: RunSpec, teacher: Teacher, tell: Tell) -> None:
    """Ask about what the student will soon meet, while the run is still being set up.

    Where the run does not wait for answers, and has no budget: that is for what the student meets
    itself. No more than can be asked about at the same time, in the order in which it is met, and
    only what is met again and again: an answer that nobody needs would be paid for too.
    """
    task, config = spec.task, spec.config
    if spec.waits or config.teacher.has_budget:
        return
    tell(Doing("looking for the first questions, and asking them"))
    scouts = min(config.num_envs, MOST_SCOUTS)
    met = scout(task, scouts, config.seed)
    widespread = [s for s, count in met.items() if count >= _WIDESPREAD * scouts]
    teacher.ask_ahead(widespread[: config.teacher.concurrency], iteration=1)
