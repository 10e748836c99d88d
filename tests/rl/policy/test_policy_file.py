"""A policy's file: what it brings back, and what is refused of it."""

from __future__ import annotations

import json
import math
import os
import struct
import tracemalloc
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from helpers.small_students import ACTIONS, KINDS, observations_for, student_of
from tutelage.rl.policy.encoders import VectorEncoder
from tutelage.rl.policy.policy import SCHEMA_VERSION, PolicyFileError, load_student

pytestmark = pytest.mark.usefixtures("one_thread")


def saved(folder: Path, kind: str = "dense") -> Path:
    path = folder / "student.safetensors"
    student_of(kind, seed=3).save(path)
    return path


def changed(
    path: Path, described: dict[str, Any], tensors: dict[str, torch.Tensor] | None = None
) -> Path:
    """The same file, otherwise described (`...` takes a field out), and more or other tensors."""
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    fields = json.loads(json.loads(raw[8 : 8 + length])["__metadata__"]["policy"]) | described
    kept = {key: value for key, value in fields.items() if value is not ...}
    return described_as(path, json.dumps(kept), tensors)


def described_as(path: Path, metadata: str, tensors: dict[str, torch.Tensor] | None = None) -> Path:
    """The same file with any text as its description, and more or other tensors."""
    save_file(load_file(path) | (tensors or {}), path, metadata={"policy": metadata})
    return path


def assert_refused(path: Path, says: str = "") -> None:
    """PolicyFileError, in one line that names the file, and nothing but it."""
    with pytest.raises(PolicyFileError) as caught:
        load_student(path)
    message = str(caught.value)
    assert str(path) in message
    assert says in message
    assert len(message.splitlines()) == 1, message
    assert len(message) < 500


def is_refused(path: Path) -> bool:
    """Whether a file is refused; one that is not must hold a student that can be used."""
    try:
        loaded = load_student(path)
    except PolicyFileError as error:
        message = str(error)
    else:
        loaded.policy_and_value(observations_for(loaded.spec.observation_space))
        return False
    assert len(message.splitlines()) == 1, message
    return True


@pytest.mark.parametrize(
    ("kind", "actions", "place"),
    [
        *product(KINDS, ["Discrete"], ["file", "folder", "string"]),
        *product(["dense", "everything"], ACTIONS, ["file"]),
    ],
)
def test_a_loaded_student_is_the_saved_one(
    tmp_path: Path, kind: str, actions: str, place: str
) -> None:
    student = student_of(kind, seed=3, action_space=ACTIONS[actions])
    for encoder in student.network.encoders:
        if isinstance(encoder, VectorEncoder) and encoder.normaliser is not None:
            encoder.normaliser.update(torch.randn(50, encoder.in_features) * 3 + 1)
    path = tmp_path / "student.safetensors"
    student.save(path)
    state = torch.get_rng_state()
    places: dict[str, Path | str] = {"file": path, "folder": tmp_path, "string": str(path)}
    loaded = load_student(places[place])
    assert torch.equal(torch.get_rng_state(), state), "loading draws no random numbers"
    seen = observations_for(student.spec.observation_space)
    for found, expected in zip(
        loaded.policy_and_value(seen), student.policy_and_value(seen), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    assert loaded.spec.task == "a task"
    assert loaded.spec.action_space == ACTIONS[actions]
    assert loaded.spec == student.spec
    assert list(loaded.spec.observation_space) == list(KINDS[kind][0])
    assert loaded.device == torch.device("cpu")


def test_a_loaded_student_can_learn_and_outlives_its_file(tmp_path: Path) -> None:
    path = saved(tmp_path)
    loaded = load_student(path)
    seen = observations_for(loaded.spec.observation_space)
    before = loaded.policy_and_value(seen)[1]
    path.write_bytes(b"\0" * path.stat().st_size)
    np.testing.assert_array_equal(loaded.policy_and_value(seen)[1], before)
    _, values = loaded.network({key: torch.from_numpy(array) for key, array in seen.items()})
    values.sum().backward()
    torch.optim.SGD(loaded.network.parameters(), lr=0.1).step()
    assert (loaded.policy_and_value(seen)[1] != before).all()


def test_a_missing_file_and_a_folder_without_one(tmp_path: Path) -> None:
    assert_refused(tmp_path / "nowhere.safetensors")
    assert_refused(tmp_path)


@pytest.mark.parametrize("name", ["with\nline end", "with\0null"], ids=["line end", "null"])
def test_names_that_are_no_files(tmp_path: Path, name: str) -> None:
    with pytest.raises(PolicyFileError) as caught:
        load_student(f"{tmp_path}/{name}")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("content", [b"", b"\0", b"{}", b"a text\n" * 9, b"\xff" * 64])
def test_files_of_something_else(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "student.safetensors"
    path.write_bytes(content)
    assert_refused(path)


def test_a_pipe_does_not_hang_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "student.safetensors"
    os.mkfifo(path)
    assert_refused(path, "not a regular file")


def test_any_truncation_is_noticed(tmp_path: Path) -> None:
    path = saved(tmp_path, "features")
    raw = path.read_bytes()
    lengths = [*range(0, 600, 7), *range(600, len(raw), 101), len(raw) - 1]
    for length in lengths:
        path.write_bytes(raw[:length])
        assert_refused(path)


def test_bit_flips_in_the_header_are_refused_or_harmless(tmp_path: Path) -> None:
    """A flip in the task's name, say, leaves a student; no flip may end in any other error."""
    path = saved(tmp_path, "dense")
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    refused = 0
    for place in range(8 + length):
        flipped = bytearray(raw)
        flipped[place] ^= 1 << (place * 5 % 8)
        path.write_bytes(flipped)
        refused += is_refused(path)
    assert refused > 0.8 * (8 + length)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_anywhere_is_refused_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    path = saved(tmp_path, "features")
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, min(len(raw) - 1, 900)))
        raw[start : start + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    path.write_bytes(raw)
    is_refused(path)


def test_equal_students_give_equal_files(tmp_path: Path) -> None:
    contents = set()
    for number in range(8):
        student_of("conv", seed=3).save(tmp_path / f"{number}.safetensors")
        contents.add((tmp_path / f"{number}.safetensors").read_bytes())
    assert len(contents) == 1


@pytest.mark.parametrize(("step", "age"), [(1, "newer"), (-1, "older")])
def test_another_schema_version_is_named(tmp_path: Path, step: int, age: str) -> None:
    path = changed(saved(tmp_path), {"schema_version": SCHEMA_VERSION + step, "more": 1})
    assert_refused(path, f"schema_version {SCHEMA_VERSION + step} is {age} than {SCHEMA_VERSION}")


GRID = {"kind": "category_grid", "height": 3, "width": 4, "num_codes": 6, "attributes": []}
VECTOR = {"kind": "vector", "low": [None] * 5, "high": [None] * 5}
NO_FIELD: Any = ...
DEEP: Any = json.loads("[" * 900 + "]" * 900)


def seen(key: str, value: Any) -> dict[str, Any]:
    """A description in which one key of what is observed is another, or none."""
    spaces = {"grid": GRID, "features": VECTOR} | {key: value}
    return {"observation_space": {k: v for k, v in spaces.items() if v is not NO_FIELD}}


def grid_with(**fields: Any) -> dict[str, Any]:
    return seen("grid", GRID | fields)


def vector_with(**fields: Any) -> dict[str, Any]:
    return seen("features", VECTOR | fields)


def actions(**fields: Any) -> dict[str, Any]:
    return {"action_space": fields}


BROKEN: dict[str, dict[str, Any]] = {
    "no schema_version": {"schema_version": NO_FIELD},
    "schema_version is no number": {"schema_version": "one\ntwo"},
    "schema_version is null": {"schema_version": None},
    "no task": {"task": NO_FIELD},
    "task is a number": {"task": 3},
    "task is a book": {"task": "x" * 2000},
    "no action_space": {"action_space": NO_FIELD},
    "action_space is a number": {"action_space": 3},
    "action_space is null": {"action_space": None},
    "action_space is a list of lists": {"action_space": DEEP},
    "no actions": actions(kind="discrete", n=0),
    "too many actions": actions(kind="discrete", n=99999999),
    "4000 digits of actions": actions(kind="discrete", n=10**4000),
    "a fraction of an action": actions(kind="discrete", n=3.5),
    "actions from far away": actions(kind="discrete", n=3, start=2**60),
    "actions of no kind": actions(n=3),
    "actions of an unknown kind": actions(kind="text", n=3),
    "actions of a kind that is a list": actions(kind=[], n=3),
    "no parts": actions(kind="multi_discrete", nvec=[]),
    "a part without actions": actions(kind="multi_discrete", nvec=[3, 0]),
    "a part of a part": actions(kind="multi_discrete", nvec=[[3], [2]]),
    "too many parts": actions(kind="multi_discrete", nvec=[1] * 5000),
    "actions are words": actions(kind="tokens", length=3),
    "actions are a picture": actions(kind="picture", shape=[8, 8, 3]),
    "actions are a grid": {"action_space": GRID},
    "actions between NaN": actions(kind="vector", low=[math.nan], high=[1.0]),
    "actions up to infinity": actions(kind="vector", low=[0.0], high=[math.inf]),
    "no dimension": actions(kind="vector", low=[], high=[]),
    "action_names of numbers": {"action_names": [1, 2, 3]},
    "action_names are a text": {"action_names": "abc"},
    "masks_actions is a number": {"masks_actions": 1},
    "no masks_actions": {"masks_actions": NO_FIELD},
    "normalise is a text": {"normalise": "yes"},
    "no normalise": {"normalise": NO_FIELD},
    "no view": {"view": NO_FIELD},
    "a view of fractions": {"view": {"crop": 7.5}},
    "a negative view": {"view": {"crop": -1}},
    "a view of texts": {"view": {"crop": "7"}},
    "a view that is a list": {"view": [7]},
    "a field of its own": {"more": 1},
    "no observation_space": {"observation_space": NO_FIELD},
    "observation_space is a text": {"observation_space": "{"},
    "observation_space is a list": {"observation_space": [1, 2, 3, 4]},
    "a key is a list of lists": seen("features", DEEP),
    "a key is null": seen("features", None),
    "a key is a text": seen("features", "vector"),
    "a key's kind is unknown": seen("features", VECTOR | {"kind": "matrix"}),
    "a key has no kind": seen("features", {"low": [0.0], "high": [1.0]}),
    "too many keys": {
        "observation_space": {str(i): {"kind": "discrete", "n": 1} for i in range(257)}
    },
    "grid lacks a field": seen("grid", {"kind": "category_grid", "height": 3}),
    "grid has one more": grid_with(depth=3),
    "height is infinite": grid_with(height=math.inf),
    "height is no number": grid_with(height=math.nan),
    "height is a text": grid_with(height="3"),
    "height is a fraction": grid_with(height=3.5),
    "height is true": grid_with(height=True),
    "height is null": grid_with(height=None),
    "height is negative": grid_with(height=-3),
    "height is absurd": grid_with(height=10**18),
    "height without width": grid_with(width=0),
    "nothing to see": {"observation_space": {}},
    "no codes": grid_with(num_codes=0),
    "too many codes": grid_with(num_codes=257),
    "attributes of other codes": grid_with(attributes=[[0, 1]]),
    "attributes of unequal length": grid_with(attributes=[[0], [0], [0], [0], [0], [0, 1]]),
    "no attributes in a row": grid_with(attributes=[[]] * 6),
    "an absurd attribute": grid_with(attributes=[[0], [0], [0], [0], [0], [10**9]]),
    "a negative attribute": grid_with(attributes=[[0], [0], [0], [0], [0], [-1]]),
    "bounds of texts": vector_with(low=["0"] * 5),
    "bounds that are none": vector_with(low=[math.nan] * 5),
    "bounds that are infinite": vector_with(high=[math.inf] * 5),
    "bounds of other vectors": vector_with(low=[None] * 4),
    "bounds of matrices": vector_with(low=[[None]] * 5, high=[[None]] * 5),
    "bounds the wrong way round": vector_with(low=[1.0] * 5, high=[0.0] * 5),
    "bounds beyond float32": vector_with(low=[1e300] * 5, high=[1e301] * 5),
    "no bounds": vector_with(low=[], high=[]),
    "a picture without colours": seen("p", {"kind": "picture", "shape": [8, 8]}),
    "a picture of nothing": seen("p", {"kind": "picture", "shape": [8, 8, 0]}),
    "a picture too small to see": seen("p", {"kind": "picture", "shape": [7, 8, 3]}),
    "a picture of 100 km": seen("p", {"kind": "picture", "shape": [10**9, 10**9, 3]}),
    "no words": seen("w", {"kind": "tokens", "length": 0}),
    "too many words": seen("w", {"kind": "tokens", "length": 10**9}),
    "no settings": {"settings": NO_FIELD},
    "settings are a text": {"settings": "x\ny"},
    "settings are a number": {"settings": 3},
    "settings with an unknown field": {"settings": {"crop": 9, "li\nne": 1}},
    "settings with an even crop": {"settings": {"crop": 8}},
    "settings with an absurd width": {"settings": {"hidden": 1000000000}},
    "settings with several faults": {"settings": {"hidden": 0, "embedding": 0, "body": "\n"}},
}


@pytest.mark.parametrize(
    "metadata", ["", "{", "null", "[]", "3", "[" * 100_000, '{"a": ' * 100_000, "\0\n", '"text"']
)
def test_metadata_that_are_no_description(tmp_path: Path, metadata: str) -> None:
    assert_refused(described_as(saved(tmp_path), metadata))


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("fault", BROKEN)
def test_metadata_that_describe_no_student(tmp_path: Path, fault: str) -> None:
    assert_refused(changed(saved(tmp_path), BROKEN[fault]))


def test_another_network_than_the_file_holds(tmp_path: Path) -> None:
    path = changed(saved(tmp_path), actions(kind="discrete", n=4))
    assert_refused(path, "policy_head")
    assert_refused(changed(saved(tmp_path), {"settings": {"body": "conv"}}))
    extra = {"more": torch.zeros(2)}
    assert_refused(changed(saved(tmp_path), {}, extra))


def test_tensors_of_another_shape_or_type(tmp_path: Path) -> None:
    shaped = {"value_head.weight": torch.zeros(16, 1)}
    assert_refused(changed(saved(tmp_path), {}, shaped), "value_head.weight")
    for dtype in (torch.float64, torch.float16, torch.int32):
        typed = {"value_head.weight": torch.zeros(1, 16, dtype=dtype)}
        assert_refused(changed(saved(tmp_path), {}, typed), "value_head.weight")


@pytest.fixture
def little_memory() -> Iterator[None]:
    """The process may take 1 GiB of address space more, and not the 34 that are asked for."""
    resource = pytest.importorskip("resource")
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("needs /proc")
    in_use = int(statm.read_text().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (in_use + 2**30, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


LARGEST_GRID = {"kind": "category_grid", "height": 255, "width": 255, "num_codes": 256}
LARGEST_VECTOR = {"kind": "vector", "low": [None] * 65_536, "high": [None] * 65_536}


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("body", ["dense", "conv"])
def test_absurd_sizes_are_refused_before_memory_is_taken(tmp_path: Path, body: str) -> None:
    """Every number is within its own bounds; the network of all of them takes 34 GB."""
    largest = {"crop": 41, "body": body, "embedding": 64, "hidden": 2048}
    described = {
        "observation_space": {"grid": LARGEST_GRID, "features": LARGEST_VECTOR},
        "settings": largest,
    }
    path = changed(saved(tmp_path), described)
    assert_refused_in(path, 2**24)


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize(
    "described",
    [
        actions(kind="discrete", n=1_000_000),
        actions(kind="multi_discrete", nvec=[1_000_000] * 4096),
        seen("more", {"kind": "discrete", "n": 1_000_000}),
        seen("more", {"kind": "multi_discrete", "nvec": [1_000_000] * 4096}),
        seen("more", {"kind": "picture", "shape": [1024, 1024, 4]}),
        seen("more", {"kind": "picture", "shape": [1024, 1024, 64]}),
        {
            "observation_space": {
                str(i): {"kind": "picture", "shape": [1024, 1024, 4]} for i in range(256)
            }
        },
    ],
    ids=["actions", "parts of actions", "categories", "parts", "picture", "film", "pictures"],
)
def test_each_space_may_be_absurd(tmp_path: Path, described: dict[str, Any]) -> None:
    path = changed(saved(tmp_path), {"settings": {"hidden": 8}} | described)
    assert_refused_in(path, 2**26)


def assert_refused_in(path: Path, memory: int) -> None:
    tracemalloc.start()
    try:
        assert_refused(path)
        assert tracemalloc.get_traced_memory()[1] < memory
    finally:
        tracemalloc.stop()
