"""Numbers handed out at first sight: situations, options and missions get theirs in this way.

Arrays hold numbers, and what they stand for may be any text. A number means something in one run
only; a checkpoint holds the numbering, so that a resume goes on with it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from threading import Lock
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Numbering(Generic[Key]):
    """A number from 0 for each key, in the order in which they were first seen.

    Safe for several threads: a teacher may be asked in another one than the student acts in.
    """

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._lock = Lock()
        self._keys: list[Key] = []
        self._numbers: dict[Key, int] = {}
        self.restore(keys)

    def __len__(self) -> int:
        return len(self._keys)

    def number(self, key: Key) -> int:
        """The key's number, a new one at first sight."""
        number = self._numbers.get(key)
        if number is not None:
            return number
        with self._lock:
            if key not in self._numbers:
                # In this order: whoever reads a number finds what it stands for.
                self._keys.append(key)
                self._numbers[key] = len(self._keys) - 1
            return self._numbers[key]

    def known(self, key: Key) -> int:
        """The key's number. Raises KeyError where it has none yet."""
        return self._numbers[key]

    def key(self, number: int) -> Key:
        """What has that number. Raises KeyError where nothing has."""
        if not 0 <= number < len(self._keys):
            raise KeyError(number)
        return self._keys[number]

    def keys(self) -> tuple[Key, ...]:
        """All keys, in the order of their numbers."""
        return tuple(self._keys)

    def restore(self, keys: Iterable[Key]) -> None:
        """Number these keys, and no others. Raises ValueError, having changed nothing, where one
        stands among them twice."""
        listed = list(keys)
        numbers = {key: number for number, key in enumerate(listed)}
        if len(numbers) != len(listed):
            raise ValueError("a key has two numbers")
        self._keys, self._numbers = listed, numbers
