"""The student: a small actor-critic network over a picture of category codes and some features."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from rl.student_settings import StudentSettings
from rl.task import FloatArray, IntArray, Observation, ObservationSpec

SCHEMA_VERSION: Final = 1


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
                nn.init.zeros_(module.bias)
        nn.init.orthogonal_(self.policy_head.weight, 0.01)
        nn.init.orthogonal_(self.value_head.weight, 1.0)


class _ChannelsFirst(nn.Module):
    """[B, H, W, C] to [B, C, H, W]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 1, 2)


def _body(spec: ObservationSpec, settings: StudentSettings) -> nn.Module:
    """From embedded codes [B, H, W, E] to [B, hidden]."""
    if settings.body == "dense":
        flat = spec.height * spec.width * settings.embedding
        return nn.Sequential(nn.Flatten(), nn.Linear(flat, settings.hidden), nn.ReLU())
    channels = 32
    flat = channels * (spec.height - 4) * (spec.width - 4)
    return nn.Sequential(
        _ChannelsFirst(),
        nn.Conv2d(settings.embedding, channels, 3),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(flat, settings.hidden),
        nn.ReLU(),
    )


class StudentError(ValueError):
    """A file that holds no student that can be used."""


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
            return logits.cpu().numpy(), values.cpu().numpy()

    def act(self, observation: Observation, rng: np.random.Generator | None = None) -> IntArray:
        """Actions int64 [B]: drawn from the policy with `rng`, its likeliest ones without."""
        logits, _ = self.judge(observation)
        return logits.argmax(axis=1) if rng is None else sample(logits, rng)

    def save(self, path: Path) -> None:
        """Write the network and what is needed to build it again, as safetensors."""
        metadata = {
            "schema_version": str(SCHEMA_VERSION),
            "task": self.task_name,
            "num_actions": str(self.num_actions),
            "observation_spec": json.dumps(asdict(self.spec)),
            "settings": self.settings.model_dump_json(),
        }
        tensors = {name: t.contiguous().cpu() for name, t in self.network.state_dict().items()}
        save_file(tensors, str(path), metadata=metadata)


def load_student(path: str | Path, device: str = "cpu") -> Student:
    """The student of a `student.safetensors` file, or of the run folder that holds it.

    Raises StudentError where the file is missing, damaged, or not a student's.
    """
    file = Path(path)
    file = file / "student.safetensors" if file.is_dir() else file
    try:
        with safe_open(str(file), framework="pt") as stored:
            student = _from_metadata(stored.metadata() or {}, torch.device(device))
            tensors = _matching_tensors(student, stored)
    except (OSError, SafetensorError) as error:
        raise StudentError(f"cannot read a student from {file}: {error}") from error
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise StudentError(f"{file} does not describe a student: {error}") from error
    student.network.load_state_dict(tensors)
    return student


def _from_metadata(metadata: dict[str, str], device: torch.device) -> Student:
    version = int(metadata["schema_version"])
    if version > SCHEMA_VERSION:
        raise ValueError(f"schema_version {version} is newer than {SCHEMA_VERSION}")
    spec = ObservationSpec(**json.loads(metadata["observation_spec"]))
    bounds = {"height": 255, "width": 255, "num_codes": 256, "features": 65_536}
    for name, most in bounds.items():
        if not 0 <= int(getattr(spec, name)) <= most:
            raise ValueError(f"{name} {getattr(spec, name)} is not within 0..{most}")
    num_actions = int(metadata["num_actions"])
    if not 1 <= num_actions <= 4096:
        raise ValueError(f"num_actions {num_actions} is not within 1..4096")
    settings = StudentSettings.model_validate_json(metadata["settings"])
    return Student(metadata["task"], spec, num_actions, settings, device)


def _matching_tensors(student: Student, stored: safe_open) -> dict[str, Tensor]:
    """The stored tensors, read only once names and shapes are known to be the network's."""
    expected = {name: list(t.shape) for name, t in student.network.state_dict().items()}
    if set(stored.keys()) != set(expected):
        raise ValueError("its tensors are not those of the network that it describes")
    for name, shape in expected.items():
        if list(stored.get_slice(name).get_shape()) != shape:
            raise ValueError(f"tensor {name} does not have the shape {shape}")
    return {name: stored.get_tensor(name) for name in expected}


def sample(logits: FloatArray, rng: np.random.Generator) -> IntArray:
    """One action for each row of logits [B, A], by inverting the cumulative distribution."""
    probs = softmax(logits)
    cumulative = probs.cumsum(axis=1)
    draws = rng.random(len(logits), dtype=np.float32)[:, None] * cumulative[:, -1:]
    return np.minimum((cumulative <= draws).sum(axis=1), logits.shape[1] - 1).astype(np.int64)


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
    seed_network: Callable[[], int],
) -> Student:
    """A new student whose initial weights depend on the drawn seed alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed_network())
        return Student(task_name, spec, num_actions, settings, torch.device(device))
