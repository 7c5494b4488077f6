"""How well were the classes of pixels found? One histogram of scores by class; every metric is derived from it.

The names of the pixel metrics are those of torchmetrics, in our spelling; `PUBLISHED` lists both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..config.option import option
from ..core.batch import Batch
from ..core.segmented import Segmented
from .base import Summed, Tables, read_sums, widest

BINS = 4096
"""Bins of a histogram of scores: areas under curves are exact to about 1e-4."""
PUBLISHED = {
    "loss": "loss",
    "accuracy": "Accuracy",
    "precision": "Precision",
    "specificity": "Specificity",
    "recall": "Recall",
    "f1": "F1Score",
    "jaccard": "JaccardIndex",
    "kappa": "CohenKappa",
    "hamming": "HammingDistance",
    "auroc": "AUROC",
    "average_precision": "AveragePrecision",
}
"""Our name of a metric -> the one that DARTS logs as ``val/NAME``."""


class SegmentationMetric:
    """The part called "segmentation": metrics of pixels, from a confusion matrix and histograms of scores.

    For two classes they are of class 1. For more, ``precision recall specificity f1 jaccard auroc average_precision``
    are means over the classes that occur (macro), the others are of all pixels. What has nothing to count is NaN.

    - ``accuracy``: share of pixels that are right; ``hamming`` is the rest.
    - ``precision``, ``recall``, ``specificity``, ``f1``, ``jaccard`` (intersection over union).
    - ``kappa``: agreement beyond chance (Cohen 1960).
    - ``auroc``, ``average_precision``: areas under the ROC and the precision-recall curve, from histograms of scores.

    Args:
        objects: a test counts objects too (connected pixels of class 1); only for two classes.
        object_iou: intersection over union from which a predicted object is one that is there.
    """

    @dataclass(frozen=True)
    class Config:
        """Keys of ``metric=segmentation``."""

        objects: bool = option(True, "a test counts objects too, of class 1 of two")
        object_iou: float = option(0.3, "intersection over union from which two objects are one", above=0, maximum=1)

    def __init__(self, objects: bool = True, object_iou: float = 0.3) -> None:
        self.objects, self.object_iou = objects, object_iou

    @classmethod
    def from_config(cls, config: Config) -> SegmentationMetric:
        """Return the part."""
        return cls(config.objects, config.object_iou)

    def start(self) -> SegmentationSums:
        """Return fresh sums for one evaluation."""
        return SegmentationSums()

    def tables(self) -> Tables:
        """Return what collects the tables of a test."""
        from .segmentation_tables import SegmentationTables  # which needs what is here

        return SegmentationTables(self.object_iou if self.objects else None)


class SegmentationSums(Summed):
    """Sums over the pixels of an evaluation.

    ``confusion`` [K,K] (true, predicted) and ``scores`` [S,2,BINS] (class; others or of it; score).
    """

    def update(self, output: Any, batch: Batch) -> None:
        """Add a batch of `Segmented`; pixels that do not count, and rows of padding, are left out."""
        assert isinstance(output, Segmented)
        self.add_sums({"confusion": confusion(output).sum(0), "scores": scores(output)})

    def compute(self, sums: dict[str, Tensor]) -> dict[str, float]:
        """Return the metrics by name."""
        host = read_sums(sums)
        if not host:
            return dict.fromkeys([name for name in PUBLISHED if name != "loss"], math.nan)
        return {**of_confusion(host["confusion"]), **areas(host["scores"])}


def confusion(found: Segmented) -> Tensor:
    """Return how many pixels of each image are of a class and were given one, [B,K,K] (true, predicted), float64."""
    classes, batch = len(found.names), found.y.shape[0]
    y, counted = found.y.long(), found.counted
    image = torch.arange(batch, device=y.device)[:, None, None]
    place = torch.where(counted, (image * classes + y) * classes + found.predicted, batch * classes**2)
    held = _counted(place, batch * classes**2 + 1)
    return held[:-1].view(batch, classes, classes)


def scores(found: Segmented) -> Tensor:
    """Return how many pixels have which score, [S,2,BINS]: of each class (of two: class 1), others and its own.

    The score of a class is its logit over the others'. Bins are even on sigmoid(logit / 3), so that scores far from 0
    are told apart and the edge between the two middle bins is the logit 0.
    """
    y, counted = found.y.long(), found.counted
    binary = found.logits.shape[1] == 1
    logits = found.logits.detach().float()
    if not binary:
        log_all = logits.log_softmax(1)
        logits = log_all - torch.log1p(-log_all.exp())
    place = ((logits / 3).sigmoid() * BINS).long().clamp(0, BINS - 1)
    found_sums = []
    for number, of_class in enumerate(place.unbind(1)):
        own = (y == (1 if binary else number)).long()
        at = torch.where(counted, own * BINS + of_class, 2 * BINS)
        found_sums.append(_counted(at, 2 * BINS + 1)[:-1].view(2, BINS))
    return torch.stack(found_sums)


def _counted(place: Tensor, size: int) -> Tensor:
    """Return how often each number below ``size`` occurs; without waiting for the device, as bincount does."""
    flat = place.flatten()
    if flat.device.type == "cpu":
        return torch.bincount(flat, minlength=size).to(torch.float64)
    held = torch.zeros(size, dtype=widest(flat.device), device=flat.device)
    return held.scatter_add_(0, flat, torch.ones((), dtype=held.dtype, device=flat.device).expand_as(flat))


def of_confusion(matrix: Tensor) -> dict[str, float]:
    """Return the metrics of a confusion matrix [K,K] (true, predicted), float64."""
    total, right = float(matrix.sum()), matrix.diagonal()
    if total == 0:
        names = ("accuracy", "precision", "specificity", "recall", "f1", "jaccard", "kappa", "hamming")
        return dict.fromkeys(names, math.nan)
    there, given = matrix.sum(1), matrix.sum(0)
    missed, wrong = there - right, given - right
    rest = total - there - wrong  # neither of the class nor taken for it
    by_class = {
        "precision": right / given,
        "specificity": rest / (rest + wrong),
        "recall": right / there,
        "f1": 2 * right / (2 * right + wrong + missed),
        "jaccard": right / (right + wrong + missed),
    }
    if len(matrix) == 2:
        macro = {name: float(values[1]) for name, values in by_class.items()}
    else:
        occurs = (there + given) > 0
        macro = {name: float(values[occurs].nan_to_num(0.0).mean()) for name, values in by_class.items()}
    accuracy = float(right.sum()) / total
    chance = float((there * given).sum()) / total**2
    kappa = (accuracy - chance) / (1 - chance) if chance < 1 else math.nan
    return {"accuracy": accuracy, **macro, "kappa": kappa, "hamming": 1 - accuracy}


def areas(held: Tensor) -> dict[str, float]:
    """Return both areas of histograms [S,2,bins], means over the classes that have pixels of their own and others."""
    roc_areas, precision_areas = [], []
    for one in held:
        if float(one[1].sum()) > 0:
            precision_areas.append(average_precision(one))
            if float(one[0].sum()) > 0:
                false, true = roc(one)
                roc_areas.append(float(torch.trapezoid(true, false)))
    return {
        "auroc": sum(roc_areas) / len(roc_areas) if roc_areas else math.nan,
        "average_precision": sum(precision_areas) / len(precision_areas) if precision_areas else math.nan,
    }


def roc(held: Tensor) -> tuple[Tensor, Tensor]:
    """Return false and true positive rate, from the highest threshold to the lowest, of [2,BINS]; both begin at 0."""
    above = held.flip(1).cumsum(1)
    rates = above / above[:, -1:].clamp(min=1)
    zero = rates.new_zeros(1)
    return torch.cat((zero, rates[0])), torch.cat((zero, rates[1]))


def precision_recall(held: Tensor) -> tuple[Tensor, Tensor]:
    """Return precision and recall, from the highest threshold to the lowest, of [2,BINS], where anything is found."""
    above = held.flip(1).cumsum(1)
    some = above.sum(0) > 0
    above = above[:, some]
    return above[1] / above.sum(0), above[1] / held[1].sum().clamp(min=1)


def average_precision(held: Tensor) -> float:
    """Return the sum over thresholds of precision times the gain in recall (as scikit-learn), of [2,BINS]."""
    precision, recall = precision_recall(held)
    return float((precision * torch.diff(recall, prepend=recall.new_zeros(1))).sum())
