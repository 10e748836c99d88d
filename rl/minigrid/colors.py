"""Colours renamed: where only their sameness matters, situations need not tell them apart.

A red key with a red door is to a teacher what a blue key with a blue door is. So in tasks that say
nothing of colours, a state's colours are put in an order that depends on what is known of them,
and its situation speaks of the first as red, of the second as green, and so on through MiniGrid's
own order. A teacher is then asked about a sixth of the situations, and what it says of red is
carried out on whatever colour stood first.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tutelage.rl.kernels import njit
from tutelage.rl.minigrid.codes import KEY, NUM_COLORS
from tutelage.rl.tasks.arrays import CodeArray, IntArray

_CARRIED: Final = 64
"""More than all kinds of object together: the colour in hand stands first."""


@njit(cache=True)
def order_colors(cells: CodeArray, carried: int, renamed: bool) -> IntArray:
    """int64 [6]: entry j is the colour that the situation calls by the name of colour j.

    carried: the code of what is carried, 0 for nothing. Colours stand by what is in hand and on the
    map of them (a bit for each kind, keys the lowest, locked doors the highest), equals by their
    number. Not `renamed`, each is called by its own name.
    """
    weights = np.zeros(NUM_COLORS, dtype=np.int64)
    if renamed:
        for cell in cells.flat:
            if cell >= KEY:
                weights[(cell - KEY) % NUM_COLORS] |= 1 << ((cell - KEY) // NUM_COLORS)
        if carried:
            weights[(carried - KEY) % NUM_COLORS] |= _CARRIED
    order = np.arange(NUM_COLORS)
    for color in range(NUM_COLORS):
        place = color
        while place > 0 and weights[order[place - 1]] < weights[color]:
            order[place] = order[place - 1]
            place -= 1
        order[place] = color
    return order


@njit(cache=True)
def ranks_of(order: IntArray) -> IntArray:
    """The inverse of `order_colors`, int64 [6]: by which colour's name each colour is called."""
    ranks = np.empty(NUM_COLORS, dtype=np.int64)
    for j in range(NUM_COLORS):
        ranks[order[j]] = j
    return ranks


@njit(cache=True, inline="always")
def recolored(code: int, colors: IntArray) -> int:
    """The code with its colour replaced by `colors[colour]`; codes without one stay."""
    if code < KEY:
        return code
    kind, color = (code - KEY) // NUM_COLORS, (code - KEY) % NUM_COLORS
    return KEY + kind * NUM_COLORS + int(colors[color])
