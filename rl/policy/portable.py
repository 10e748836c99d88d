"""A policy as a file that other programs run: ONNX, or PyTorch's own `.pt2`.

Both hold the whole way from an observation to an action, normalisation included, as plain tensor
operations: neither needs this project. Inputs and outputs have names and any batch size B:

    inputs      each key of the observation, [B, ...], as `rl.tasks.spaces` lists them
                action_mask: bool [B, P], where the task says which actions are allowed
                hidden: float32 [B, memory_size], previous_action: float32 [B, action_size], with a
                GRU; zeros at an episode's first step
    outputs     logits: float32 [B, P], those of forbidden actions -1e8; for a Box
                mean, log_std: float32 [B, dimensions], in the environment's units
                action: the likeliest, as the environment takes it; clipped to a Box
                value: float32 [B], in the units in which rewards were scaled in training
                hidden_out, previous_action_out, with a GRU: the next step's `hidden`, and its
                `previous_action` where `action` is what was done

A key that has the name of another input or of an output is called by that name with `_` after it.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from io import BytesIO
from typing import Any, Final

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from tutelage.rl.policy.heads import FORBIDDEN
from tutelage.rl.policy.policy import Policy
from tutelage.rl.tasks.action_targets import center_and_half
from tutelage.rl.tasks.spaces import ActionSpace

DESCRIPTION: Final = "policy"
"""Where a file's description is: of the metadata of ONNX, of the extra files of `.pt2`."""
_MASK, _HIDDEN, _PREVIOUS = "action_mask", "hidden", "previous_action"
_TAKEN: Final = frozenset(
    {
        *(_MASK, _HIDDEN, _PREVIOUS, f"{_HIDDEN}_out", f"{_PREVIOUS}_out"),
        *("logits", "mean", "log_std", "action", "value"),
    }
)
_TRACES: Final = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "custom")
"""What PyTorch notes of each operation's origin: lines of code, with the paths of this machine."""
_EXAMPLE_ROWS: Final = 2
"""Of the batch that is followed through the network: PyTorch takes 1 for a number of its own."""


class PortablePolicy(nn.Module):
    """A copy of a policy with named inputs and outputs, as this file's head lists them.

    input_names: of each key of the observation.
    """

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.network = deepcopy(policy.network).requires_grad_(False)
        self.input_names = input_names(policy)
        self._masked, self._recurrent = policy.spec.masks_actions, policy.network.memory_size > 0
        self._choice = _choice_of(policy.spec.action_space)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One step of B episodes; inputs may be in any order."""
        observation = {key: inputs[name] for key, name in self.input_names.items()}
        hidden: Tensor | None = None
        if self._recurrent:
            params, value, hidden = self.network.step(
                observation, inputs[_PREVIOUS], inputs[_HIDDEN]
            )
        else:
            params, value = self.network(observation)
        if self._masked:
            params = params.masked_fill(~inputs[_MASK], FORBIDDEN)
        named, action, encoded = self._choice(params)
        outputs = {**named, "action": action, "value": value}
        if hidden is not None:
            outputs |= {f"{_HIDDEN}_out": hidden, f"{_PREVIOUS}_out": encoded}
        return outputs


class _Categories(nn.Module):
    """The likeliest action of each part of a MultiDiscrete space; Discrete has one part."""

    def __init__(self, space: spaces.Discrete[Any] | spaces.MultiDiscrete) -> None:
        super().__init__()
        self._is_one = isinstance(space, spaces.Discrete)
        sizes = space.n if isinstance(space, spaces.Discrete) else space.nvec
        self._nvec = [int(n) for n in np.atleast_1d(sizes)]
        self._start: Tensor
        start = torch.from_numpy(np.atleast_1d(np.asarray(space.start, dtype=np.int64)))
        self.register_buffer("_start", start)

    def forward(self, logits: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """The named parameters, the actions [B] or [B, parts], and those one-hot."""
        chosen = [part.argmax(dim=1) for part in torch.split(logits, self._nvec, dim=1)]
        encoded = [
            action[:, None] == torch.arange(n, device=logits.device)
            for action, n in zip(chosen, self._nvec, strict=True)
        ]
        actions = torch.stack(chosen, dim=1) + self._start
        actions = actions.squeeze(1) if self._is_one else actions
        return {"logits": logits}, actions, torch.cat(encoded, dim=1).float()


class _Gaussian(nn.Module):
    """The mean of a Box's Gaussian, clipped."""

    def __init__(self, space: spaces.Box) -> None:
        super().__init__()
        self._low: Tensor
        self._high: Tensor
        self._center: Tensor
        self._half: Tensor
        center, half = center_and_half(space.low, space.high)
        bounds = {"_low": space.low, "_high": space.high, "_center": center, "_half": half}
        for name, array in bounds.items():
            self.register_buffer(name, torch.from_numpy(array.astype(np.float32)))

    def forward(self, params: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """The named parameters, the actions float32 [B, dimensions], and those for a network."""
        mean, log_std = params.chunk(2, dim=1)
        actions = torch.minimum(torch.maximum(mean, self._low), self._high)
        return {"mean": mean, "log_std": log_std}, actions, (actions - self._center) / self._half


def input_names(policy: Policy) -> dict[str, str]:
    """What the input of each key of a policy's observation is called."""
    names: dict[str, str] = {}
    for key in policy.spec.observation_space:
        name = key
        while name in _TAKEN or name in names.values():
            name += "_"
        names[key] = name
    return names


def example_inputs(policy: Policy, rows: int) -> dict[str, Tensor]:
    """Every input of a portable policy by name: zeros, and a mask that allows all."""
    made: dict[str, Tensor] = {}
    for key, name in input_names(policy).items():
        space = policy.spec.observation_space[key]
        shape = (rows, *(space.shape or ()))
        made[name] = torch.from_numpy(np.zeros(shape, dtype=space.dtype))
    if policy.spec.masks_actions:
        made[_MASK] = torch.ones(rows, policy.head.num_params, dtype=torch.bool)
    if policy.network.memory_size:
        made[_HIDDEN] = torch.zeros(rows, policy.network.memory_size)
        made[_PREVIOUS] = torch.zeros(rows, policy.head.action_size)
    return made


def described(policy: Policy) -> str:
    """What a file says of itself, as JSON: the policy's description and its inputs by key."""
    return json.dumps({**policy.spec.described(), "inputs": input_names(policy)})


def to_pt2(policy: Policy) -> bytes:
    """A policy as a program of PyTorch's.

    Run with `torch.export.load(file).module()(inputs)`; inputs and what it returns are dictionaries
    of tensors. `torch.export.load(file, extra_files={"policy": ""})` fills in the description.
    """
    file = BytesIO()
    with _quiet():
        torch.export.save(_exported(policy), file, extra_files={DESCRIPTION: described(policy)})
    return file.getvalue()


def to_onnx(policy: Policy) -> bytes:
    """A policy as an ONNX model, for `onnxruntime` and others.

    Its description is in the model's metadata. Needs the packages `onnx` and `onnxscript`.
    """
    with _quiet():
        program = _exported(policy)
        inputs = example_inputs(policy, _EXAMPLE_ROWS)
        outputs = list(PortablePolicy(policy)(inputs))
        onnx = torch.onnx.export(
            program,
            input_names=list(inputs),
            output_names=outputs,
            dynamic_shapes=({name: {0: "batch"} for name in inputs},),
            dynamo=True,
            verbose=False,
        )
    assert onnx is not None
    model = onnx.model
    for node in model.graph:
        node.metadata_props.clear()
    _keep_apart(model.graph)
    model.metadata_props[DESCRIPTION] = described(policy)
    return bytes(onnx.model_proto.SerializeToString())


def _exported(policy: Policy) -> torch.export.ExportedProgram:
    """The operations of a policy, without a trace of the machine that they were found on."""
    module = PortablePolicy(policy).eval()
    inputs = example_inputs(policy, _EXAMPLE_ROWS)
    batch = torch.export.Dim("batch")
    with torch.no_grad():
        program = torch.export.export(
            module, (inputs,), dynamic_shapes=({name: {0: batch} for name in inputs},)
        )
    for node in program.graph.nodes:
        for name in _TRACES:
            node.meta.pop(name, None)
    return program


def _keep_apart(graph: Any) -> None:
    """Rename what is inside a graph and has the name of one of its inputs or outputs.

    PyTorch names the steps of a computation `linear`, `add_1` and so on; so may people their keys.
    """
    outer = [*graph.inputs, *graph.outputs]
    inner = [*graph.initializers.values(), *(out for node in graph for out in node.outputs)]
    reserved = {value.name for value in outer}
    taken = reserved | {value.name for value in inner}
    for value in inner:
        if value.name in reserved and not any(value is other for other in outer):
            name = value.name
            while name in taken:
                name += "_"
            taken.add(name)
            value.name = name


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what exporters say of other packages and of their own future."""
    log = logging.getLogger("torch.onnx")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)


def _choice_of(space: ActionSpace) -> nn.Module:
    return _Gaussian(space) if isinstance(space, spaces.Box) else _Categories(space)
