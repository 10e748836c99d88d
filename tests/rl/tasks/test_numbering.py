"""Numbers handed out at first sight: one for each key, in order, whoever asks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutelage.rl.tasks.numbering import Numbering


@given(st.lists(st.text()))
def test_a_number_is_that_of_the_first_sight(keys: list[str]) -> None:
    numbering: Numbering[str] = Numbering()
    numbers = [numbering.number(key) for key in keys]
    distinct = list(dict.fromkeys(keys))
    assert numbers == [distinct.index(key) for key in keys]
    assert numbering.keys() == tuple(distinct)
    assert [numbering.key(number) for number in numbers] == keys
    assert [numbering.known(key) for key in keys] == numbers
    restored = Numbering(numbering.keys())
    assert [restored.number(key) for key in keys] == numbers
    assert len(restored) == len(distinct)


def test_what_was_never_seen_is_not_known() -> None:
    numbering = Numbering(["a"])
    for number in (-1, 1):
        with pytest.raises(KeyError):
            numbering.key(number)
    with pytest.raises(KeyError):
        numbering.known("b")


def test_a_key_with_two_numbers_is_refused_and_changes_nothing() -> None:
    numbering = Numbering(["a", "b"])
    with pytest.raises(ValueError, match="two numbers"):
        numbering.restore(["c", "c"])
    assert numbering.keys() == ("a", "b")


def test_threads_get_one_number_for_one_key() -> None:
    numbering: Numbering[int] = Numbering()
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(numbering.number, [n % 500 for n in range(8000)]))
    assert len(numbering) == 500
    assert all(numbering.key(number) == n % 500 for n, number in enumerate(numbers))
