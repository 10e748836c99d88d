"""Encoders of each space, the normaliser against NumPy, and words over what is seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from helpers.small_students import (
    KINDS,
    SMALL,
    decided,
    observations_for,
    picture,
    student_for,
    student_of,
    vector,
)
from tutelage.rl.policy.encoders import (
    CategoryEncoder,
    Normaliser,
    TokenEncoder,
    VectorEncoder,
    least_weights,
    make_encoder,
)
from tutelage.rl.policy.policy import Policy, load_student
from tutelage.rl.tasks.spaces import CategoryGrid, Tokens, tokens_of

pytestmark = pytest.mark.usefixtures("one_thread")

FARTHEST = float(np.finfo(np.float32).max)

# --- the normaliser ---

batches = st.lists(
    st.tuples(st.integers(1, 40), st.floats(-50, 50), st.floats(0.0, 20)), min_size=1, max_size=6
)


@given(batches, st.integers(0, 2**31))
def test_mean_and_variance_are_those_of_all_that_was_seen(
    parts: list[tuple[int, float, float]], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    normaliser = Normaliser(vector(3))
    seen = [rng.normal(mean, deviation, (rows, 3)) for rows, mean, deviation in parts]
    seen = [part.astype(np.float32) for part in seen]
    for part in seen:
        normaliser.update(torch.from_numpy(part))
    together = np.concatenate(seen).astype(np.float64)
    np.testing.assert_allclose(normaliser.mean, together.mean(axis=0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(normaliser.variance, together.var(axis=0), rtol=1e-3, atol=1e-3)
    assert normaliser.count.item() == len(together)
    expected = (together - together.mean(axis=0)) / np.sqrt(together.var(axis=0) + 1e-8)
    found = normaliser(torch.from_numpy(together.astype(np.float32)))
    distinct = together.var(axis=0) > 0.01
    np.testing.assert_allclose(
        found[:, distinct], np.clip(expected, -10, 10)[:, distinct], rtol=0.01, atol=0.01
    )


@pytest.mark.parametrize(
    ("low", "high", "mean", "deviation"),
    [
        (-1, 1, 0.0, 3**-0.5),
        (0, 255, 127.5, 127.5 / 3**0.5),
        (2, np.inf, 0.0, 3**-0.5),
        (-np.inf, np.inf, 0.0, 3**-0.5),
        (-FARTHEST, FARTHEST, 0.0, 3**-0.5),
        (5, 5, 5.0, 3**-0.5),
    ],
)
def test_before_anything_was_seen_the_bounds_tell(
    low: float, high: float, mean: float, deviation: float
) -> None:
    normaliser = Normaliser(spaces.Box(low, high, (1,), np.float32))
    shown = torch.tensor([[mean], [mean + deviation], [mean + 100 * deviation]])
    assert normaliser(shown).flatten().tolist() == pytest.approx([0.0, 1.0, 10.0], rel=1e-5)
    seen = torch.tensor([[3.0], [5.0]])
    normaliser.update(seen)
    assert normaliser(seen).flatten().tolist() == pytest.approx([-1.0, 1.0])


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("bound", [1.0, np.inf])
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_no_finite_number_spoils_what_is_counted(
    kind: type[np.floating[Any]], bound: float, data: st.DataObject
) -> None:
    """The largest of its type, and those whose squares float32 lacks: what follows counts on."""
    most = float(np.finfo(kind).max)
    wild = st.sampled_from([1e19, 2e19, 1e30, 3e38, most]).map(kind)
    signed = st.tuples(wild, st.sampled_from([-1, 0, 1])).map(lambda pair: pair[0] * pair[1])
    rows = data.draw(st.lists(st.lists(signed, min_size=2, max_size=2), min_size=1, max_size=5))
    normaliser = Normaliser(spaces.Box(-bound, bound, (2,), kind))
    for part in (np.array(rows, kind), np.ones((3, 2), kind), np.array(rows, kind)):
        normaliser.update(torch.from_numpy(part))
        for tensor in normaliser.state_dict().values():
            assert tensor.dtype == torch.float32
            assert torch.isfinite(tensor).all()
    shown = normaliser(torch.tensor(rows).float())
    assert (shown.abs() <= 10).all()


def test_what_never_varies_leaves_finite_numbers() -> None:
    normaliser = Normaliser(vector(2))
    for _ in range(3):
        normaliser.update(torch.full((4, 2), 7.0))
    assert normaliser(torch.full((1, 2), 7.0)).tolist() == [[0.0, 0.0]]
    assert normaliser(torch.tensor([[7.1, -1e30]])).tolist() == [[10.0, -10.0]]


def test_large_numbers_that_hardly_vary_keep_their_variance() -> None:
    """Sums of squares in float32 would leave nothing of it."""
    rng = np.random.default_rng(0)
    normaliser = Normaliser(vector(1))
    seen = (1e4 + rng.normal(size=(50, 200, 1))).astype(np.float32)
    for part in seen:
        normaliser.update(torch.from_numpy(part))
    assert normaliser.variance.item() == pytest.approx(seen.astype(np.float64).var(), rel=0.01)


def test_a_network_counts_the_vectors_that_it_is_to_count() -> None:
    student = student_of("everything")
    seen = observations_for(student.spec.observation_space, rows=30)
    student.network.count_observations({k: torch.from_numpy(a) for k, a in seen.items()})
    encoder = student.network.encoders[0]
    assert isinstance(encoder, VectorEncoder)
    assert encoder.normaliser is not None
    np.testing.assert_allclose(encoder.normaliser.mean, seen[""].mean(axis=0), rtol=1e-4)
    plain = student_of("dense").network.encoders[1]
    assert isinstance(plain, VectorEncoder)
    assert plain.normaliser is None


@pytest.mark.parametrize("memory", ["none", "gru"])
@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_vectors_of_other_floats_are_seen_as_float32(
    kind: type[np.floating[Any]], normalise: bool, memory: str
) -> None:
    small = SMALL.model_copy(update={"memory": memory})
    students = [
        student_for({"a": spaces.Box(-2, 2, (3,), dtype)}, settings=small, normalise=normalise)
        for dtype in (kind, np.float32)
    ]
    students[1].network.load_state_dict(students[0].network.state_dict())
    seen = np.random.default_rng(0).normal(size=(5, 3)).astype(kind)
    found = []
    for student, array in zip(students, (seen, seen.astype(np.float32)), strict=True):
        student.network.count_observations({"a": torch.from_numpy(array)})
        found.append(shown(student, {"a": array}))
    for one, other in zip(*found, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


# --- categories and pictures ---


@pytest.mark.parametrize("start", [0, 3, -2])
def test_each_category_has_a_row(start: int) -> None:
    """Observations count from 0, whatever the space's start."""
    encoder = make_encoder(spaces.Discrete(4, start=start), SMALL, normalise=False)
    assert isinstance(encoder, CategoryEncoder)
    found = encoder(torch.arange(4))
    torch.testing.assert_close(found, encoder.table)


def test_the_rows_of_several_parts_are_added() -> None:
    encoder = make_encoder(spaces.MultiDiscrete([3, 1, 5]), SMALL, normalise=False)
    assert isinstance(encoder, CategoryEncoder)
    sizes = (3, 1, 5)
    for parts in ([0, 0, 0], [2, 0, 4], [1, 0, 3]):
        ones = [functional.one_hot(torch.tensor(p), n) for p, n in zip(parts, sizes, strict=True)]
        picked = torch.cat(ones)
        found = encoder(torch.tensor([parts]))
        torch.testing.assert_close(found[0], picked.float() @ encoder.table)


def test_sums_of_categories_start_with_the_variance_of_a_dense_layer() -> None:
    torch.manual_seed(0)
    sizes = [40, 60, 50]
    encoder = make_encoder(
        spaces.MultiDiscrete(sizes), SMALL.model_copy(update={"hidden": 64}), normalise=False
    )
    parts = np.random.default_rng(0).integers(0, sizes, (2000, 3))
    assert encoder(torch.from_numpy(parts)).var().item() == pytest.approx(2.0, rel=0.2)


@pytest.mark.parametrize("height", [8, 9, 11, 16, 32, 48, 63, 64, 65, 96])
def test_pictures_of_many_sizes_are_seen_whole(height: int) -> None:
    """From the smallest to those for the large convolutions: whatever is changed tells."""
    width = height + 3
    student = student_for({"pixels": picture(height, width, 3)})
    rng = np.random.default_rng(height)
    seen = {"pixels": rng.integers(0, 256, (1, height, width, 3)).astype(np.uint8)}
    _, before = student.policy_and_value(seen)
    third = height // 3
    for top in range(0, 3 * third, third):
        for channel in range(3):
            other = seen["pixels"].copy()
            other[0, top : top + third, third : 2 * third, channel] ^= 255
            assert student.policy_and_value({"pixels": other})[1] != before, (top, channel)


@pytest.mark.parametrize("shape", [(7, 8, 3), (8, 7, 1), (1, 1, 1)])
def test_a_picture_too_small_is_named(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=f"{shape[0]} x {shape[1]} pixels is too small"):
        student_for({"pixels": picture(*shape)})


def test_pixels_are_taken_from_0_to_1_and_colours_apart() -> None:
    student = student_for({"pixels": picture(8, 8, 3)})
    (encoder,) = student.network.encoders
    layers = next(m for m in encoder.modules() if isinstance(m, nn.Sequential))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)
    by_hand = layers(torch.from_numpy(pixels.transpose(0, 3, 1, 2) / np.float32(255)))
    torch.testing.assert_close(encoder(torch.from_numpy(pixels)), by_hand)


@pytest.mark.parametrize("kind", KINDS)
def test_no_encoder_is_smaller_than_is_said_of_it(kind: str) -> None:
    """A policy's file is refused by this number before its network is built."""
    space, settings = KINDS[kind]
    student = student_of(kind)
    for each, encoder in zip(space.values(), student.network.encoders, strict=True):
        weights = sum(p.numel() for p in encoder.parameters())
        assert 0 < least_weights(each, settings) <= weights


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(-1, 1, (2, 2), np.float32),
        spaces.Box(0, 5, (2,), np.int64),
        spaces.Text(4),
        spaces.MultiDiscrete([[2, 2], [2, 2]]),
        spaces.Box(0, 255, (8, 8), np.uint8),
        spaces.MultiBinary(3),
    ],
    ids=str,
)
def test_other_spaces_have_none(space: Any) -> None:
    for make in (lambda: make_encoder(space, SMALL, False), lambda: least_weights(space, SMALL)):
        with pytest.raises(ValueError, match="no encoder"):
            make()


# --- words ---


def encoded(encoder: nn.Module, *texts: str, length: int = 8) -> torch.Tensor:
    tokens = np.stack([tokens_of(text, length) for text in texts])
    with torch.no_grad():
        found: torch.Tensor = encoder(torch.from_numpy(tokens))
    return found


def test_words_and_their_order_matter_and_case_and_stops_do_not() -> None:
    encoder = TokenEncoder(Tokens(8), 16)
    one, order, word, same = encoded(
        encoder,
        "open the red door, then the blue one",
        "open the blue door, then the red one",
        "open the red door, then the grey one",
        "Open the RED door then the blue one.",
    )
    assert torch.equal(one, same)
    assert (one - order).norm() > 0.05 * one.norm()
    assert (one - word).norm() > 0.05 * one.norm()


def test_padding_counts_for_nothing() -> None:
    """What the rows of 0 hold makes no difference, and no words are a sum of nothing."""
    encoder = TokenEncoder(Tokens(8), 16)
    before = encoded(encoder, "go", "go to the red ball", "")
    assert torch.equal(before[2], encoder.dense.bias)
    for row in (0, 509):  # where the token 0 would be looked up
        encoder.table.data[row] += 100.0
    words = tokens_of("go to the red ball", 5).tolist()
    assert 0 not in {word % size for word in words for size in (509, 521)}, "they have those rows"
    torch.testing.assert_close(encoded(encoder, "go", "go to the red ball", ""), before)


def test_texts_of_any_length_start_with_one_variance() -> None:
    torch.manual_seed(0)
    encoder = TokenEncoder(Tokens(20), 64)
    words = [f"word{i}" for i in range(3000)]
    rng = np.random.default_rng(0)
    for count in (1, 5, 20):
        texts = [" ".join(rng.choice(words, count)) for _ in range(300)]
        variance = encoded(encoder, *texts, length=20).var().item()
        assert 0.1 < variance < 4.0, count


def test_words_of_one_row_are_told_apart_by_the_other() -> None:
    encoder = TokenEncoder(Tokens(1), 16)
    found = encoder(torch.tensor([[3], [3 + 509], [3 + 521]], dtype=torch.int32))
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (found[one] - found[other]).norm() > 0.1


def test_learning_moves_the_rows_of_the_words_alone() -> None:
    encoder = TokenEncoder(Tokens(4), 16)
    tokens = torch.from_numpy(tokens_of("go left", 4)[None])
    encoder(tokens).sum().backward()
    assert encoder.table.grad is not None
    moved = set(torch.nonzero(encoder.table.grad.abs().sum(dim=1)).flatten().tolist())
    words = tokens[0, :2].tolist()
    assert moved == {w % 509 for w in words} | {509 + w % 521 for w in words}


# --- words over what is seen ---


def test_words_scale_what_is_seen() -> None:
    """FiLM, by hand: 1 + a layer of the words, times what is seen, plus the words themselves."""
    student = student_of("words over pictures")
    network, seen = student.network, observations_for(student.spec.observation_space)
    tensors = {key: torch.from_numpy(array) for key, array in seen.items()}
    parts = {
        key: encoder(tensors[key])
        for key, encoder in zip(network.keys, network.encoders, strict=True)
    }
    told = parts["hint"] + parts["words"]
    assert network.scales is not None
    scale = 1 + network.scales(functional.relu(told))
    expected = told + scale * parts["pixels"] + scale * parts["map"]
    torch.testing.assert_close(network._encode(tensors), expected)


@pytest.mark.parametrize("kind", ["words over a grid", "words over a conv", "words over pictures"])
def test_the_same_sight_counts_otherwise_under_other_words(kind: str) -> None:
    """The effect of a sight depends on the words: it is no sum of both before the first ReLU."""
    student = student_of(kind)
    seen = observations_for(student.spec.observation_space, rows=2)
    tensors = {key: torch.from_numpy(array) for key, array in seen.items()}
    words = {"words", "hint"}

    def encode(sight: int, told: int) -> torch.Tensor:
        rows = {k: t[[told if k in words else sight]] for k, t in tensors.items()}
        with torch.no_grad():
            return student.network._encode(rows)

    effects = [encode(1, told) - encode(0, told) for told in (0, 1)]
    assert (effects[0] - effects[1]).norm() > 0.01 * effects[0].norm()


@pytest.mark.parametrize("kind", ["words", "features", "dense", "picture"])
def test_without_both_words_and_sights_there_is_no_such_layer(kind: str) -> None:
    assert student_of(kind).network.scales is None


def test_every_key_counts() -> None:
    student = decided(student_of("everything"))
    space = student.spec.observation_space
    one, other = (observations_for(space, rows=1, seed=seed) for seed in (0, 1))
    _, before = student.policy_and_value(one)
    for key in space:
        changed = dict(one)
        changed[key] = other[key] if (other[key] != one[key]).any() else 1 - one[key]
        assert student.policy_and_value(changed)[1] != before, key


# --- a round trip for each space ---

ANY_SPACE = st.one_of(
    st.builds(lambda n, b: vector(n, b), st.integers(1, 5), st.sampled_from([1.0, 1e20, np.inf])),
    st.builds(picture, st.integers(8, 20), st.integers(8, 20), st.integers(1, 4)),
    st.builds(lambda n, s: spaces.Discrete(n, start=s), st.integers(1, 9), st.integers(-5, 5)),
    st.builds(spaces.MultiDiscrete, st.lists(st.integers(1, 6), min_size=1, max_size=4)),
    st.builds(CategoryGrid, st.integers(1, 4), st.integers(1, 4), st.integers(1, 9)),
    st.builds(Tokens, st.integers(1, 9)),
)


@given(
    st.dictionaries(st.text(max_size=5), ANY_SPACE, min_size=1, max_size=3),
    st.booleans(),
    st.sampled_from(["none", "gru"]),
)
def test_a_student_of_any_spaces_comes_back_from_its_file(
    tmp_path_factory: pytest.TempPathFactory, space: Any, normalise: bool, memory: str
) -> None:
    settings = SMALL.model_copy(update={"memory": memory})
    student = student_for(space, settings=settings, normalise=normalise)
    seen = observations_for(space, rows=5)
    student.network.count_observations({k: torch.from_numpy(a) for k, a in seen.items()})
    path = Path(tmp_path_factory.getbasetemp()) / "any.safetensors"
    student.save(path)
    loaded = load_student(path)
    assert loaded.spec == student.spec
    for one, other in zip(shown(student, seen), shown(loaded, seen), strict=True):
        np.testing.assert_array_equal(one, other)


def shown(student: Policy, seen: Any) -> tuple[Any, Any]:
    state = student.initial_state(5)
    first = student.policy_and_value(seen, state)[0]
    return first, student.policy_and_value(seen, state)[1]
