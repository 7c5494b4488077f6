"""Counter-based random numbers that belong to the sample.

Every number is a pure function of (seed, purpose, epoch, view, sample, position): no state, no generator. So a resumed
run, another number of workers or processes, or another batch size draws the same numbers for the same sample.
The mixing functions are the finalisers of SplitMix64 (Steele, Lea, Flood 2014) and, for whole images, the 32-bit
"lowbias32" of Wellons' hash prospector; both are bijections with a low measured bias.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .keys import GOLDEN, Key, mix64, permuted, signed

__all__ = ["Key", "normal_image", "permuted", "uniform", "uniform_image", "words"]


def words(key: Key, sample: Tensor, count: int) -> Tensor:
    """Return int64 words [B, count], one row a sample.

    Args:
        key: the stream.
        sample: int64 [B], the samples' indices in their data set (never their places in the batch).
        count: words a sample.
    """
    row = mix64(sample.to(torch.int64) * signed(GOLDEN, 64) + signed(key.word(), 64))
    column = torch.arange(1, count + 1, device=sample.device, dtype=torch.int64) * signed(GOLDEN, 64)
    return mix64(row[:, None] + column[None, :])


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
    word *= signed(0x7FEB352D, 32)
    word ^= (word >> 15).bitwise_and_(0x1FFFF)
    word *= signed(0x846CA68B, 32)
    word ^= (word >> 16).bitwise_and_(0xFFFF)
    return word
