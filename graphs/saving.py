"""Saving a run at the end of an iteration, and going on from there to the same numbers.

The order of a save: tensors, record, then the graph's own checkpoint, written by LangGraph when
its call ends. A resume takes the newest boundary that has both and fits together, so a process may
be killed anywhere in between.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite import SqliteSaver

from graphs.state import TeachState
from rl.checkpoints import KEPT, Boundary, CheckpointError, arrays_to_tensors, digest_of
from rl.replay import ReplayError
from rl.runfolder import RunFolder, RunFolderError

if TYPE_CHECKING:
    from graphs.context import RunContext

_FILE: Final = "graph.sqlite"
_BUSY_S: Final = 10.0


class GraphCheckpoints:
    """LangGraph's checkpoints of a run, in its `checkpoints/` folder; a thread for each call.

    A call of the graph begins at the end of an iteration, and that names its thread. Threads that
    no boundary needs any more are deleted, so the file stays small.
    """

    def __init__(self, folder: RunFolder) -> None:
        path = folder.checkpoints / _FILE
        try:
            folder.checkpoints.mkdir(exist_ok=True)
            self.saver = self._open(path)
        except sqlite3.DatabaseError:
            self._set_aside(path)
            self.saver = self._open(path)
        except OSError as error:
            raise RunFolderError(f"cannot write {folder.checkpoints}: {error.strerror}") from error

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
        except Exception as error:  # a damaged file can fail anywhere inside the serialiser
            raise CheckpointError(f"the graph's checkpoint {thread} is damaged: {error}") from error
        return None if found is None else found.checkpoint["channel_values"]

    def keep_only(self, threads: set[int]) -> None:
        """Delete all other threads."""
        rows = self.saver.conn.execute("SELECT DISTINCT thread_id FROM checkpoints").fetchall()
        for (thread,) in rows:
            if int(thread) not in threads:
                self.saver.delete_thread(thread)

    def _open(self, path: Path) -> SqliteSaver:
        connection = sqlite3.connect(path, timeout=_BUSY_S, check_same_thread=False)
        saver = SqliteSaver(connection)
        saver.setup()
        connection.execute("SELECT count(*) FROM checkpoints").fetchone()
        return saver

    def _set_aside(self, path: Path) -> None:
        """Make room for a new file; nothing that was there is overwritten."""
        number = 1
        while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
            number += 1
        path.rename(aside)


def save_boundary(context: RunContext, state: Mapping[str, Any]) -> None:
    """Write what is needed to go on from the end of this iteration; called before the graph ends.

    Raises RunFolderError.
    """
    arrays, collector = context.collector.snapshot()
    tensors, ppo = context.ppo.snapshot()
    plain = plain_state(state)
    record = {
        "thread": context.thread,
        "state_sha256": digest_of(plain),
        "collector": collector,
        "ppo": ppo,
        "teacher": None if context.teacher is None else context.teacher.snapshot(),
        "seconds": context.timers.seconds(),
        "wall_s": context.wall_s,
    }
    context.checkpoints.save(state["iteration"], {**tensors, **arrays_to_tensors(arrays)}, record)


def delete_old_boundaries(context: RunContext) -> None:
    """Keep the newest boundaries and the graph's threads that belong to them."""
    iterations = context.checkpoints.iterations()
    for iteration in iterations[KEPT:]:
        context.checkpoints.delete(iteration)
    kept = {_thread_of(context, iteration) for iteration in iterations[:KEPT]}
    context.graph_checkpoints.keep_only({thread for thread in kept if thread is not None})


def restore_newest(context: RunContext) -> tuple[TeachState | None, list[str]]:
    """Bring the context to the newest usable boundary; its state, and what was wrong with others.

    None where there is no usable boundary: the run then begins anew, to the same numbers.
    """
    problems = []
    for iteration in context.checkpoints.iterations():
        try:
            boundary = context.checkpoints.load(iteration)
            state = _matching_state(context, boundary)
            _restore(context, boundary)
        except (CheckpointError, ReplayError) as error:
            problems.append(str(error))
        else:
            return state, problems
    return None, problems


def plain_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state without what each call sets anew, as JSON would give it back."""
    return {name: value for name, value in state.items() if name != "until_iteration"}


def _thread_of(context: RunContext, iteration: int) -> int | None:
    try:
        return int(context.checkpoints.load(iteration).record["thread"])
    except (CheckpointError, KeyError):
        return None


def _matching_state(context: RunContext, boundary: Boundary) -> TeachState:
    """The graph's state of a boundary. Raises CheckpointError where the two do not fit."""
    found = context.graph_checkpoints.state(int(boundary.record["thread"]))
    names = TeachState.__annotations__
    if found is None or not set(names) <= set(found):
        raise CheckpointError(
            f"the graph's checkpoint of iteration {boundary.iteration} is missing"
        )
    state: Any = {name: found[name] for name in names}
    if digest_of(plain_state(state)) != boundary.record["state_sha256"]:
        raise CheckpointError(
            f"the graph's checkpoint of iteration {boundary.iteration} does not fit its tensors"
        )
    restored: TeachState = state
    return restored


def _restore(context: RunContext, boundary: Boundary) -> None:
    record = boundary.record
    arrays = {
        name: tensor.numpy()
        for name, tensor in boundary.tensors.items()
        if name.startswith("replay.")
    }
    try:
        context.ppo.restore(boundary.tensors, record["ppo"])
        context.collector.restore(arrays, record["collector"])
        if context.teacher is not None and record["teacher"] is not None:
            context.teacher.restore(record["teacher"])
        for name, seconds in record["seconds"].items():
            context.timers.add(name.removesuffix("_s"), seconds)
        context.started -= float(record["wall_s"])
    except (KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(
            f"checkpoint {boundary.iteration} does not fit the run's configuration: {error}"
        ) from error
