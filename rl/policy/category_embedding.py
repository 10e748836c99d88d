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

from tutelage.rl.policy.embedding_kernels import add_rows, scatter_rows
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
        add_rows(codes.numpy(), attributes, rows, table, code_rows, sums.numpy())

    def scatter_rows(self, codes: Tensor, by_sums: Tensor, by_table: Tensor) -> None:
        """Add the sums' gradient, float32 [B, width], to the table's; on the CPU."""
        attributes, rows = self._attributes.numpy(), self._rows.numpy()
        grads = by_sums.contiguous().numpy()
        scatter_rows(codes.numpy(), attributes, rows, grads, by_table.numpy())

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
