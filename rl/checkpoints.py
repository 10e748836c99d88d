"""Boundaries: what a run needs to go on from the end of an iteration, on disk.

Each lies in a folder of its own, `checkpoints/<iteration>/`: the tensors as safetensors, then a
JSON record with the digests of both, so that a damaged boundary is known as such. No pickle.
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
from safetensors.torch import load_file, save_file
from torch import Tensor

from rl.runfolder import RunFolder, RunFolderError

SCHEMA_VERSION: Final = 1
KEPT: Final = 2
"""Boundaries that are kept; the older one serves where the newer one is damaged."""

_TENSORS: Final = "tensors.safetensors"
_RECORD: Final = "record.json"


class CheckpointError(ValueError):
    """A boundary that cannot be used; the message is one line."""


@dataclass(frozen=True)
class Boundary:
    """The end of an iteration. record: everything that is not a tensor, as JSON has it."""

    iteration: int
    tensors: dict[str, Tensor]
    record: dict[str, Any]


class Checkpoints:
    """The boundaries of one run folder."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    def save(self, iteration: int, tensors: Mapping[str, Tensor], record: dict[str, Any]) -> None:
        """Write a boundary: tensors first, then the record that makes it whole."""
        name = f"{self._folder.checkpoints.name}/{iteration}"
        owned = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
        self._folder.write_atomic(f"{name}/{_TENSORS}", lambda path: save_file(owned, str(path)))
        whole = {
            "schema_version": SCHEMA_VERSION,
            "tensors_sha256": _digest((self._path(iteration) / _TENSORS).read_bytes()),
            "record_sha256": digest_of(record),
            "record": record,
        }
        self._folder.write_json(f"{name}/{_RECORD}", whole)

    def iterations(self) -> list[int]:
        """The iterations of all boundaries, the newest first."""
        if not self._folder.checkpoints.is_dir():
            return []
        names = [path.name for path in self._folder.checkpoints.iterdir() if path.is_dir()]
        return sorted((int(name) for name in names if name.isdecimal()), reverse=True)

    def load(self, iteration: int) -> Boundary:
        """Read a boundary and check it. Raises CheckpointError."""
        path = self._path(iteration)
        try:
            whole = json.loads((path / _RECORD).read_text(encoding="utf-8"))
            if whole["schema_version"] > SCHEMA_VERSION:
                raise CheckpointError(
                    f"checkpoint {path} has schema_version {whole['schema_version']}, newer than "
                    f"{SCHEMA_VERSION}: update Tutelage"
                )
            if whole["record_sha256"] != digest_of(whole["record"]):
                raise CheckpointError(f"checkpoint {path / _RECORD} is damaged")
            if whole["tensors_sha256"] != _digest((path / _TENSORS).read_bytes()):
                raise CheckpointError(f"checkpoint {path / _TENSORS} is damaged")
            return Boundary(iteration, load_file(str(path / _TENSORS)), dict(whole["record"]))
        except (OSError, SafetensorError, TypeError, KeyError) as error:
            raise CheckpointError(f"checkpoint {path} cannot be read: {error}") from error
        except CheckpointError:
            raise
        except ValueError as error:
            raise CheckpointError(f"checkpoint {path / _RECORD} is damaged: {error}") from error

    def delete(self, iteration: int) -> None:
        """Remove a boundary. Raises RunFolderError."""
        try:
            shutil.rmtree(self._path(iteration))
        except OSError as error:
            raise RunFolderError(f"cannot delete {self._path(iteration)}: {error}") from error

    def _path(self, iteration: int) -> Path:
        return self._folder.checkpoints / str(iteration)


def digest_of(value: Any) -> str:
    """SHA-256 of a value's canonical JSON."""
    return _digest(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def arrays_to_tensors(arrays: Mapping[str, Any]) -> dict[str, Tensor]:
    """NumPy arrays as tensors, for a boundary."""
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
