"""A recorded teacher: `replay:FILE` answers from a file of recorded answers, without requests.

Its advice is exactly what was recorded, so that a run can be made again without the model, the
network and the bill. What the file does not cover is named, and is learned from reward alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tutelage.agents.client.chat_model import ChatProvider
from tutelage.agents.client.prices import FREE, Price
from tutelage.agents.common.invocation import command
from tutelage.agents.common.settings import TeacherSettings
from tutelage.agents.planner.answer import PlannerAnswer
from tutelage.agents.planner.verbaliser import Situations, canonical
from tutelage.agents.providers.make import ProviderError, make_chat_model
from tutelage.agents.store.recordings import RecordedAnswer, RecordingError, read_recording

if TYPE_CHECKING:
    from tutelage.agents.client.request_modes import RequestMode

PREFIX: Final = "replay:"
SOURCE: Final = "replay"


@dataclass(frozen=True)
class Recording:
    """The answers of a file by their situations, with their lines' numbers. A provider."""

    path: Path
    answers: dict[str, tuple[int, RecordedAnswer]]
    wait_always: bool = True
    price: Price = FREE
    kept: bool = False
    """What is in a file already is not kept a second time."""

    @property
    def name(self) -> str:
        """As it is named on the command line."""
        return f"{PREFIX}{self.path}"

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that its answers depend on."""
        return {"provider": self.name}

    @property
    def model_name(self) -> str:
        """The models that were recorded."""
        names = {answer.model or "unknown" for _, answer in self.answers.values()}
        return ", ".join(sorted(names))

    @classmethod
    def read(cls, path: Path) -> Recording:
        """Raises RecordingError for a bad line, and for two that disagree on a situation."""
        answers: dict[str, tuple[int, RecordedAnswer]] = {}
        problems = []
        for number, answer in read_recording(path).items():
            situation = canonical(answer.situation)
            first, known = answers.setdefault(situation, (number, answer))
            if known.advice != answer.advice:
                problems.append(
                    f"{path}, lines {first} and {number} answer the same situation differently; "
                    f"keep one of them (`{command()} cache export --run` writes one run's answers)"
                )
        if problems:
            raise RecordingError(problems)
        return cls(path, answers)


Provider = ChatProvider | Recording


def make_provider(
    provider: str, base_url: str | None, settings: TeacherSettings, task: object
) -> Provider:
    """The teacher of that name: a chat model, or a recording.

    Arguments as in `make_chat_model`. Raises what that does, and RecordingError.
    """
    if not provider.startswith(PREFIX):
        return make_chat_model(provider, base_url, settings, task)
    if base_url is not None:
        raise ProviderError(f"provider {provider!r} is a file; it has no base URL")
    return Recording.read(Path(provider.removeprefix(PREFIX)))


class RecordedPlanner:
    """Gives a recording's answers about a task's situations, as a planner gives a model's.

    on_gap: called with a line about each situation that the recording has no answer for.
    """

    def __init__(
        self, task: Situations, recording: Recording, on_gap: Callable[[str], None]
    ) -> None:
        self._task = task
        self.provider = recording
        self._on_gap = on_gap

    mode: RequestMode | None = None
    """None: no request is made."""

    def ask(
        self,
        situation_id: int,
        mode: RequestMode | None = None,  # noqa: ARG002  # as a planner has it
    ) -> PlannerAnswer:
        """The recorded answer about a situation; a failure where there is none."""
        text = self._task.describe(situation_id)
        offered = self._task.options(situation_id)
        number, answer = self.provider.answers.get(canonical(text), (0, None))
        if answer is None:
            line = "; ".join(text.strip().splitlines())
            self._on_gap(f"{self.provider.name} has no answer for: {line}")
        elif unknown := [o for plan in answer.advice.plans for o in plan if o not in offered]:
            self._on_gap(
                f"{self.provider.path}, line {number}: {unknown[0]} is not on offer in that "
                f"situation; allowed: {', '.join(map(str, offered))}"
            )
        else:
            calls = tuple(call.replayed() for call in answer.calls)
            return PlannerAnswer(situation_id, SOURCE, answer.advice, calls)
        return PlannerAnswer(situation_id, SOURCE, failure="not_recorded")

    def close(self) -> None:
        """There is nothing to stop."""
