"""What labels are like: classes counted, and the range of measurements, which shows a fill value or another unit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.targets import IGNORED
from ..data.patches import Patches
from ..data.sparse_labels import SparseLabels
from .found import LabelRange

LABELS_READ = 4096
_AT_ONCE = 1 << 24
KEPT = 1 << 18
"""Labels that the median is taken of at least, where there are so many: they are evenly taken from all."""


@dataclass(frozen=True)
class LabelsSeen:
    """What labels are like.

    Attributes:
        counts: pixels or images of each class; of measurements, how many there are and are not.
        bare: patches without any measurement; 0 where labels are classes.
        looked_at: patches that were looked at.
        ranges: of each layer of measured labels, None of one without any; () where labels are classes.
    """

    counts: dict[str, int]
    bare: int
    looked_at: int
    ranges: tuple[LabelRange | None, ...]


def look_at_labels(patches: Patches) -> LabelsSeen:
    """Read the labels of up to `LABELS_READ` patches once, some at a time; no image is read."""
    if not patches.has_labels:
        return LabelsSeen({}, 0, 0, ())
    rows = np.unique(np.linspace(0, len(patches) - 1, min(len(patches), LABELS_READ)).astype(np.int64))
    step = max(1, _AT_ONCE // (patches.shape[2] * patches.shape[3]))
    counts: Counter[Any] = Counter()
    layers: list[_Layer] = []
    bare = 0
    for start in range(0, len(rows), step):
        labels = patches.labels(rows[start : start + step])
        if labels is None:
            continue
        bare += _count(labels, counts)
        for number, values in enumerate(_by_layer(labels)):
            layers += [_Layer()] if number == len(layers) else []
            layers[number].add(values)
    named = {str(int(one) if isinstance(one, bool) else one): count for one, count in sorted(counts.items())}
    shown = {name: count for name, count in named.items() if count or name == "not measured"}
    classes = all(layer.whole and layer.low >= 0 and layer.high <= IGNORED for layer in layers)
    return LabelsSeen(shown, bare, len(rows), () if classes else tuple(layer.found() for layer in layers))


def _count(labels: Any, counts: Counter[Any]) -> int:
    """Count the classes or measurements of some patches; return how many of these have no measurement."""
    if isinstance(labels, SparseLabels):
        there = np.isfinite(labels.value)
        counts.update({"measured": int(there.sum()), "not measured": labels.size - int(there.sum())})
        return len(labels) - len(np.unique(labels.row[there]))
    if labels.dtype.kind == "f":
        there = np.isfinite(labels)
        counts.update({"measured": int(there.sum()), "not measured": labels.size - int(there.sum())})
        return int((~there.reshape(len(labels), -1).any(1)).sum())
    classes, numbers = np.unique(labels, return_counts=True)
    counts.update(dict(zip(classes.tolist(), numbers.tolist(), strict=True)))
    return 0


def _by_layer(labels: Any) -> list[NDArray[Any]]:
    """Return the measured values of each layer."""
    if isinstance(labels, SparseLabels):
        return [labels.value[np.isfinite(labels.value)]]
    layers = labels.swapaxes(0, 1) if labels.ndim == 4 else labels[None]
    return [one[np.isfinite(one)] for one in layers]


class _Layer:
    """Labels block by block, every first, second, fourth, ... held."""

    def __init__(self) -> None:
        self.whole, self.count, self.every = True, 0, 1
        self.low, self.high = np.inf, -np.inf
        self.held = np.empty(0, np.float64)

    def add(self, values: NDArray[Any]) -> None:
        """Add measured values [n]."""
        self.whole &= values.dtype.kind != "f"
        self.held = np.concatenate([self.held, values[-self.count % self.every :: self.every].astype(np.float64)])
        self.count += len(values)
        if len(values):
            self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        while len(self.held) > 2 * KEPT:
            self.held, self.every = self.held[::2], 2 * self.every

    def found(self) -> LabelRange | None:
        """Return what they come to; None of none."""
        if not self.count:
            return None
        return LabelRange(self.count, self.low, float(np.median(self.held)), self.high)
