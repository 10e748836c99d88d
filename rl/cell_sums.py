"""A dense layer over category codes, computed by adding up rows in place of multiplying zeros.

One-hot cells times a matrix is a sum of as many of its rows as there are cells. PyTorch's own
`embedding_bag` is as quick forwards, but sorts all indices on the way back; these loops do not.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import torch
from numba import njit
from torch import Tensor, nn
from torch.nn import functional

from rl.task import CodeArray, FloatArray, IntArray, ObservationSpec

_GAIN: Final = math.sqrt(2)


class CellSums(nn.Module):
    """From codes [B, H, W] to [B, width]: each cell adds a row for each part of its code.

    A code's parts are given by `ObservationSpec.parts`, such as kind and colour: what is learned
    of a red key helps with a blue one. Orthogonal initialisation, scaled so that the sums have the
    variance that gain sqrt(2) gives a dense layer of as many inputs as rows are added.
    """

    def __init__(self, spec: ObservationSpec, width: int) -> None:
        super().__init__()
        cells = spec.height * spec.width
        if not cells or not spec.num_codes:
            raise ValueError("a picture needs a height, a width and codes")
        parts = np.array(spec.parts or [[code] for code in range(spec.num_codes)], dtype=np.int64)
        sizes = parts.max(axis=0) + 1
        # rows[c, k]: the table's first row of part k in cell c.
        starts = cells * np.concatenate(([0], sizes.cumsum()[:-1]))
        rows = starts + np.arange(cells)[:, None] * sizes
        self._parts: Tensor
        self._rows: Tensor
        self.register_buffer("_parts", torch.from_numpy(parts), persistent=False)
        self.register_buffer("_rows", torch.from_numpy(rows), persistent=False)
        self.table = nn.Parameter(torch.empty(num_rows(spec), width))
        self.bias = nn.Parameter(torch.zeros(width))
        added = cells * len(sizes)
        nn.init.orthogonal_(self.table, _GAIN * math.sqrt(len(self.table) / added))

    def forward(self, codes: Tensor) -> Tensor:
        """codes: uint8 [B, H, W]. Returns float32 [B, width]."""
        flat = codes.reshape(len(codes), -1)
        if codes.device.type == "cpu":
            sums: Tensor = _Sum.apply(  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
                self.table, flat, self._parts, self._rows
            )
        else:
            sums = self.by_index(flat)
        return sums + self.bias

    def by_index(self, codes: Tensor) -> Tensor:
        """The sums on any device. codes: uint8 [B, H * W]. Returns float32 [B, width]."""
        index = self._parts[codes.long()] + self._rows
        return functional.embedding_bag(index.flatten(1), self.table, mode="sum")


def num_rows(spec: ObservationSpec) -> int:
    """How many rows the table has for a picture: one a cell for each value of each part."""
    sizes = [max(values) + 1 for values in zip(*spec.parts, strict=True)] or [spec.num_codes]
    return int(spec.height * spec.width * sum(sizes))


class _Sum(torch.autograd.Function):
    """The sums and their gradient on the CPU."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, codes: Tensor, parts: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(codes, parts, rows)
        ctx.shape = table.shape
        sums = torch.empty(len(codes), table.shape[1])
        _add_rows(codes.numpy(), parts.numpy(), rows.numpy(), table.detach().numpy(), sums.numpy())
        return sums

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None, None, None]:
        codes, parts, rows = ctx.saved_tensors
        grad = torch.zeros(ctx.shape)
        _scatter_rows(
            codes.numpy(), parts.numpy(), rows.numpy(), grads[0].contiguous().numpy(), grad.numpy()
        )
        return grad, None, None, None


@njit(cache=True, nogil=True)
def _add_rows(
    codes: CodeArray, parts: IntArray, rows: IntArray, table: FloatArray, sums: FloatArray
) -> None:
    """sums[b] = sum over cells and parts of the table's rows.

    Four rows are added to a sum at once: it is read and written a quarter as often.
    """
    per_code = parts.shape[1]
    added = codes.shape[1] * per_code
    index = np.empty(added, np.int64)
    for b in range(codes.shape[0]):
        out = sums[b]
        for h in range(out.shape[0]):
            out[h] = 0.0
        for c in range(codes.shape[1]):
            if codes[b, c] >= parts.shape[0]:
                raise IndexError("a category code is not below num_codes")
            for k in range(per_code):
                index[c * per_code + k] = rows[c, k] + parts[codes[b, c], k]
        whole = added - added % 4
        for r in range(0, whole, 4):
            one, two = table[index[r]], table[index[r + 1]]
            three, four = table[index[r + 2]], table[index[r + 3]]
            for h in range(out.shape[0]):
                out[h] += (one[h] + two[h]) + (three[h] + four[h])
        for r in range(whole, added):
            row = table[index[r]]
            for h in range(out.shape[0]):
                out[h] += row[h]


@njit(cache=True, nogil=True)
def _scatter_rows(
    codes: CodeArray, parts: IntArray, rows: IntArray, grads: FloatArray, table: FloatArray
) -> None:
    """Add each sum's gradient to the rows that it was made of.

    Cell by cell: its rows stay in the processor's nearest cache.
    """
    for c in range(codes.shape[1]):
        for b in range(codes.shape[0]):
            grad = grads[b]
            for k in range(parts.shape[1]):
                row = table[rows[c, k] + parts[codes[b, c], k]]
                for h in range(grad.shape[0]):
                    row[h] += grad[h]
