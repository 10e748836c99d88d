"""A policy: its network, its recurrent state, how it picks actions, and its file."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from tutelage.rl.errors import UserError
from tutelage.rl.policy.network import PolicyNetwork, first_layer_size
from tutelage.rl.policy.sampling import draw
from tutelage.rl.policy.settings import StudentSettings
from tutelage.rl.tasks.arrays import BoolArray, FloatArray, IntArray
from tutelage.rl.tasks.base import Observation, ObservationSpec

SCHEMA_VERSION: Final = 3
"""Version of the description in a policy's file."""
FORBIDDEN: Final = -1e8
"""The logit of an action that is not allowed: its probability and its gradient are 0 (Huang &
Ontañón 2022, "A Closer Look at Invalid Action Masking in Policy Gradient Algorithms")."""
_METADATA: Final = "policy"
"""The field of a file's metadata that describes the policy."""
_NO_ACTION: Final = -1
"""The previous action of an episode's first step."""


class PolicyFileError(UserError):
    """A file that is missing, damaged, or does not hold a policy."""


@dataclass
class RecurrentState:
    """What a policy carries from step to step in B running episodes.

    hidden: float32 [B, memory_size], the GRU's state; previous: int64 [B], the last actions, -1 at
    an episode's first step.
    """

    hidden: FloatArray
    previous: IntArray

    def forget(self, ended: BoolArray) -> None:
        """Reset the rows whose episode ended. ended: bool [B]."""
        if ended.any():
            self.hidden = np.where(ended[:, None], np.float32(0), self.hidden)
            self.previous = np.where(ended, _NO_ACTION, self.previous)

    def __getitem__(self, rows: BoolArray | slice) -> RecurrentState:
        """A copy of some rows, which can be stepped by itself."""
        return RecurrentState(self.hidden[rows].copy(), self.previous[rows].copy())


def with_actions(features: FloatArray, previous: IntArray, num_actions: int) -> FloatArray:
    """Features [..., F] with the previous actions [...] beside them, one-hot: [..., F + A]."""
    one_hot = (previous[..., None] == np.arange(num_actions)).astype(np.float32)
    return np.concatenate((features, one_hot), axis=-1)


def softmax(logits: FloatArray) -> FloatArray:
    """Probabilities of each row of logits [B, A]."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), dtype=np.float32)


class Policy:
    """An actor-critic network on a device, and how it picks actions in a task."""

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
        self.network = PolicyNetwork(spec, num_actions, settings).to(device)

    def initial_state(self, num_envs: int) -> RecurrentState:
        """The recurrent state at the first steps of episodes: zeros, and no previous actions."""
        hidden = np.zeros((num_envs, self.network.memory_size), dtype=np.float32)
        return RecurrentState(hidden, np.full(num_envs, _NO_ACTION, dtype=np.int64))

    def policy_and_value(
        self, observation: Observation, state: RecurrentState | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Logits float32 [B, A] and values float32 [B] of B observations, without gradients.

        state: the recurrent state of these B episodes, whose `hidden` is updated; needed only by a
        policy with a GRU. Raises ValueError where it is needed and missing.
        """
        with torch.inference_mode():
            logits, values = self._forward(observation, state)
            masked = logits.cpu().numpy()
        if observation.allowed is not None:
            masked[~observation.allowed] = FORBIDDEN
        return masked, values.cpu().numpy()

    def act(
        self,
        observation: Observation,
        rng: np.random.Generator | None = None,
        state: RecurrentState | None = None,
    ) -> IntArray:
        """Actions int64 [B]: sampled with `rng`, the likeliest ones without.

        state: as in `policy_and_value`; its `previous` actions are updated too. Call its `forget`
        for the episodes that end with these actions.
        """
        logits, _ = self.policy_and_value(observation, state)
        actions = logits.argmax(axis=1) if rng is None else draw(logits, rng)[0]
        if state is not None:
            state.previous = actions
        return actions

    def _forward(
        self, observation: Observation, state: RecurrentState | None
    ) -> tuple[Tensor, Tensor]:
        codes = torch.from_numpy(observation.codes).to(self.device)
        if not self.network.memory_size:
            logits, values = self.network(
                codes, torch.from_numpy(observation.features).to(self.device)
            )
            return logits, values
        if state is None:
            raise ValueError("a recurrent policy needs its state: pass that of initial_state(B)")
        features = with_actions(observation.features, state.previous, self.num_actions)
        logits, values, hidden = self.network.step(
            codes,
            torch.from_numpy(features).to(self.device),
            torch.from_numpy(state.hidden).to(self.device),
        )
        state.hidden = hidden.cpu().numpy()
        return logits, values

    def save(self, path: Path) -> None:
        """Write the weights and what is needed to build the network again, as safetensors."""
        described = {
            "schema_version": SCHEMA_VERSION,
            "task": self.task_name,
            "num_actions": self.num_actions,
            "observation_spec": asdict(self.spec),
            "settings": self.settings.model_dump(mode="json"),
        }
        # One field: safetensors orders several at random, and equal policies give equal files.
        metadata = {_METADATA: json.dumps(described, sort_keys=True)}
        tensors = {name: t.contiguous().cpu() for name, t in self.network.state_dict().items()}
        path.write_bytes(save(tensors, metadata))


def make_policy(
    task_name: str,
    spec: ObservationSpec,
    num_actions: int,
    settings: StudentSettings,
    device: str,
    seed: int,
) -> Policy:
    """A new policy whose initial weights depend on the seed alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Policy(task_name, spec, num_actions, settings, torch.device(device))


def load_student(path: str | Path, device: str = "cpu") -> Policy:
    """The policy in a `student.safetensors` file, or in that of a run folder.

    Raises PolicyFileError where the file is missing, damaged, or does not hold a policy.
    """
    file = Path(path)
    file = file / "student.safetensors" if file.is_dir() else file
    try:
        if file.exists() and not file.is_file():
            raise OSError("it is not a regular file")  # opening a pipe would hang
        with safe_open(str(file), framework="pt") as stored:
            policy = _from_metadata(stored, torch.device(device))
            tensors = _matching_tensors(policy, stored)
    except (OSError, SafetensorError) as error:
        raise PolicyFileError(_one_line(f"cannot read a policy from {file}", error)) from error
    except (KeyError, TypeError, ValueError) as error:
        raise PolicyFileError(_one_line(f"{file} does not describe a policy", error)) from error
    policy.network.load_state_dict(tensors)
    return policy


class _StoredPolicy(BaseModel):
    """A file's description of its policy: everything but the weights."""

    model_config = ConfigDict(extra="forbid", strict=True)

    schema_version: int
    task: str
    num_actions: int = Field(ge=1, le=4096)
    observation_spec: ObservationSpec
    settings: StudentSettings


def _from_metadata(stored: Any, device: torch.device) -> Policy:
    """The policy that an open file describes; its weights are not read yet."""
    described = (stored.metadata() or {})[_METADATA]
    version = from_json(described)["schema_version"]
    if version != SCHEMA_VERSION:
        age = "newer" if version > SCHEMA_VERSION else "older"
        raise ValueError(f"schema_version {version} is {age} than {SCHEMA_VERSION}")
    found = _StoredPolicy.model_validate_json(described)
    spec = found.observation_spec
    if spec.slots not in (0, found.num_actions):
        raise ValueError(f"{spec.slots} slots for {found.num_actions} actions")
    _check_size(stored, spec, found.settings)
    with torch.random.fork_rng(devices=[]):
        return Policy(found.task, spec, found.num_actions, found.settings, device)


def _check_size(stored: Any, spec: ObservationSpec, settings: StudentSettings) -> None:
    """Refuse a description of a network much larger than the file, before that network is built.

    The first layer can be; the sizes of the others are bounded by the settings.
    """
    names = stored.keys()
    stored_size = sum(math.prod(stored.get_slice(name).get_shape()) for name in names)
    if first_layer_size(spec, settings) > stored_size:
        raise ValueError("it is smaller than the network that it describes")


def _matching_tensors(policy: Policy, stored: Any) -> dict[str, Tensor]:
    """The tensors of an open file, read only after their names, shapes and types are checked."""
    expected = {name: list(t.shape) for name, t in policy.network.state_dict().items()}
    if set(stored.keys()) != set(expected):
        raise ValueError("its tensors are not those of the network that it describes")
    for name, shape in expected.items():
        found = stored.get_slice(name)
        if list(found.get_shape()) != shape or found.get_dtype() != "F32":
            raise ValueError(f"tensor {name} does not have the shape {shape} and the type F32")
    return {name: stored.get_tensor(name) for name in expected}


def _one_line(what: str, error: Exception) -> str:
    """A message with its cause, short and without the control characters that a file may hold."""
    cause = str(error)
    if isinstance(error, KeyError):
        cause = f"it has no field {error}"
    if isinstance(error, ValidationError):
        problem = error.errors(include_url=False)[0]
        cause = ": ".join((*map(str, problem["loc"]), problem["msg"]))
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", f"{what}: {cause[:200]}")
