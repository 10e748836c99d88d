"""A policy: its network, its recurrent state, how it picks actions, and its file."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from tutelage.rl.errors import UserError
from tutelage.rl.policy.encoders import least_weights
from tutelage.rl.policy.heads import FORBIDDEN, Head, num_outputs
from tutelage.rl.policy.network import PolicyNetwork
from tutelage.rl.policy.settings import StudentSettings
from tutelage.rl.tasks.arrays import ActionArray, BoolArray, FloatArray
from tutelage.rl.tasks.base import Observation, Task, view_of
from tutelage.rl.tasks.observations import StudentObservationEncoder
from tutelage.rl.tasks.spaces import (
    ActionSpace,
    ObservationSpace,
    space_from_json,
    space_to_json,
)

SCHEMA_VERSION: Final = 4
"""Version of the description in a policy's file."""
_METADATA: Final = "policy"
"""The field of a file's metadata that describes the policy."""


class PolicyFileError(UserError):
    """A file that is missing, damaged, or does not hold a policy."""


@dataclass(frozen=True)
class PolicySpec:
    """What a policy is for, and how its network is built.

    task: the task's name. action_names, masks_actions, normalise: as in `rl.tasks.base.Task`. view:
    what else makes the student's view of its environment, numbers by name (`rl.tasks.base.Viewed`).
    """

    task: str
    observation_space: ObservationSpace
    action_space: ActionSpace
    action_names: tuple[str, ...]
    masks_actions: bool
    normalise: bool
    settings: StudentSettings
    view: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, task: Task, settings: StudentSettings) -> PolicySpec:
        """That of a student of the task."""
        return cls(
            task.name,
            dict(task.observation_space),
            task.action_space,
            task.action_names,
            task.masks_actions,
            task.normalise,
            settings,
            view_of(task),
        )

    def described(self) -> dict[str, Any]:
        """All of it as JSON has it, with the version of this form."""
        return {
            "schema_version": SCHEMA_VERSION,
            "task": self.task,
            "observation_space": {k: space_to_json(s) for k, s in self.observation_space.items()},
            "action_space": space_to_json(self.action_space),
            "action_names": list(self.action_names),
            "masks_actions": self.masks_actions,
            "normalise": self.normalise,
            "view": dict(self.view),
            "settings": self.settings.model_dump(mode="json"),
        }

    def fits(self, task: Task) -> bool:
        """Whether a policy for this can act in the task."""
        return (
            dict(self.observation_space) == dict(task.observation_space)
            and self.action_space == task.action_space
        )


@dataclass
class RecurrentState:
    """What a policy carries from step to step in B running episodes.

    hidden: float32 [B, memory_size], the GRU's state; previous: float32 [B, action_size], the last
    actions as the head encodes them, zeros at an episode's first step.
    """

    hidden: FloatArray
    previous: FloatArray

    def forget(self, ended: BoolArray) -> None:
        """Reset the rows whose episode ended. ended: bool [B]."""
        if self.hidden.shape[1] and ended.any():
            self.hidden = np.where(ended[:, None], np.float32(0), self.hidden)
            self.previous = np.where(ended[:, None], np.float32(0), self.previous)

    def __getitem__(self, rows: BoolArray | slice) -> RecurrentState:
        """A copy of some rows, which can be stepped by itself."""
        return RecurrentState(self.hidden[rows].copy(), self.previous[rows].copy())


class Policy:
    """An actor-critic network on a device, and how it picks actions in a task."""

    def __init__(self, spec: PolicySpec, device: torch.device) -> None:
        self.spec, self.device = spec, device
        self.network = PolicyNetwork(
            spec.observation_space, spec.action_space, spec.settings, spec.normalise
        ).to(device)

    @property
    def head(self) -> Head:
        """The distribution over actions that the network's parameters describe."""
        return self.network.policy_head

    def initial_state(self, num_envs: int) -> RecurrentState:
        """The recurrent state at the first steps of episodes: zeros. Empty without a GRU."""
        memory_size = self.network.memory_size
        action_size = self.head.action_size if memory_size else 0
        return RecurrentState(
            np.zeros((num_envs, memory_size), dtype=np.float32),
            np.zeros((num_envs, action_size), dtype=np.float32),
        )

    def policy_and_value(
        self,
        observation: Observation,
        state: RecurrentState | None = None,
        mask: BoolArray | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Parameters float32 [B, P] (`rl.policy.heads`) and values float32 [B], without gradients.

        state: the recurrent state of these B episodes, whose `hidden` is updated; needed only by a
        policy with a GRU. mask: bool [B, P], the discrete actions that are allowed; None for all.
        Raises ValueError where the state is needed and missing.
        """
        with torch.inference_mode():
            params, values = self._forward(observation, state)
            masked = params.cpu().numpy()
        if mask is not None:
            masked[~mask] = FORBIDDEN
        return masked, values.cpu().numpy()

    def act(
        self,
        observation: Observation,
        rng: np.random.Generator | None = None,
        state: RecurrentState | None = None,
        mask: BoolArray | None = None,
    ) -> ActionArray:
        """Actions [B, ...]: sampled with `rng`, the likeliest ones without.

        state, mask: as in `policy_and_value`; the state's `previous` is updated too. Call its
        `forget` for the episodes that end with these actions.
        """
        params, _ = self.policy_and_value(observation, state, mask)
        head = self.head
        actions = head.likeliest(params) if rng is None else head.sample(params, rng)[0]
        self.did(state, actions)
        return actions

    def policy(self, seed: int | None = None) -> StudentActor:
        """The same policy for a plain loop over one environment; arguments as `StudentActor`."""
        return StudentActor(self, seed)

    def did(self, state: RecurrentState | None, actions: ActionArray) -> None:
        """Remember the actions that were done, [B, ...], where the policy has a memory."""
        if state is not None and self.network.memory_size:
            state.previous = self.head.encode(actions)

    def _forward(
        self, observation: Observation, state: RecurrentState | None
    ) -> tuple[Tensor, Tensor]:
        tensors = {key: self._tensor(observation[key]) for key in self.network.keys}
        if not self.network.memory_size:
            params, values = self.network(tensors)
            return params, values
        if state is None:
            raise ValueError("a recurrent policy needs its state: pass that of initial_state(B)")
        params, values, hidden = self.network.step(
            tensors, self._tensor(state.previous), self._tensor(state.hidden)
        )
        state.hidden = hidden.cpu().numpy()
        return params, values

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    def save(self, path: Path) -> None:
        """Write the weights and what is needed to build the network again, as safetensors."""
        # One field: safetensors orders several at random, and equal policies give equal files.
        metadata = {_METADATA: json.dumps(self.spec.described())}
        tensors = {name: t.contiguous().cpu() for name, t in self.network.state_dict().items()}
        path.write_bytes(save(tensors, metadata))


class StudentActor:
    """A student in a plain Gymnasium loop: from an observation of the environment to its action.

        student = load_student("runs/my-run").policy()
        observation, info = env.reset(seed=1)
        student.reset()
        action = student(observation)

    policy: the student's; the recurrent state is this actor's own. seed: of the actions that are
    drawn from the policy, as in `eval`'s success rate; None takes the likeliest ones.
    """

    def __init__(self, policy: Policy, seed: int | None = None) -> None:
        self._policy = policy
        self._encoder = StudentObservationEncoder(policy.spec.observation_space)
        self._seen = self._encoder.empty(1)
        self._rng = None if seed is None else np.random.default_rng(seed)
        self.reset()

    def reset(self) -> None:
        """Begin an episode: forget what a recurrent policy remembers of the one before."""
        self._state = self._policy.initial_state(1)

    def __call__(self, observation: Any, action_mask: ArrayLike | None = None) -> Any:
        """The action, as the environment takes it: an int, or an array of the space's dtype.

        observation: as the environment gives it, where the student was taught on that; else what
        its task's `encode` makes of it. action_mask: which discrete actions are allowed, [n]; of
        MultiDiscrete ones part after part. Raises ValueError, in one line, for another observation
        than the student was taught on, and for a mask that allows nothing.
        """
        self._encoder.write(observation, self._seen, 0)
        if self._encoder.unusable_row(self._seen) is not None:
            raise ValueError("the observation has a number that is not finite")
        mask = None if action_mask is None else self._mask(action_mask)
        (action,) = self._policy.act(self._seen, self._rng, self._state, mask)
        space = self._policy.spec.action_space
        if isinstance(space, spaces.Discrete):
            return int(action) + int(space.start)
        if isinstance(space, spaces.MultiDiscrete):
            return (action + space.start).astype(space.dtype)
        return np.clip(action.astype(space.dtype), space.low, space.high)

    def _mask(self, given: ArrayLike) -> BoolArray:
        """bool [1, n]."""
        mask = np.asarray(given).astype(np.bool_)
        count = self._policy.head.num_params
        if isinstance(self._policy.spec.action_space, spaces.Box):
            raise ValueError("the actions of a Box have no mask")
        if mask.shape != (count,) or not mask.any():
            raise ValueError(f"the action mask must allow one of {count} actions at least")
        return mask[None]


def make_policy(task: Task, settings: StudentSettings, device: str, seed: int) -> Policy:
    """A new student of a task, whose initial weights depend on the seed alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Policy(PolicySpec.of(task, settings), torch.device(device))


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


_Name = Annotated[str, Field(max_length=1000)]


class _StoredPolicy(BaseModel):
    """A file's description of its policy: everything but the weights."""

    model_config = ConfigDict(extra="forbid", strict=True)

    schema_version: int
    task: _Name
    observation_space: Annotated[dict[_Name, Any], Field(min_length=1, max_length=256)]
    action_space: Any
    action_names: Annotated[list[_Name], Field(max_length=65_536)]
    masks_actions: bool
    normalise: bool
    view: dict[_Name, Annotated[int, Field(ge=0, le=2**31)]]
    settings: StudentSettings

    def spec(self, stored_size: int) -> PolicySpec:
        """The spec of a policy whose file holds so many numbers.

        Raises ValueError for spaces that are none, and for a network much larger than the file,
        before it, or all that it could see, is built. The layers beside observations and actions
        can be that large; the others are bounded by the settings.
        """
        action_space: Any = space_from_json(self.action_space)
        left = stored_size - num_outputs(action_space) * self.settings.hidden
        spaces = {}
        for key, value in self.observation_space.items():
            spaces[key] = space_from_json(value)
            left -= least_weights(spaces[key], self.settings)
            if left < 0:
                raise ValueError("it is smaller than the network that it describes")
        return PolicySpec(
            self.task,
            spaces,
            action_space,
            tuple(self.action_names),
            self.masks_actions,
            self.normalise,
            self.settings,
            self.view,
        )


def _from_metadata(stored: Any, device: torch.device) -> Policy:
    """The policy that an open file describes; its weights are not read yet."""
    described = (stored.metadata() or {})[_METADATA]
    version = from_json(described)["schema_version"]
    if version != SCHEMA_VERSION:
        age = "newer" if version > SCHEMA_VERSION else "older"
        raise ValueError(f"schema_version {version} is {age} than {SCHEMA_VERSION}")
    names = stored.keys()
    shapes = (stored.get_slice(name).get_shape() for name in names)
    spec = _StoredPolicy.model_validate_json(described).spec(sum(map(math.prod, shapes)))
    with torch.random.fork_rng(devices=[]):
        return Policy(spec, device)


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
