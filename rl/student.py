"""The student: a small actor-critic network over a picture of category codes and some features."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from rl.student_settings import SMALLEST_CONV, StudentSettings
from rl.task import FloatArray, IntArray, Observation, ObservationSpec

SCHEMA_VERSION: Final = 1
FORBIDDEN: Final = -1e8
"""The logit of an action that is not allowed: its probability and its gradient are 0 (Huang &
Ontañón 2022, "A Closer Look at Invalid Action Masking in Policy Gradient Algorithms")."""
_METADATA: Final = "student"
_CHANNELS: Final = 32


class StudentNetwork(nn.Module):
    """Codes are embedded, read by a dense or convolutional body, joined with the features.

    Policy and value share everything but their last layer. Orthogonal initialisation: gain
    sqrt(2) in the body, 0.01 for the policy's and 1 for the value's last layer (Andrychowicz et
    al. 2021, "What Matters In On-Policy Reinforcement Learning?").
    """

    def __init__(self, spec: ObservationSpec, num_actions: int, settings: StudentSettings) -> None:
        super().__init__()
        width = settings.hidden
        self.body: nn.Module | None = None
        if spec.height:
            self.embedding = nn.Embedding(spec.num_codes, settings.embedding)
            self.body = _body(spec, settings)
        self.trunk = nn.Sequential(
            nn.Linear((width if self.body else 0) + spec.features, width), nn.ReLU()
        )
        self.policy_head = nn.Linear(width, num_actions)
        self.value_head = nn.Linear(width, 1)
        self._initialise()

    def forward(self, codes: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """codes: uint8 [B, H, W]; features: float32 [B, F]. Returns logits [B, A], values [B]."""
        parts = [features]
        if self.body is not None:
            embedded: Tensor = self.embedding(codes.int())
            parts.append(self.body(embedded))
        hidden = self.trunk(torch.cat(parts, dim=1))
        return self.policy_head(hidden), self.value_head(hidden).squeeze(1)

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.orthogonal_(module.weight, math.sqrt(2))
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        nn.init.orthogonal_(self.policy_head.weight, 0.01)
        nn.init.orthogonal_(self.value_head.weight, 1.0)


class _ChannelsFirst(nn.Module):
    """[B, H, W, C] to [B, C, H, W]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 1, 2)


def _body(spec: ObservationSpec, settings: StudentSettings) -> nn.Module:
    """From embedded codes [B, H, W, E] to [B, hidden]."""
    flat = _flat_size(spec, settings)
    if settings.body == "dense":
        return nn.Sequential(nn.Flatten(), nn.Linear(flat, settings.hidden), nn.ReLU())
    return nn.Sequential(
        _ChannelsFirst(),
        nn.Conv2d(settings.embedding, _CHANNELS, 3),
        nn.ReLU(),
        nn.Conv2d(_CHANNELS, _CHANNELS, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(flat, settings.hidden),
        nn.ReLU(),
    )


def _flat_size(spec: ObservationSpec, settings: StudentSettings) -> int:
    """How many numbers the body's last layer reads. Raises ValueError for too small a picture."""
    if settings.body == "dense":
        return spec.height * spec.width * settings.embedding
    if min(spec.height, spec.width) < SMALLEST_CONV:
        raise ValueError(
            f"a picture of {spec.height} x {spec.width} cells is too small for the conv body;"
            f" allowed: {SMALLEST_CONV} x {SMALLEST_CONV} and more, or the dense body"
        )
    # Each 3x3 convolution takes a cell off every side.
    return _CHANNELS * (spec.height - 4) * (spec.width - 4)


class StudentError(ValueError):
    """A file that holds no student that can be used; the message is one line."""


class Student:
    """A network, where it runs, and how it picks actions."""

    def __init__(
        self,
        task_name: str,
        spec: ObservationSpec,
        num_actions: int,
        settings: StudentSettings,
        device: torch.device,
    ) -> None:
        self.task_name, self.spec, self.settings, self.device = task_name, spec, settings, device
        self.num_actions = num_actions
        self.network = StudentNetwork(spec, num_actions, settings).to(device)

    def judge(self, observation: Observation) -> tuple[FloatArray, FloatArray]:
        """Logits float32 [B, A] and values float32 [B] of a batch, without gradients."""
        with torch.inference_mode():
            logits, values = self.network(
                torch.from_numpy(observation.codes).to(self.device),
                torch.from_numpy(observation.features).to(self.device),
            )
            chosen = logits.cpu().numpy()
            if observation.allowed is not None:
                chosen[~observation.allowed] = FORBIDDEN
            return chosen, values.cpu().numpy()

    def act(self, observation: Observation, rng: np.random.Generator | None = None) -> IntArray:
        """Actions int64 [B]: drawn from the policy with `rng`, its likeliest ones without."""
        logits, _ = self.judge(observation)
        return logits.argmax(axis=1) if rng is None else sample(logits, rng)

    def save(self, path: Path) -> None:
        """Write the network and what is needed to build it again, as safetensors."""
        described = {
            "schema_version": SCHEMA_VERSION,
            "task": self.task_name,
            "num_actions": self.num_actions,
            "observation_spec": asdict(self.spec),
            "settings": self.settings.model_dump(mode="json"),
        }
        # One field: safetensors orders several at random, and equal students give equal files.
        metadata = {_METADATA: json.dumps(described, sort_keys=True)}
        tensors = {name: t.contiguous().cpu() for name, t in self.network.state_dict().items()}
        path.write_bytes(save(tensors, metadata))


def load_student(path: str | Path, device: str = "cpu") -> Student:
    """The student of a `student.safetensors` file, or of the run folder that holds it.

    Raises StudentError where the file is missing, damaged, or not a student's.
    """
    file = Path(path)
    file = file / "student.safetensors" if file.is_dir() else file
    try:
        if file.exists() and not file.is_file():
            raise OSError("it is no plain file")  # opening a pipe would hang
        with safe_open(str(file), framework="pt") as stored:
            student = _from_metadata(stored, torch.device(device))
            tensors = _matching_tensors(student, stored)
    except (OSError, SafetensorError) as error:
        raise StudentError(_one_line(f"cannot read a student from {file}", error)) from error
    except (KeyError, TypeError, ValueError) as error:
        raise StudentError(_one_line(f"{file} does not describe a student", error)) from error
    student.network.load_state_dict(tensors)
    return student


class _StoredSpec(BaseModel):
    """`ObservationSpec` as a file has it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    height: int = Field(ge=0, le=255)
    width: int = Field(ge=0, le=255)
    num_codes: int = Field(ge=0, le=256)
    features: int = Field(ge=0, le=65_536)
    slots: int = Field(0, ge=0, le=4096)


class _StoredStudent(BaseModel):
    """All that a file says about its student, besides the weights."""

    model_config = ConfigDict(extra="forbid", strict=True)

    schema_version: int
    task: str
    num_actions: int = Field(ge=1, le=4096)
    observation_spec: _StoredSpec
    settings: StudentSettings


def _from_metadata(stored: Any, device: torch.device) -> Student:
    """The student that an open file describes, its weights not read yet."""
    described = from_json((stored.metadata() or {})[_METADATA])
    version = described["schema_version"]
    if version > SCHEMA_VERSION:
        raise ValueError(f"schema_version {version} is newer than {SCHEMA_VERSION}")
    found = _StoredStudent.model_validate(described)
    spec = ObservationSpec(**found.observation_spec.model_dump())
    if spec.slots not in (0, found.num_actions):
        raise ValueError(f"{spec.slots} slots for {found.num_actions} actions")
    _check_size(stored, spec, found.settings)
    with torch.random.fork_rng(devices=[]):
        return Student(found.task, spec, found.num_actions, found.settings, device)


def _check_size(stored: Any, spec: ObservationSpec, settings: StudentSettings) -> None:
    """Nothing is built that is much larger than the file: the other layers are bounded apart."""
    inputs = spec.features + (_flat_size(spec, settings) if spec.height else 0)
    names = stored.keys()
    held = sum(math.prod(stored.get_slice(name).get_shape()) for name in names)
    if settings.hidden * inputs > held:
        raise ValueError("it is smaller than the network that it describes")


def _matching_tensors(student: Student, stored: Any) -> dict[str, Tensor]:
    """The tensors of an open file, read only once they are known to be the network's."""
    expected = {name: list(t.shape) for name, t in student.network.state_dict().items()}
    if set(stored.keys()) != set(expected):
        raise ValueError("its tensors are not those of the network that it describes")
    for name, shape in expected.items():
        found = stored.get_slice(name)
        if list(found.get_shape()) != shape or found.get_dtype() != "F32":
            raise ValueError(f"tensor {name} does not have the shape {shape} and the type F32")
    return {name: stored.get_tensor(name) for name in expected}


def _one_line(what: str, error: Exception) -> str:
    """A message with its cause, short and free of control characters that a file may hold."""
    cause = str(error)
    if isinstance(error, KeyError):
        cause = f"it has no {error}"
    if isinstance(error, ValidationError):
        problem = error.errors(include_url=False)[0]
        cause = ": ".join((*map(str, problem["loc"]), problem["msg"]))
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", f"{what}: {cause[:200]}")


def sample(logits: FloatArray, rng: np.random.Generator) -> IntArray:
    """One action for each row of logits [B, A], by inverting the cumulative distribution."""
    cumulative = softmax(logits).cumsum(axis=1)
    draws = rng.random(len(logits), dtype=np.float32)[:, None] * cumulative[:, -1:]
    chosen: IntArray = np.minimum((cumulative <= draws).sum(axis=1), logits.shape[1] - 1)
    return chosen


def softmax(logits: FloatArray) -> FloatArray:
    """Probabilities of each row of logits [B, A]."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), dtype=np.float32)


def make_student(
    task_name: str,
    spec: ObservationSpec,
    num_actions: int,
    settings: StudentSettings,
    device: str,
    seed: int,
) -> Student:
    """A new student whose initial weights depend on the seed alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Student(task_name, spec, num_actions, settings, torch.device(device))
