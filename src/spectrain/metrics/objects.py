"""Objects of a mask: connected pixels, matched one to one with those that are there, and their boundaries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

BOUNDARY = 0.02
"""Width of a boundary over the diagonal of the image (Cheng et al. 2021)."""
_NEIGHBOURS = np.ones((3, 3), dtype=bool)

Mask = NDArray[np.bool_]
Labels = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class ObjectCounts:
    """What was found in one image, or summed over several.

    Attributes:
        right: objects found that are there.
        wrong: objects found that are not.
        missed: objects there that were not found.
        boundary_both: pixels in the boundaries of both masks.
        boundary_either: pixels in the boundary of either.
        scores: of each object found, its mean probability.
        hits: of each object found, whether it is there.
    """

    right: int
    wrong: int
    missed: int
    boundary_both: int
    boundary_either: int
    scores: NDArray[np.float32]
    hits: Mask

    @classmethod
    def of(cls, probability: NDArray[np.float32], truth: Mask, counted: Mask, iou: float) -> ObjectCounts:
        """Compare an image [H,W] of probabilities, cut at one half, with a mask; what is not counted is in neither.

        Objects touch at edges or corners. Pairs of an intersection over union of at least ``iou`` are matched one to
        one, the best first.
        """
        found, there = (probability >= 0.5) & counted, truth & counted
        predicted, found_count = _labelled(found)
        actual, there_count = _labelled(there)
        hits = _matched(predicted, actual, found_count, there_count, iou)
        sizes = np.bincount(predicted.ravel(), minlength=found_count + 1)[1:]
        sums = np.bincount(predicted.ravel(), weights=probability.ravel(), minlength=found_count + 1)[1:]
        width = max(1, round(BOUNDARY * math.hypot(*truth.shape)))
        one, other = boundary(found, width, counted), boundary(there, width, counted)
        right = int(hits.sum())
        return cls(
            right,
            found_count - right,
            there_count - right,
            int((one & other).sum()),
            int((one | other).sum()),
            (sums / np.maximum(sizes, 1)).astype(np.float32),
            hits,
        )


class Objects:
    """The objects of several images together.

    Args:
        counts: of each image.
    """

    def __init__(self, counts: Sequence[ObjectCounts]) -> None:
        names = ("right", "wrong", "missed", "boundary_both", "boundary_either")
        self._sums = np.array([[getattr(one, name) for name in names] for one in counts], dtype=np.float64)
        scores = np.concatenate([one.scores for one in counts] or [np.empty(0, np.float32)])
        hits = np.concatenate([one.hits for one in counts] or [np.empty(0, bool)])
        image = np.repeat(np.arange(len(counts)), [len(one.hits) for one in counts])
        order = np.argsort(-scores, kind="stable")
        self._hits, self._image = hits[order], image[order]
        ends = np.flatnonzero(np.diff(scores[order]))  # objects of one score are ranked together
        self._ends = np.append(ends, len(order) - 1) if len(order) else ends

    def metrics(self, weight: NDArray[np.float64] | None = None) -> dict[str, float]:
        """Return the metrics of all images; NaN where there is nothing to count.

        ``object_accuracy`` is right over all that was found or is there; precision, recall and F1 as usual.
        ``object_average_precision`` ranks the objects found by their mean probability: the sum of precision times the
        gain in recall. ``boundary_iou`` is the intersection over union of the boundaries of both masks (Cheng et al.
        2021).

        Args:
            weight: how often each image counts; None is once.
        """
        weight = np.ones(len(self._sums)) if weight is None else weight
        right, wrong, missed, both, either = (float(value) for value in weight @ self._sums)
        return {
            "object_accuracy": _share(right, right + wrong + missed),
            "object_precision": _share(right, right + wrong),
            "object_recall": _share(right, right + missed),
            "object_f1": _share(2 * right, 2 * right + wrong + missed),
            "object_average_precision": self._average_precision(weight, right + missed),
            "boundary_iou": _share(both, either),
        }

    def _average_precision(self, weight: NDArray[np.float64], there: float) -> float:
        if not there:
            return math.nan
        each = weight[self._image]
        right, found = np.cumsum(each * self._hits)[self._ends], np.cumsum(each)[self._ends]
        precision = np.divide(right, found, out=np.zeros_like(right), where=found > 0)
        return float((precision * np.diff(right / there, prepend=0.0)).sum())


def boundary(mask: Mask, width: int, counted: Mask | None = None) -> Mask:
    """Return the pixels of a mask that are at most so many from its edge.

    The image's own border is no edge, nor is that of what is not counted: what lies beyond is not known.
    """
    if not mask.any():
        return mask
    whole = mask if counted is None else mask | ~counted
    inner: Mask = ndimage.binary_erosion(whole, _NEIGHBOURS, iterations=width, border_value=1)
    return mask & ~inner


def _labelled(mask: Mask) -> tuple[Labels, int]:
    labels = np.zeros(mask.shape, dtype=np.int32)
    count: int = ndimage.label(mask, structure=_NEIGHBOURS, output=labels)
    return labels, count


def _matched(predicted: Labels, actual: Labels, found: int, there: int, iou: float) -> Mask:
    """Return which of the objects found are there."""
    hits = np.zeros(found, dtype=bool)
    if not found or not there:
        return hits
    pair = predicted.astype(np.int64) * (there + 1) + actual
    both, common = np.unique(pair[(predicted > 0) & (actual > 0)], return_counts=True)
    one, other = both // (there + 1), both % (there + 1)
    size_one, size_other = np.bincount(predicted.ravel()), np.bincount(actual.ravel())
    share = common / (size_one[one] + size_other[other] - common)
    taken = np.zeros(there + 1, dtype=bool)
    for place in np.argsort(-share, kind="stable"):
        if share[place] < iou:
            break
        if not hits[one[place] - 1] and not taken[other[place]]:
            hits[one[place] - 1] = taken[other[place]] = True
    return hits


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
