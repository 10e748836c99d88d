"""Checkpoints: what a run needs to go on from the end of an iteration, on disk.

Each lies in a folder of its own, `checkpoints/<iteration>/`: the tensors as safetensors, then a
JSON record with the digests of both, so that a damaged checkpoint is known as such, and one without
a record as a save that a crash cut short. No pickle.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from tutelage.agents.common.files import DAMAGED, RunFolderError, explained
from tutelage.graphs.records import versions
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.rl.errors import UserError

KEPT: Final = 2
"""Checkpoints that are kept; the older one serves where the newer one is damaged."""

_TENSORS: Final = "tensors.safetensors"
_RECORD: Final = "record.json"


class CheckpointError(UserError):
    """A checkpoint that cannot be used; the message is one line."""


@dataclass(frozen=True)
class Checkpoint:
    """The end of an iteration. record: everything that is not a tensor, as JSON has it."""

    iteration: int
    tensors: dict[str, Tensor]
    record: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run folder."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    def save(self, iteration: int, tensors: Mapping[str, Tensor], record: dict[str, Any]) -> None:
        """Write a checkpoint: tensors first, then the record that makes it whole."""
        name = f"{self._folder.checkpoints.name}/{iteration}"
        content = save({key: t.detach().cpu().contiguous() for key, t in tensors.items()})
        self._folder.write_atomic(f"{name}/{_TENSORS}", lambda path: _write(path, content))
        whole = {
            "schema_version": versions.CHECKPOINT,
            "tensors_sha256": _digest(content),
            "record_sha256": digest_of(record),
            "record": record,
        }
        # In one line: Python indents with code of its own, ten times as slow as its C encoder.
        text = json.dumps(whole, allow_nan=False).encode()
        self._folder.write_atomic(f"{name}/{_RECORD}", lambda path: _write(path, text))

    def iterations(self) -> list[int]:
        """The iterations of all checkpoints that were saved to the end, the newest first."""
        return [number for number in self._numbers() if (self._path(number) / _RECORD).exists()]

    def delete_unfinished(self) -> None:
        """Remove what saves have left that a crash cut short. Raises RunFolderError."""
        for iteration in set(self._numbers()) - set(self.iterations()):
            self.delete(iteration)

    def load(self, iteration: int, most_bytes: int) -> Checkpoint:
        """Read a checkpoint and check it.

        most_bytes: what its tensors may take; a larger file is refused before it is read. Raises
        CheckpointError, and RunFolderError where another version of the program wrote it.
        """
        record = self._checked(iteration)
        path = self._path(iteration) / _TENSORS
        try:
            size = path.stat().st_size
            if size > most_bytes:
                raise CheckpointError(f"checkpoint {path} is damaged: {size:,} bytes are too many")
            content = path.read_bytes()
            if record["tensors_sha256"] != _digest(content):
                raise CheckpointError(f"checkpoint {path} is damaged")
            return Checkpoint(iteration, load(content), record["record"])
        except (OSError, SafetensorError, KeyError) as error:
            raise CheckpointError(f"checkpoint {path} cannot be read: {error}") from error

    def record(self, iteration: int) -> dict[str, Any]:
        """A checkpoint's record alone. Raises as `load` does."""
        record: dict[str, Any] = self._checked(iteration)["record"]
        return record

    def delete(self, iteration: int) -> None:
        """Remove a checkpoint, its record first. Raises RunFolderError."""
        path = self._path(iteration)
        with explained("delete", path):
            (path / _RECORD).unlink(missing_ok=True)
            shutil.rmtree(path)

    def has_damaged(self) -> bool:
        """Whether a checkpoint was ever set aside."""
        return any(self._folder.checkpoints.glob(f"*{DAMAGED}*"))

    def set_aside(self, iteration: int) -> str:
        """Rename a damaged checkpoint; returns a line that says so. Raises RunFolderError."""
        return self._folder.set_aside(self._path(iteration))

    def _checked(self, iteration: int) -> dict[str, Any]:
        """A record's file, known to be whole and of a version that this program reads."""
        path = self._path(iteration) / _RECORD
        try:
            whole = self._folder.read_json(str(path.relative_to(self._folder.path)))
        except RunFolderError as error:
            raise CheckpointError(str(error)) from error
        record = whole.get("record")
        try:
            versions.check_version(whole.get("schema_version"), versions.CHECKPOINT)
        except versions.OtherVersionError as error:
            raise RunFolderError(f"{path}: {error}") from error
        except ValueError as error:
            raise CheckpointError(f"checkpoint {path} is damaged: {error}") from error
        try:
            whole_yet = isinstance(record, dict) and whole["record_sha256"] == digest_of(record)
        except (KeyError, RecursionError):
            whole_yet = False
        if not whole_yet:
            raise CheckpointError(f"checkpoint {path} is damaged")
        return whole

    def _numbers(self) -> list[int]:
        """The iterations of all folders, the newest first."""
        if not self._folder.checkpoints.is_dir():
            return []
        names = [path.name for path in self._folder.checkpoints.iterdir() if path.is_dir()]
        # Only as `save` writes them: Python reads 007 as a number too, which names another folder.
        numbers = {n: int(n) for n in names if n.isascii() and n.isdecimal()}
        return sorted((i for name, i in numbers.items() if str(i) == name), reverse=True)

    def _path(self, iteration: int) -> Path:
        return self._folder.checkpoints / str(iteration)


def digest_of(value: Any) -> str:
    """SHA-256 of a value's canonical JSON."""
    return _digest(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def arrays_to_tensors(arrays: Mapping[str, Any]) -> dict[str, Tensor]:
    """NumPy arrays as tensors, for a checkpoint."""
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
