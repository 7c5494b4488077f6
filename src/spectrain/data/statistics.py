"""Statistics of each band over a patch set: one masked, streaming pass."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.batch import RawBatch
from ..core.fill import fill_invalid
from .band_statistics import Statistics
from .loader import Loader
from .patches import Patches
from .values import Values

__all__ = ["Statistics", "patches_statistics"]
BATCH_BYTES = 32 << 20
PART_BYTES = 4 << 20
"""float32 bytes that arithmetic is done on at once: what it makes of them stays in the processor's caches."""


def patches_statistics(patches: Patches, values: Values, batch: int | None = None) -> Statistics:
    """Return the statistics of all patches, read once in order, with memory for a few batches.

    Each batch's count, mean and sum of squared deviations are taken in float64 around its own mean and merged (Chan,
    Golub and LeVeque 1983), so a large mean does not cancel.

    Args:
        patches: the split to look at.
        values: how stored values become physical ones; must not promise ``all_valid``.
        batch: patches read at once; chosen by their size where None.
    """
    channels = patches.shape[1]
    bytes_a_patch = math.prod(patches.shape[1:]) * 4
    rows = batch or max(1, BATCH_BYTES // bytes_a_patch)
    part = batch or max(1, PART_BYTES // bytes_a_patch)
    count = torch.zeros(channels, dtype=torch.float64)
    mean, squares = torch.zeros_like(count), torch.zeros_like(count)
    low, high = torch.full_like(count, math.inf), torch.full_like(count, -math.inf)
    empty = 0
    with Loader(patches) as loader:
        for raw in loader.load(_in_order(len(patches), rows)):
            for image, valid in _measured(values, raw, part):
                n, m, s, smallest, largest = _of_batch(image, valid)
                empty += 0 if valid is None else int((~valid.flatten(1).any(1)).sum())
                total = count + n
                shift = torch.where(n > 0, m - mean, 0)
                weight = torch.where(total > 0, n / total.clamp(min=1), 0)
                squares = squares + s + shift.square() * count * weight
                mean, count = mean + shift * weight, total
                low, high = torch.minimum(low, smallest), torch.maximum(high, largest)
    size = patches.shape[0] * patches.shape[2] * patches.shape[3]
    none = count == 0
    std = (squares / count.clamp(min=1)).sqrt()
    ends = (tuple(torch.where(none, math.nan, column).tolist()) for column in (mean, std, low, high))
    average, deviation, lowest, highest = ends
    counts = tuple(int(number) for number in count.tolist())
    return Statistics(counts, tuple(size - n for n in counts), average, deviation, lowest, highest, empty)


def _measured(values: Values, raw: RawBatch, rows: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield the values of so many patches at a time, and where they are valid."""
    for start in range(0, len(raw.image), rows):
        part = slice(start, start + rows)
        yield values.measure(raw.image[part], None if raw.mask is None else raw.mask[part])


def _of_batch(image: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return count, mean, squared deviations, minimum and maximum [C] of a batch, float64."""
    flat = image.transpose(0, 1).flatten(1).to(torch.float64)
    if valid is None:
        n = torch.full((flat.shape[0],), float(flat.shape[1]), dtype=torch.float64)
        mean = flat.mean(1)
        return n, mean, (flat - mean[:, None]).square().sum(1), flat.amin(1), flat.amax(1)
    ok = valid.transpose(0, 1).flatten(1)
    n = ok.sum(1).to(torch.float64)
    mean = fill_invalid(flat, ok).sum(1) / n.clamp(min=1)
    squares = fill_invalid(flat - mean[:, None], ok).square().sum(1)
    return n, mean, squares, fill_invalid(flat, ok, math.inf).amin(1), fill_invalid(flat, ok, -math.inf).amax(1)


def _in_order(size: int, rows: int) -> Iterator[NDArray[np.int64]]:
    return (np.arange(start, min(start + rows, size), dtype=np.int64) for start in range(0, size, rows))
