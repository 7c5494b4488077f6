"""What is known of the labels of a split: of each quantity how many there are, their mean, deviation and range."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...data.mixture import datasets_of
from ...data.patches import Patches
from ...data.sparse_labels import SparseLabels
from ...tasks.regression import counted, measured

log = logging.getLogger("spectrain")

PIXELS = 1 << 22
KEPT = 1 << 18
"""Labels of a quantity that are held at most; of more every second, every fourth, ... is."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class LabelStatistics:
    """Statistics of Q quantities.

    Attributes:
        count: of labels, [Q].
        mean: [Q], 0 where there are none.
        deviation: [Q], 1 where they do not vary.
        lowest: [Q].
        highest: [Q].
        sample: of each quantity labels that were evenly taken from all.
    """

    count: Numbers
    mean: Numbers
    deviation: Numbers
    lowest: Numbers
    highest: Numbers
    sample: list[Numbers]


def label_statistics(patches: Patches, ignore: Sequence[float], *, remark: bool = True) -> LabelStatistics:
    """Return the statistics of all labels of a split.

    Patches without any are said in a line, with ``remark``: they take no part in the loss.
    """
    sums = LabelSums()
    for one in datasets_of(patches):
        rows = max(1, PIXELS // (one.shape[2] * one.shape[3]))
        starts = range(0, len(one), rows)
        empty = sum(sums.add(one, np.arange(at, min(at + rows, len(one))), ignore) for at in starts)
        if empty and remark:
            said = "%s, %s: %d of %d patches have no labelled pixel and teach nothing"
            log.warning(said, one.path, one.split, empty, len(one))
    return sums.statistics()


class LabelSums:
    """Statistics of labels, block by block.

    Blocks are joined by their means and squares about them, so that heights of 3,000 m that differ by centimetres keep
    their digits.
    """

    def __init__(self) -> None:
        self.count = self.mean = self.square = np.zeros(1)
        self.lowest, self.highest = np.full(1, np.inf), np.full(1, -np.inf)
        self.samples: list[_Sample] = []

    def add(self, patches: Patches, index: NDArray[np.int64], ignore: Sequence[float]) -> int:
        """Add the labels of some patches; return how many of these have none."""
        labels = patches.labels(index)
        if isinstance(labels, SparseLabels):
            kept = counted(labels, ignore)
            empty = len(labels) - len(np.unique(labels.row[kept]))
            values = labels.value[None, kept]
        else:
            values = measured(labels, ignore)
            empty = int((~np.isfinite(values).reshape(len(values), -1).any(1)).sum())
            values = values.swapaxes(0, 1).reshape(values.shape[1], -1)
        there = np.isfinite(values)
        n = there.sum(1).astype(np.float64)
        held = np.where(there, values, 0).astype(np.float64)
        own = held.sum(1) / np.maximum(n, 1)
        off = np.where(there, held - own[:, None], 0)
        total = np.maximum(self.count + n, 1)
        self.square = self.square + (off**2).sum(1) + (own - self.mean) ** 2 * self.count * n / total
        self.mean = self.mean + (own - self.mean) * n / total
        self.count = self.count + n
        self.lowest = np.minimum(self.lowest, np.where(there, values, np.inf).min(1, initial=np.inf))
        self.highest = np.maximum(self.highest, np.where(there, values, -np.inf).max(1, initial=-np.inf))
        self.samples = self.samples or [_Sample() for _ in values]
        for sample, row, which in zip(self.samples, values, there, strict=True):
            sample.add(row[which])
        return empty

    def statistics(self) -> LabelStatistics:
        """Return what all of them come to."""
        count, mean = self.count, self.mean
        deviation = np.sqrt(self.square / np.maximum(count, 1))
        varies = deviation > 1e-7 * np.abs(mean)  # less is what float32 leaves of labels that are all alike
        samples = [one.values.astype(np.float64) for one in self.samples]
        mean, deviation = np.where(count > 0, mean, 0), np.where(varies, deviation, 1.0)
        return LabelStatistics(count, mean, deviation, self.lowest, self.highest, samples)


class _Sample:
    """Every first, second, fourth, ... of the labels that come, so that they are no more than `KEPT`."""

    def __init__(self) -> None:
        self.values, self.every, self.seen = np.empty(0, np.float32), 1, 0

    def add(self, new: NDArray[np.float32]) -> None:
        """Add labels."""
        self.values = np.concatenate([self.values, new[-self.seen % self.every :: self.every]])
        self.seen += len(new)
        while len(self.values) > KEPT:
            self.values, self.every = self.values[::2], 2 * self.every
