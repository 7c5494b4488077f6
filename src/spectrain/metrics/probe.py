"""How much of a quantity can be read off embeddings: nearest neighbours, and a ridge regression.

Both are fitted on training rows and judged on validation rows, in float64, without chance. Numbers are judged by R²,
classes by the share that is right.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_BLOCK = 2048
ALPHAS = tuple(10.0**power for power in range(-4, 7))
"""Penalties among which a ridge chooses, on features of unit variance."""


def r_squared(found: Tensor, wanted: Tensor) -> float:
    """Return 1 - SSE / SST of ``found`` for ``wanted``, both [N]; NaN where there is nothing or it is constant.

    1 is perfect, 0 is as good as the mean of ``wanted``, and it has no lower end.
    """
    if not len(wanted):
        return math.nan
    spread = (wanted - wanted.mean()).square().sum()
    return float(1 - (found - wanted).square().sum() / spread) if spread > 0 else math.nan


def accuracy(found: Tensor, wanted: Tensor) -> float:
    """Return the share of equal entries of two int64 [N]; NaN where there is nothing."""
    return float((found == wanted).double().mean()) if len(wanted) else math.nan


def nearest_rows(train: Tensor, rows: Tensor, count: int) -> Tensor:
    """Return int64 [N, min(count, M)]: the rows of ``train`` [M,D] nearest (Euclidean) to each of ``rows`` [N,D]."""
    train, rows = train.double(), rows.double()
    squares = train.square().sum(1)
    found = []
    for start in range(0, len(rows), _BLOCK):
        # the square of the row itself is the same for all and left out
        distances = squares[None, :] - 2 * rows[start : start + _BLOCK] @ train.T
        found.append(distances.topk(min(count, len(train)), dim=1, largest=False).indices)
    return torch.cat(found) if found else torch.zeros((0, 0), dtype=torch.int64)


def neighbour_mean(near: Tensor, values: Tensor) -> Tensor:
    """Return the mean of ``values`` [M] over the neighbours [N,K] of each row."""
    return values.double()[near].mean(dim=1)


def neighbour_vote(near: Tensor, classes: Tensor) -> Tensor:
    """Return the class most frequent among the neighbours [N,K]; the smallest of those that tie.

    Args:
        near: from `nearest_rows`.
        classes: int64 [M], from 0.
    """
    votes = F.one_hot(classes, int(classes.max()) + 1)[near].sum(dim=1)
    return votes.argmax(dim=1)


def ridge(train: Tensor, wanted: Tensor, rows: Tensor) -> Tensor:
    """Return the ridge regression's values [N,T] for ``rows`` [N,D], fitted to ``wanted`` [M,T] at ``train`` [M,D].

    Features are standardised by the training rows (a constant one is left out), the intercept is not penalised, and
    the penalty is the one of `ALPHAS` with the least leave-one-out error, in closed form (Golub, Heath and Wahba
    1979; as `sklearn.linear_model.RidgeCV`), one for all T.
    """
    train, wanted, rows = train.double(), wanted.double(), rows.double()
    mean, std = train.mean(0), train.std(0, correction=0)
    kept = std > 1e-12 * train.abs().amax(0).clamp(min=1e-300)
    x, z = ((part - mean)[:, kept] / std[kept] for part in (train, rows))
    centre = wanted.mean(0)
    y = wanted - centre
    u, s, vt = torch.linalg.svd(x, full_matrices=False)
    projected = u.T @ y
    best, weights = math.inf, None
    for alpha in ALPHAS:
        shrink = s.square() / (s.square() + alpha)
        leverage = u.square() @ shrink + 1 / len(x)
        left_out = (y - u @ (shrink[:, None] * projected)) / (1 - leverage).clamp(min=1e-12)[:, None]
        if (error := float(left_out.square().mean())) < best:
            best, weights = error, vt.T @ ((s / (s.square() + alpha))[:, None] * projected)
    return centre + (z @ weights if weights is not None else z.new_zeros(len(z), y.shape[1]))
