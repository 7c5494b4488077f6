"""Counter-based random numbers that belong to the sample.

Every number is a pure function of (seed, purpose, epoch, view, sample, position): no state, no generator. So a resumed
run, another number of workers or processes, or another batch size draws the same numbers for the same sample.
The mixing functions are the finalisers of SplitMix64 (Steele, Lea, Flood 2014) and, for whole images, the 32-bit
"lowbias32" of Wellons' hash prospector; both are bijections with a low measured bias.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15
_MASK64 = (1 << 64) - 1


def _signed(value: int, bits: int) -> int:
    """Return the two's complement reading of an unsigned word: torch has signed integers only."""
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


def _mix64(word: Tensor) -> Tensor:
    """SplitMix64 finaliser on int64; the masks make torch's arithmetic right shift a logical one."""
    word = word ^ ((word >> 30) & ((1 << 34) - 1))
    word = word * _signed(0xBF58476D1CE4E5B9, 64)
    word = word ^ ((word >> 27) & ((1 << 37) - 1))
    word = word * _signed(0x94D049BB133111EB, 64)
    return word ^ ((word >> 31) & ((1 << 33) - 1))


def words(key: Key, sample: Tensor, count: int) -> Tensor:
    """Return int64 words [B, count], one row a sample.

    Args:
        key: the stream.
        sample: int64 [B], the samples' indices in their data set (never their places in the batch).
        count: words a sample.
    """
    row = _mix64(sample.to(torch.int64) * _signed(_GOLDEN, 64) + _signed(key.word(), 64))
    column = torch.arange(1, count + 1, device=sample.device, dtype=torch.int64) * _signed(_GOLDEN, 64)
    return _mix64(row[:, None] + column[None, :])


def uniform(key: Key, sample: Tensor, count: int) -> Tensor:
    """Return float32 [B, count], uniform on [0, 1) in steps of 2**-24."""
    return ((words(key, sample, count) >> 40) & ((1 << 24) - 1)).to(torch.float32) * 2.0**-24


def normal_image(key: Key, sample: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return standard normal float32 [B, *shape], one independent number a position (Box-Muller).

    Positions are counted with 32 bits: at most 2**32 numbers a sample. Passing a chunk of the batch gives the same
    numbers as passing the whole of it.
    """
    total = math.prod(shape)
    half = (total + 1) // 2
    seeds = words(key, sample, 2)
    counter = torch.arange(half, device=sample.device, dtype=torch.int32)
    first = _mix32(counter[None, :] ^ seeds[:, :1].to(torch.int32))
    second = _mix32(first ^ seeds[:, 1:].to(torch.int32))
    # (0, 1] keeps the logarithm finite
    radius = _top24(first).add_(1.0).mul_(2.0**-24).log_().mul_(-2.0).sqrt_()
    angle = _top24(second).mul_(2.0 * math.pi * 2.0**-24)
    pair = torch.empty((sample.shape[0], 2, half), device=sample.device)
    torch.cos(angle, out=pair[:, 0])
    torch.sin(angle, out=pair[:, 1])
    return pair.mul_(radius[:, None]).flatten(1)[:, :total].reshape(sample.shape[0], *shape)


def uniform_image(key: Key, sample: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return float32 [B, *shape], uniform on [0, 1), one independent number a position; see `normal_image`."""
    total = math.prod(shape)
    counter = torch.arange(total, device=sample.device, dtype=torch.int32)
    drawn = _mix32(counter[None, :] ^ words(key, sample, 1).to(torch.int32))
    return _top24(drawn).mul_(2.0**-24).reshape(sample.shape[0], *shape)


def _top24(word: Tensor) -> Tensor:
    """Return the upper 24 bits of int32 as float32 0 to 2**24 - 1; the word is used up."""
    return word.bitwise_right_shift_(8).bitwise_and_(0xFFFFFF).to(torch.float32)


def _mix32(word: Tensor) -> Tensor:
    """lowbias32 on int32, in place: whole images are hashed, and memory is what it costs."""
    word ^= (word >> 16).bitwise_and_(0xFFFF)
    word *= _signed(0x7FEB352D, 32)
    word ^= (word >> 15).bitwise_and_(0x1FFFF)
    word *= _signed(0x846CA68B, 32)
    word ^= (word >> 16).bitwise_and_(0xFFFF)
    return word


def permuted(key: Key, size: int, position: Tensor) -> Tensor:
    """Return where a random permutation of ``range(size)`` sends each position, without holding the permutation.

    A four-round Feistel network over the smallest even-bit domain that holds ``size``, walked along its cycle until
    the value lies inside (Black and Rogaway 2002). Skipping ahead in an epoch is therefore just a larger position.

    Args:
        key: the stream; ``Key(seed, "order", epoch)`` for the order of an epoch.
        size: how many there are, at least 1.
        position: int64 tensor of values in [0, size).
    """
    if size < 1:
        raise ValueError(f"a permutation needs at least one element, got {size}")
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    low = (1 << half) - 1
    rounds = [_signed((key.word() + (number + 1) * _GOLDEN) & _MASK64, 64) for number in range(4)]
    value = position.to(torch.int64).clone()
    outside = torch.ones_like(value, dtype=torch.bool)
    while bool(outside.any()):
        walk = value[outside]
        left, right = walk >> half, walk & low
        for number in rounds:
            left, right = right, left ^ (_mix64(right + number) & low)
        value[outside] = (left << half) | right
        outside = value >= size
    return value
