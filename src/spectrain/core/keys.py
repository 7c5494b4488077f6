"""Names of streams of random numbers, and permutations drawn from them, for whole arrays of torch or NumPy.

Nothing here imports torch: who only looks at files, or plans which scene is for which split, does without it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Words = TypeVar("Words", "Tensor", NDArray[np.int64])
"""Whole numbers of 64 bits, of either library: both wrap around alike."""
GOLDEN = 0x9E3779B97F4A7C15
_MASK64 = (1 << 64) - 1


def signed(value: int, bits: int) -> int:
    """Return the two's complement reading of an unsigned word: the arrays have signed integers only."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


@dataclass(frozen=True, slots=True)
class Key:
    """Names one stream of random numbers: (seed, purpose, epoch, view).

    ``purpose`` keeps streams apart ("augment", "mask", "order", "dropout", "valid"): adding a draw to one never
    changes another.
    """

    seed: int
    purpose: str
    epoch: int = 0
    view: int = 0

    def word(self) -> int:
        """Return the stream's 64-bit key, the same on every machine and in every process."""
        text = f"{self.seed}/{self.purpose}/{self.epoch}/{self.view}".encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")

    def at(self, **changes: int | str) -> Key:
        """Return a key with other fields, e.g. ``key.at(view=1)``."""
        return replace(self, **changes)  # type: ignore[arg-type]


def mix64(word: Words) -> Words:
    """SplitMix64 finaliser on int64; the masks make the arithmetic right shift a logical one."""
    word = word ^ ((word >> 30) & ((1 << 34) - 1))
    word = word * signed(0xBF58476D1CE4E5B9, 64)
    word = word ^ ((word >> 27) & ((1 << 37) - 1))
    word = word * signed(0x94D049BB133111EB, 64)
    return word ^ ((word >> 31) & ((1 << 33) - 1))


def permuted(key: Key, size: int, position: Words) -> Words:
    """Return where a random permutation of ``range(size)`` sends each position, without holding the permutation.

    A four-round Feistel network over the smallest even-bit domain that holds ``size``, walked along its cycle until
    the value lies inside (Black and Rogaway 2002). Skipping ahead in an epoch is therefore just a larger position.

    Args:
        key: the stream; ``Key(seed, "order", epoch)`` for the order of an epoch.
        size: how many there are, at least 1.
        position: int64 tensor or array of values in [0, size).
    """
    if size < 1:
        raise ValueError(f"a permutation needs at least one element, got {size}")
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    low = (1 << half) - 1
    rounds = [signed((key.word() + (number + 1) * GOLDEN) & _MASK64, 64) for number in range(4)]
    value = position + 0
    outside = value == value
    while bool(outside.any()):
        walk = value[outside]
        left, right = walk >> half, walk & low
        for number in rounds:
            left, right = right, left ^ (mix64(right + number) & low)
        value[outside] = (left << half) | right
        outside = value >= size
    return value


def shuffled(key: Key, size: int) -> list[int]:
    """Return the numbers from 0 to ``size`` - 1 in the order in which `permuted` sends them."""
    order: list[int] = permuted(key, size, np.arange(size, dtype=np.int64)).tolist()
    return order
