"""Saving a run at the end of an iteration, and going on from there to the same numbers.

The order of a save: tensors, record, then the graph's own checkpoint, written by LangGraph when
its call ends. A resume takes the newest checkpoint that has both and fits together, so a process
may be killed anywhere in between. What a save has left that was cut short is removed; what is
damaged is renamed and kept. All of it may come from a stranger: it is checked before it is used.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver
from torch import Tensor

from tutelage.agents.common.files import RunFolderError, explained, is_damage, sqlite_reason
from tutelage.graphs.records.checkpoints import (
    KEPT,
    Checkpoint,
    CheckpointError,
    arrays_to_tensors,
    digest_of,
)
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.runtime.timers import PHASES
from tutelage.graphs.state import TeachState, checked_state
from tutelage.rl.rollouts.collector import COLLECTOR
from tutelage.rl.rollouts.replay import ReplayError
from tutelage.rl.tasks.plan_outcomes import PlanOutcomeTask

if TYPE_CHECKING:
    from tutelage.graphs.runtime.context import RunContext

_FILE: Final = "graph.sqlite"
_BUSY_S: Final = 10.0
_REPLAY_BYTES: Final = 1 << 30
"""The most that the actions of the running episodes may take in a checkpoint that is read."""


class _PlainSerializer(JsonPlusSerializer):
    """LangGraph's own, for a state of plain values: no class is looked up, no object is made."""

    def __init__(self) -> None:
        super().__init__(allowed_msgpack_modules=None)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Raises ValueError for what this program does not write."""
        if data[0] not in ("msgpack", "null", "bytes"):
            raise ValueError(f"values of type {data[0]!r} do not belong there")
        return super().loads_typed(data)


class _Saver(SqliteSaver):
    """LangGraph's own, with SQLite's errors in one line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        connection = sqlite3.connect(path, timeout=_BUSY_S, check_same_thread=False)
        super().__init__(connection, serde=_PlainSerializer())

    @contextmanager
    def cursor(self, transaction: bool = True) -> Iterator[sqlite3.Cursor]:
        """Raises RunFolderError where SQLite fails, CheckpointError where the file is damaged."""
        with self._explained(), super().cursor(transaction) as cursor:
            yield cursor

    def check(self) -> None:
        """Before the first use. Raises CheckpointError where the file's structure is not whole."""
        with self._explained():
            self.conn.execute("PRAGMA trusted_schema = OFF")
            (found,) = self.conn.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise CheckpointError(f"{self._path} is damaged: {found}")
        with self.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM checkpoints").fetchone()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if is_damage(error):
                raise CheckpointError(f"{self._path} is damaged: {error}") from error
            raise RunFolderError(f"cannot use {self._path}: {sqlite_reason(error)}") from error


class GraphCheckpoints:
    """LangGraph's checkpoints of a run, in its `checkpoints/` folder; a thread for each call.

    A call of the graph begins at the end of an iteration, and that names its thread. Threads that
    no checkpoint needs any more are deleted, so the file stays small.

    problem: what was wrong with a file that was there, which is then set aside; else None. Raises
    RunFolderError.
    """

    def __init__(self, folder: RunFolder) -> None:
        path = folder.checkpoints / _FILE
        self.problem: str | None = None
        with explained("write", folder.checkpoints):
            folder.checkpoints.mkdir(exist_ok=True)
        try:
            self.saver = _opened(path)
        except CheckpointError:
            self.problem = folder.set_aside(path)
            self.saver = _opened(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.saver.conn.close()

    def begin(self, iteration: int) -> RunnableConfig:
        """The configuration of a call that begins after that iteration, its thread being new."""
        self.saver.delete_thread(str(iteration))
        return {"configurable": {"thread_id": str(iteration)}}

    def state(self, thread: int) -> dict[str, Any] | None:
        """The state that the call ended with; None where it has none. Raises CheckpointError."""
        try:
            found = self.saver.get_tuple({"configurable": {"thread_id": str(thread)}})
            return None if found is None else dict(found.checkpoint["channel_values"])
        except RunFolderError:
            raise
        except Exception as error:  # a damaged file can fail anywhere inside the serialiser
            line = " ".join(str(error).split())[:200]
            raise CheckpointError(f"the graph's checkpoint {thread} is damaged: {line}") from error

    def keep_only(self, threads: set[int]) -> None:
        """Delete all other threads."""
        with self.saver.cursor() as cursor:
            rows = cursor.execute("SELECT DISTINCT thread_id FROM checkpoints").fetchall()
        for thread in {str(thread) for (thread,) in rows} - {str(thread) for thread in threads}:
            self.saver.delete_thread(thread)


def _opened(path: Path) -> _Saver:
    try:
        saver = _Saver(path)
    except sqlite3.Error as error:
        raise RunFolderError(f"cannot open {path}: {sqlite_reason(error)}") from error
    try:
        saver.check()
    except BaseException:
        saver.conn.close()
        raise
    return saver


def save_checkpoint(context: RunContext, state: Mapping[str, Any]) -> None:
    """Write what is needed to go on from the end of this iteration; called before the graph ends.

    Raises RunFolderError or TraceError.
    """
    tensors, progress = _snapshot(context)
    plain = plain_state(state)
    record = {
        "thread": context.thread,
        "state_sha256": digest_of(plain),
        **progress,
        "teacher": None if context.teacher is None else context.teacher.snapshot(),
        "plans": context.task.snapshot() if isinstance(context.task, PlanOutcomeTask) else None,
        "seconds": context.timers.seconds(),
        "wall_s": context.wall_s,
    }
    # The rows up to here must not be less durable than what makes a resume skip them.
    context.folder.sync_metrics()
    context.trace.sync()
    context.checkpoints.save(state["iteration"], tensors, record)
    if context.learns:
        # No resume needs it: people may want to test or watch the student while it learns.
        context.folder.write_atomic(context.folder.student.name, context.student.save)


def _snapshot(context: RunContext) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Who acts, as tensors by name and as JSON."""
    if not context.learns:
        arrays, teacher_episodes = context.teacher_episodes.snapshot()
        return arrays_to_tensors(arrays), {"performance": teacher_episodes}
    arrays, collector = context.collector.snapshot()
    tensors, ppo = context.ppo.snapshot()
    return {**tensors, **arrays_to_tensors(arrays)}, {"collector": collector, "ppo": ppo}


def delete_old_checkpoints(context: RunContext) -> None:
    """Keep the newest checkpoints and the graph's threads that belong to them."""
    iterations = context.checkpoints.iterations()
    for iteration in iterations[KEPT:]:
        context.checkpoints.delete(iteration)
    kept = {_thread_of(context, iteration) for iteration in iterations[:KEPT]}
    context.graph_checkpoints.keep_only({thread for thread in kept if thread is not None})


def restore_newest(
    context: RunContext, renew: Callable[[], None]
) -> tuple[TeachState | None, list[str]]:
    """Bring the context to the newest usable checkpoint; its state, and what was wrong with others.

    renew: gives the context a learner as at the run's start; called where a checkpoint turned out
    to be of no use half way. None where there is no usable checkpoint: the run then begins anew, to
    the same numbers. Raises RunFolderError.
    """
    context.checkpoints.delete_unfinished()
    problems = [context.graph_checkpoints.problem] if context.graph_checkpoints.problem else []
    for iteration in context.checkpoints.iterations():
        try:
            checkpoint = context.checkpoints.load(iteration, _most_bytes(context))
            state = _matching_state(context, checkpoint)
            if state is None and context.graph_checkpoints.problem is None:
                # The process was killed between the two halves of a save.
                context.checkpoints.delete(iteration)
                continue
            if state is None:
                raise CheckpointError(f"the graph's checkpoint of iteration {iteration} is missing")
            _restore(context, checkpoint)
        except (CheckpointError, ReplayError) as error:
            kept = context.checkpoints.set_aside(iteration)
            problems.append(f"{error}; {kept}" if kept not in str(error) else kept)
            renew()
        else:
            return state, problems
    return None, problems


def plain_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state without what each call sets anew, as JSON would give it back."""
    return {name: value for name, value in state.items() if name != "until_iteration"}


def _most_bytes(context: RunContext) -> int:
    """The most that a checkpoint's tensors may take: weights, Adam's two moments, actions,
    names."""
    if not context.learns:
        return _REPLAY_BYTES
    weights: int = sum(t.numel() for t in context.student.network.state_dict().values())
    return 3 * 4 * weights + _REPLAY_BYTES


def _thread_of(context: RunContext, iteration: int) -> int | None:
    try:
        return int(context.checkpoints.record(iteration)["thread"])
    except (CheckpointError, KeyError, TypeError, ValueError):
        return None


def _matching_state(context: RunContext, checkpoint: Checkpoint) -> TeachState | None:
    """The graph's state of a checkpoint, None where there is none.

    Raises CheckpointError where the two do not fit, or are no run's of this task.
    """
    try:
        found = context.graph_checkpoints.state(int(checkpoint.record["thread"]))
        if found is None:
            return None
        state = checked_state(found, context.task)
        fits = digest_of(plain_state(state)) == checkpoint.record["state_sha256"]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _unfit(checkpoint, error) from error
    if not fits or state["iteration"] != checkpoint.iteration:
        raise CheckpointError(
            f"the graph's checkpoint of iteration {checkpoint.iteration} does not fit its tensors"
        )
    return state


def _restore(context: RunContext, checkpoint: Checkpoint) -> None:
    """Raises CheckpointError or ReplayError; who acts may then be half restored."""
    record = checkpoint.record
    try:
        _restore_progress(context, checkpoint)
        seconds = {name.removesuffix("_s"): float(s) for name, s in record["seconds"].items()}
        wall_s = float(record["wall_s"])
        if not set(seconds) <= set(PHASES):
            raise KeyError("seconds")
        if context.teacher is not None and record["teacher"] is not None:
            context.teacher.restore(record["teacher"])
        if isinstance(context.task, PlanOutcomeTask):
            context.task.restore(record["plans"])
    except ReplayError:
        raise
    except (AttributeError, KeyError, TypeError, RuntimeError, ValueError, OverflowError) as error:
        raise _unfit(checkpoint, error) from error
    for phase in PHASES:
        context.timers.add(phase, seconds.get(phase, 0.0))
    context.started -= wall_s


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
        context.teacher_episodes.restore(arrays, record["performance"])


def _unfit(checkpoint: Checkpoint, error: Exception) -> CheckpointError:
    line = " ".join(str(error).split())[:200]
    return CheckpointError(
        f"checkpoint {checkpoint.iteration} does not fit the run's configuration: {line}"
    )
