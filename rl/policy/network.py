"""The policy's network: an actor-critic over a picture of category codes and some features."""

from __future__ import annotations

import math
from typing import Final

from torch import Tensor, nn
from torch.nn import functional

from tutelage.rl.policy.category_embedding import CategoryEmbeddingSum, num_rows
from tutelage.rl.policy.gru import unrolled
from tutelage.rl.policy.settings import SMALLEST_CONV, StudentSettings
from tutelage.rl.tasks.base import ObservationSpec

_CHANNELS: Final = 32


class PolicyNetwork(nn.Module):
    """The encodings of picture and features are added; then a GRU, if any, a layer and two heads.

    Policy and value share everything but the heads. Orthogonal initialisation: gain
    sqrt(2) in the layers, 1 in the GRU, 0.01 for the policy's and 1 for the value's head
    (Andrychowicz et al. 2021, "What Matters In On-Policy Reinforcement Learning?").
    """

    def __init__(self, spec: ObservationSpec, num_actions: int, settings: StudentSettings) -> None:
        super().__init__()
        width = settings.hidden
        self.memory_size = width if settings.memory == "gru" else 0
        inputs = spec.features + (num_actions if self.memory_size else 0)
        self.picture = _picture_encoder(spec, settings) if spec.height else None
        self.features = nn.Linear(inputs, width) if inputs else None
        self.memory = nn.GRUCell(width, width) if self.memory_size else None
        self.trunk = nn.Linear(width, width)
        self.policy_head = nn.Linear(width, num_actions)
        self.value_head = nn.Linear(width, 1)
        self._initialise()

    def forward(self, codes: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [B, A] and values [B], for a network without memory.

        codes: uint8 [B, H, W]; features: float32 [B, F].
        """
        return self._heads(self._encode(codes, features))

    def step(self, codes: Tensor, features: Tensor, hidden: Tensor) -> tuple[Tensor, ...]:
        """One step of a network with memory: logits [B, A], values [B], and the new hidden state.

        features: float32 [B, F + A], the previous action's one-hot last; hidden: [B, memory_size].
        """
        assert self.memory is not None
        hidden = self.memory(self._encode(codes, features), hidden)
        return *self._heads(hidden), hidden

    def unroll(
        self, codes: Tensor, features: Tensor, starts: Tensor, hidden: Tensor
    ) -> tuple[Tensor, Tensor]:
        """T steps of B sequences: logits [T * B, A] and values [T * B], time-major.

        codes: uint8 [T, B, H, W]; features: float32 [T, B, F + A]; starts: bool [T, B], where an
        episode begins and the hidden state is reset; hidden: float32 [B, memory_size].
        """
        assert self.memory is not None
        steps, rows = starts.shape
        encoded = self._encode(codes.flatten(0, 1), features.flatten(0, 1))
        # The inputs' share of the gates, for all steps at once.
        gates = functional.linear(encoded, self.memory.weight_ih, self.memory.bias_ih)
        outputs = unrolled(
            gates.view(steps, rows, -1),
            starts,
            hidden,
            self.memory.weight_hh,
            self.memory.bias_hh,
        )
        return self._heads(outputs.flatten(0, 1))

    def _encode(self, codes: Tensor, features: Tensor) -> Tensor:
        by_features = None if self.features is None else self.features(features)
        if self.picture is None:
            assert by_features is not None
            return functional.relu(by_features)
        if isinstance(self.picture, CategoryEmbeddingSum):
            return functional.relu(self.picture(codes, by_features))
        by_picture = self.picture(codes)
        return functional.relu(by_picture if by_features is None else by_picture + by_features)

    def _heads(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        hidden = functional.relu(self.trunk(hidden))
        return self.policy_head(hidden), self.value_head(hidden).squeeze(1)

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.orthogonal_(module.weight, math.sqrt(2))
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        if self.memory is not None:
            for name, parameter in self.memory.named_parameters():
                if name.startswith("bias"):
                    nn.init.zeros_(parameter)
                else:
                    for gate in parameter.data.chunk(3):
                        nn.init.orthogonal_(gate)
        nn.init.orthogonal_(self.policy_head.weight, 0.01)
        nn.init.orthogonal_(self.value_head.weight, 1.0)


def first_layer_size(spec: ObservationSpec, settings: StudentSettings) -> int:
    """The number of weights of the encoders' layers: what a policy's file must hold at least.

    Raises ValueError for a picture too small for its encoder.
    """
    inputs = spec.features
    if spec.height:
        inputs += num_rows(spec) if settings.body == "dense" else _flat_size(spec)
    return inputs * settings.hidden


class _Embedding(nn.Embedding):
    """From uint8 codes [B, H, W], as observations store them, to [B, C, H, W]."""

    def forward(self, codes: Tensor) -> Tensor:
        return super().forward(codes.int()).permute(0, 3, 1, 2)


def _picture_encoder(spec: ObservationSpec, settings: StudentSettings) -> nn.Module:
    """From codes [B, H, W] to [B, hidden]."""
    if settings.body == "dense":
        return CategoryEmbeddingSum(spec, settings.hidden)
    return nn.Sequential(
        _Embedding(spec.num_codes, settings.embedding),
        nn.Conv2d(settings.embedding, _CHANNELS, 3),
        nn.ReLU(),
        nn.Conv2d(_CHANNELS, _CHANNELS, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(_flat_size(spec), settings.hidden),
    )


def _flat_size(spec: ObservationSpec) -> int:
    """Size of the convolutions' output. Raises ValueError for too small a picture."""
    if min(spec.height, spec.width) < SMALLEST_CONV:
        raise ValueError(
            f"a picture of {spec.height} x {spec.width} cells is too small for the conv body;"
            f" allowed: {SMALLEST_CONV} x {SMALLEST_CONV} and more, or the dense body"
        )
    # Each 3x3 convolution takes a cell off every side.
    return _CHANNELS * (spec.height - 4) * (spec.width - 4)
