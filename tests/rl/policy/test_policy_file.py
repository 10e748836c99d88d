"""A policy's file: what it brings back, and what is refused of it."""

from __future__ import annotations

import json
import math
import os
import struct
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from helpers.small_students import KINDS, observations_for, student_of
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
        loaded.policy_and_value(observations_for(loaded.spec))
        return False
    assert len(message.splitlines()) == 1, message
    return True


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", ["file", "folder", "string"])
def test_a_loaded_student_is_the_saved_one(tmp_path: Path, kind: str, place: str) -> None:
    student = student_of(kind, seed=3)
    path = saved(tmp_path, kind)
    state = torch.get_rng_state()
    places: dict[str, Path | str] = {"file": path, "folder": tmp_path, "string": str(path)}
    loaded = load_student(places[place])
    assert torch.equal(torch.get_rng_state(), state), "loading draws no random numbers"
    seen = observations_for(student.spec)
    for found, expected in zip(
        loaded.policy_and_value(seen), student.policy_and_value(seen), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    assert loaded.task_name == "a task"
    assert loaded.num_actions == 3
    assert (loaded.spec, loaded.settings) == (student.spec, student.settings)
    assert loaded.device == torch.device("cpu")


def test_a_loaded_student_can_learn_and_outlives_its_file(tmp_path: Path) -> None:
    path = saved(tmp_path)
    loaded = load_student(path)
    seen = observations_for(loaded.spec)
    before = loaded.policy_and_value(seen)[1]
    path.write_bytes(b"\0" * path.stat().st_size)
    np.testing.assert_array_equal(loaded.policy_and_value(seen)[1], before)
    _, values = loaded.network(torch.from_numpy(seen.codes), torch.from_numpy(seen.features))
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


SPEC = {"height": 3, "width": 4, "num_codes": 6, "features": 5, "attributes": []}
NO_FIELD: Any = ...


def spec_with(**fields: Any) -> dict[str, Any]:
    return {"observation_spec": SPEC | fields}


BROKEN: dict[str, dict[str, Any]] = {
    "no schema_version": {"schema_version": NO_FIELD},
    "schema_version is no number": {"schema_version": "one\ntwo"},
    "no task": {"task": NO_FIELD},
    "task is a number": {"task": 3},
    "no num_actions": {"num_actions": NO_FIELD},
    "num_actions zero": {"num_actions": 0},
    "num_actions too many": {"num_actions": 99999999},
    "num_actions of 4000 digits": {"num_actions": 10**4000},
    "no spec": {"observation_spec": NO_FIELD},
    "spec is a text": {"observation_spec": "{"},
    "spec is a list": {"observation_spec": [1, 2, 3, 4]},
    "spec lacks a field": {"observation_spec": {"height": 3}},
    "spec has one more": spec_with(depth=3),
    "height is infinite": spec_with(height=math.inf),
    "height is no number": spec_with(height=math.nan),
    "height is a text": spec_with(height="3"),
    "height is a fraction": spec_with(height=3.5),
    "height is true": spec_with(height=True),
    "height is null": spec_with(height=None),
    "height is negative": spec_with(height=-3),
    "height is absurd": spec_with(height=10**18),
    "height without width": spec_with(width=0),
    "nothing to see": spec_with(height=0, width=0, features=0),
    "no codes": spec_with(num_codes=0),
    "too many codes": spec_with(num_codes=257),
    "attributes of other codes": spec_with(attributes=[[0, 1]]),
    "attributes of unequal length": spec_with(attributes=[[0], [0], [0], [0], [0], [0, 1]]),
    "no attributes in a row": spec_with(attributes=[[]] * 6),
    "an absurd attribute": spec_with(attributes=[[0], [0], [0], [0], [0], [10**9]]),
    "a negative attribute": spec_with(attributes=[[0], [0], [0], [0], [0], [-1]]),
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
    path = changed(saved(tmp_path), {"num_actions": 4})
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


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("body", ["dense", "conv"])
def test_absurd_sizes_are_refused_before_memory_is_taken(tmp_path: Path, body: str) -> None:
    """Every number is within its own bounds; the network of all of them takes 34 GB."""
    spec = {"height": 255, "width": 255, "num_codes": 256, "features": 65_536}
    largest = {"crop": 41, "body": body, "embedding": 64, "hidden": 2048}
    path = changed(saved(tmp_path), {"observation_spec": spec, "settings": largest})
    tracemalloc.start()
    assert_refused(path)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()
