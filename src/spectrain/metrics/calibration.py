"""Recalibration of predicted variances on validation residuals, and curves that show how far they can be trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ..core.errors import DataError, RunError
from ..core.quantiles import central_interval
from ..core.regressed import ErrorModel
from .distributions import coverage_name
from .regression import GROUPS, LEVELS, join_bins

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Recalibration:
    """What was learnt of a model's errors on labels that it was not trained on, for each of Q quantities.

    Attributes:
        names: of the quantities.
        factors: predicted variances times this are right on the whole.
        levels: shares of labels that intervals are to hold.
        widths: a row a quantity: half of each interval in predicted standard deviations, before ``factors``; infinite
            where there were too few labels for the level.
        counts: how many labels each was fitted on.
        widenings: of a model of quantiles a row a quantity: what its own interval of each level is to reach further on
            either side, in the unit of the labels; below 0 where it is too wide, infinite as above. () of others.
    """

    names: tuple[str, ...]
    factors: tuple[float, ...]
    levels: tuple[float, ...]
    widths: tuple[tuple[float, ...], ...]
    counts: tuple[int, ...]
    widenings: tuple[tuple[float, ...], ...] = ()

    def variance(self, variance: Tensor, axis: int = 1) -> Tensor:
        """Return predicted variances scaled; ``axis`` is the one over quantities."""
        return variance * self._along(self.factors, variance, axis)

    def half_width(self, variance: Tensor, level: float, axis: int = 1) -> Tensor:
        """Return half the width of the conformal interval, of the shape of ``variance``.

        Args:
            variance: as the model predicts it, not scaled.
            level: one of ``levels``.
            axis: the one over quantities.

        Raises:
            RunError: the level is none of those that were fitted.
        """
        if level not in self.levels:
            raise RunError(
                f"no interval was fitted for {level:g}",
                where="recalibration",
                fix=f"take one of {', '.join(f'{one:g}' for one in self.levels)}",
            )
        at = self.levels.index(level)
        return variance.sqrt() * self._along([row[at] for row in self.widths], variance, axis)

    def quantiles(self, offsets: Tensor, levels: Sequence[float]) -> tuple[Tensor, tuple[float, ...]]:
        """Return a model's quantiles recalibrated, and their levels: the ends of all intervals, and the median.

        Conformalised quantile regression (Romano et al. 2019): both ends of the model's own interval are moved by what
        held the level's share of the labels; where these were too few they stay. No interval is narrower than a smaller
        one's or without the median, which makes them hold no less.

        Args:
            offsets: [N,L,Q,...], the model's quantiles, sorted, less the median.
            levels: of them.

        Returns:
            Offsets [N,2K+1,Q,...] of K intervals, and their levels, rising.
        """
        lower = upper = torch.zeros_like(offsets[:, 0])
        found, at_level = [lower], [0.5]
        for share, *amounts in sorted(zip(self.levels, *self.widenings, strict=True)):
            more = self._along([one if math.isfinite(one) else 0.0 for one in amounts], lower, axis=1)
            low, high = central_interval(offsets, levels, share)
            lower, upper = torch.minimum(lower, low - more), torch.maximum(upper, high + more)
            found, at_level = [lower, *found, upper], [(1 - share) / 2, *at_level, (1 + share) / 2]
        return torch.stack(found, dim=1), tuple(at_level)

    def only(self, at: int) -> Recalibration:
        """Return that of one quantity."""
        parts = {name: (getattr(self, name)[at],) for name in ("names", "factors", "widths", "counts")}
        return replace(self, **parts, widenings=self.widenings[at : at + 1])

    def _along(self, values: Sequence[float], like: Tensor, axis: int) -> Tensor:
        if like.shape[axis] != len(self.names):
            raise ValueError(f"{like.shape[axis]} quantities on axis {axis}, not {len(self.names)}")
        shape = [1] * like.ndim
        shape[axis] = len(values)
        return torch.tensor(values, dtype=like.dtype, device=like.device).view(shape)

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` takes; null is infinite."""
        return {
            "names": list(self.names),
            "variance_factors": list(self.factors),
            "levels": list(self.levels),
            "half_widths": [_finite(row) for row in self.widths],
            "labels": list(self.counts),
            **({"widenings": [_finite(row) for row in self.widenings]} if self.widenings else {}),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Recalibration:
        """Return the recalibration of a record.

        Raises:
            RunError: it is no such record.
        """
        try:
            found = cls(
                tuple(str(name) for name in record["names"]),
                tuple(float(x) for x in record["variance_factors"]),
                tuple(float(x) for x in record["levels"]),
                _infinite(record["half_widths"]),
                tuple(int(x) for x in record["labels"]),
                _infinite(record.get("widenings", ())),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"this is no record of a recalibration: {error!r}", fix="fit it again") from error
        sizes = {len(part) for part in (found.names, found.factors, found.widths, found.counts)}
        sizes |= {len(found.widenings)} if found.widenings else set()
        if len(sizes) > 1 or any(len(row) != len(found.levels) for row in (*found.widths, *found.widenings)):
            raise RunError("a record of a recalibration has parts of different lengths", fix="fit it again")
        return found


def _finite(row: Sequence[float]) -> list[float | None]:
    return [x if math.isfinite(x) else None for x in row]


def _infinite(rows: Sequence[Sequence[float | None]]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(math.inf if x is None else float(x) for x in row) for row in rows)


def fit_recalibration(
    mean: Mapping[str, ArrayLike],
    variance: Mapping[str, ArrayLike],
    y: Mapping[str, ArrayLike],
    levels: Sequence[float] = LEVELS,
    error: ErrorModel = "gaussian",
) -> Recalibration:
    """Fit the recalibration of each quantity on labels that the model was not trained on.

    Args:
        mean: name of a quantity -> predicted means of its labelled pixels [n]; n may differ from quantity to quantity.
        variance: predicted variances, likewise.
        y: labels, likewise.
        levels: of the intervals.
        error: how errors are taken to be distributed.

    Raises:
        DataError: a quantity has no labels, or a number that is not finite.
    """
    factors, widths, counts = [], [], []
    for name in mean:
        p, v, t = (np.asarray(of[name], dtype=np.float64).ravel() for of in (mean, variance, y))
        with np.errstate(divide="ignore", invalid="ignore"):  # which are refused below
            squares = (p - t) ** 2 / v
        if not len(squares) or not np.isfinite(squares).all():
            what = "no labels" if not len(squares) else "residuals that are not finite"
            raise DataError(
                f"{name!r} has {what} to calibrate on", where="the validation split", fix="give it labels, or leave out"
            )
        factors.append(variance_factor(squares, error))
        widths.append(tuple(conformal_widths(np.sqrt(squares), levels)))
        counts.append(len(squares))
    return Recalibration(tuple(mean), tuple(factors), tuple(levels), tuple(widths), tuple(counts))


def fit_widenings(
    quantiles: ArrayLike, levels: Sequence[float], y: ArrayLike, shares: Sequence[float]
) -> tuple[float, ...]:
    """Return how much further the interval of each share is to reach on either side to hold it.

    By split-conformal prediction of how far a label lies beyond the nearer end, below 0 inside (Romano et al. 2019).

    Args:
        quantiles: [n,L] of each label's pixel, sorted.
        levels: of them.
        y: labels [n].
        shares: that the intervals are to hold.
    """
    given, labels = torch.from_numpy(np.asarray(quantiles, np.float64)), np.asarray(y, np.float64)
    found = []
    for share in shares:
        low, high = (end.numpy() for end in central_interval(given, levels, share))
        found += conformal_widths(np.maximum(low - labels, labels - high), [share])
    return tuple(found)


def variance_factor(squares: Numbers, error: ErrorModel = "gaussian") -> float:
    """Return the factor c of all variances v at which the labels are likeliest; 1e-8 where all are met exactly.

    Of Gaussian errors it is the mean of (p - y)² / v, where the derivative of the mean of (p - y)² / 2cv + log(cv) / 2
    by c is 0. Of Laplace errors, whose scale b is the root of v / 2, the scale's factor is the mean of |p - y| / b,
    where that of |p - y| / kb + log(kb) by k is 0, and c its square.

    Args:
        squares: (p - y)² / v of each label, [n].
        error: how errors are taken to be distributed.
    """
    if error == "laplace":
        return max(2 * float(np.sqrt(squares).mean()) ** 2, 1e-8)
    return max(float(squares.mean()), 1e-8)


def conformal_widths(sizes: Numbers, levels: Sequence[float]) -> list[float]:
    """Return half the width of the interval of each level, in predicted deviations, by split-conformal prediction.

    It is the ceil((n + 1) level)-th smallest of n sizes |p - y| / sigma: of labels drawn as these were, the interval
    holds at least the share ``level`` on average, whatever the errors' distribution (Lei et al. 2018). Infinite where n
    is too small. Labels of one track or scene are alike, and count for fewer than they are.

    Args:
        sizes: |p - y| / sigma of each label, [n]; or any other number that is lower the nearer a label is.
        levels: between 0 and 1.
    """
    held = np.sort(sizes)
    # 1e-9: 0.9 * 10 is 9.000000000000002 of a kind in floating point
    ranks = [math.ceil((len(held) + 1) * level - 1e-9) for level in levels]
    return [float(held[rank - 1]) if rank <= len(held) else math.inf for rank in ranks]


def calibration_curve(count: Tensor, variance: Tensor, square: Tensor, groups: int = GROUPS) -> dict[str, list[float]]:
    """Return predicted deviation against error, by bins of the deviation with about as many labels each.

    Args:
        count: labels by fine bin of the log-variance, float64 [bins], as ``fine_count`` of `sums_of`.
        variance: predicted variances summed, likewise.
        square: squared errors summed, likewise.
        groups: bins of the curve at most.

    Returns:
        Columns ``count sigma rmse``, a row a bin that has labels, by rising ``sigma`` (root mean variance).
    """
    n, v, e = (join_bins(values, count, groups) for values in (count, variance, square))
    kept = n > 0
    n, v, e = n[kept], v[kept], e[kept]
    return {"count": n.tolist(), "sigma": (v / n).sqrt().tolist(), "rmse": (e / n).sqrt().tolist()}


def retention_curve(count: Tensor, square: Tensor) -> dict[str, list[float]]:
    """Return the error of the surest labels against how many are kept.

    Args:
        count: labels by fine bin of the log-variance, float64 [bins].
        square: squared errors summed, likewise.

    Returns:
        Columns ``kept`` (share of the labels, rising to 1) and ``rmse`` of them, a row a bin that has labels. Where
        certainty says something, ``rmse`` rises.
    """
    some = count > 0
    n, e = count[some].cumsum(0), square[some].cumsum(0)
    return {"kept": (n / count.sum()).tolist(), "rmse": (e / n).sqrt().tolist()}


def coverage_curve(metrics: Mapping[str, float], levels: Sequence[float] = LEVELS) -> dict[str, list[float]]:
    """Return the share of labels in intervals (``found``) against what it should be (``level``), of the metrics."""
    return {"level": list(levels), "found": [metrics[coverage_name(level)] for level in levels]}
