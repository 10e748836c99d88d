"""The loops of a category embedding sum on the CPU, apart from PyTorch, which loads slowly."""

from __future__ import annotations

import numpy as np

from tutelage.rl.kernels import njit
from tutelage.rl.tasks.arrays import CodeArray, FloatArray, IntArray


@njit(cache=True, nogil=True)
def add_rows(
    codes: CodeArray,
    attributes: IntArray,
    rows: IntArray,
    table: FloatArray,
    code_rows: FloatArray,
    sums: FloatArray,
) -> None:
    """To sums[b], add the table's rows over cells and attributes.

    code_rows: float32 [cells, codes, width], room for the sum of the rows of each code met in a
    cell, which are added up once for all pictures. Four of them are added to a sum at once: it is
    read and written a quarter as often.
    """
    num_cells = codes.shape[1]
    is_added_up = np.zeros((num_cells, attributes.shape[0]), np.bool_)
    for b in range(codes.shape[0]):
        for c in range(num_cells):
            code = codes[b, c]
            if code >= attributes.shape[0]:
                raise IndexError("a category code is not below num_codes")
            if not is_added_up[c, code]:
                is_added_up[c, code] = True
                _add_up_rows(table, rows[c], attributes[code], code_rows[c, code])
    whole = num_cells - num_cells % 4
    for b in range(codes.shape[0]):
        out = sums[b]
        for c in range(0, whole, 4):
            one, two = code_rows[c, codes[b, c]], code_rows[c + 1, codes[b, c + 1]]
            three, four = code_rows[c + 2, codes[b, c + 2]], code_rows[c + 3, codes[b, c + 3]]
            for h in range(out.shape[0]):
                out[h] += (one[h] + two[h]) + (three[h] + four[h])
        for c in range(whole, num_cells):
            row = code_rows[c, codes[b, c]]
            for h in range(out.shape[0]):
                out[h] += row[h]


@njit(cache=True, nogil=True)
def _add_up_rows(table: FloatArray, starts: IntArray, values: IntArray, out: FloatArray) -> None:
    """Add up the rows of one code in one cell. starts: each attribute's first row."""
    # By numbers: to copy an array, numba compiles what its error would say, strings and all.
    first = table[starts[0] + values[0]]
    for h in range(out.shape[0]):
        out[h] = first[h]
    for k in range(1, len(values)):
        row = table[starts[k] + values[k]]
        for h in range(out.shape[0]):
            out[h] += row[h]


@njit(cache=True, nogil=True)
def scatter_rows(
    codes: CodeArray, attributes: IntArray, rows: IntArray, grads: FloatArray, table: FloatArray
) -> None:
    """Add each sum's gradient to the gradients of its rows.

    Cell by cell, first to one row a code, which stay in the processor's nearest cache, then to the
    rows of the code's attributes.
    """
    by_code = np.empty((attributes.shape[0], grads.shape[1]), np.float32)
    for c in range(codes.shape[1]):
        by_code[:] = 0.0
        for b in range(codes.shape[0]):
            grad, row = grads[b], by_code[codes[b, c]]
            for h in range(grad.shape[0]):
                row[h] += grad[h]
        for code in range(attributes.shape[0]):
            for k in range(attributes.shape[1]):
                row = table[rows[c, k] + attributes[code, k]]
                for h in range(row.shape[0]):
                    row[h] += by_code[code, h]


def rehearse() -> None:
    """Call each once, with arrays of one cell and code, so that it is compiled and kept."""
    codes, ones = np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.int64)
    table, sums = np.zeros((1, 1), np.float32), np.zeros((1, 1), np.float32)
    add_rows(codes, ones, ones, table, np.zeros((1, 1, 1), np.float32), sums)
    scatter_rows(codes, ones, ones, sums, table)
