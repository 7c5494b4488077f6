"""Weights that make rare values count as much as frequent ones: the inverse density of the training's labels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from ..core.errors import DataError, SpectrainError


class RareValues(nn.Module):
    """A weight for each label, by the bin it falls in; what lies beyond the outer edges has the weight of the last bin.

    Args:
        edges: rising inner edges, K - 1 of them.
        weights: of the K bins.
    """

    edges: Tensor
    weights: Tensor

    def __init__(self, edges: Sequence[float], weights: Sequence[float]) -> None:
        super().__init__()
        if len(weights) != len(edges) + 1:
            raise SpectrainError(
                f"{len(weights)} weights for {len(edges)} inner edges",
                where="loss.rare_weights",
                fix="give one weight more than edges: below the first, between them, above the last",
            )
        if any(b <= a for a, b in pairwise(edges)) or min(weights) < 0:
            raise SpectrainError("edges must rise and weights be at least 0", where="loss.rare_edges")
        self.register_buffer("edges", torch.tensor(edges, dtype=torch.float32))
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.float32))

    def forward(self, y: Tensor) -> Tensor:
        """Return the weights of labels of any shape, float32; no label may be NaN."""
        if self.edges.device != y.device:  # once: losses are not moved with the model
            self.to(y.device)
        return self.weights[torch.bucketize(y.float().contiguous(), self.edges, right=True)]


def fit_rarity(
    values: ArrayLike, bins: int | Sequence[float] = 50, power: float = 1.0, smooth: float = 0.0, most: float = 100.0
) -> tuple[list[float], list[float]]:
    """Return inner edges and weights for `RareValues`: ``density ** -power``, with mean 1 over the labels.

    Args:
        values: the training's labels of one quantity; what is not finite is left out.
        bins: how many of equal width between the 0.1 % and the 99.9 % quantile, or all edges, rising, outer ones too.
        power: 1 makes every bin weigh alike as a whole, 0.5 goes half the way.
        smooth: standard deviation in bins of the Gaussian that the histogram is smoothed with; 0 does not.
        most: no weight is more than this times the smallest of a bin with labels, so one odd label rules nothing.

    Raises:
        DataError: no label is finite.
    """
    held: NDArray[np.float64] = np.asarray(values, dtype=np.float64).ravel()
    held = held[np.isfinite(held)]
    if not len(held):
        raise DataError("no label is a number", where="the training's labels", fix="give labels to weigh by")
    if isinstance(bins, int):
        low, high = np.quantile(held, [0.001, 0.999])
        edges = np.linspace(low, high if high > low else low + 1, bins + 1)
    else:
        edges = np.asarray(bins, dtype=np.float64)
    inner = edges[1:-1]
    # counted by the edges as they are in training, in float32
    place = np.searchsorted(inner.astype(np.float32), held.astype(np.float32), side="right")
    count = np.bincount(place, minlength=len(inner) + 1).astype(np.float64)
    density = (_smoothed(count, smooth) if smooth > 0 else count) / np.diff(edges)
    some = density > 0
    weight = np.full(len(count), np.inf)
    weight[some] = density[some] ** -power
    weight = np.minimum(weight, most * weight[count > 0].min())
    return inner.tolist(), (weight * count.sum() / (weight * count).sum()).tolist()


def _smoothed(count: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Return a histogram smoothed by a Gaussian; what would fall beyond an end is left where it was seen from."""
    at = np.arange(len(count))
    kernel = np.exp(-0.5 * ((at[:, None] - at) / width) ** 2)
    found: NDArray[np.float64] = (kernel * (count / kernel.sum(0))).sum(1)
    return found
