"""A dense layer over one-hot category codes, computed by adding up rows of its weights.

One-hot cells times a matrix is a sum of as many of its rows as there are cells. PyTorch's own
`embedding_bag` is as quick forwards, but sorts all indices backwards; these loops do not.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tutelage.rl.kernels import njit
from tutelage.rl.tasks.arrays import CodeArray, FloatArray, IntArray
from tutelage.rl.tasks.spaces import CategoryGrid

_GAIN: Final = math.sqrt(2)


class CategoryEmbeddingSum(nn.Module):
    """From codes [B, H, W] to [B, width]: each cell adds a row for each attribute of its code.

    A code's attributes are given by `CategoryGrid.attributes`, such as kind and colour: what is
    learned of a red key helps with a blue one. Orthogonal initialisation, scaled so that the sums
    have the variance that gain sqrt(2) gives a dense layer of as many inputs as rows are added.
    """

    def __init__(self, space: CategoryGrid, width: int) -> None:
        super().__init__()
        cells = space.height * space.width
        attributes = np.array(
            space.attributes or [[code] for code in range(space.num_codes)], dtype=np.int64
        )
        sizes = attributes.max(axis=0) + 1
        # rows[c, k]: the table's first row of attribute k in cell c.
        starts = cells * np.concatenate(([0], sizes.cumsum()[:-1]))
        rows = starts + np.arange(cells)[:, None] * sizes
        self._attributes: Tensor
        self._rows: Tensor
        self.register_buffer("_attributes", torch.from_numpy(attributes), persistent=False)
        self.register_buffer("_rows", torch.from_numpy(rows), persistent=False)
        self.table = nn.Parameter(torch.empty(num_rows(space), width))
        self.bias = nn.Parameter(torch.zeros(width))
        added = cells * len(sizes)
        nn.init.orthogonal_(self.table, _GAIN * math.sqrt(len(self.table) / added))

    def forward(self, codes: Tensor, added: Tensor | None = None) -> Tensor:
        """The sums, float32 [B, width], of the codes' rows, the bias, and `added` of that shape.

        codes: uint8 [B, H, W].
        """
        flat = codes.flatten(1)
        begun = self.bias.expand(codes.shape[0], -1) if added is None else added + self.bias
        # What leaves the program (`rl.policy.portable`) cannot take compiled loops along.
        if codes.device.type != "cpu" or torch.compiler.is_exporting():
            return begun + self.by_index(flat)
        if not torch.is_grad_enabled():
            return self._sums(flat, begun)
        sums: Tensor = _Sum.apply(self.table, begun, flat, self)  # type: ignore[no-untyped-call]  # PyTorch's
        return sums

    def add_rows(self, codes: Tensor, sums: Tensor) -> None:
        """Add the codes' rows to sums, float32 [B, width], in place; on the CPU, without autograd.

        codes: uint8 [B, H * W]. Raises IndexError for a code that is not below num_codes.
        """
        attributes, rows = self._attributes.numpy(), self._rows.numpy()
        table = self.table.detach().numpy()
        code_rows = np.empty((len(rows), len(attributes), table.shape[1]), np.float32)
        _add_rows(codes.numpy(), attributes, rows, table, code_rows, sums.numpy())

    def scatter_rows(self, codes: Tensor, by_sums: Tensor, by_table: Tensor) -> None:
        """Add the sums' gradient, float32 [B, width], to the table's; on the CPU."""
        attributes, rows = self._attributes.numpy(), self._rows.numpy()
        grads = by_sums.contiguous().numpy()
        _scatter_rows(codes.numpy(), attributes, rows, grads, by_table.numpy())

    def _sums(self, codes: Tensor, begun: Tensor) -> Tensor:
        """The codes' rows added to a copy of `begun`; as `add_rows`."""
        sums = begun.detach().clone(memory_format=torch.contiguous_format)
        self.add_rows(codes, sums)
        return sums

    def by_index(self, codes: Tensor) -> Tensor:
        """The sums on any device. codes: uint8 [B, H * W]. Returns float32 [B, width]."""
        index = self._attributes[codes.long()] + self._rows
        return sum_of_rows(self.table, index.flatten(1))


def sum_of_rows(table: Tensor, index: Tensor) -> Tensor:
    """From rows int64 [B, n] of a table [rows, width] to their sums [B, width]."""
    if torch.compiler.is_exporting():  # as ONNX, which has no bags, the other would be a loop
        return functional.embedding(index, table).sum(dim=1)
    return functional.embedding_bag(index, table, mode="sum")


def num_rows(space: CategoryGrid) -> int:
    """The table's number of rows: one for each cell and each value of each attribute."""
    sizes = [max(values) + 1 for values in zip(*space.attributes, strict=True)] or [space.num_codes]
    return int(space.height * space.width * sum(sizes))


class _Sum(torch.autograd.Function):
    """A layer's sums, and their gradients by its table and by `begun`."""

    @staticmethod
    def forward(
        ctx: Any, table: Tensor, begun: Tensor, codes: Tensor, layer: CategoryEmbeddingSum
    ) -> Tensor:
        ctx.save_for_backward(codes)
        ctx.layer, ctx.shape = layer, table.shape
        return layer._sums(codes, begun)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
        (codes,) = ctx.saved_tensors
        by_table = torch.zeros(ctx.shape)
        ctx.layer.scatter_rows(codes, grads[0], by_table)
        return by_table, grads[0], None, None


@njit(cache=True, nogil=True)
def _add_rows(
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
    out[:] = table[starts[0] + values[0]]
    for k in range(1, len(values)):
        row = table[starts[k] + values[k]]
        for h in range(out.shape[0]):
            out[h] += row[h]


@njit(cache=True, nogil=True)
def _scatter_rows(
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
