"""What measured labels are like, for `spectrain inspect`: a fill value or another unit is seen in their range."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.targets import IGNORED
from ..data.patches import Patches
from ..data.sparse_labels import SparseLabels
from .found import LabelRange

KEPT = 1 << 18
"""Labels that the median is taken of at least, where there are so many: they are evenly taken from all."""


def label_ranges(patches: Patches, rows: NDArray[np.int64], at_once: int) -> tuple[LabelRange | None, ...]:
    """Return the range of each layer of measured labels, None of one without any; () where labels are classes.

    Args:
        patches: labelled.
        rows: patches to look at.
        at_once: patches whose labels are read together.
    """
    layers: list[_Layer] = []
    for start in range(0, len(rows), at_once):
        labels = patches.labels(rows[start : start + at_once])
        if labels is None:
            return ()
        for number, values in enumerate(_by_layer(labels)):
            layers += [_Layer()] if number == len(layers) else []
            layers[number].add(values)
    classes = all(layer.whole and layer.low >= 0 and layer.high <= IGNORED for layer in layers)
    return () if classes else tuple(layer.found() for layer in layers)


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
