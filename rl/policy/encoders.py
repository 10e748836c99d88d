"""Encoders: from one key of an observation to a vector, chosen by the key's space.

a vector         a dense layer, after normalisation where that is asked for
CategoryGrid     a sum of rows, one for each cell's category, or two 3x3 convolutions
a picture        convolutions
Discrete, MultiDiscrete    an embedding for each category
Tokens           embeddings of the words, weighted by their places and added up
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional

from tutelage.rl.policy.category_embedding import CategoryEmbeddingSum, num_rows, sum_of_rows
from tutelage.rl.policy.settings import SMALLEST_CONV, StudentSettings
from tutelage.rl.tasks.action_targets import center_and_half
from tutelage.rl.tasks.spaces import CategoryGrid, Tokens, is_picture, is_vector

_GRID_CHANNELS: Final = 32
_CLIP: Final = 10.0
"""Normalised observations are clipped to this, as in Stable-Baselines3's VecNormalize."""
_FARTHEST: Final = 1e12
"""Vectors are clipped to this before they are counted and normalised. Variances are kept in
float32, where squares overflow from 2e19 on: one such number would spoil them for good."""
_WORD_SIZE: Final = 32
_BUCKETS: Final = (509, 521)
"""Rows of the two tables that a word's token is looked up in; primes, so that two words that share
a row of one hardly ever share that of the other (Svenstrup et al. 2017, "Hash Embeddings")."""
_NATURE: Final = ((32, 8, 4), (64, 4, 2), (64, 3, 1))
"""(channels, kernel, stride) of Mnih et al. 2015, for sides of at least `_LARGE` pixels."""
_SMALL: Final = ((16, 4, 2), (32, 3, 2), (32, 3, 2))
_LARGE: Final = 64
SMALLEST_PICTURE: Final = 8


def make_encoder(space: spaces.Space[Any], settings: StudentSettings, normalise: bool) -> nn.Module:
    """The encoder of a space, to float32 [B, settings.hidden].

    Raises ValueError for a space that has none, and for a picture that is too small.
    """
    width = settings.hidden
    if isinstance(space, CategoryGrid):
        if settings.body == "dense":
            return CategoryEmbeddingSum(space, width)
        return _grid_convolutions(space, settings)
    if isinstance(space, Tokens):
        return TokenEncoder(space, width)
    if is_vector(space):
        return VectorEncoder(space, width, normalise)
    if is_picture(space):
        return PictureEncoder(space, width)
    return CategoryEncoder(_sizes(space), width)


def least_weights(space: spaces.Space[Any], settings: StudentSettings) -> int:
    """The number of weights of an encoder's largest layer: a policy's file must hold as many.

    Raises ValueError as `make_encoder` does.
    """
    if isinstance(space, CategoryGrid):
        inputs = num_rows(space) if settings.body == "dense" else _grid_size(space)
    elif isinstance(space, Tokens):
        inputs = _WORD_SIZE
    elif is_vector(space):
        inputs = space.shape[0] if space.shape else 0
    elif is_picture(space):
        inputs = _flat_size(space)[1]
    else:
        inputs = sum(_sizes(space))
    return inputs * settings.hidden


class Normaliser(nn.Module):
    """Subtracts a running mean and divides by a running standard deviation, then clips.

    Before anything was seen, mean and variance are those of the uniform distribution between the
    bounds, or between -1 and 1 where there are none. `update` is the parallel algorithm of Chan et
    al. 1979.
    """

    def __init__(self, space: spaces.Box) -> None:
        super().__init__()
        center, half = center_and_half(space.low, space.high)
        self.mean: Tensor
        self.variance: Tensor
        self.count: Tensor
        self.register_buffer("mean", torch.from_numpy(center))
        self.register_buffer("variance", torch.from_numpy(np.maximum(half**2 / 3, 1e-12)))
        self.register_buffer("count", torch.zeros(()))

    def forward(self, vectors: Tensor) -> Tensor:
        """Normalised vectors, float32 [..., F]."""
        vectors = vectors.clamp(-_FARTHEST, _FARTHEST)
        normal = (vectors - self.mean) * torch.rsqrt(self.variance + 1e-8)
        return normal.clamp(-_CLIP, _CLIP)

    @torch.no_grad()
    def update(self, vectors: Tensor) -> None:
        """Count more vectors, floats of any type [B, F]."""
        vectors = vectors.double().clamp(-_FARTHEST, _FARTHEST)
        added = len(vectors)
        mean, variance = vectors.mean(dim=0), vectors.var(dim=0, unbiased=False)
        count = self.count.double()
        total = count + added
        difference = mean - self.mean
        spread = self.variance * count + variance * added
        spread += difference.square() * count * added / total
        self.mean.copy_(self.mean + difference * added / total)
        self.variance.copy_(spread / total)
        self.count.copy_(total)


class VectorEncoder(nn.Linear):
    """A dense layer over a vector."""

    def __init__(self, space: spaces.Space[Any], width: int, normalise: bool) -> None:
        assert isinstance(space, spaces.Box)
        super().__init__(space.shape[0], width)
        self.normaliser = Normaliser(space) if normalise else None

    def forward(self, vectors: Tensor) -> Tensor:
        """From floats of any type [B, F] to [B, width], of the weights' type."""
        vectors = vectors.to(self.weight.dtype)
        return super().forward(vectors if self.normaliser is None else self.normaliser(vectors))


class CategoryEncoder(nn.Module):
    """A row of a table for each category. Numbers count from the space's `start`.

    Orthogonal initialisation, scaled so that the sums have the variance that gain sqrt(2) gives a
    dense layer of as many inputs as rows are added.
    """

    def __init__(self, sizes: list[int], width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(sum(sizes), width))
        self._starts: Tensor
        starts = torch.tensor([0, *np.cumsum(sizes)[:-1].tolist()])
        self.register_buffer("_starts", starts, persistent=False)
        nn.init.orthogonal_(self.table, math.sqrt(2 * len(self.table) / len(sizes)))

    def forward(self, categories: Tensor) -> Tensor:
        """From int64 [B] or [B, parts], from 0, to [B, width]."""
        index = categories.reshape(categories.shape[0], -1) + self._starts
        return sum_of_rows(self.table, index)


class PictureEncoder(nn.Module):
    """Convolutions over a picture, then a dense layer."""

    def __init__(self, space: spaces.Space[Any], width: int) -> None:
        super().__init__()
        layers, flat = _flat_size(space)
        assert space.shape is not None
        channels = space.shape[2]
        modules: list[nn.Module] = []
        for out, kernel, stride in layers:
            modules += [nn.Conv2d(channels, out, kernel, stride), nn.ReLU()]
            channels = out
        self.convolutions = nn.Sequential(*modules, nn.Flatten(), nn.Linear(flat, width))

    def forward(self, pictures: Tensor) -> Tensor:
        """From uint8 [B, H, W, C] to [B, width]."""
        encoded: Tensor = self.convolutions(pictures.permute(0, 3, 1, 2).float() / 255)
        return encoded


class TokenEncoder(nn.Module):
    """The words of a text: embeddings, weighted by their places, and a dense layer of their sum.

    The weights are the position encoding of Sukhbaatar et al. 2015 ("End-To-End Memory Networks",
    section 4.1), by which the order of words counts:
    l[j, k] = (1 - j / J) - (k / d) (1 - 2 j / J), with j = 1..J the place and k = 1..d the entry.
    """

    def __init__(self, space: Tokens, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(sum(_BUCKETS), _WORD_SIZE))
        nn.init.normal_(self.table)
        self.dense = nn.Linear(_WORD_SIZE, width)
        place = torch.arange(1, space.length + 1)[:, None] / space.length
        entry = torch.arange(1, _WORD_SIZE + 1) / _WORD_SIZE
        self._places: Tensor
        places = (1 - place) - entry * (1 - 2 * place)
        self.register_buffer("_places", places, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """From int32 [B, L] to [B, width]."""
        tokens = tokens.long()
        rows = torch.stack((tokens % _BUCKETS[0], _BUCKETS[0] + tokens % _BUCKETS[1]), dim=2)
        words = functional.embedding(rows, self.table).sum(dim=2)
        there = (tokens > 0)[:, :, None]
        summed = (words * there * self._places).sum(dim=1)
        # A sum of n such words has n times the variance of one.
        encoded: Tensor = self.dense(summed / there.sum(dim=1).clamp(min=1).sqrt())
        return encoded


class _CodeEmbedding(nn.Embedding):
    """From uint8 codes [B, H, W], as observations store them, to [B, C, H, W]."""

    def forward(self, codes: Tensor) -> Tensor:
        return super().forward(codes.int()).permute(0, 3, 1, 2)


def _grid_convolutions(space: CategoryGrid, settings: StudentSettings) -> nn.Module:
    """From codes [B, H, W] to [B, hidden]."""
    return nn.Sequential(
        _CodeEmbedding(space.num_codes, settings.embedding),
        nn.Conv2d(settings.embedding, _GRID_CHANNELS, 3),
        nn.ReLU(),
        nn.Conv2d(_GRID_CHANNELS, _GRID_CHANNELS, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(_grid_size(space), settings.hidden),
    )


def _grid_size(space: CategoryGrid) -> int:
    """Size of the convolutions' output. Raises ValueError for too small a picture."""
    if min(space.height, space.width) < SMALLEST_CONV:
        raise ValueError(
            f"a picture of {space.height} x {space.width} cells is too small for the conv body;"
            f" allowed: {SMALLEST_CONV} x {SMALLEST_CONV} and more, or the dense body"
        )
    # Each 3x3 convolution takes a cell off every side.
    return _GRID_CHANNELS * (space.height - 4) * (space.width - 4)


def _flat_size(space: spaces.Space[Any]) -> tuple[list[tuple[int, int, int]], int]:
    """The convolutions of a picture, those that it is large enough for, and their output's size.

    Raises ValueError for too small a picture.
    """
    assert space.shape is not None
    height, width, channels = space.shape
    if min(height, width) < SMALLEST_PICTURE:
        raise ValueError(
            f"a picture of {height} x {width} pixels is too small; allowed: "
            f"{SMALLEST_PICTURE} x {SMALLEST_PICTURE} and more"
        )
    layers = []
    for channels_out, kernel, stride in _NATURE if min(height, width) >= _LARGE else _SMALL:
        if min(height, width) >= kernel:
            layers.append((channels_out, kernel, stride))
            height, width = (height - kernel) // stride + 1, (width - kernel) // stride + 1
            channels = channels_out
    return layers, channels * height * width


def _sizes(space: spaces.Space[Any]) -> list[int]:
    """The number of categories of each part. Raises ValueError for a space without categories."""
    if isinstance(space, spaces.Discrete):
        return [int(space.n)]
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        return [int(n) for n in space.nvec]
    raise ValueError(f"there is no encoder for the space {space}")
