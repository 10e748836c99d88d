"""A student's files for other programs: they do as the student does, and need nothing of ours."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pytest
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from helpers.small_students import (
    ATTRIBUTES,
    CONV,
    SMALL,
    observations_for,
    picture,
    student_for,
    vector,
)
from helpers.tiny_runs import ROOT
from tutelage.rl.policy.policy import Policy
from tutelage.rl.policy.portable import input_names, to_onnx, to_pt2
from tutelage.rl.policy.settings import StudentSettings
from tutelage.rl.tasks.spaces import ActionSpace, CategoryGrid, ObservationSpace, Tokens

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

Arrays = Mapping[str, NDArray[Any]]
GRU: Final = SMALL.model_copy(update={"memory": "gru"})
GRID: Final = {"grid": CategoryGrid(5, 5, 6, ATTRIBUTES), "features": vector(3)}
THREE: Final = spaces.Discrete(3)
KINDS: Final[dict[str, tuple[ObservationSpace, ActionSpace, StudentSettings]]] = {
    "grid": (GRID, THREE, SMALL),
    "conv": (GRID, THREE, CONV),
    "gru": (GRID, spaces.Discrete(3, start=-1), GRU),
    "box": (
        {"observation": vector(3, bound=2.0)},
        spaces.Box(np.array([-0.1, -np.inf]), np.array([0.05, np.inf]), dtype=np.float64),
        SMALL,
    ),
    "box gru": ({"observation": vector(3)}, spaces.Box(-0.1, 0.3, (2,)), GRU),
    "floats": (
        {name: spaces.Box(-2, 2, (3,), np.dtype(name).type) for name in ("float16", "float64")},
        THREE,
        SMALL,
    ),
    "multi-discrete": (
        {"a.b": spaces.Discrete(4, start=2), "c": spaces.MultiDiscrete([2, 3], start=[1, -1])},
        spaces.MultiDiscrete([2, 4], start=[0, 5]),
        SMALL,
    ),
    "multi-discrete gru": ({"observation": vector(3)}, spaces.MultiDiscrete([2, 4]), GRU),
    "picture": ({"observation": picture(16, 12)}, THREE, SMALL),
    "tokens": ({"observation": Tokens(6)}, THREE, SMALL),
    "words over a grid": ({"grid": GRID["grid"], "mission": Tokens(6)}, THREE, SMALL),
    "names of others": (
        dict.fromkeys(("value", "value_", "hidden", "linear", "add", "relu", "action"), vector(3)),
        THREE,
        GRU,
    ),
}
"""By name: observation space, action space, settings."""
MASKED: Final = ("gru", "multi-discrete")


def student_of(kind: str) -> Policy:
    """A student of one of the kinds, all of whose weights and statistics count."""
    seen, actions, settings = KINDS[kind]
    student = student_for(
        seen, actions, settings, normalise=True, masks_actions=kind in MASKED, view={"side": 9}
    )
    rng = np.random.default_rng(7)
    with torch.no_grad():
        for name, tensor in student.network.state_dict().items():
            noise = torch.from_numpy(rng.normal(0, 0.2, tuple(tensor.shape)).astype(np.float32))
            tensor.copy_(noise.abs() + 0.5 if name.endswith("variance") else tensor + noise)
    return student


@dataclass
class Files:
    """A student's two files, opened. description: of each."""

    onnx: bytes
    pt2: bytes

    def __post_init__(self) -> None:
        found = {"policy": ""}
        self.session = onnxruntime.InferenceSession(self.onnx)
        self.module = torch.export.load(io.BytesIO(self.pt2), extra_files=found).module()
        self.descriptions = [
            json.loads(self.session.get_modelmeta().custom_metadata_map["policy"]),
            json.loads(found["policy"]),
        ]

    def run(self, inputs: Arrays) -> list[Arrays]:
        """The outputs of each."""
        names = [output.name for output in self.session.get_outputs()]
        ran = dict(zip(names, self.session.run(None, dict(inputs)), strict=True))
        # In another order than they were followed in: they have names.
        tensors = {name: torch.from_numpy(inputs[name]) for name in reversed(inputs)}
        return [ran, {name: tensor.numpy() for name, tensor in self.module(tensors).items()}]


def files_of(student: Policy) -> Files:
    return Files(to_onnx(student), to_pt2(student))


def assert_like_the_student(student: Policy, files: Files, episode: Arrays, rows: int) -> None:
    """Step by step, each with its own recurrent state. episode: observations [T * rows, ...]."""
    rng = np.random.default_rng(5)
    names = input_names(student)
    start = getattr(student.spec.action_space, "start", 0)
    state = student.initial_state(rows)
    recurrent = bool(state.hidden.size)
    carried = [{"hidden": state.hidden, "previous_action": state.previous}] * 2
    steps = len(next(iter(episode.values()))) // rows
    for t in range(steps):
        observation = {key: a[t * rows : (t + 1) * rows] for key, a in episode.items()}
        mask = None
        if student.spec.masks_actions:
            mask = rng.random((rows, student.head.num_params)) < 0.5
        params, values = student.policy_and_value(observation, state, mask)
        likeliest = student.head.likeliest(params)
        student.did(state, likeliest)
        given = {names[key]: array for key, array in observation.items()}
        given |= {} if mask is None else {"action_mask": mask}
        for number in range(2):
            inputs = {**given, **(carried[number] if recurrent else {})}
            found = files.run(inputs)[number]
            named = ("logits",) if "logits" in found else ("mean", "log_std")
            close(np.concatenate([found[name] for name in named], axis=1), params)
            close(found["value"], values)
            close(found["action"], likeliest + start)
            if recurrent:
                close(found["hidden_out"], state.hidden)
                close(found["previous_action_out"], state.previous)
                kept = ("hidden", "previous_action")
                carried[number] = {name: found[f"{name}_out"] for name in kept}


def close(found: NDArray[Any], expected: NDArray[Any]) -> None:
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_do_as_the_student_does(kind: str) -> None:
    student = student_of(kind)
    files = files_of(student)
    for rows in (1, 3):
        episode = observations_for(student.spec.observation_space, 12 * rows, seed=rows)
        assert_like_the_student(student, files, episode, rows)


def test_the_files_describe_the_student_and_not_this_machine() -> None:
    student = student_of("names of others")
    files = files_of(student)
    expected = json.loads(json.dumps(student.spec.described()))
    names = {"value": "value_", "value_": "value__", "hidden": "hidden_", "action": "action_"}
    names |= {name: name for name in ("linear", "add", "relu")}
    for description in files.descriptions:
        assert description.pop("inputs") == names
        assert description == expected
    for content in (files.onnx, files.pt2):
        assert str(ROOT).encode() not in content
        assert b".py" not in content


def test_exporting_leaves_the_student_as_it_was() -> None:
    student = student_of("gru")
    before = {name: tensor.clone() for name, tensor in student.network.state_dict().items()}
    to_pt2(student)
    assert all(parameter.requires_grad for parameter in student.network.parameters())
    for name, tensor in student.network.state_dict().items():
        assert torch.equal(tensor, before[name])
