"""What to type after a run: a few commands that fit how it ended, each on a line of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console

from tutelage.agents.common.invocation import hint
from tutelage.graphs.records.shapes import OutcomeCode, Summary
from tutelage.graphs.terminal.common.text import safe


@dataclass(frozen=True)
class Step:
    """A command to type. why: what it is for; words: its own, RUN stands for the run."""

    why: str
    words: tuple[str, ...]

    def line(self, run_dir: str) -> str:
        """The whole command, quoted for the shell."""
        return hint(*(run_dir if word == _RUN else word for word in self.words))


_RUN: Final = "RUN"
_WATCH: Final = Step("watch the student", ("watch", _RUN))
_CURVE: Final = Step("see how it learned", ("runs", "plot", _RUN))
_ADVICE: Final = Step("which advice in which situation", ("trace", "list", _RUN))
_ANSWERS: Final = Step("what was asked and answered", ("trace", "list", _RUN, "calls"))
_REJECTED: Final = Step("what was rejected, and why", ("trace", "list", _RUN, "failures"))
_FAILED: Final = Step("what failed, and why", ("trace", "list", _RUN, "failures"))
_RESUME: Final = Step("go on with it", ("resume", _RUN))

_STEPS: Final[dict[OutcomeCode, tuple[Step, ...]]] = {
    "taught": (_WATCH, _ADVICE),
    "taught_to_the_end": (_WATCH, _ADVICE),
    "stand_ins": (_WATCH, _ADVICE, _FAILED),
    "rejected": (_REJECTED, _ADVICE, _WATCH),
    "withheld": (_ADVICE, _ANSWERS, _WATCH),
    "unused": (_ADVICE, _ANSWERS, _WATCH),
    "no_answer": (_FAILED, _ANSWERS, _WATCH),
    "no_teacher": (_WATCH, _CURVE),
    "teacher_alone": (_ADVICE, _ANSWERS),
    "stopped": (_RESUME, _WATCH, _ADVICE),
    "refused": (_RESUME, _FAILED),
    "failed": (_RESUME, _ADVICE),
}


def next_steps(run_dir: str, summary: Summary) -> list[tuple[str, str]]:
    """At most three commands, the most useful first: what each is for, and its line."""
    code: OutcomeCode = "taught" if summary.status == "finished" else "stopped"
    if summary.outcome is not None:
        code = summary.outcome.code
    steps = list(_STEPS[code])
    if code in ("taught", "taught_to_the_end", "teacher_alone"):
        rejected = summary.advice is not None and summary.advice.rejected > 0
        steps += [_REJECTED] if rejected else [_FAILED] if summary.llm.failures else []
    return [(step.why, step.line(run_dir)) for step in steps]


def print_next(out: Console, steps: Sequence[tuple[str, str]]) -> None:
    """Print commands so that a line can be pasted: nothing else is on it, and Rich wraps none."""
    out.print("next:")
    for why, line in steps:
        out.print(safe(f"  {why}:", "dim"), soft_wrap=True)
        out.print(safe(line, "bold"), soft_wrap=True)
