"""The corridor of `toy_task` with situations that are numbered at first sight.

A batch's new situations are numbered in an order that differs from process to process: nothing may
depend on the numbers.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from helpers.toy_task import EXIT, PIT, Corridor, CorridorStates
from tutelage.rl.tasks.arrays import IntArray
from tutelage.rl.tasks.base import States
from tutelage.rl.tasks.numbering import Numbering
from tutelage.rl.tasks.options import Option


class Numbered(Corridor):
    """The corridor; a situation tells the cells of agent and lever too, so there are some 80."""

    name = "Numbered"

    def __init__(self) -> None:
        self._numbers = Numbering[tuple[int, int, int]]()
        self._order = np.random.default_rng(os.getpid())

    def situation_ids(self, states: States) -> IntArray:
        assert isinstance(states, CorridorStates)
        columns = (super().situation_ids(states), states.positions, states.levers)
        keys = list(zip(*(column.tolist() for column in columns), strict=True))
        fresh = sorted(set(keys))
        for i in self._order.permutation(len(fresh)):
            self._numbers.number(fresh[i])
        return np.array([self._numbers.known(key) for key in keys], dtype=np.int64)

    def describe(self, situation_id: int) -> str:
        corridor, position, lever = self._numbers.key(situation_id)
        return f"{super().describe(corridor)}\ncells: {position}, {lever}"

    def read(self, text: str) -> int:
        corridor, _, cells = text.rpartition("\ncells: ")
        position, lever = map(int, cells.split(", "))
        texts = [Corridor.describe(self, n) for n in range(4)]
        return self._numbers.number((texts.index(corridor), position, lever))

    def options(self, situation_id: int) -> tuple[Option, ...]:
        return super().options(self._numbers.key(situation_id)[0])

    def snapshot(self) -> dict[str, Any]:
        return {"situations": list(map(list, self._numbers.keys()))}

    def restore(self, record: Mapping[str, Any]) -> None:
        keys = [
            (int(corridor), int(at), int(lever)) for corridor, at, lever in record["situations"]
        ]
        if not all(0 <= c < 4 and PIT < at < EXIT and PIT < lever < EXIT for c, at, lever in keys):
            raise ValueError("there are no such situations")
        self._numbers.restore(keys)
