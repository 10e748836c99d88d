"""The student's network, how it draws actions, and what its file is trusted with."""

from __future__ import annotations

import json
import math
import struct
import tracemalloc
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from scipy.stats import chisquare
from torch import nn

from rl.student import (
    SCHEMA_VERSION,
    Student,
    StudentError,
    load_student,
    make_student,
    sample,
    softmax,
)
from rl.student_settings import StudentSettings
from rl.task import Observation, ObservationSpec

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = StudentSettings(body="dense", hidden=16, embedding=3)
CONV = StudentSettings(body="conv", hidden=16, embedding=3, crop=7)
KINDS: dict[str, tuple[ObservationSpec, StudentSettings]] = {
    "features": (ObservationSpec(0, 0, 0, 5), SMALL),
    "codes": (ObservationSpec(3, 4, 6, 0), SMALL),
    "dense": (ObservationSpec(3, 4, 6, 5), SMALL),
    "conv": (ObservationSpec(7, 6, 6, 5), CONV),
    "smallest conv": (ObservationSpec(5, 5, 6, 5), CONV),
}


def student_of(kind: str, seed: int = 0, num_actions: int = 3) -> Student:
    spec, network = KINDS[kind]
    return make_student("a task", spec, num_actions, network, "cpu", lambda: seed)


def observations_for(spec: ObservationSpec, rows: int = 20) -> Observation:
    rng = np.random.default_rng(3)
    codes = rng.integers(0, max(spec.num_codes, 1), (rows, spec.height, spec.width))
    features = rng.normal(size=(rows, spec.features))
    return Observation(codes.astype(np.uint8), features.astype(np.float32))


# --- the network ---


def is_orthogonal(weight: torch.Tensor, gain: float) -> bool:
    """Whether the rows (or the columns, where those are fewer) are orthogonal, of length `gain`."""
    matrix = weight.detach().reshape(len(weight), -1).double()
    matrix = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    expected = gain**2 * torch.eye(len(matrix), dtype=torch.float64)
    return torch.allclose(matrix @ matrix.T, expected, atol=1e-5 * gain**2)


@pytest.mark.parametrize("kind", KINDS)
def test_initial_weights_are_orthogonal(kind: str) -> None:
    network = student_of(kind).network
    gains: dict[nn.Module, float] = {network.policy_head: 0.01, network.value_head: 1.0}
    layers = [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    assert len(layers) == {"features": 3, "codes": 4, "dense": 4}.get(kind, 6)
    for layer in layers:
        assert is_orthogonal(layer.weight, gains.get(layer, math.sqrt(2))), layer
        assert layer.bias is not None
        assert not layer.bias.any()


def test_a_new_policy_is_close_to_uniform() -> None:
    student = student_of("dense")
    logits, _ = student.judge(observations_for(student.spec))
    assert np.abs(softmax(logits) - 1 / 3).max() < 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_judge_gives_logits_and_values_of_each_row_alone(kind: str) -> None:
    student = student_of(kind)
    seen = observations_for(student.spec)
    logits, values = student.judge(seen)
    assert logits.shape == (20, 3)
    assert values.shape == (20,)
    assert logits.dtype == values.dtype == np.float32
    assert len(np.unique(values)) == 20, "every row is looked at"
    for row in range(20):
        one_logits, one_value = student.judge(seen[[row]])
        np.testing.assert_allclose(one_logits[0], logits[row], rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(one_value[0], values[row], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["codes", "dense", "conv"])
def test_every_code_of_the_picture_counts(kind: str) -> None:
    student = student_of(kind)
    seen = observations_for(student.spec, rows=1)
    _, before = student.judge(seen)
    for y in range(student.spec.height):
        for x in range(student.spec.width):
            seen.codes[0, y, x] = (seen.codes[0, y, x] + 1) % student.spec.num_codes
            _, after = student.judge(seen)
            assert after[0] != before[0], (y, x)
            before = after


def test_judging_needs_no_gradients_and_leaves_none() -> None:
    student = student_of("dense")
    student.judge(observations_for(student.spec))
    assert all(parameter.grad is None for parameter in student.network.parameters())


def test_initial_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(5)
    one = student_of("conv", seed=7)
    torch.manual_seed(6)
    before = torch.get_rng_state()
    same, other = student_of("conv", seed=7), student_of("conv", seed=8)
    assert torch.equal(torch.get_rng_state(), before), "the global generator is left alone"
    weights, others = one.network.state_dict(), other.network.state_dict()
    for name, weight in same.network.state_dict().items():
        assert torch.equal(weight, weights[name])
    assert not torch.equal(weights["trunk.0.weight"], others["trunk.0.weight"])


# --- settings ---


@pytest.mark.parametrize("crop", [3, 5, 9, 41])
def test_odd_crops_are_allowed(crop: int) -> None:
    assert StudentSettings(crop=crop, body="dense").crop == crop


@pytest.mark.parametrize("crop", [4, 8, 40])
@pytest.mark.parametrize("body", ["dense", "conv"])
def test_even_crops_are_refused(crop: int, body: Any) -> None:
    with pytest.raises(ValidationError, match="odd"):
        StudentSettings(crop=crop, body=body)


@pytest.mark.parametrize("crop", [1, 2, 43, -1])
def test_crops_out_of_range_are_refused(crop: int) -> None:
    with pytest.raises(ValidationError, match="crop"):
        StudentSettings(crop=crop, body="dense")


def test_the_convolutions_need_a_crop_of_five() -> None:
    assert StudentSettings(crop=5, body="conv").crop == 5
    with pytest.raises(ValidationError, match="conv"):
        StudentSettings(crop=3, body="conv")


@pytest.mark.parametrize(("height", "width"), [(4, 9), (9, 4), (3, 3), (1, 1)])
def test_a_picture_too_small_for_the_convolutions_is_named(height: int, width: int) -> None:
    """A task of one's own sets its picture's size itself, whatever the settings' crop."""
    with pytest.raises(ValueError, match=f"{height} x {width}"):
        Student("t", ObservationSpec(height, width, 6, 5), 3, CONV, torch.device("cpu"))


# --- sampling ---


@pytest.mark.parametrize(
    "logits",
    [[0.0, 0.0, 0.0], [2.0, -1.0, 0.5], [0.0, -4.0, 3.0, 1.0, 1.0], [5.0, -50.0, 5.0], [1e4, 1e4]],
    ids=str,
)
def test_samples_follow_the_softmax(logits: list[float]) -> None:
    draws, rows = 40_000, np.array(logits, np.float32)
    actions = sample(np.tile(rows, (draws, 1)), np.random.default_rng(0))
    assert actions.dtype == np.int64
    weights = [math.exp(x - max(logits)) for x in logits]
    expected = draws * np.array(weights) / sum(weights)
    likely = expected > 5
    counts = np.bincount(actions, minlength=len(logits))
    assert counts[~likely].sum() <= expected[~likely].sum() + 3
    kept = expected[likely] * counts[likely].sum() / expected[likely].sum()
    assert chisquare(counts[likely], kept).pvalue > 1e-3


def test_rows_are_drawn_apart() -> None:
    """Each row by its own distribution and its own draw."""
    logits = np.zeros((4000, 2), np.float32)
    logits[::2, 0] = 50.0
    actions = sample(logits, np.random.default_rng(1))
    assert not actions[::2].any()
    assert 0.45 < actions[1::2].mean() < 0.55
    pairs = actions[1::4] * 2 + actions[3::4]
    assert chisquare(np.bincount(pairs, minlength=4)).pvalue > 1e-3


class Draws(np.random.Generator):
    """A generator whose `random` returns numbers at the very ends of what it can return."""

    def __init__(self, number: float) -> None:
        super().__init__(np.random.PCG64(0))
        self._number = number

    def random(self, size: Any = None, dtype: Any = np.float64) -> Any:  # type: ignore[override]  # what `sample` calls
        return np.full(size, self._number, dtype=dtype)


LOWEST, HIGHEST = 0.0, float(np.nextafter(np.float32(1), np.float32(0)))
WIDE = st.one_of(
    st.floats(-30, 30, width=32), st.sampled_from([-1e38, -1e30, -200.0, 0.0, 200.0, 1e30, 1e38])
)


@settings(max_examples=300)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=WIDE),
    st.sampled_from([LOWEST, HIGHEST, 0.5]),
)
def test_no_draw_picks_an_action_without_probability(logits: Any, number: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        actions = sample(logits, Draws(number))
    assert actions.shape == (len(logits),)
    for row, action in zip(logits.astype(np.float64), actions, strict=True):
        assert 0 <= action < len(row)
        assert row[action] - row.max() > -104, "e^-104 is below float32's smallest number"


def test_the_highest_draw_against_a_sum_above_one() -> None:
    """Rounded probabilities may sum to more than 1; what has none must still not be picked."""
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(20_000, 7)).astype(np.float32)
    logits = np.concatenate((logits, np.full((len(logits), 1), -1e9, np.float32)), axis=1)
    assert (softmax(logits).cumsum(axis=1)[:, -1] > 1).any(), "else this shows nothing"
    assert sample(logits, Draws(HIGHEST)).max() < 7


@given(hnp.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=WIDE))
def test_softmax(logits: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        probs = softmax(logits)
    assert probs.dtype == np.float32
    exact = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(probs, exact / exact.sum(axis=1, keepdims=True), atol=1e-5)


def test_act_draws_with_a_generator_and_picks_the_likeliest_without() -> None:
    student = student_of("dense")
    with torch.no_grad():
        student.network.policy_head.weight *= 100
    seen = observations_for(student.spec, rows=200)
    logits, _ = student.judge(seen)
    np.testing.assert_array_equal(student.act(seen), logits.argmax(axis=1))
    drawn = student.act(seen, np.random.default_rng(4))
    np.testing.assert_array_equal(drawn, sample(logits, np.random.default_rng(4)))
    assert (drawn != logits.argmax(axis=1)).any()


def test_one_action_leaves_no_choice() -> None:
    student = student_of("dense", num_actions=1)
    seen = observations_for(student.spec)
    assert not student.act(seen).any()
    assert not student.act(seen, np.random.default_rng(0)).any()


# --- the file ---


def saved(folder: Path, kind: str = "dense") -> Path:
    path = folder / "student.safetensors"
    student_of(kind, seed=3).save(path)
    return path


def changed(
    path: Path, metadata: dict[str, str | None], tensors: dict[str, torch.Tensor] | None = None
) -> Path:
    """The same file with other metadata (None takes a field out) and more or other tensors."""
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    fields = json.loads(raw[8 : 8 + length])["__metadata__"] | metadata
    kept = {key: value for key, value in fields.items() if value is not None}
    save_file(load_file(path) | (tensors or {}), path, metadata=kept)
    return path


def assert_refused(path: Path, says: str = "") -> None:
    """StudentError, in one line that names the file, and nothing but it."""
    with pytest.raises(StudentError) as caught:
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
    except StudentError as error:
        message = str(error)
    else:
        loaded.judge(observations_for(loaded.spec))
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
    for found, expected in zip(loaded.judge(seen), student.judge(seen), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert loaded.task_name == "a task"
    assert loaded.num_actions == 3
    assert (loaded.spec, loaded.settings) == (student.spec, student.settings)
    assert loaded.device == torch.device("cpu")


def test_a_loaded_student_can_learn_and_outlives_its_file(tmp_path: Path) -> None:
    path = saved(tmp_path)
    loaded = load_student(path)
    seen = observations_for(loaded.spec)
    before = loaded.judge(seen)[1]
    path.write_bytes(b"\0" * path.stat().st_size)
    np.testing.assert_array_equal(loaded.judge(seen)[1], before)
    _, values = loaded.network(torch.from_numpy(seen.codes), torch.from_numpy(seen.features))
    values.sum().backward()
    torch.optim.SGD(loaded.network.parameters(), lr=0.1).step()
    assert (loaded.judge(seen)[1] != before).all()


def test_a_missing_file_and_a_folder_without_one(tmp_path: Path) -> None:
    assert_refused(tmp_path / "nowhere.safetensors")
    assert_refused(tmp_path)


@pytest.mark.parametrize("name", ["with\nline end", "with\0null"], ids=["line end", "null"])
def test_names_that_are_no_files(tmp_path: Path, name: str) -> None:
    with pytest.raises(StudentError) as caught:
        load_student(f"{tmp_path}/{name}")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("content", [b"", b"\0", b"{}", b"a text\n" * 9, b"\xff" * 64])
def test_files_of_something_else(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "student.safetensors"
    path.write_bytes(content)
    assert_refused(path)


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


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_anywhere_is_refused_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    path = saved(tmp_path, "features")
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, min(len(raw) - 1, 900)))
        raw[start : start + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    path.write_bytes(raw)
    is_refused(path)


def test_a_newer_schema_version_is_named(tmp_path: Path) -> None:
    path = changed(saved(tmp_path), {"schema_version": str(SCHEMA_VERSION + 1)})
    assert_refused(path, f"schema_version {SCHEMA_VERSION + 1} is newer than {SCHEMA_VERSION}")


SPEC = {"height": 3, "width": 4, "num_codes": 6, "features": 5}


def spec_with(**fields: Any) -> str:
    return json.dumps(SPEC | fields)


BROKEN: dict[str, dict[str, str | None]] = {
    "no schema_version": {"schema_version": None},
    "schema_version is no number": {"schema_version": "one\ntwo"},
    "no task": {"task": None},
    "no num_actions": {"num_actions": None},
    "num_actions zero": {"num_actions": "0"},
    "num_actions too many": {"num_actions": "99999999"},
    "num_actions of 5000 digits": {"num_actions": "9" * 5000},
    "no spec": {"observation_spec": None},
    "spec is no JSON": {"observation_spec": "{"},
    "spec is a list": {"observation_spec": "[1, 2, 3, 4]"},
    "spec nests deeply": {"observation_spec": "[" * 100_000},
    "spec lacks a field": {"observation_spec": '{"height": 3}'},
    "spec has one more": {"observation_spec": spec_with(depth=3)},
    "height is infinite": {"observation_spec": spec_with(height=math.inf)},
    "height is no number": {"observation_spec": spec_with(height=math.nan)},
    "height is a text": {"observation_spec": spec_with(height="3")},
    "height is a fraction": {"observation_spec": spec_with(height=3.5)},
    "height is true": {"observation_spec": spec_with(height=True)},
    "height is null": {"observation_spec": spec_with(height=None)},
    "height is negative": {"observation_spec": spec_with(height=-3)},
    "height is absurd": {"observation_spec": spec_with(height=10**18)},
    "height without width": {"observation_spec": spec_with(width=0)},
    "nothing to see": {"observation_spec": spec_with(height=0, width=0, features=0)},
    "no codes": {"observation_spec": spec_with(num_codes=0)},
    "too many codes": {"observation_spec": spec_with(num_codes=257)},
    "no settings": {"settings": None},
    "settings are no JSON": {"settings": "x\ny"},
    "settings are a number": {"settings": "3"},
    "settings with an unknown field": {"settings": '{"crop": 9, "li\\nne": 1}'},
    "settings with an even crop": {"settings": '{"crop": 8}'},
    "settings with an absurd width": {"settings": '{"hidden": 1000000000}'},
    "settings with several faults": {"settings": '{"hidden": 0, "embedding": 0, "body": "\\n"}'},
}


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("fault", BROKEN)
def test_metadata_that_describe_no_student(tmp_path: Path, fault: str) -> None:
    assert_refused(changed(saved(tmp_path), BROKEN[fault]))


def test_another_network_than_the_file_holds(tmp_path: Path) -> None:
    path = changed(saved(tmp_path), {"num_actions": "4"})
    assert_refused(path, "policy_head")
    assert_refused(changed(saved(tmp_path), {"settings": '{"body": "conv"}'}))
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
    fields: dict[str, str | None] = {
        "observation_spec": json.dumps(spec),
        "settings": json.dumps(largest),
    }
    path = changed(saved(tmp_path), fields)
    tracemalloc.start()
    assert_refused(path)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()
