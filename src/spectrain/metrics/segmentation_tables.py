"""What a test says of a segmentation: of each image, each scene and region, and how sure that is."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.bands import Bands
from ..core.batch import Batch
from ..core.errors import needs
from ..core.segmented import Segmented
from .base import Breakdown, Tables
from .segmentation import areas, confusion, of_confusion, scores

DRAWS = 1000
"""Bootstrap samples."""
LEVEL = 0.95
COARSE = 16
"""Bins of scores are joined by so many: what is kept of each image is small."""

Matrix = NDArray[np.float64]


class SegmentationTables(Tables):
    """Confusion, scores and objects of each image, from which those of a scene, region or split are summed.

    Args:
        object_iou: intersection over union from which two objects are one; None counts no objects.
    """

    def __init__(self, object_iou: float | None) -> None:
        self.object_iou = object_iou
        self.names: tuple[str, ...] = ()
        self._index: list[int] = []
        self._matrices: list[Matrix] = []
        self._scores: list[NDArray[np.int32]] = []
        self._objects: list[Any] = []

    def update(self, output: Any, batch: Batch) -> None:
        """Add a batch; rows of padding are left out."""
        assert isinstance(output, Segmented)
        self.names = output.names
        real = batch.real.cpu().tolist()
        self._index += [number for number, there in zip(batch.index.tolist(), real, strict=True) if there]
        matrices = confusion(output).cpu().numpy()
        for row in (row for row, there in enumerate(real) if there):
            alone = Segmented(output.logits[row : row + 1], output.y[row : row + 1], output.names)
            held = scores(alone).cpu().numpy()
            self._matrices.append(matrices[row])
            self._scores.append(held.reshape(*held.shape[:2], -1, COARSE).sum(-1).astype(np.int32))
        if self.object_iou is not None and len(self.names) == 2:
            self._count_objects(output, real, self.object_iou)

    def _count_objects(self, output: Segmented, real: Sequence[bool], iou: float) -> None:
        with needs("segmentation", "to count objects"):
            from .objects import ObjectCounts  # scipy takes a while

        y, p = output.y.cpu().numpy(), output.probabilities.float().cpu().numpy()
        counted = output.counted.cpu().numpy()
        for row in (row for row, there in enumerate(real) if there):
            self._objects.append(ObjectCounts.of(p[row], y[row] == 1, counted[row], iou))

    def images(self) -> dict[str, list[Any]]:
        """Return ``index`` and the metrics of each image; NaN where it has nothing to count."""
        return {"index": list(self._index), **_columns([self._of(row) for row in _each(self._index)])}

    def bands(self, bands: Sequence[Bands]) -> dict[str, list[Any]]:
        """There is nothing to say of bands."""
        return {}

    def metrics(self) -> dict[str, float]:
        """Return what only the tables know: the metrics of objects, over all images."""
        return self._of_objects(np.arange(len(self._index)))

    def breakdown(self, groups: Mapping[str, Sequence[str]]) -> Breakdown:
        """Return the metrics of each group, and of all with intervals.

        Intervals hold 95 % of 1,000 bootstrap samples of the groups of the last kind, drawn with replacement; a metric
        of one group has none.

        Args:
            groups: kind of group ("region", "scene") -> the group of each image, the last kind the finest.
        """
        tables: dict[str, dict[str, list[Any]]] = {}
        rows_of: dict[str, list[NDArray[np.int64]]] = {}
        for kind, members in groups.items():
            by_name: dict[str, list[int]] = defaultdict(list)
            for row, name in enumerate(members):
                by_name[name].append(row)
            rows_of[kind] = [np.array(rows) for rows in by_name.values()]
            sizes = [len(rows) for rows in rows_of[kind]]
            tables[kind] = {
                kind: list(by_name),
                "images": sizes,
                **_columns([self._of(rows) for rows in rows_of[kind]]),
            }
        everything = self._of(np.arange(len(self._index)))
        finest = list(rows_of.values())[-1] if rows_of else []
        return Breakdown(tables, everything, self._intervals(finest), list(groups)[-1] if groups else "")

    def _of(self, rows: NDArray[np.int64]) -> dict[str, float]:
        """Return the metrics of some images together."""
        matrix = sum((self._matrices[row] for row in rows), np.zeros((len(self.names),) * 2))
        held = sum((self._scores[row].astype(np.float64) for row in rows), np.zeros(self._scores[0].shape))
        pixels = {"labelled_pixels": float(matrix.sum()), "share_of_class_1": _share(matrix)}
        if len(self.names) != 2:
            del pixels["share_of_class_1"]
        return {
            **pixels,
            **of_confusion(torch.from_numpy(matrix)),
            **areas(torch.from_numpy(held)),
            **self._of_objects(rows),
        }

    def _of_objects(self, rows: NDArray[np.int64]) -> dict[str, float]:
        if not self._objects:
            return {}
        from .objects import Objects

        return Objects([self._objects[row] for row in rows]).metrics()

    def _intervals(self, groups: Sequence[NDArray[np.int64]]) -> dict[str, tuple[float, float]]:
        """Return the bootstrap interval of each metric over groups; none where there is only one."""
        if len(groups) < 2:
            return {}
        draws = np.random.default_rng(0).integers(0, len(groups), (DRAWS, len(groups)))
        matrices = np.stack([sum((self._matrices[row] for row in rows), np.zeros(())) for rows in groups])
        held = np.stack([sum((self._scores[row].astype(np.float64) for row in rows), np.zeros(())) for rows in groups])
        counts = np.stack([np.bincount(draw, minlength=len(groups)) for draw in draws]).astype(np.float64)
        found: dict[str, list[float]] = defaultdict(list)
        for weight in counts:
            matrix = np.tensordot(weight, matrices, 1)
            values = {
                **of_confusion(torch.from_numpy(matrix)),
                **areas(torch.from_numpy(np.tensordot(weight, held, 1))),
            }
            for name, value in values.items():
                found[name].append(value)
        if self._objects:
            from .objects import Objects

            objects, group = Objects(self._objects), np.zeros(len(self._index), dtype=np.int64)
            for number, rows in enumerate(groups):
                group[rows] = number
            for weight in counts:
                for name, value in objects.metrics(weight[group]).items():
                    found[name].append(value)
        tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
        return {name: _quantiles(values, tails) for name, values in found.items()}


def _each(index: Sequence[int]) -> list[NDArray[np.int64]]:
    return [np.array([row]) for row in range(len(index))]


def _columns(rows: Sequence[Mapping[str, float]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}


def _share(matrix: Matrix) -> float:
    total = float(matrix.sum())
    return float(matrix[1].sum()) / total if total else math.nan


def _quantiles(values: Sequence[float], at: Sequence[float]) -> tuple[float, float]:
    kept = np.array(values)
    kept = kept[np.isfinite(kept)]
    if not len(kept):
        return math.nan, math.nan
    low, high = np.quantile(kept, at)
    return float(low), float(high)
