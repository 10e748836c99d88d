"""The run folder: all there is to know of a run, and its only writer.

config.json         what was run, resolved, with the versions of the packages
prompts/            the exact text of every prompt template; absent where no teacher is asked
metrics.jsonl       a row an iteration
trace.sqlite        what the teacher was asked and answered (graphs.records.trace.writer)
spending.jsonl      what the teacher has cost, as it was spent (agents.client.spending)
checkpoints/        what a resume needs
student.safetensors the student
summary.json        how it ended; absent while the run goes on
"""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from tutelage.agents.common.files import (
    DAMAGED,
    DEEPEST,
    RunFolderError,
    check_entries,
    cut_torn_line,
    explained,
    read_json_object,
    replace_file,
    set_aside,
    sync,
)
from tutelage.agents.common.invocation import hint
from tutelage.agents.common.redact import redact, value_redactor
from tutelage.graphs.records import versions
from tutelage.graphs.records.shapes import MetricsRow, Summary

RUNS: Final = Path("runs")
"""Where runs are made, and looked for by name: a folder of the working directory."""

_LINE_LIMIT: Final = 1 << 16
"""Bytes of the longest row of metrics.jsonl that is read."""

_PACKAGES: Final = (
    "torch",
    "numpy",
    "gymnasium",
    "minigrid",
    "langchain",
    "langgraph",
    "openai",
)


class RunFolder:
    """One run's folder. Writes are atomic: a crash leaves the old file or the new one.

    For one writer at a time. Every method raises RunFolderError where the disk refuses, or where
    a file is not what this program wrote.
    """

    def __init__(self, path: Path) -> None:
        """Use `create` for a new run and `open` for one that is there."""
        self.path = path

    @classmethod
    def create(cls, path: Path) -> RunFolder:
        """Make the folder, its parents too. It may exist if it is empty."""
        folder = cls(path)
        with explained("make the run folder", path):
            path.mkdir(parents=True, exist_ok=True)
            if not folder._is_unused():
                raise RunFolderError(
                    f"{path} is not empty; choose another --run-dir, or continue that run with:"
                    f" {hint('resume', path)}"
                )
            folder.checkpoints.mkdir(exist_ok=True)
        return folder

    def _is_unused(self) -> bool:
        """Whether nothing was written yet, or was cut short before the configuration was there."""
        begun = {self.checkpoints, self.config.with_name(f".{self.config.name}.tmp")}
        if self.checkpoints.exists():
            if any(self.checkpoints.iterdir()):
                return False
            # Only then are they this program's: anybody may have a folder of that name.
            begun.add(self.prompts)
        return set(self.path.iterdir()) <= begun

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """The folder of a run that has been begun."""
        folder = cls(path)
        if not path.is_dir():
            raise RunFolderError(f"{path}: there is no such run folder")
        folder.check()
        if not folder.config.is_file():
            raise RunFolderError(f"{path} is not a run folder: it has no {folder.config.name}")
        return folder

    def check(self) -> None:
        """See that none of the run's files is a link or a pipe: the folder may be a stranger's."""
        check_entries(self.path, self._own_names())

    def is_own(self, name: str) -> bool:
        """Whether something of that name in the folder belongs to the run, damaged or whole."""
        name = name.casefold()  # as some disks have it
        return any(
            name == own or name.startswith((f"{own}{DAMAGED}", f"{self.trace.name}-", ".lock"))
            for own in self._own_names()
        )

    def _own_names(self) -> tuple[str, ...]:
        rows, files = (self.metrics, self.trace, self.spending), (self.student, self.summary)
        own = (self.config, self.prompts, *rows, self.checkpoints, *files)
        return tuple(path.name for path in own)

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.json"

    @property
    def metrics(self) -> Path:
        """A row an iteration."""
        return self.path / "metrics.jsonl"

    @property
    def trace(self) -> Path:
        """What `graphs.records.trace.writer` writes and reads."""
        return self.path / "trace.sqlite"

    @property
    def spending(self) -> Path:
        """What `agents.client.spending` writes; absent where nobody was asked."""
        return self.path / "spending.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of what a resume needs."""
        return self.path / "checkpoints"

    @property
    def student(self) -> Path:
        """The student's weights."""
        return self.path / "student.safetensors"

    @property
    def summary(self) -> Path:
        """How the run ended."""
        return self.path / "summary.json"

    def write_atomic(self, name: str, writer: Callable[[Path], None]) -> None:
        """Replace a file (`student.safetensors`, `checkpoints/12/state.json`) as a whole.

        writer: fills the temporary file that it is given the path of. Its own errors pass
        through, but for OSError, and the old file stays.
        """
        target = self.path / name
        with explained("write", target):
            # Never the run folder itself: one that was deleted or moved must not come back.
            if target.parent != self.path and not target.parent.is_dir():
                target.parent.mkdir(parents=self.path.is_dir())
                sync(target.parent.parent)
            replace_file(target, writer)

    def set_aside(self, path: Path, why: str = "is damaged") -> str:
        """Rename a file or folder, so that nothing is overwritten; returns a line that says so."""
        with explained("rename", path):
            return f"{path} {why}; kept as {set_aside(path).name}"

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Replace a JSON file. Raises ValueError or TypeError for what JSON cannot hold."""
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        self.write_atomic(name, lambda path: _write_text(path, text))

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON file that `write_json` wrote."""
        return read_json_object(self.path / name)

    @property
    def prompts(self) -> Path:
        """The folder of the prompt templates that the run uses, as `--prompts` takes one."""
        return self.path / "prompts"

    @property
    def recorded_prompts(self) -> Path | None:
        """The folder of the run's prompts; None where it has recorded none."""
        return self.prompts if self.prompts.is_dir() else None

    def write_prompts(self, texts: Mapping[str, str]) -> None:
        """Record the exact texts of the prompt templates, by name."""
        for name, text in texts.items():
            self.write_atomic(f"prompts/{name}.md", partial(_write_text, text=text))

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write config.json with `schema_version` and `versions` added to it."""
        stamp = {"schema_version": versions.CONFIG, "versions": package_versions()}
        self.write_json(self.config.name, {**config, **stamp})

    def read_config(self) -> dict[str, Any]:
        """config.json, redacted; `schema_version` and `versions` are included.

        What was redacted there is no configuration to run (`graphs.config.config`).
        """
        config = self._read_redacted(self.config)
        _check_version(self.config, config, versions.CONFIG)
        return config

    def _read_redacted(self, file: Path) -> dict[str, Any]:
        """A JSON file without secrets: a stranger's, or an older one, may hold one of ours."""
        redacted: dict[str, Any] = value_redactor()(self.read_json(file.name))
        return redacted

    def check_signs(self) -> None:
        """See that this is a run by all its signs: what every run has from its beginning.

        Other programs have a config.json too, and a `schema_version` in it. Raises RunFolderError.
        """
        config = self.read_config()
        versions_named = config.get("versions")
        lacks = [
            f"{self.config.name} has no {name}" for name in ("graph", "env") if not config.get(name)
        ]
        if not (isinstance(versions_named, Mapping) and {"python", *_PACKAGES} & {*versions_named}):
            lacks.append(f"{self.config.name} has no versions of packages")
        if not self.checkpoints.is_dir():
            lacks.append(f"it has no folder {self.checkpoints.name}")
        if lacks:
            raise RunFolderError(f"{self.path} is not a run folder: {lacks[0]}")

    def write_summary(self, summary: Summary | Mapping[str, Any]) -> None:
        """Write summary.json. Raises pydantic.ValidationError for what is not its shape."""
        self.write_json(self.summary.name, Summary.model_validate(summary).model_dump(mode="json"))

    def read_summary(self) -> Summary | None:
        """summary.json, redacted, or None while there is none."""
        if not self.summary.exists():
            return None
        summary = self._read_redacted(self.summary)
        _check_version(self.summary, summary, versions.SUMMARY)
        if summary.get("evaluations") is None:  # of before it was written down
            summary |= self.of_evaluations(summary.get("steps_to_95"))
        try:
            return Summary.model_validate(summary)
        except ValidationError as error:
            raise RunFolderError(f"{self.summary} is damaged: {_first_problem(error)}") from error

    def of_evaluations(self, steps_to_95: int | None) -> dict[str, int | None]:
        """The fields of the summary that metrics.jsonl tells, by name; None where it does not."""
        try:
            rows = self.read_metrics()
        except RunFolderError:  # a run's figures are told whatever has become of its rows
            rows = []
        reached = [row.total_steps for row in rows if row.env_steps == steps_to_95]
        return {
            "evaluations": sum(row.eval_success is not None for row in rows) if rows else None,
            "total_steps_to_95": reached[0] if reached else None,
        }

    def append_metrics(self, *rows: MetricsRow | Mapping[str, Any]) -> None:
        """Add iterations' rows. Raises pydantic.ValidationError for what is not their shape."""
        lines = [MetricsRow.model_validate(row).model_dump_json() + "\n" for row in rows]
        with explained("write", self.metrics), self.metrics.open("ab+") as file:
            cut_torn_line(file)
            file.write("".join(lines).encode())

    def read_metrics(self) -> list[MetricsRow]:
        """The rows so far. A last line that a crash tore is skipped."""
        rows = []
        for number, line in enumerate(self._metrics_lines(), start=1):
            try:
                rows.append(_row_of(line))
            except ValueError as error:
                problem = f"{self.metrics}, line {number} is damaged: {error}"
                raise RunFolderError(problem) from error
        return rows

    def sync_metrics(self) -> None:
        """Wait until the rows so far are on the disk."""
        with explained("write", self.metrics):
            sync(self.metrics)

    def cut_metrics(self, last_iteration: int) -> str | None:
        """Remove the rows beyond an iteration; for a resume.

        A file with damaged lines, or without a row for each iteration up to there, is set aside,
        and the rows that can be read are kept; returns a line that says so.
        """
        problem = None
        kept: dict[int, bytes] = {}
        for line in self._metrics_lines():
            try:
                row = _row_of(line)
            except ValueError as error:
                problem = problem or str(error)
            else:
                kept |= {row.iteration: line} if row.iteration <= last_iteration else {}
        whole = len(kept) == last_iteration and list(kept) == sorted(kept)
        if problem is None and not whole:
            problem = "rows are missing"
        if problem is not None:
            there = self.metrics.exists()
            done = self.set_aside(self.metrics) if there else f"{self.metrics} is damaged"
            problem = f"{done} ({problem}); what can be read of it goes on"
        content = b"".join(line + b"\n" for line in kept.values())
        self.write_atomic(self.metrics.name, lambda path: _write_bytes(path, content))
        return problem

    def _metrics_lines(self) -> Iterator[bytes]:
        """The lines that are whole; one that is too long for a row comes in pieces of no use."""
        with explained("read", self.metrics):
            if not self.metrics.exists():
                return
            with self.metrics.open("rb") as file:
                while line := file.readline(_LINE_LIMIT):
                    if line.endswith(b"\n") or len(line) == _LINE_LIMIT:
                        yield line.removesuffix(b"\n")


@dataclass(frozen=True)
class RunEntry:
    """A run in a list. problem: what is wrong with its files, in a line; None where they are well.

    summary: None for a run that has not ended.
    """

    path: Path
    config: dict[str, Any] | None
    summary: Summary | None
    problem: str | None


def list_runs(root: Path) -> list[RunEntry]:
    """The runs in a folder and all below it, the newest first; none where there is no folder."""
    return [_entry(RunFolder(path)) for path in run_paths(root)]


def run_paths(root: Path) -> list[Path]:
    """The folders of these runs, `DEEPEST` folders down at the most. Newest first: by when their
    config.json was written, which is done once, when a run starts."""
    found = []
    waiting = [(os.fspath(root), 0)]
    while waiting:
        place, levels = waiting.pop()
        try:
            entries = list(os.scandir(place))
            began = [e.stat(follow_symlinks=False).st_mtime_ns for e in entries if _is_config(e)]
        except OSError:  # what cannot be read, or is gone by now, hides no other run
            continue
        if began:
            found.append((began[0], Path(place)))
        elif levels < DEEPEST:  # `os.walk`, which has no bound, calls itself until Python fails
            folders = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
            waiting += [(folder, levels + 1) for folder in folders]
    return [path for _, path in sorted(found, reverse=True)]


def _is_config(entry: os.DirEntry[str]) -> bool:
    return entry.name == "config.json" and not entry.is_dir()


def default_run_dir(graph: str, env: str, seed: int, now: datetime) -> Path:
    """`runs/<time>-<graph>-<env>-<seed>`, and `-2`, `-3`, ... after it where that is taken."""
    name = f"{now:%Y%m%d-%H%M%S}-{graph}-{env}-{seed}"
    path = plain = RUNS / re.sub(r"[^A-Za-z0-9._-]+", "-", name)
    copies = 1
    while path.exists():
        copies += 1
        path = plain.with_name(f"{plain.name}-{copies}")
    return path


def package_versions() -> dict[str, str | None]:
    """The versions of Python and of the packages that results depend on; None: not installed."""
    return {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _entry(folder: RunFolder) -> RunEntry:
    config = summary = problem = None
    try:
        folder.check()
        config = folder.read_config()
        summary = folder.read_summary()
    except (RunFolderError, OSError) as error:
        problem = redact(str(error))
    return RunEntry(folder.path, config, summary, problem)


def _check_version(path: Path, value: Mapping[str, Any], known: int) -> None:
    try:
        versions.check_version(value.get("schema_version"), known)
    except versions.OtherVersionError as error:
        raise RunFolderError(f"{path}: {error}") from error
    except ValueError as error:
        raise RunFolderError(f"{path} is damaged: {error}") from error


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in problem["loc"])
    return redact(f"{place}: {problem['msg']}" if place else problem["msg"])


def _row_of(line: bytes) -> MetricsRow:
    """A line's row. Raises ValueError, in one line."""
    try:
        return MetricsRow.model_validate_json(line)
    except ValidationError as error:
        raise ValueError(_first_problem(error)) from error


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)
