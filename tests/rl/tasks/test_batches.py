"""Batches: rows that are picked are copies, and put together again they are the whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutelage.rl.tasks.arrays import CodeArray, IntArray
from tutelage.rl.tasks.base import Batch, Observation


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


def test_an_observation_is_one() -> None:
    codes, features = np.zeros((3, 0, 0), dtype=np.uint8), np.ones((3, 2), dtype=np.float32)
    seen = Observation(codes, features)
    assert len(seen) == 3
    assert seen[:2].allowed is None
    allowed = Observation(codes, features, np.eye(3, dtype=np.bool_))
    joined = Observation.concat([allowed[1:], allowed[:1]])
    assert joined.allowed is not None
    assert joined.allowed.tolist() == np.eye(3, dtype=np.bool_)[[1, 2, 0]].tolist()
