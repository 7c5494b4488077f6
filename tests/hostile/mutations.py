"""Damage to the bytes of a file, each a function of a seed: the same seed of the same bytes gives the same damage."""

from __future__ import annotations

import numpy as np

MOST = 4
"""Places that one mutation damages at most."""
EXTREME = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**63, 2**64 - 1)
TOKENS = (
    b"null",
    b"-1",
    b"1e999",
    b"9" * 40,
    b"NaN",
    b"[]",
    b"{}",
    b'"',
    b"\n",
    b"\0",
    b"/",
    b"..",
    b"\xff\xfe",
    b"true",
)


def mutated(data: bytes, seed: int) -> tuple[bytes, str]:
    """Return the damaged bytes and the name of the damage."""
    draw = np.random.default_rng(seed)
    kinds = (_flip, _overwrite, _truncate, _splice, _zero, _double, _extreme, _word)
    change = kinds[draw.integers(len(kinds))]
    held = bytearray(data)
    for _ in range(1 if change is _truncate else int(draw.integers(1, MOST + 1))):
        held = change(held, draw)
    return bytes(held), change.__name__.strip("_")


def _at(held, draw) -> int:
    return int(draw.integers(max(1, len(held))))


def _length(held, draw) -> int:
    """Return a length, short ones as likely as long ones."""
    return int(2 ** draw.uniform(0, np.log2(max(2, len(held) / 2))))


def _flip(held, draw):
    for _ in range(int(draw.integers(1, 9)) if held else 0):
        held[_at(held, draw)] ^= 1 << int(draw.integers(8))
    return held


def _overwrite(held, draw):
    at, length = _at(held, draw), int(draw.integers(1, 17))
    held[at : at + length] = draw.bytes(len(held[at : at + length]))
    return held


def _truncate(held, draw):
    return held[: _at(held, draw)]


def _splice(held, draw):
    """Write a part of the file over another place, or take a part out."""
    at, start, length = _at(held, draw), _at(held, draw), _length(held, draw)
    held[at : at + length] = held[start : start + length] if draw.integers(2) else b""
    return held


def _zero(held, draw):
    at, length = _at(held, draw), _length(held, draw)
    held[at : at + length] = bytes(len(held[at : at + length]))
    return held


def _double(held, draw):
    at, length = _at(held, draw), _length(held, draw)
    held[at:at] = held[at : at + length]
    return held


def _extreme(held, draw):
    """Write an extreme whole number where one may stand."""
    size = int(draw.choice([2, 4, 8]))
    at = _at(held, draw) // size * size
    number = EXTREME[draw.integers(len(EXTREME))] % 256**size
    held[at : at + size] = number.to_bytes(size, "big" if draw.integers(4) == 0 else "little")
    return held


def _word(held, draw):
    """Write what is odd in a text over it, or between its letters."""
    at, word = _at(held, draw), TOKENS[draw.integers(len(TOKENS))]
    held[at : at + (len(word) if draw.integers(2) else 0)] = word
    return held
