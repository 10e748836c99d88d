"""Asking a run's situation once more, of another model or with other prompts.

Nothing is written into the run folder, and the plan cache is neither read nor written: whoever
asks again wants a fresh answer.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from tutelage.agents.common.redact import value_redactor
from tutelage.agents.planner.planner import Planner
from tutelage.agents.providers.catalogue import reads_prompts
from tutelage.agents.providers.make import make_chat_model
from tutelage.graphs.analysis.trace_comparison import Conversation, conversation, conversation_of
from tutelage.graphs.config.config import RunConfig
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.trace.reader import TraceReader
from tutelage.graphs.records.trace.schema import TraceError
from tutelage.graphs.runtime.run import stored_config
from tutelage.graphs.runtime.run_spec import checked_library
from tutelage.graphs.runtime.tasks import task_of
from tutelage.graphs.runtime.trust import check_address
from tutelage.prompts.library import SHIPPED_ALONE, PromptLibrary
from tutelage.prompts.template import PromptError
from tutelage.rl.tasks.base import Task
from tutelage.rl.tasks.lookups import full_text


@dataclass(frozen=True)
class ReplayedAnswer:
    """An answer that was asked for again, beside the recorded one.

    changed_prompts: the templates that are not those of the recorded answer, each with the file
    that it is in now. reads_prompts: whether the provider's answers depend on them. note: what else
    people must know of the templates. failure: why no whole answer came; None where one did.
    cost_usd: None where it is not known.
    """

    situation: int
    text: str
    provider: str
    changed_prompts: dict[str, str]
    recorded_prompts: str | None
    reads_prompts: bool
    note: str | None
    recorded: Conversation
    replayed: Conversation
    failure: str | None
    error: str | None
    calls: int
    prompt_tokens: int
    completion_tokens: int
    latency_s: float
    cost_usd: float | None


def replay(
    run: Path, id: str, provider: str | None, base_url: str | None, prompts: Path | None
) -> ReplayedAnswer:
    """Ask again about the situation that an id names; what is None is as the run had it.

    But for the prompts, which are those that `run` would use now: where they were edited, people
    want to see what that changes. Raises RunFolderError, ConfigError, TraceError, ProviderError,
    PromptError or UnknownTaskError.
    """
    folder = RunFolder.open(run)
    config = _config(folder, id, provider, base_url, prompts)
    task = task_of(config)
    with TraceReader(folder.trace) as reader:
        situation, recorded = conversation_of(reader, id)
    situation_id = _id_now(task, situation.text)
    if situation_id is None:
        raise TraceError(
            f"the task {config.env} now tells situation {situation.number} of {run} in other words"
            " than the run did, so it cannot be asked again; use the version that made the run"
        )
    model = make_chat_model(config.provider, config.base_url, config.teacher, task)
    library, note = _library(folder, config, prompts)
    planner = Planner(task, library, model, config.teacher)
    answer = planner.ask(situation_id)
    planner.close()
    calls = list(answer.calls)
    plans = answer.advice.to_json() if answer.advice else []
    brought = [call for call in calls if call.answers] or calls
    return ReplayedAnswer(
        situation=situation.number,
        text=situation.text,
        provider=model.name,
        changed_prompts=_changed(library, folder.recorded_prompts),
        recorded_prompts=None if folder.recorded_prompts is None else str(folder.recorded_prompts),
        reads_prompts=reads_prompts(model.name),
        note=note,
        recorded=recorded,
        replayed=_redacted(conversation(brought, plans)),
        failure=answer.failure,
        error=next((call.error for call in reversed(calls) if call.error), None),
        calls=len(calls),
        prompt_tokens=sum(call.prompt_tokens or 0 for call in calls),
        completion_tokens=sum(call.completion_tokens or 0 for call in calls),
        latency_s=sum(call.latency_s for call in calls),
        # One call whose cost is not known makes the sum unknown.
        cost_usd=None
        if any(call.is_unpriced for call in calls)
        else sum(call.cost_usd or 0.0 for call in calls),
    )


def _redacted(found: Conversation) -> Conversation:
    """Without secrets that the prompts hold: they may be a stranger's."""
    return Conversation(*value_redactor()([found.prompt, found.answer, found.advice]))


def _library(
    folder: RunFolder, config: RunConfig, asked_for: Path | None
) -> tuple[PromptLibrary, str | None]:
    """The prompts that `run` would use with this configuration, with what is to be said of them.

    asked_for: the folder that was named. Where none was and the run's own is gone, the prompts that
    the run recorded. Raises PromptError.
    """
    chosen, recorded = config.prompts, folder.recorded_prompts
    gone = chosen is not None and chosen != SHIPPED_ALONE and not chosen.is_dir()
    if asked_for is None and gone and recorded is not None:
        note = f"the prompts of {chosen} are not there: asked with those that the run recorded"
        return checked_library(recorded), note
    return checked_library(chosen), None


def _changed(library: PromptLibrary, recorded: Path | None) -> dict[str, str]:
    """The templates whose words are others than the recorded ones, with their files."""
    if recorded is None:
        return {}
    before = PromptLibrary(recorded)
    return {
        name: str(path)
        for name, path in library.sources().items()
        if _differ(library, before, name)
    }


def _differ(library: PromptLibrary, before: PromptLibrary, name: str) -> bool:
    try:
        return library.get(name).body != before.get(name).body
    except PromptError:  # of an older program, which knew other variables
        return True


def _id_now(task: Task, text: str) -> int | None:
    """The id that a recorded situation has in this process; None where the task has none such."""
    try:
        situation_id = task.read(text)
        return situation_id if full_text(task, situation_id) == text else None
    except (KeyError, ValueError):
        return None


def _config(
    folder: RunFolder, id: str, provider: str | None, base_url: str | None, prompts: Path | None
) -> RunConfig:
    """The run's configuration with what was asked for in its place.

    An address belongs to the provider that it was given for.
    """
    config = stored_config(folder)
    if provider is None and base_url is None:
        typed = f"trace replay {shlex.quote(str(folder.path))} {id}"
        alone = config.teacher.model_copy(update={"fallback": ()})  # nobody stands in here
        check_address(folder.path, config.model_copy(update={"teacher": alone}), (), typed)
        base_url = config.base_url
    changes = {"base_url": base_url, "provider": provider or config.provider}
    if prompts is not None:
        changes["prompts"] = str(prompts)
    return RunConfig.model_validate({**config.model_dump(), **changes})
