"""The GRU's own unrolling against PyTorch's cell and its autograd."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from tutelage.rl.policy.gru import unrolled


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 3, 5), (32, 16, 128)])
def test_outputs_and_gradients_are_those_of_pytorchs_cell(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    steps, rows, size = shape
    cell = nn.GRUCell(size, size).double()
    seen = torch.randn(steps, rows, size, dtype=torch.float64, requires_grad=True)
    starts = torch.rand(steps, rows) < 0.2
    first = torch.randn(rows, size, dtype=torch.float64)
    wanted = torch.randn(steps, rows, size, dtype=torch.float64)

    hidden, outputs = first, []
    for t in range(steps):
        hidden = cell(seen[t], torch.where(starts[t][:, None], 0.0, hidden))
        outputs.append(hidden)
    expected = torch.stack(outputs)
    gates = functional.linear(seen, cell.weight_ih, cell.bias_ih)
    found = unrolled(gates, starts, first, cell.weight_hh, cell.bias_hh)

    torch.testing.assert_close(found, expected)
    leaves = (seen, *cell.parameters())
    for one, other in zip(
        torch.autograd.grad((found * wanted).sum(), leaves),
        torch.autograd.grad((expected * wanted).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(one, other)
