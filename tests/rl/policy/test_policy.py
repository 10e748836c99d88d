"""The student's network, its settings, and how it draws actions."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError
from scipy.stats import chisquare
from torch import nn

from helpers.small_students import (
    CONV,
    KINDS,
    decided,
    observations_for,
    student_for,
    student_of,
    vector,
)
from tutelage.rl.policy.heads import softmax
from tutelage.rl.policy.policy import Policy
from tutelage.rl.policy.sampling import draw
from tutelage.rl.policy.settings import StudentSettings
from tutelage.rl.tasks.base import select_rows
from tutelage.rl.tasks.spaces import CategoryGrid

pytestmark = pytest.mark.usefixtures("one_thread")

# --- the network ---


def is_orthogonal(weight: torch.Tensor, gain: float) -> bool:
    """Whether the rows (or the columns, where those are fewer) are orthogonal, of length `gain`."""
    matrix = weight.detach().reshape(len(weight), -1).double()
    matrix = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    expected = gain**2 * torch.eye(len(matrix), dtype=torch.float64)
    return torch.allclose(matrix @ matrix.T, expected, atol=1e-5 * gain**2)


LAYERS = {
    "codes": 3,
    "conv": 7,
    "smallest conv": 7,
    "normalised": 5,
    "picture": 3 + 3,
    "large picture": 3 + 4,
    "categories": 3,
    "words over a grid": 3 + 2,
    "words over a conv": 3 + 3 + 2,
    "words over pictures": 3 + 3 + 3 + 3,
    "everything": 3 + 1 + 3 + 2,
}
"""How many dense layers and convolutions there are, where not four."""


@pytest.mark.parametrize("kind", KINDS)
def test_initial_weights_are_orthogonal(kind: str) -> None:
    network = student_of(kind).network
    if network.scales is not None:
        assert is_orthogonal(network.scales.weight, 0.1)
    gains: dict[nn.Module | None, float] = {
        network.policy_head: 0.01,
        network.value_head: 1.0,
        network.scales: 0.1,
    }
    layers = [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    # The features' layer, the trunk and the two heads; two convolutions and one more for "conv".
    assert len(layers) == LAYERS.get(kind, 4)
    for layer in layers:
        assert is_orthogonal(layer.weight, gains.get(layer, math.sqrt(2))), layer
        assert layer.bias is not None
        assert not layer.bias.any()


def test_a_new_policy_is_close_to_uniform() -> None:
    student = student_of("dense")
    logits, _ = student.policy_and_value(observations_for(student.spec.observation_space))
    assert np.abs(softmax(logits) - 1 / 3).max() < 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_logits_and_values_are_of_each_row_alone(kind: str) -> None:
    student = student_of(kind)
    seen = observations_for(student.spec.observation_space)
    logits, values = student.policy_and_value(seen)
    assert logits.shape == (20, 3)
    assert values.shape == (20,)
    assert logits.dtype == values.dtype == np.float32
    assert len(np.unique(values)) == 20, "every row is looked at"
    for row in range(20):
        one_logits, one_value = student.policy_and_value(select_rows(seen, np.array([row])))
        np.testing.assert_allclose(one_logits[0], logits[row], rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(one_value[0], values[row], rtol=1e-4, atol=1e-6)


def grid_of(student: Policy) -> CategoryGrid:
    space = student.spec.observation_space["grid"]
    assert isinstance(space, CategoryGrid)
    return space


@pytest.mark.parametrize(
    "kind",
    ["codes", "dense", "attributes", "conv", "words over a grid", "words over a conv"],
)
def test_every_code_of_the_picture_counts(kind: str) -> None:
    student = student_of(kind)
    seen = observations_for(student.spec.observation_space, rows=1)
    codes, space = seen["grid"], grid_of(student)
    _, before = student.policy_and_value(seen)
    for y in range(space.height):
        for x in range(space.width):
            codes[0, y, x] = (codes[0, y, x] + 1) % space.num_codes
            _, after = student.policy_and_value(seen)
            assert after[0] != before[0], (y, x)
            before = after


def test_the_convolutions_see_the_picture_as_it_lies() -> None:
    """A change of one cell is felt within the two cells on each side that two 3x3 layers reach."""
    student = student_of("conv")
    felt: list[torch.Tensor] = []
    last = [m for m in student.network.modules() if isinstance(m, nn.Conv2d)][-1]
    hook = last.register_forward_hook(lambda _module, _inputs, output: felt.append(output[0]))
    seen = observations_for(student.spec.observation_space, rows=1)
    student.policy_and_value(seen)
    space = grid_of(student)
    for y in range(space.height):
        for x in range(space.width):
            codes = seen["grid"].copy()
            codes[0, y, x] = (codes[0, y, x] + 1) % space.num_codes
            student.policy_and_value({**seen, "grid": codes})
            places = torch.nonzero((felt[0] != felt.pop()).any(dim=0))
            # Output (v, u) is centred on cell (v + 2, u + 2): there is no padding.
            assert len(places) > 0
            assert (places + 2 - torch.tensor([y, x])).abs().max() <= 2, (y, x)
    hook.remove()


def test_policy_and_value_leave_no_gradients() -> None:
    student = student_of("dense")
    student.policy_and_value(observations_for(student.spec.observation_space))
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
    assert not torch.equal(weights["trunk.weight"], others["trunk.weight"])


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
        student_for({"grid": CategoryGrid(height, width, 6), "a": vector(5)}, settings=CONV)


# --- sampling ---

WIDE = st.one_of(
    st.floats(-30, 30, width=32), st.sampled_from([-1e38, -1e30, -200.0, 0.0, 200.0, 1e30, 1e38])
)


@pytest.mark.parametrize(
    "logits",
    [[0.0, 0.0, 0.0], [2.0, -1.0, 0.5], [0.0, -4.0, 3.0, 1.0, 1.0], [5.0, -50.0, 5.0], [1e4, 1e4]],
    ids=str,
)
def test_samples_follow_the_softmax(logits: list[float]) -> None:
    draws, rows = 40_000, np.array(logits, np.float32)
    actions = draw(np.tile(rows, (draws, 1)), np.random.default_rng(0))[0]
    assert actions.dtype == np.int64
    weights = [math.exp(x - max(logits)) for x in logits]
    expected = draws * np.array(weights) / sum(weights)
    likely = expected > 5
    counts = np.bincount(actions, minlength=len(logits))
    assert counts[~likely].sum() <= expected[~likely].sum() + 3
    kept = expected[likely] * counts[likely].sum() / expected[likely].sum()
    assert chisquare(counts[likely], kept).pvalue > 1e-3


@given(hnp.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=WIDE))
def test_a_draw_tells_its_log_probability_and_what_was_likeliest(logits: Any) -> None:
    actions, log_probs, greedy = draw(logits, np.random.default_rng(0))
    np.testing.assert_array_equal(greedy, logits.argmax(axis=1))
    exact = torch.from_numpy(logits).double().log_softmax(dim=1)[range(len(logits)), actions]
    assert log_probs.dtype == np.float32
    np.testing.assert_allclose(log_probs, exact, rtol=1e-6, atol=1e-6)


def test_rows_are_drawn_apart() -> None:
    """Each row by its own distribution and its own draw."""
    logits = np.zeros((4000, 2), np.float32)
    logits[::2, 0] = 50.0
    actions = draw(logits, np.random.default_rng(1))[0]
    assert not actions[::2].any()
    assert 0.45 < actions[1::2].mean() < 0.55
    pairs = actions[1::4] * 2 + actions[3::4]
    assert chisquare(np.bincount(pairs, minlength=4)).pvalue > 1e-3


class Draws(np.random.Generator):
    """A generator whose `random` returns numbers at the very ends of what it can return."""

    def __init__(self, number: float) -> None:
        super().__init__(np.random.PCG64(0))
        self._number = number

    def random(self, size: Any = None, dtype: Any = np.float64) -> Any:  # type: ignore[override]  # what `draw` calls
        return np.full(size, self._number, dtype=dtype)


LOWEST, HIGHEST = 0.0, float(np.nextafter(np.float32(1), np.float32(0)))


@settings(max_examples=300)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=WIDE),
    st.sampled_from([LOWEST, HIGHEST, 0.5]),
)
def test_no_draw_picks_an_action_without_probability(logits: Any, number: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        actions = draw(logits, Draws(number))[0]
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
    assert draw(logits, Draws(HIGHEST))[0].max() < 7


@given(hnp.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=WIDE))
def test_softmax(logits: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        probs = softmax(logits)
    assert probs.dtype == np.float32
    exact = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(probs, exact / exact.sum(axis=1, keepdims=True), atol=1e-5)


def test_act_draws_with_a_generator_and_picks_the_likeliest_without() -> None:
    student = decided(student_of("dense"))
    seen = observations_for(student.spec.observation_space, rows=200)
    logits, _ = student.policy_and_value(seen)
    np.testing.assert_array_equal(student.act(seen), logits.argmax(axis=1))
    drawn = student.act(seen, np.random.default_rng(4))
    np.testing.assert_array_equal(drawn, draw(logits, np.random.default_rng(4))[0])
    assert (drawn != logits.argmax(axis=1)).any()


def test_one_action_leaves_no_choice() -> None:
    student = student_of("dense", num_actions=1)
    seen = observations_for(student.spec.observation_space)
    assert not student.act(seen).any()
    assert not student.act(seen, np.random.default_rng(0)).any()
