"""A GRU's steps over whole sequences, with a backward pass of its own.

PyTorch's autograd keeps a dozen small operations for each step, and adds up the recurrent weight's
gradient step by step; here a step back is a few operations in place, and the weight's gradient one
product over all steps. `torch.nn.GRU` knows no episodes that begin within a sequence.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def unrolled(gates: Tensor, starts: Tensor, hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The hidden states of a GRU (Cho et al. 2014, as PyTorch's `GRUCell`) after each step.

    gates: float32 [T, B, 3 * H], the inputs' share of reset, update and new gate; starts: bool
    [T, B], where the hidden state is reset to 0 before the step; hidden: [B, H], before the first
    step, a constant; weight [3 * H, H], bias [3 * H]: the recurrent ones. Returns [T, B, H].
    """
    outputs: Tensor = _Unroll.apply(  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
        gates, ~starts[:, :, None], hidden, weight, bias
    )
    return outputs


class _Unroll(torch.autograd.Function):
    """Per step, with h the hidden state and (a, b) the slices of gates and of h * weight + bias:
    r, z = sigmoid(a + b); n = tanh(a + r * b); h' = n + z * (h - n).
    """

    @staticmethod
    def forward(
        ctx: Any, gates: Tensor, keep: Tensor, hidden: Tensor, weight: Tensor, bias: Tensor
    ) -> Tensor:
        steps, rows, size = len(gates), *hidden.shape
        kept = gates.new_empty(steps, rows, size)
        outputs, new, own_new = (torch.empty_like(kept) for _ in range(3))
        both = gates.new_empty(steps, rows, 2 * size)
        transposed = weight.t()
        for t in range(steps):
            torch.mul(hidden, keep[t], out=kept[t])
            own = torch.addmm(bias, kept[t], transposed)
            torch.add(gates[t, :, : 2 * size], own[:, : 2 * size], out=both[t]).sigmoid_()
            own_new[t] = own[:, 2 * size :]
            torch.addcmul(
                gates[t, :, 2 * size :], both[t, :, :size], own_new[t], out=new[t]
            ).tanh_()
            hidden = torch.lerp(new[t], kept[t], both[t, :, size:], out=outputs[t])
        ctx.save_for_backward(keep, kept, both, new, own_new, weight)
        return outputs

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
        keep, kept, both, new, own_new, weight = ctx.saved_tensors
        steps, rows, size = kept.shape
        reset, update = both[..., :size], both[..., size:]
        # What does not depend on the steps after it, for all steps at once: the factors of the
        # hidden state's gradient in the gradients of the three gates.
        to_new = (1 - update) * (1 - new.square())
        factors = torch.cat(
            (
                to_new * own_new * reset * (1 - reset),
                (kept - new) * update * (1 - update),
                to_new * reset,
            ),
            dim=2,
        ).view(steps, rows, 3, size)
        own = torch.empty_like(factors)
        carried = torch.zeros_like(kept[0])
        by_hidden = torch.empty_like(kept)
        for t in range(steps - 1, -1, -1):
            hidden = torch.add(grads[0][t], carried, out=by_hidden[t])
            torch.mul(hidden[:, None], factors[t], out=own[t])
            carried = torch.addmm(hidden * update[t], own[t].view(rows, -1), weight).mul_(keep[t])
        flat = own.view(steps * rows, 3 * size)
        inputs = torch.cat((own[:, :, :2].flatten(2), to_new.mul_(by_hidden)), dim=2)
        return inputs, None, None, flat.t() @ kept.view(-1, size), flat.sum(dim=0)
