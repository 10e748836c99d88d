"""Making a run, and going on with one: from its configuration to its summary.

What does the work (`graphs.runtime.driving`) is loaded late: its libraries take seconds, and
meanwhile the teacher may be thinking.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from threading import Event as StopSignal
from time import monotonic

from tutelage.agents.common.files import RunFolderError
from tutelage.agents.providers.make import keep_tracing_private
from tutelage.graphs.config.config import ConfigError, RunConfig, validated, without_own_fields
from tutelage.graphs.config.events import Doing, Event, RunEnded, Tell
from tutelage.graphs.records.lock import locked
from tutelage.graphs.records.run_folder import RunFolder, default_run_dir
from tutelage.graphs.records.shapes import Summary
from tutelage.graphs.runtime.compiling import compile_ahead
from tutelage.graphs.runtime.conditions import stopped
from tutelage.graphs.runtime.run_spec import (
    MakePerson,
    RunSpec,
    ask_in_advance,
    open_teacher,
)
from tutelage.graphs.runtime.trust import check_address, check_imports


def run(
    config: RunConfig,
    on_event: Tell | None = None,
    stop: StopSignal | None = None,
    import_s: float = 0.0,
    make_person: MakePerson | None = None,
) -> Summary:
    """Make a run from start to end and return its summary, which is in the run folder too.

    on_event: told of everything that a watcher may want to see. stop: ends the run at the next
    iteration's end when set. import_s: seconds that the caller spent importing, for the record;
    what task and provider still import is added, and what setting up takes. make_person: see
    `graphs.runtime.run_spec.open_teacher`. Raises UserError where the configuration cannot be used,
    before the run folder is made, and RunStoppedError where the machine does not let the run go on.
    """
    started = monotonic() - import_s
    (on_event or _ignore)(Doing("loading the environment; a first run compiles its engine"))
    spec = RunSpec(config)
    return _session(spec, new_folder(spec), on_event, stop, started, make_person, is_new=True)


def new_folder(spec: RunSpec) -> RunFolder:
    """The folder of a run that is about to begin, with what it is made from.

    Raises RunFolderError where it cannot be made.
    """
    config = spec.config
    where = config.run_dir or default_run_dir(config.graph, config.env, config.seed, datetime.now())
    folder = RunFolder.create(where)
    if spec.provider is not None:
        folder.write_prompts({name: spec.library.get(name).text for name in spec.library.names()})
    folder.write_config({**spec.resolved(), "run_dir": str(folder.path)})
    return folder


def resume(
    path: Path,
    on_event: Tell | None = None,
    stop: StopSignal | None = None,
    import_s: float = 0.0,
    base_urls: Sequence[str] = (),
    make_person: MakePerson | None = None,
) -> Summary:
    """Go on with a run that stopped, from its newest checkpoint, to the numbers it would have had.

    Its teacher is asked with the prompts that the run has recorded, whatever became of the files.
    Arguments as in `run`. base_urls: the run's own addresses of its teachers, said again, without
    which no key of the user's is sent there. Raises as `run` does, and RunFolderError
    where there is nothing to go on with, or where the folder holds what no run of this program has
    left there.
    """
    started = monotonic() - import_s
    folder = RunFolder.open(path)
    summary = folder.read_summary()
    if summary is not None and summary.status == "finished":
        raise RunFolderError(f"{path} is finished: there is nothing to resume")
    config = stored_config(folder)
    check_address(folder.path, config, base_urls)
    spec = RunSpec(config, folder.recorded_prompts)
    return _session(spec, folder, on_event, stop, started, make_person, is_new=False)


def stored_config(folder: RunFolder) -> RunConfig:
    """The configuration of a run that was made. Raises ConfigError or RunFolderError.

    The folder may be a stranger's: it is refused where its fields could make its own code run.
    """
    stored = without_own_fields(folder.read_config())
    try:
        config = validated({**stored, "run_dir": str(folder.path)})
    except ConfigError as error:
        raise ConfigError(f"{folder.config}: {error}") from error
    check_imports(folder.path, config)
    return config


def _session(
    spec: RunSpec,
    folder: RunFolder,
    on_event: Tell | None,
    stop: StopSignal | None,
    started: float,
    make_person: MakePerson | None,
    is_new: bool,
) -> Summary:
    """One process's share of a run. started: when the process began, by `monotonic`."""
    keep_tracing_private()
    tell = on_event or _ignore
    try:
        with ExitStack() as resources:
            resources.enter_context(locked(folder))
            wait_for_kernels = compile_ahead(spec.config, resources)
            teacher = open_teacher(spec, tell, resources, make_person, folder.spending)
            stop = stop or StopSignal()
            if wait_for_kernels is not None:
                wait_for_kernels(stop)
            if teacher is not None and is_new:
                ask_in_advance(spec, teacher, tell)
            tell(Doing("loading torch and LangGraph"))
            from tutelage.graphs.runtime.driving import drive  # here and not above: see the top

            summary = drive(spec, folder, teacher, started, stop, tell, resources)
    except Exception as error:
        told = stopped(error, folder)
        if told is None:
            raise
        raise told from error
    tell(RunEnded(str(folder.path), summary))
    return summary


def _ignore(_event: Event) -> None:
    """Nobody watches."""
