"""Teachers compared before anything is trained: the same exam for each model and wording."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any, Final, Literal

from tutelage.agents.client.call_record import OK
from tutelage.agents.client.chat_model import ChatProvider
from tutelage.agents.client.errors import PROVIDER_FAULTS
from tutelage.agents.exam.exam import Examinable, Item, Marked, ask, items, mean
from tutelage.agents.planner.planner import Planner
from tutelage.agents.providers.catalogue import is_embedded, reads_prompts
from tutelage.agents.providers.make import ProviderError, make_chat_model
from tutelage.graphs.config.config import ConfigError, RunConfig
from tutelage.graphs.runtime.run_spec import checked_library
from tutelage.prompts.library import PromptLibrary
from tutelage.rl.errors import one_of
from tutelage.rl.rollouts.statistics import (
    Interval,
    mean_share_interval,
    paired_interval,
    t_interval,
)
from tutelage.rl.tasks.base import Task
from tutelage.rl.tasks.registry import make_task

ALL = "all"
"""In the place of a task's name: the whole exam."""

METHODS: Final = {
    "interval": "95 %, over the situations: Student's t, for shares never narrower than Wilson's "
    "(1927)",
    "difference": "95 %, paired by situation: Agresti and Min (2005)",
}


@dataclass(frozen=True)
class Contender:
    """A teacher that takes the exam: a model with a set of templates. name: tells it from others.

    providers: by task; an embedded teacher asks each task's own script. prompts: as chosen, see
    `find_library`.
    """

    name: str
    providers: Mapping[str, ChatProvider]
    library: PromptLibrary
    prompts: Path | None

    @property
    def provider(self) -> ChatProvider:
        """The same teacher, whatever the task."""
        return next(iter(self.providers.values()))

    @property
    def reads_prompts(self) -> bool:
        """Whether the prompts have any effect on what it answers."""
        return reads_prompts(self.provider.name)


@dataclass(frozen=True)
class Score:
    """How a contender did in one task's situations, or in all.

    sensible, unusable: shares of all samples, the mean over the situations, with its interval.
    failed: situations without any plan. Tokens and cost of all requests, failed ones too; None
    where not known. latency_s: the mean of the requests that were answered, None where none was;
    its interval is None for fewer than two.
    """

    task: str
    situations: int
    sensible: float
    sensible_ci95: Interval
    unusable: float
    unusable_ci95: Interval
    failed: int
    requests: int
    prompt_tokens: int | None
    completion_tokens: int | None
    cost_usd: float | None
    latency_s: float | None
    latency_s_ci95: Interval | None


@dataclass(frozen=True)
class Difference:
    """How a contender did beside another in the same situations.

    differs_in: what the two differ in, their prompts alone or their providers. sensible, unusable:
    the mean differences of the shares, the contender's minus the other's, paired by situation.
    """

    contender: str
    against: str
    differs_in: Literal["prompts", "provider"]
    situations: int
    sensible: float
    sensible_ci95: Interval
    unusable: float
    unusable_ci95: Interval


def contenders(
    config: RunConfig, providers: Sequence[str], folders: Sequence[Path], asked: Sequence[Item]
) -> list[Contender]:
    """Every provider with every folder of templates, all checked; the config's where none is given.

    A provider that reads no prompts takes part once, with the first folder. asked: what they will
    be asked, at least one situation. Raises ConfigError, PromptError or
    ProviderError.
    """
    if config.teacher.lookups:
        raise ConfigError(
            "teacher.lookups: the situations are asked without look-ups; leave it out"
        )
    chosen = _distinct("provider", list(providers)) or [config.provider]
    places: list[Path | None] = [*_distinct("prompts", list(folders))] or [config.prompts]
    libraries = {place: checked_library(place) for place in places}
    tasks = {name: _task(name, config) for name in dict.fromkeys(item.task for item in asked)}
    models = {name: _models(name, config, tasks) for name in chosen}
    found = []
    for name, by_task in models.items():
        if not reads_prompts(name):
            found.append(Contender(name, by_task, libraries[places[0]], places[0]))
            continue
        for place, library in libraries.items():
            parts = [name] if len(chosen) > 1 or len(places) == 1 else []
            parts += [str(place)] if len(places) > 1 else []
            found.append(Contender(", ".join(parts), by_task, library, place))
    return found


def selected(tasks: Sequence[str], limit: int | None) -> list[Item]:
    """The exam's situations of these tasks, all where none is named, in the exam's order.

    limit: the most situations, taken round-robin from the tasks. Raises ConfigError.
    """
    known = list(dict.fromkeys(item.task for item in items()))
    for task in tasks:
        if task not in known:
            raise ConfigError(f"no situations of task {task!r} are known{one_of(task, known)}")
    wanted = [item for item in items() if not tasks or item.task in tasks]
    if limit is None or limit >= len(wanted):
        return wanted
    groups = [list(group) for _, group in groupby(wanted, key=lambda item: item.task)]
    rounds = [item for items in zip_longest(*groups) for item in items if item is not None]
    taken = {id(item) for item in rounds[:limit]}
    return [item for item in wanted if id(item) in taken]


def examine(
    contender: Contender,
    asked: Sequence[Item],
    config: RunConfig,
    on_progress: Callable[[int], None] = lambda _: None,
) -> list[Marked]:
    """One contender's answers, in order. The plan cache has no part in it.

    The first situation is asked alone: where the provider itself is at fault, nothing else is
    sent. Raises ProviderError then.
    """
    marked: list[Marked] = []
    for name, group in groupby(asked, key=lambda item: item.task):
        task = _task(name, config)
        if not isinstance(task, Examinable):
            raise ConfigError(f"task {name!r} takes no exam: it reads no situation from text")
        planner = Planner(task, contender.library, contender.providers[name], config.teacher)
        rest = list(group)
        if not marked:
            marked += ask(planner, task, rest[:1], 1)
            _check_provider(contender, marked[0])
            rest = rest[1:]
        size = 1 if contender.provider.wait_always else config.teacher.concurrency
        marked += ask(planner, task, rest, size, _after(len(marked), on_progress))
        planner.close()
    return marked


def scores(marked: Sequence[Marked]) -> list[Score]:
    """A contender's score for each task, then for all."""
    groups: list[tuple[str, Sequence[Marked]]] = [
        (task, list(group)) for task, group in groupby(marked, key=lambda mark: mark.item.task)
    ]
    return [_score(task, group) for task, group in [*groups, (ALL, marked)]]


def differences(examined: Sequence[tuple[Contender, Sequence[Marked]]]) -> list[Difference]:
    """Each contender beside the first of the same provider, else beside the first of all.

    examined: contenders with their answers to the same situations, in the same order.
    """
    found = []
    for place, (contender, marked) in enumerate(examined[1:], start=1):
        earlier = [each for each in examined[:place] if _same_provider(each[0], contender)]
        base, base_marked = (earlier or examined)[0]
        pairs = list(zip(marked, base_marked, strict=True))
        sensible = [mark.sensible - other.sensible for mark, other in pairs]
        unusable = [mark.unusable - other.unusable for mark, other in pairs]
        found.append(
            Difference(
                contender=contender.name,
                against=base.name,
                differs_in="prompts" if earlier else "provider",
                situations=len(pairs),
                sensible=mean(sensible),
                sensible_ci95=paired_interval(sensible),
                unusable=mean(unusable),
                unusable_ci95=paired_interval(unusable),
            )
        )
    return found


def _same_provider(one: Contender, other: Contender) -> bool:
    return one.providers is other.providers


def mistakes(marked: Sequence[Marked]) -> list[dict[str, Any]]:
    """The situations that were not answered sensibly throughout, as plain values."""
    return [
        {
            "task": mark.item.task,
            "situation": mark.item.text,
            "sensible": [[str(step) for step in plan] for plan in mark.item.sensible],
            "why": mark.item.why,
            "sensible_share": mark.sensible,
            "wrong": [
                {"plan": [str(step) for step in plan], "share": share} for plan, share in mark.wrong
            ],
            "unusable_share": mark.unusable,
            "failure": mark.answer.failure,
            "error": next((c.error for c in reversed(mark.answer.calls) if c.error), None),
        }
        for mark in marked
        if mark.wrong or mark.unusable > 0
    ]


def _after(before: int, on_progress: Callable[[int], None]) -> Callable[[int], None]:
    """A callback for a part's progress that reports the whole's."""
    return lambda done: on_progress(before + done)


def _distinct(option: str, given: list[Any]) -> list[Any]:
    twice = next((one for i, one in enumerate(given) if one in given[:i]), None)
    if twice is not None:
        raise ConfigError(f"--{option} {twice} is given twice")
    return given


def _task(name: str, config: RunConfig) -> Task:
    return make_task(name, config.student.map_crop, config.task)


def _models(name: str, config: RunConfig, tasks: Mapping[str, Task]) -> dict[str, ChatProvider]:
    """A provider's models by task; the base URL is for OpenAI-compatible servers alone."""
    if is_embedded(name):
        return {own: make_chat_model(name, None, config.teacher, t) for own, t in tasks.items()}
    url = config.base_url if name.startswith("openai:") or name == config.provider else None
    return dict.fromkeys(tasks, make_chat_model(name, url, config.teacher))


def _check_provider(contender: Contender, first: Marked) -> None:
    failure = first.answer.failure
    if failure in PROVIDER_FAULTS and first.answer.advice is None:
        error = next((call.error for call in reversed(first.answer.calls) if call.error), "")
        raise ProviderError(
            f"provider {contender.provider.name!r} cannot be tried ({failure}): {error}"
        )


def _score(task: str, marked: Sequence[Marked]) -> Score:
    calls = [call for mark in marked for call in mark.answer.calls]
    answered = [call.latency_s for call in calls if call.status == OK]
    # Only a response has tokens to count.
    counted = [call for call in calls if call.answers]
    return Score(
        task=task,
        situations=len(marked),
        sensible=mean(mark.sensible for mark in marked),
        sensible_ci95=mean_share_interval([mark.sensible for mark in marked]),
        unusable=mean(mark.unusable for mark in marked),
        unusable_ci95=mean_share_interval([mark.unusable for mark in marked]),
        failed=sum(mark.answer.advice is None for mark in marked),
        requests=len(calls),
        prompt_tokens=_total([call.prompt_tokens for call in counted]),
        completion_tokens=_total([call.completion_tokens for call in counted]),
        cost_usd=_total([call.cost_usd for call in counted]),
        latency_s=mean(answered) if answered else None,
        latency_s_ci95=t_interval(answered),
    )


def _total(figures: Sequence[Any]) -> Any:
    """The sum; None where a figure is not known."""
    return None if None in figures else sum(figures)
