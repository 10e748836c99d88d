"""Hashes of situations' texts, and texts of which there are none."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.steering_task import Steering
from tutelage.rl.errors import TaskCodeError
from tutelage.rl.tasks.lookups import TextHashes


class Garbled(Steering):
    """One of its situations has half of a surrogate pair."""

    def describe(self, situation_id: int) -> str:
        return super().describe(situation_id) + ("", "\ud800")[situation_id]


def test_equal_texts_have_equal_hashes() -> None:
    one, other, again = TextHashes(Steering()).of(np.array([0, 1, 0])).tolist()
    assert one == again != other
    assert TextHashes(Garbled()).of(np.array([0])).tolist() == [one]


def test_a_text_that_is_no_unicode_is_named() -> None:
    with pytest.raises(TaskCodeError, match=r"task 'Steering': a situation's text is no Unicode"):
        TextHashes(Garbled()).of(np.array([1]))
