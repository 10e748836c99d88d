"""Scripts: what a task itself has to say for its embedded teachers, which are no LLMs.

The embedded teachers (`agents.providers.offline`) know nothing of any world. A task that offers a
`Script` tells them which plans are good and which are wrong in a situation, given by its text. Most
often one function from a situation to a plan is enough: a class on `ScriptedByPlan` writes it.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tutelage.rl.errors import UserError, text_of
from tutelage.rl.tasks.options import Option, Plan

BEST, SENSIBLE, WRONG = 0.0, -2.5, -4.0
"""Scores of plans. At temperature 1 the best plan of three has a probability of about 0.9."""


@dataclass(frozen=True)
class Candidate:
    """A plan that a script weighs, and its score: it is drawn by softmax(score / temperature)."""

    plan: Plan
    score: float


class Script(Protocol):
    """What the embedded teachers ask a task. Its answers depend on the arguments alone.

    version: raise it with every change to the answers, which are kept in the plan cache by it. 0:
    they are not kept, as those of a script that is still being written.

    A situation is its canonical text. offered: the options on offer in it, at least one, their
    names as those of tools: anything but letters, digits, `_` and `-` is `_` in them.
    """

    version: int

    def candidates(
        self, situation: str, offered: Sequence[Option], limit: int
    ) -> Sequence[Candidate]:
        """The plans that come to mind, best first, of at most `limit` options each.

        Empty where it knows nothing to say.
        """

    def wrong_steps(
        self, situation: str, offered: Sequence[Option], best: Plan
    ) -> Sequence[Option]:
        """The options on offer that are plainly wrong, the most harmful first; none may be.

        best: the best plan there.
        """

    def stalled(
        self, situation: str, offered: Sequence[Option], found: Sequence[Candidate], limit: int
    ) -> Sequence[Candidate]:
        """The plans of a teacher that leads up to what matters, and then does not do it.

        found: `candidates`, at least one; they stay as they are where nothing can be left out.
        """


class Scripted(Protocol):
    """An optional part of a task: the embedded teachers can teach it.

    teacher_script: None where there is none after all.
    """

    teacher_script: Script | None


class ScriptError(UserError):
    """A script that failed, or that gave no plan. The message names the place and the situation."""


class PlanScript:
    """The `Script` made of one function: its plan is the best, and all other options are wrong.

    plan_of: from a situation's text to a plan, or to None where it knows nothing to say. A longer
    plan than is allowed is cut. The teacher that stalls leaves out the last step of a plan of
    several; where the plan is one step there is nothing to leave out, and it is right.
    """

    def __init__(self, plan_of: Callable[[str], Plan | None], version: int = 0) -> None:
        self.version = version
        self._plan_of = plan_of

    def candidates(
        self,
        situation: str,
        offered: Sequence[Option],  # noqa: ARG002  # whoever reads the answer looks it up in them
        limit: int,
    ) -> list[Candidate]:
        """Raises ScriptError for an exception of the function, and for what is no plan."""
        try:
            plan = self._plan_of(situation)
        except UserError:
            raise
        except Exception as error:  # whatever the user's code raises
            reason = (
                f"{type(error).__name__}: {' '.join(text_of(error).split())} ({self._place(error)})"
            )
            raise ScriptError(_told(reason, situation)) from error
        if plan is None:
            return []
        if not isinstance(plan, tuple | list) or not all(isinstance(o, Option) for o in plan):
            reason = f"returned {plan!r}; needed: a tuple of options, or None"
            raise ScriptError(_told(reason, situation))
        return [Candidate(tuple(plan[:limit]), BEST)] if plan else []

    def wrong_steps(
        self,
        situation: str,  # noqa: ARG002  # the protocol's
        offered: Sequence[Option],
        best: Plan,
    ) -> list[Option]:
        return [option for option in offered if option not in best]

    def stalled(
        self,
        situation: str,  # noqa: ARG002  # the protocol's
        offered: Sequence[Option],  # noqa: ARG002  # likewise
        found: Sequence[Candidate],
        limit: int,  # noqa: ARG002  # likewise
    ) -> list[Candidate]:
        best = found[0].plan
        if len(best) < 2:
            return list(found)
        return [Candidate(best[:-1], BEST), Candidate(best, SENSIBLE)]

    def _place(self, error: Exception) -> str:
        """The last line of the function's own file that an exception came through."""
        code = getattr(self._plan_of, "__code__", None)
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if code and frame.filename == code.co_filename]
        where = (own or frames)[-1]
        return f"{where.filename}, line {where.lineno}"


class ScriptedByPlan:
    """The base of a task whose script is a method `script`; without that, it has no script.

    script_version: see `Script.version`; only a script that is finished should have one above 0.
    """

    script_version: int = 0

    def script(self, situation: str) -> Plan | None:  # noqa: ARG002  # for subclasses
        """What to do in a situation, given by its text; None where there is nothing to say.

        The embedded teachers teach what this says. It is asked about each situation, and may be
        asked again; the answer must depend on the text alone.
        """
        return None

    @property
    def teacher_script(self) -> Script | None:
        is_written = type(self).script is not ScriptedByPlan.script
        return PlanScript(self.script, self.script_version) if is_written else None


def script_of(task: object) -> Script | None:
    """The script that a task offers, wrapped or not; None where it offers none."""
    script: Script | None = getattr(task, "teacher_script", None)
    return script


def _told(reason: str, situation: str) -> str:
    return f"script: {reason}, in the situation: {'; '.join(situation.strip().splitlines())}"
