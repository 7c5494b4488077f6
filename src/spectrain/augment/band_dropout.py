"""Which bands of a sample are taken away, so that a model learns to do without any of them."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.random import Key, uniform


def kept_bands(probability: float, seen: Tensor, key: Key, index: Tensor) -> Tensor:
    """Return bool [B,C], False for the bands that are taken away.

    Args:
        probability: of each band by itself, below 1.
        seen: bool [B,C], bands with a valid pixel: where none of those would stay, one of them does, each equally
            likely.
        key: the stream.
        index: int64 [B], the samples.
    """
    bands = seen.shape[1]
    drawn = uniform(key, index, 2 * bands)
    kept: Tensor = drawn[:, :bands] >= probability
    none = ~(kept & seen).any(1, keepdim=True)
    last = torch.where(seen, drawn[:, bands:], -1.0).argmax(1, keepdim=True)
    return kept | (none & (torch.arange(bands, device=seen.device) == last))


def without_bands(image: Tensor, mask: Tensor | None, kept: Tensor) -> Tensor:
    """Put 0 into the bands of [B,C,H,W] that are taken away, in place; return the mask without them.

    Args:
        image: changed.
        mask: 1.0 where valid, else 0.0, [B,C,H,W] or (shared by the bands) [B,1,H,W]; None where all is valid.
        kept: bool [B,C].

    Returns:
        [B,C,H,W]; a view that repeats one number a band where all was valid.
    """
    planes = kept[:, :, None, None]
    image.masked_fill_(~planes, 0.0)
    return planes.to(image.dtype).expand_as(image) if mask is None else mask * planes
