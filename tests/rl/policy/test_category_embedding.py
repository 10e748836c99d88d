"""The dense layer over codes against the same sums as a product with one-hot cells."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tutelage.rl.policy.category_embedding import CategoryEmbeddingSum, num_rows
from tutelage.rl.tasks.spaces import CategoryGrid

pytestmark = pytest.mark.usefixtures("one_thread")


@st.composite
def grids(draw: st.DrawFn) -> CategoryGrid:
    height, width, codes = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 9))
    length = draw(st.integers(0, 3))
    part = st.tuples(*[st.integers(0, 4)] * length)
    parts = tuple(draw(part) for _ in range(codes)) if length else ()
    return CategoryGrid(height, width, codes, parts)


def one_hot(space: CategoryGrid, codes: torch.Tensor) -> torch.Tensor:
    """float64 [B, rows]: ones at the rows that a picture adds up, counted the slow way."""
    parts = space.attributes or tuple((code,) for code in range(space.num_codes))
    sizes = [max(column) + 1 for column in zip(*parts, strict=True)]
    cells = space.height * space.width
    picked = torch.zeros(len(codes), cells * sum(sizes), dtype=torch.float64)
    for b, picture in enumerate(codes.flatten(1).tolist()):
        for cell, code in enumerate(picture):
            start = 0
            for size, value in zip(sizes, parts[code], strict=True):
                picked[b, start + cell * size + value] += 1
                start += cells * size
    return picked


@given(grids(), st.integers(1, 5), st.integers(0, 2**31))
def test_sums_and_gradients_are_those_of_a_product(
    space: CategoryGrid, rows: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    shape = (rows, space.height, space.width)
    codes = torch.randint(0, space.num_codes, shape, generator=generator, dtype=torch.uint8)
    layer, picked = CategoryEmbeddingSum(space, 8), one_hot(space, codes)
    assert picked.shape[1] == num_rows(space) == len(layer.table)
    table = layer.table.detach().double().requires_grad_()
    expected = picked @ table + layer.bias.detach().double()
    weights = torch.randn(rows, 8, generator=generator)
    sums = layer(codes)
    torch.testing.assert_close(sums.double(), expected, rtol=1e-5, atol=1e-5)
    (sums * weights).sum().backward()
    (expected * weights).sum().backward()
    assert layer.table.grad is not None
    assert table.grad is not None
    torch.testing.assert_close(layer.table.grad.double(), table.grad, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer.bias.grad, weights.sum(0), rtol=1e-5, atol=1e-5)


def test_the_way_for_other_devices_gives_the_same() -> None:
    """What runs on a GPU, tried on the CPU."""
    space = CategoryGrid(3, 3, 4, ((0, 0), (1, 0), (1, 1), (2, 1)))
    layer = CategoryEmbeddingSum(space, 8)
    codes = torch.randint(0, 4, (20, 3, 3), dtype=torch.uint8)
    torch.testing.assert_close(layer.by_index(codes.flatten(1)) + layer.bias, layer(codes))


def test_a_code_that_the_task_never_announced_is_an_error() -> None:
    layer = CategoryEmbeddingSum(CategoryGrid(2, 2, 3), 8)
    with pytest.raises(IndexError, match="num_codes"):
        layer(torch.full((1, 2, 2), 3, dtype=torch.uint8))


def test_the_sums_start_with_the_variance_of_a_dense_layer() -> None:
    """Orthogonal, gain sqrt(2): as many unit inputs as rows are added give variance 2."""
    torch.manual_seed(0)
    layer = CategoryEmbeddingSum(CategoryGrid(7, 7, 10), 64)
    codes = torch.randint(0, 10, (500, 7, 7), dtype=torch.uint8)
    assert layer(codes).var().item() == pytest.approx(2.0, rel=0.2)
    columns = layer.table.detach().double()
    product = columns.T @ columns
    gain = math.sqrt(2 * len(columns) / 49)
    np.testing.assert_allclose(product, gain**2 * np.eye(64), atol=1e-4)
