"""Patches with the same pixels, which no split may tear apart where places on the ground do not tell them."""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .patches import Patches

MOST_BYTES = 1 << 30
"""Of stored images that are compared; reading more at each start of a training would take too long."""
_AT_ONCE = 32 << 20


def image_hashes(patches: Patches) -> list[str] | None:
    """Return a text a patch, the same for those whose stored images are the same; None of more than `MOST_BYTES`.

    An image of one value throughout, or of NaN, is like no other: such are empty, and are no copies.
    """
    if math.prod(patches.shape) * np.dtype(patches.dtype).itemsize > MOST_BYTES:
        return None
    return list(_hashes(_Once(patches)))


class _Once:
    """Patches that are told by their fingerprint: splits of one training are opened one after the other."""

    def __init__(self, patches: Patches) -> None:
        self.patches, self.key = patches, (str(patches.path), patches.split, patches.fingerprint())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Once) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@lru_cache(maxsize=2)
def _hashes(once: _Once) -> tuple[str, ...]:
    patches = once.patches
    step = max(1, _AT_ONCE // max(1, math.prod(patches.shape[1:]) * np.dtype(patches.dtype).itemsize))
    found: list[str] = []
    for start in range(0, len(patches), step):
        images = patches.read(np.arange(start, min(start + step, len(patches)))).image
        flat = np.ascontiguousarray(images).reshape(len(images), -1)
        same = (flat == flat[:, :1]).all(1) | (flat != flat).all(1)
        for row, empty in zip(flat, same.tolist(), strict=True):
            found.append(str(len(found)) if empty else hashlib.blake2b(row.data, digest_size=8).hexdigest())
    return tuple(found)
