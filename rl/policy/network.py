"""The policy's network: an actor-critic over observations of any known spaces."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

from tutelage.rl.policy.category_embedding import CategoryEmbeddingSum
from tutelage.rl.policy.encoders import VectorEncoder, make_encoder
from tutelage.rl.policy.gru import unrolled
from tutelage.rl.policy.heads import make_head
from tutelage.rl.policy.settings import StudentSettings
from tutelage.rl.tasks.spaces import ActionSpace, CategoryGrid, ObservationSpace, Tokens, is_picture


class PolicyNetwork(nn.Module):
    """The encodings of an observation's keys are added; then a GRU, if any, a layer and two heads.

    Where there are words and something to see, the words scale and shift the encoding of what is
    seen before it is added (FiLM; Perez et al. 2018, as in BabyAI's own models). A GRU is given the
    previous action too. Policy and value share everything but the heads. Orthogonal initialisation:
    gain sqrt(2) in the layers, 1 in the GRU, 0.01 for the policy's and 1 for the value's head
    (Andrychowicz et al. 2021, "What Matters In On-Policy Reinforcement Learning?").
    """

    def __init__(
        self,
        observation_space: ObservationSpace,
        action_space: ActionSpace,
        settings: StudentSettings,
        normalise: bool,
    ) -> None:
        super().__init__()
        width = settings.hidden
        self.memory_size = width if settings.memory == "gru" else 0
        self.keys = tuple(observation_space)
        # A list: a key may be any text, and PyTorch allows some as a module's name only.
        self.encoders = nn.ModuleList(
            make_encoder(space, settings, normalise) for space in observation_space.values()
        )
        kinds = observation_space.items()
        self._words = {key for key, space in kinds if isinstance(space, Tokens)}
        seen = {key for key, space in kinds if isinstance(space, CategoryGrid) or is_picture(space)}
        self._scaled = seen if self._words else set()
        self.scales = nn.Linear(width, width) if self._scaled else None
        self.memory = nn.GRUCell(width, width) if self.memory_size else None
        self.trunk = nn.Linear(width, width)
        self.policy_head = make_head(action_space, width)
        self.value_head = nn.Linear(width, 1)
        self.previous_action = (
            nn.Linear(self.policy_head.action_size, width, bias=False) if self.memory else None
        )
        self._initialise()

    def forward(self, observation: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Parameters [B, P] of the policy's distributions and values [B]; for one without memory.

        observation: a tensor [B, ...] for each key of the observation space.
        """
        return self._heads(functional.relu(self._encode(observation)))

    def step(
        self, observation: Mapping[str, Tensor], previous: Tensor, hidden: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One step of a network with memory: parameters [B, P], values [B], the new hidden state.

        previous: float32 [B, action_size], the previous action as the head encodes it, zeros at an
        episode's first step; hidden: [B, memory_size].
        """
        assert self.memory is not None
        hidden = self.memory(self._encode_with_action(observation, previous), hidden)
        return *self._heads(hidden), hidden

    def unroll(
        self,
        observation: Mapping[str, Tensor],
        previous: Tensor,
        starts: Tensor,
        hidden: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """T steps of B sequences: parameters [T * B, P] and values [T * B], time-major.

        observation: tensors [T, B, ...]; previous: float32 [T, B, action_size]; starts: bool
        [T, B], where an episode begins and the hidden state is reset; hidden: [B, memory_size].
        """
        assert self.memory is not None
        steps, rows = starts.shape
        encoded = self._encode_with_action(
            {key: tensor.flatten(0, 1) for key, tensor in observation.items()},
            previous.flatten(0, 1),
        )
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

    def count_observations(self, observation: Mapping[str, Tensor]) -> None:
        """Let the normalisers, where there are some, take observations [B, ...] into account."""
        for key, encoder in zip(self.keys, self.encoders, strict=True):
            if isinstance(encoder, VectorEncoder) and encoder.normaliser is not None:
                encoder.normaliser.update(observation[key])

    def _encode_with_action(self, observation: Mapping[str, Tensor], previous: Tensor) -> Tensor:
        assert self.previous_action is not None
        return functional.relu(self._encode(observation) + self.previous_action(previous))

    def _encode(self, observation: Mapping[str, Tensor]) -> Tensor:
        """The keys' encodings put together, float32 [B, width], before the first ReLU."""
        total: Tensor | None = None
        told: Tensor | None = None
        late = []  # what is scaled by the words, and sums of rows, which are added onto the rest
        for key, encoder in zip(self.keys, self.encoders, strict=True):
            if key in self._scaled or isinstance(encoder, CategoryEmbeddingSum):
                late.append((key, encoder))
                continue
            encoded = encoder(observation[key])
            total = encoded if total is None else total + encoded
            if key in self._words:
                told = encoded if told is None else told + encoded
        for key, encoder in late:
            if self.scales is None:
                total = encoder(observation[key], total)
            else:
                assert total is not None
                assert told is not None
                scale = 1 + self.scales(functional.relu(told))
                total = total + scale * encoder(observation[key])
        assert total is not None
        return total

    def _heads(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        hidden = functional.relu(self.trunk(hidden))
        return self.policy_head(hidden), self.value_head(hidden).squeeze(1)

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.orthogonal_(module.weight, math.sqrt(2))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if self.memory is not None:
            for name, parameter in self.memory.named_parameters():
                if name.startswith("bias"):
                    nn.init.zeros_(parameter)
                else:
                    for gate in parameter.data.chunk(3):
                        nn.init.orthogonal_(gate)
        if self.scales is not None:
            nn.init.orthogonal_(self.scales.weight, 0.1)
        nn.init.orthogonal_(self.policy_head.weight, 0.01)
        nn.init.orthogonal_(self.value_head.weight, 1.0)
