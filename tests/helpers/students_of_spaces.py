"""Students of every kind of space with random weights, and episodes of theirs, step by step."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from tutelage.rl.policy.heads import num_outputs
from tutelage.rl.policy.policy import Policy, PolicySpec
from tutelage.rl.policy.settings import StudentSettings
from tutelage.rl.tasks.spaces import (
    CategoryGrid,
    ObservationSpace,
    Tokens,
    is_vector,
    tokens_of,
)

SMALL: Final = StudentSettings(hidden=16, embedding=3)
GRU: Final = SMALL.model_copy(update={"memory": "gru"})
CONV: Final = SMALL.model_copy(update={"body": "conv"})
_GRID: Final = CategoryGrid(5, 5, 6, ((0, 0), (1, 0), (2, 1), (2, 2), (3, 1), (3, 2)))
_VECTOR: Final = spaces.Box(
    np.float32([-1.0, -np.inf, 0.0]), np.float32([1.0, np.inf, 9.0]), dtype=np.float32
)
_THREE: Final = spaces.Discrete(3)
_WORDS: Final = ("go", "to", "the", "red", "blue", "key", "door")

KINDS: Final[dict[str, tuple[ObservationSpace, Any, StudentSettings]]] = {
    "grid": ({"grid": _GRID, "features": _VECTOR}, _THREE, SMALL),
    "conv": ({"grid": _GRID, "features": _VECTOR}, _THREE, CONV),
    "gru": ({"grid": _GRID, "features": _VECTOR}, spaces.Discrete(3, start=-1), GRU),
    "box": (
        {"observation": _VECTOR},
        spaces.Box(np.array([-2.0, -np.inf]), np.array([0.5, np.inf]), dtype=np.float64),
        SMALL,
    ),
    "box gru": ({"observation": _VECTOR}, spaces.Box(-0.1, 0.3, (2,)), GRU),
    "multi-discrete": (
        {"a.b": spaces.Discrete(4, start=2), "c": spaces.MultiDiscrete([2, 3], start=[1, -1])},
        spaces.MultiDiscrete([2, 4], start=[0, 5]),
        SMALL,
    ),
    "multi-discrete gru": ({"observation": _VECTOR}, spaces.MultiDiscrete([2, 4]), GRU),
    "picture": ({"observation": spaces.Box(0, 255, (16, 12, 3), np.uint8)}, _THREE, SMALL),
    "tokens": ({"observation": Tokens(6)}, _THREE, SMALL),
    "words over a grid": ({"grid": _GRID, "mission": Tokens(6)}, _THREE, SMALL),
    "names of others": (
        dict.fromkeys(("value", "value_", "hidden", "linear", "add", "relu", "action"), _VECTOR),
        _THREE,
        GRU,
    ),
}
"""By name: observation space, action space, settings."""


def student_of(kind: str, masks_actions: bool = False) -> Policy:
    """A student of one of the kinds, whose every weight and statistic counts."""
    observation_space, action_space, settings = KINDS[kind]
    names = tuple(map(str, range(num_outputs(action_space))))
    spec = PolicySpec(
        "a task", observation_space, action_space, names, masks_actions, True, settings, {"side": 9}
    )
    with torch.random.fork_rng():
        torch.manual_seed(3)
        student = Policy(spec, torch.device("cpu"))
        with torch.no_grad():
            for name, tensor in student.network.state_dict().items():
                if tensor.is_floating_point():
                    noise = torch.randn_like(tensor)
                    positive = name.endswith(("variance", "count"))
                    tensor.copy_(noise.square() + 0.5 if positive else tensor + 0.1 * noise)
    return student


def observations_of(space: ObservationSpace, rows: int, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Random observations of a student, a batch."""
    rng = np.random.default_rng(seed)
    return {
        key: np.stack([_element(each, rng) for _ in range(rows)]) for key, each in space.items()
    }


def _element(space: spaces.Space[Any], rng: np.random.Generator) -> NDArray[Any]:
    if isinstance(space, Tokens):
        return tokens_of(
            " ".join(rng.choice(_WORDS, rng.integers(0, space.length + 2))), space.length
        )
    if is_vector(space):
        return rng.normal(0, 3, space.shape).astype(np.float32)
    if isinstance(space, spaces.Box):
        return rng.integers(0, int(space.high.max()) + 1, space.shape).astype(space.dtype)
    high = space.n if isinstance(space, spaces.Discrete) else space.nvec
    return np.asarray(rng.integers(0, high))
