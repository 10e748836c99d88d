"""Batches: rows that are picked are copies, and put together again they are the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tutelage.rl.tasks.arrays import CodeArray, IntArray
from tutelage.rl.tasks.base import Batch, Rows, concat_rows, select_rows


@dataclass(frozen=True)
class Inside(Batch):
    pictures: CodeArray


@dataclass(frozen=True)
class Around(Batch):
    inner: Inside
    numbers: IntArray
    missing: IntArray | None = None


def around(size: int) -> Around:
    pictures = np.arange(size * 6, dtype=np.uint8).reshape(size, 2, 3)
    return Around(Inside(pictures), np.arange(size, dtype=np.int64))


def same(one: Around, other: Around) -> bool:
    pictures = one.inner.pictures, other.inner.pictures
    return np.array_equal(*pictures) and np.array_equal(one.numbers, other.numbers)


@given(st.integers(1, 9), st.data())
def test_cut_anywhere_and_put_together_it_is_the_whole(size: int, data: st.DataObject) -> None:
    batch, cut = around(size), data.draw(st.integers(0, size))
    whole = Around.concat([batch[:cut], batch[cut:]])
    assert len(whole) == len(batch) == size
    assert same(whole, batch)
    assert whole.missing is None


@given(st.integers(1, 9), st.data())
def test_rows_by_number_and_by_mask(size: int, data: st.DataObject) -> None:
    batch = around(size)
    rows = np.array(data.draw(st.lists(st.integers(0, size - 1), max_size=5)), dtype=np.int64)
    assert batch[rows].numbers.tolist() == rows.tolist()
    assert batch[rows].inner.pictures.tolist() == batch.inner.pictures[rows].tolist()
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    assert same(batch[mask], batch[np.flatnonzero(mask)])


@pytest.mark.parametrize("rows", [slice(None), np.arange(4), np.ones(4, dtype=np.bool_)])
def test_what_was_picked_does_not_change_any_more(rows: slice) -> None:
    batch = around(4)
    kept = batch[rows]
    batch.inner.pictures[:] = 0
    batch.numbers[:] = 0
    assert same(kept, around(4))


def observation(size: int) -> dict[str, NDArray[Any]]:
    return {
        "picture": np.arange(size * 6, dtype=np.uint8).reshape(size, 2, 3),
        "vector": np.arange(size * 2, dtype=np.float32).reshape(size, 2),
    }


@given(st.integers(1, 9), st.data())
def test_observations_cut_anywhere_and_put_together_are_the_whole(
    size: int, data: st.DataObject
) -> None:
    seen, cut = observation(size), data.draw(st.integers(0, size))
    whole = concat_rows([select_rows(seen, slice(0, cut)), select_rows(seen, slice(cut, None))])
    assert list(whole) == list(seen)
    for key, array in seen.items():
        np.testing.assert_array_equal(whole[key], array)
        assert whole[key].dtype == array.dtype


@pytest.mark.parametrize("rows", [slice(1, 3), np.array([1, 2]), np.arange(4) % 3 > 0])
def test_rows_of_an_observation_do_not_change_any_more(rows: Rows) -> None:
    seen = observation(4)
    kept = select_rows(seen, rows)
    for array in seen.values():
        array[:] = 0
    for key, array in observation(4).items():
        np.testing.assert_array_equal(kept[key], array[[1, 2]])
