"""Saving a run at the end of an iteration, and going on from there to the same numbers.

A checkpoint holds everything that a run needs: the tensors first, then a record with the graph's
state, with who acts and what was spent, which makes the checkpoint whole. So a process may be
killed anywhere: a resume takes the newest whole one. What a save has left that was cut short is
removed; what is damaged is renamed and kept. All of it may come from a stranger: it is checked
before it is used.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from pydantic import TypeAdapter
from torch import Tensor

from tutelage.graphs.records.checkpoints import (
    KEPT,
    Checkpoint,
    CheckpointError,
    arrays_to_tensors,
)
from tutelage.graphs.records.shapes import Seconds, TimeShares
from tutelage.graphs.runtime.context import RunContext
from tutelage.graphs.runtime.timers import PHASES
from tutelage.graphs.state import TeachState, from_record, to_record
from tutelage.rl.errors import TaskCodeError
from tutelage.rl.rollouts.collector import COLLECTOR
from tutelage.rl.rollouts.replay import ReplayError
from tutelage.rl.tasks.base import Remembers
from tutelage.rl.tasks.wrappers import find_ability

SECONDS: Final = TypeAdapter[float](Seconds)
_REPLAY_BYTES: Final = 1 << 30
"""The most that the actions of the running episodes may take in a checkpoint that is read."""


def save_checkpoint(context: RunContext, state: TeachState) -> None:
    """Write what is needed to go on from the end of this iteration.

    Raises RunFolderError or TraceError.
    """
    tensors, record = _snapshot(context, state)
    # The rows up to here must not be less durable than what makes a resume skip them.
    context.folder.sync_metrics()
    context.trace.sync()
    context.checkpoints.save(state["iteration"], tensors, record)
    if context.learns:
        # No resume needs it: people may want to test or watch the student while it learns.
        context.folder.write_atomic(context.folder.student.name, context.student.save)


def delete_old_checkpoints(context: RunContext) -> None:
    """Keep the newest checkpoints alone."""
    for iteration in context.checkpoints.iterations()[KEPT:]:
        context.checkpoints.delete(iteration)


def restore_newest(
    context: RunContext, renew: Callable[[], None]
) -> tuple[TeachState | None, list[str]]:
    """Bring the context to the newest usable checkpoint.

    Returns its state, and what was wrong with others, a line each. None where there is no usable
    checkpoint: the run then begins anew, to the same numbers. renew: gives the context a learner as
    at the run's start; called where a checkpoint turned out to be of no use half way. Raises
    RunFolderError, and TaskCodeError where the task's own code fails.
    """
    context.checkpoints.delete_unfinished()
    problems: list[str] = []
    unspent = _others(context)
    for iteration in context.checkpoints.iterations():
        try:
            checkpoint = context.checkpoints.load(iteration, _most_bytes(context))
            return _restore(context, checkpoint), problems
        except (CheckpointError, ReplayError) as error:
            kept = context.checkpoints.set_aside(iteration)
            problems.append(f"{error}; {kept}" if kept not in str(error) else kept)
            _restore_others(context, unspent)  # first: new environments begin with what it knows
            renew()
    return None, problems


def _snapshot(context: RunContext, state: TeachState) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All that a run needs, as tensors by name and as JSON."""
    record = {
        "state": to_record(state),
        **_others(context),
        "seconds": context.timers.seconds(),
        "wall_s": context.wall_s,
    }
    if not context.learns:
        arrays, acting = context.teacher_episodes.snapshot()
        return arrays_to_tensors(arrays), {**record, "teacher_episodes": acting}
    arrays, collector = context.collector.snapshot()
    tensors, ppo = context.ppo.snapshot()
    tensors |= arrays_to_tensors(arrays)
    return tensors, {**record, "collector": collector, "ppo": ppo}


def _others(context: RunContext) -> dict[str, Any]:
    """What the teacher has spent and what the task remembers; None where there is no such thing."""
    remembering = find_ability(context.task, Remembers)
    return {
        "teacher": None if context.teacher is None else context.teacher.snapshot(),
        "task": None if remembering is None else remembering.snapshot(),
    }


def _restore_others(context: RunContext, record: dict[str, Any]) -> None:
    """The inverse of `_others`."""
    if context.teacher is not None and record["teacher"] is not None:
        context.teacher.restore(record["teacher"])
    remembering = find_ability(context.task, Remembers)
    if remembering is not None:
        remembering.restore(record["task"])


def _most_bytes(context: RunContext) -> int:
    """The most that a checkpoint's tensors may take: weights, Adam's two moments, actions."""
    if not context.learns:
        return _REPLAY_BYTES
    weights: int = sum(t.numel() for t in context.student.network.state_dict().values())
    return 3 * 4 * weights + _REPLAY_BYTES


def _restore(context: RunContext, checkpoint: Checkpoint) -> TeachState:
    """Bring the context to a checkpoint, and return its state.

    Raises CheckpointError or ReplayError; who acts may then be half restored. Raises TaskCodeError
    where the task's own code fails, for which the checkpoint is not to blame.
    """
    record = checkpoint.record
    try:
        _restore_others(context, record)  # first: the state speaks of what the task remembers
        state = from_record(record["state"], context.task)
        if state["iteration"] != checkpoint.iteration:
            raise ValueError(f"its state is that of iteration {state['iteration']}")
        _restore_progress(context, checkpoint)
        seconds = TimeShares.model_validate(record["seconds"]).model_dump()
        wall_s = SECONDS.validate_python(record["wall_s"])
        # Whatever it was that was restored, it must be possible to save it again.
        json.dumps(_snapshot(context, state)[1], allow_nan=False)
    except (ReplayError, TaskCodeError):
        raise
    except (AttributeError, KeyError, TypeError, RuntimeError, ValueError, OverflowError) as error:
        raise _unfit(checkpoint, error) from error
    for phase in PHASES:
        context.timers.add(phase, seconds[f"{phase}_s"])
    context.started -= wall_s
    return state


def _restore_progress(context: RunContext, checkpoint: Checkpoint) -> None:
    """Bring who acts to where the checkpoint was saved."""
    record = checkpoint.record
    arrays = {
        name: tensor.numpy()
        for name, tensor in checkpoint.tensors.items()
        if name.startswith(COLLECTOR)
    }
    if context.learns:
        context.ppo.restore(checkpoint.tensors, record["ppo"])
        context.collector.restore(arrays, record["collector"])
    else:
        context.teacher_episodes.restore(arrays, record["teacher_episodes"])


def _unfit(checkpoint: Checkpoint, error: Exception) -> CheckpointError:
    line = " ".join(str(error).split())[:200]
    return CheckpointError(
        f"checkpoint {checkpoint.iteration} does not fit the run's configuration: {line}"
    )
