"""Several conditions over several seeds: a run for each, some side by side, finished ones kept.

Each run is a process of its own (`tutelage run` or `resume`), so that one that fails takes no other
with it, and has its own folder below the experiment's. Called again, an experiment goes on where it
stopped, however that was: what is asked for is compared with what was asked for then, and a run at
which another process is still at work is waited for.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event as StopSignal
from typing import IO, Any, Final, Literal

import tutelage
from tutelage.agents.common.invocation import command
from tutelage.agents.common.settings import provider_and_address
from tutelage.graphs.analysis.comparison import NOT_COMPARED, stored_fields
from tutelage.graphs.config.config import (
    ConfigError,
    RunConfig,
    flat,
    parsed,
    settled_fields,
    with_fields,
)
from tutelage.graphs.records.lock import in_use
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.runtime.errors import NO_ANSWER
from tutelage.graphs.runtime.signals import PARENT

CLI: Final = (
    Path(sys.argv[0]).resolve()
    if command() == "python cli.py"
    else Path(tutelage.__file__).with_name("__main__.py")
)
"""The script of the command line, as this process was started."""
_POLL_S: Final = 0.2
_INTERRUPTED: Final = (128 + signal.SIGINT, 128 + signal.SIGTERM)
_PLACES: Final = ("run_dir", "cache", "loggers")
"""Fields for where a run is stored and logged, which cannot be varied."""

Status = Literal["waiting", "running", "in use", "finished", "stopped", "failed"]


@dataclass
class Job:
    """One run of an experiment. problem: the line with which its process failed.

    status: `in use` while a process that is not this experiment's is at work in its folder.
    unanswered: whether it has just finished without one usable answer of its teacher.
    """

    name: str
    config: RunConfig
    path: Path
    status: Status = "waiting"
    problem: str | None = None
    unanswered: bool = False


@dataclass
class _Running:
    """A job's process. errors: what it writes to standard error. asked: whether it is to stop."""

    job: Job
    process: subprocess.Popen[bytes]
    errors: IO[bytes]
    asked: bool = False


@dataclass
class Experiment:
    """The runs of all combinations of varied fields and seeds."""

    folder: Path
    jobs: list[Job] = field(default_factory=list)

    def run(
        self, side_by_side: int, stop: StopSignal, tell: Callable[[Job], None] = lambda _: None
    ) -> None:
        """Make every run that is not finished, `side_by_side` at a time.

        stop: interrupts those that run and begins no other. tell: called when a job's status has
        changed, and every so often for those that run.
        """
        queue = deque(job for job in self.jobs if job.status != "finished")
        running: list[_Running] = []
        elsewhere: list[Job] = []
        with ExitStack() as resources:
            places = Path(resources.enter_context(tempfile.TemporaryDirectory()))
            while True:
                while queue and len(running) + len(elsewhere) < side_by_side and not stop.is_set():
                    job = queue.popleft()
                    if in_use(job.path):
                        job.status = "in use"
                        elsewhere.append(job)
                    else:
                        running.append(_started(job, places, resources))
                if not running and (not elsewhere or stop.is_set()):
                    return
                _wait(running, stop)
                for each in running:
                    _look_after(each)
                    tell(each.job)
                elsewhere += [each.job for each in running if each.job.status == "in use"]
                running = [each for each in running if each.job.status == "running"]
                for job in elsewhere:
                    if not in_use(job.path):
                        job.status = status_of(job.path, job.config)
                    tell(job)
                queue.extendleft(j for j in elsewhere if j.status not in ("in use", "finished"))
                elsewhere = [job for job in elsewhere if job.status == "in use"]


def seeds_of(text: str) -> list[int]:
    """The numbers of a list such as 0,1,2. Raises ConfigError."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--seeds {text!r}: needed are numbers, as in 0,1,2") from None


def plan_experiment(
    base: RunConfig, vary: Sequence[str], seeds: Sequence[int], folder: Path | None
) -> Experiment:
    """The experiment, its finished runs marked as such.

    vary: as in `weaning.schedule=linear,constant`. folder: of its run folders; None takes one of
    the same name whenever the same base and the same fields are given. Raises ConfigError, also
    where the folder holds other runs, and RunFolderError.
    """
    if base.run_dir is not None:
        raise ConfigError("run_dir: each run of a comparison has a folder of its own; use --dir")
    fields = _varied(vary)
    where = folder or Path("runs") / f"compare-{_digest(base, list(fields))}"
    jobs = []
    for values in itertools.product(*fields.values()):
        condition = dict(zip(fields, values, strict=True))
        for seed in dict.fromkeys(seeds):
            name = "-".join([*(_slug(k, v) for k, v in condition.items()), f"seed{seed}"])
            path = where / name
            config = with_fields(base, {**condition, "seed": seed, "run_dir": str(path)})
            jobs.append(Job(name, config, path, status_of(path, config)))
    if len({job.path for job in jobs}) < len(jobs):
        raise ConfigError(f"--vary {' '.join(vary)!r}: two of the values give the same run")
    return Experiment(where, jobs)


def _varied(vary: Sequence[str]) -> dict[str, list[Any]]:
    """The values of each varied field, by key."""
    fields: dict[str, list[Any]] = {}
    for text in vary:
        key, equals, values = text.partition("=")
        key = key.strip()
        if not (key and equals and values):
            raise ConfigError(f"--vary {text!r} is not of the form key=value,value")
        if key in ("seed", *_PLACES) or key in fields:
            raise ConfigError(f"--vary {text!r}: {key} cannot be varied so; seeds: --seeds 0,1,2")
        fields[key] = [parsed(value.strip()) for value in values.split(",")]
    return fields


def _digest(base: RunConfig, keys: Sequence[str]) -> str:
    """A name for an experiment: the same whenever the same is asked for."""
    # Without defaults: a new version's new fields make no other experiment.
    fields = flat(base.model_dump(mode="json", exclude_defaults=True))
    same = {k: v for k, v in fields.items() if k not in NOT_COMPARED and k not in keys}
    text = json.dumps([same, sorted(keys)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _slug(key: str, value: Any) -> str:
    plain = re.sub(r"[^A-Za-z0-9._]+", "_", "none" if value is None else str(value))
    return f"{key}_{plain}"


def status_of(path: Path, config: RunConfig) -> Status:
    """The status of a run's folder. Raises ConfigError where another run is in it.

    Another run is one that was asked for with other fields, apart from those by which runs of one
    condition may differ (`NOT_COMPARED`): a field that was left open, and that its run has settled,
    is as good as the same field left open again, or as the value that it was settled to.
    """
    if not (path / "config.json").is_file():
        return "waiting"
    folder = RunFolder.open(path)
    differing = list(_differing(folder, config))
    if differing:
        others = path.parent if path.parent.name else path.parent.resolve()
        raise ConfigError(
            f"{path} holds another run: {'; '.join(differing)}; the runs there stay as they are, "
            f"give these a folder of their own: --dir {shlex.quote(f'{others}-2')}"
        )
    summary = folder.read_summary()
    return "finished" if summary is not None and summary.status == "finished" else "stopped"


def _differing(folder: RunFolder, config: RunConfig) -> Iterator[str]:
    """A clause for each field in which a folder's run is not the one that is wanted."""
    there, wanted = stored_fields(folder), flat(config.model_dump(mode="json"))
    settled = settled_fields(folder.read_config())
    for key in {**there, **wanted}:  # an argument of the task may be in one of them alone
        value, held = wanted.get(key), there.get(key)
        if held == value or (key in NOT_COMPARED and key != "seed"):
            continue
        if key in settled:
            if value is None:
                continue
            yield f"{key} was left open there and became {held!r}, wanted: {value!r}"
        else:
            held, value = ("none" if each is None else repr(each) for each in (held, value))
            yield f"{key} = {held}, wanted: {value}"


def process_arguments(job: Job, file: Path) -> list[str]:
    """What the job's process is told: to make its run, or to go on with it.

    file: where the run's configuration goes for a new one. A run that is gone on with asks its
    teachers at the addresses that the experiment names, which is the user's word for them.
    """
    if job.status == "waiting":
        file.write_text(job.config.model_dump_json(), encoding="utf-8")
        return ["run", "--config", str(file), "--json"]
    second = [provider_and_address(step)[1] for step in job.config.teacher.fallback]
    addresses = dict.fromkeys(url for url in (job.config.base_url, *second) if url)
    named = [word for url in addresses for word in ("--base-url", url)]
    return ["resume", str(job.path), *named, "--json"]


def _started(job: Job, places: Path, resources: ExitStack) -> _Running:
    """Start the job's process. It has its own session, so that no Ctrl-C reaches it directly."""
    arguments = process_arguments(job, places / f"{job.name}.json")
    errors = resources.enter_context((places / f"{job.name}.errors").open("w+b"))
    process = subprocess.Popen(
        [sys.executable, str(CLI), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        start_new_session=True,
        env={**os.environ, PARENT: str(os.getpid())},
    )
    resources.callback(_end, process)
    job.status = "running"
    return _Running(job, process, errors)


def _wait(running: Sequence[_Running], stop: StopSignal) -> None:
    """Wait a moment. Once `stop` is set, each process is interrupted once."""
    if stop.wait(0.0):
        for each in running:
            if not each.asked:
                each.asked = True
                each.process.send_signal(signal.SIGINT)
        time.sleep(_POLL_S)
    else:
        stop.wait(_POLL_S)


def _look_after(running: _Running) -> None:
    """Set the job's status where its process has ended."""
    code, job = running.process.poll(), running.job
    if code is None:
        return
    if code in (0, NO_ANSWER):
        job.status = "finished"
        job.unanswered = code == NO_ANSWER
    elif running.asked or code in _INTERRUPTED:
        job.status = "stopped"
    elif in_use(job.path):  # one that was left behind has come first
        job.status = "in use"
    else:
        job.status = "failed"
        running.errors.seek(0)
        said = running.errors.read().decode(errors="replace").strip().splitlines()
        job.problem = said[-1].removeprefix("tutelage: ") if said else f"exit code {code}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that is still running, so that an error here leaves none behind."""
    if process.poll() is None:
        process.kill()
        process.wait()
