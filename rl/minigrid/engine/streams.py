"""NumPy's seeded generator, compiled: the same seed gives the same draws as in MiniGrid.

`gymnasium.utils.seeding.np_random(seed)` is NumPy's PCG64 over a `SeedSequence`. A stream here is
a row of six 64-bit words that holds the same generator:

    0, 1  state, high and low half        2, 3  increment, high and low half
    4     1 while half of a draw is left  5     that half, 32 bits

Sources: M. O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for
Random Number Generation" (HMC-CS-2014-0905), variant XSL RR 128/64; O'Neill's `seed_seq_fe128` for
the seeding; D. Lemire, "Fast Random Integer Generation in an Interval" (ACM TOMACS 29, 2019).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tutelage.rl.kernels import njit
from tutelage.rl.tasks.arrays import IntArray
from tutelage.rl.tasks.base import Split

WordArray = NDArray[np.uint64]
Words32 = NDArray[np.uint32]

STREAM_WORDS: Final = 6
_POOL: Final = 4
_LOW: Final = np.uint64(0xFFFFFFFF)
_U32: Final = np.uint64(32)
_MULTIPLIER_HIGH: Final = np.uint64(2549297995355413924)
_MULTIPLIER_LOW: Final = np.uint64(4865540595714422341)
_EVALUATION_BIT: Final = np.uint64(1 << 62)


@njit(cache=True)
def _hashed(value: np.uint32, constant: Words32, factor: np.uint32) -> np.uint32:
    """One hashing step of the seeding; `constant` (uint32 [1]) advances by `factor`."""
    value = np.uint32(value ^ constant[0])
    constant[0] = np.uint32(constant[0] * factor)
    value = np.uint32(value * constant[0])
    return np.uint32(value ^ (value >> np.uint32(16)))


@njit(cache=True)
def _stir(pool: Words32, place: int, value: np.uint32) -> None:
    """Mix a hashed word into one place of the pool."""
    left = np.uint32(pool[place] * np.uint32(0xCA01F9DD))
    mixed = np.uint32(left - np.uint32(value * np.uint32(0x4973F715)))
    pool[place] = np.uint32(mixed ^ (mixed >> np.uint32(16)))


@njit(cache=True)
def seed_words(entropy: Words32, drawn: WordArray) -> None:
    """Fill `drawn` as `SeedSequence(entropy).generate_state(len(drawn), np.uint64)` does.

    entropy: uint32 [E], a number's words from the lowest; drawn: uint64 [D].
    """
    pool = np.empty(_POOL, np.uint32)
    constant = np.empty(1, np.uint32)
    constant[0] = np.uint32(0x43B0D7E5)
    factor = np.uint32(0x931E8875)
    for i in range(_POOL):
        word = entropy[i] if i < len(entropy) else np.uint32(0)
        pool[i] = _hashed(word, constant, factor)
    for source in range(_POOL):
        for place in range(_POOL):
            if source != place:
                _stir(pool, place, _hashed(pool[source], constant, factor))
    for i in range(_POOL, len(entropy)):
        for place in range(_POOL):
            _stir(pool, place, _hashed(entropy[i], constant, factor))
    constant[0] = np.uint32(0x8B51F9DD)
    factor = np.uint32(0x58F38DED)
    for i in range(len(drawn)):
        low = np.uint64(_hashed(pool[2 * i % _POOL], constant, factor))
        high = np.uint64(_hashed(pool[(2 * i + 1) % _POOL], constant, factor))
        drawn[i] = low | (high << _U32)


@njit(cache=True, inline="always")
def _high_product(a: np.uint64, b: np.uint64) -> np.uint64:
    """The high 64 bits of a * b."""
    a_low, a_high, b_low, b_high = a & _LOW, a >> _U32, b & _LOW, b >> _U32
    cross = a_high * b_low + ((a_low * b_low) >> _U32)
    other = a_low * b_high + (cross & _LOW)
    return a_high * b_high + (cross >> _U32) + (other >> _U32)


@njit(cache=True)
def _advance(stream: WordArray) -> None:
    """state = state * multiplier + increment, modulo 2**128."""
    high, low = stream[0], stream[1]
    high = high * _MULTIPLIER_LOW + low * _MULTIPLIER_HIGH + _high_product(low, _MULTIPLIER_LOW)
    low = low * _MULTIPLIER_LOW + stream[3]
    stream[0] = high + stream[2] + np.uint64(low < stream[3])
    stream[1] = low


@njit(cache=True)
def open_stream(stream: WordArray, seed: int) -> None:
    """Begin a stream as `gymnasium.utils.seeding.np_random(seed)`; seed: below 2**63."""
    bits = np.uint64(seed)
    entropy = np.empty(2 if bits >> _U32 else 1, np.uint32)
    entropy[0] = np.uint32(bits & _LOW)
    if len(entropy) > 1:
        entropy[1] = np.uint32(bits >> _U32)
    drawn = np.empty(4, np.uint64)
    seed_words(entropy, drawn)
    one = np.uint64(1)
    stream[:] = np.uint64(0)
    stream[2] = (drawn[2] << one) | (drawn[3] >> np.uint64(63))
    stream[3] = (drawn[3] << one) | one
    _advance(stream)
    low = stream[1] + drawn[1]
    stream[0] += drawn[0] + np.uint64(low < drawn[1])
    stream[1] = low
    _advance(stream)


@njit(cache=True)
def next64(stream: WordArray) -> np.uint64:
    """The next 64 bits."""
    _advance(stream)
    bits: np.uint64 = stream[0] ^ stream[1]
    turn = stream[0] >> np.uint64(58)
    mixed: np.uint64 = (bits >> turn) | (bits << (np.uint64(64) - turn & np.uint64(63)))
    return mixed


@njit(cache=True)
def _next32(stream: WordArray) -> np.uint64:
    """The next 32 bits: of each 64, the low half first."""
    if stream[4]:
        stream[4] = np.uint64(0)
        return np.uint64(stream[5])
    bits = next64(stream)
    stream[4], stream[5] = np.uint64(1), bits >> _U32
    return bits & _LOW


@njit(cache=True)
def draw(stream: WordArray, low: int, high: int) -> int:
    """An integer in low..high-1, as `Generator.integers(low, high)` draws it.

    Nothing is drawn where only one value is possible. The span must be below 2**32.
    """
    span = np.uint64(high - low)
    if span == np.uint64(1):
        return low
    product = _next32(stream) * span
    if product & _LOW < span:
        threshold = (np.uint64(1 << 32) - span) % span
        while product & _LOW < threshold:
            product = _next32(stream) * span
    return int(low + np.int64(product >> _U32))


@njit(cache=True)
def shuffle(stream: WordArray, items: IntArray) -> None:
    """Shuffle int64 [n] in place, as `Generator.shuffle` does with a list."""
    for last in range(len(items) - 1, 0, -1):
        mask = np.uint64(1)
        while mask < np.uint64(last):
            mask = (mask << np.uint64(1)) | np.uint64(1)
        place = _next32(stream) & mask
        while place > np.uint64(last):
            place = _next32(stream) & mask
        chosen = np.int64(place)
        items[last], items[chosen] = items[chosen], items[last]


def run_words(run_seed: int, split: Split) -> Words32:
    """The first words of every episode seed's entropy, for `episode_seeds`: uint32 [2 or more]."""
    words = [run_seed & 0xFFFFFFFF]
    while run_seed := run_seed >> 32:
        words.append(run_seed & 0xFFFFFFFF)
    return np.array([*words, int(split == "evaluation")], dtype=np.uint32)


@njit(cache=True)
def episode_seeds(prefix: Words32, envs: IntArray, episodes: IntArray, seeds: IntArray) -> None:
    """`rl.tasks.seeding.episode_seed` for many episodes at once, into int64 [n].

    prefix: `run_words` of the run and split; envs, episodes: int64 [n], not negative.
    """
    known = len(prefix)
    entropy = np.empty(known + 4, np.uint32)
    for i in range(known):
        entropy[i] = prefix[i]
    drawn = np.empty(1, np.uint64)
    for k in range(len(envs)):
        count = known
        for number in (np.uint64(envs[k]), np.uint64(episodes[k])):
            entropy[count] = np.uint32(number & _LOW)
            count += 1
            if number >> _U32:
                entropy[count] = np.uint32(number >> _U32)
                count += 1
        seed_words(entropy[:count], drawn)
        bits = drawn[0] & (_EVALUATION_BIT - np.uint64(1))
        if prefix[known - 1]:
            bits |= _EVALUATION_BIT
        seeds[k] = np.int64(bits)
