"""Losses of regression over the labelled pixels: of the value alone, or of value and uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from ..config.option import option
from ..core.errors import SpectrainError
from ..core.fill import fill_invalid
from ..core.loss_sum import LossSum
from ..core.regressed import ErrorModel, Regressed
from .rarity import RareValues
from .variance import HIGH, LOW, VarianceForm, log_variance, moments_of_quantiles

Kind = Literal["gaussian_nll", "laplace_nll", "beta_nll", "mse", "mae", "huber", "quantile"]
ERRORS: dict[str, ErrorModel] = {
    "gaussian_nll": "gaussian",
    "laplace_nll": "laplace",
    "beta_nll": "gaussian",
    "quantile": "gaussian",
}
"""The error model of each kind; those that are not here give values alone."""
PARTS = ("mse", "mae")
"""What is logged of every kind beside its loss."""


class RegressionLoss(nn.Module):
    """One loss of labelled pixels, a sum and a count, in float32.

    With p the predicted mean, y the label, s the predicted log-variance and v = exp(s) + 1e-8; constants are left out,
    as published:

    - ``gaussian_nll``: (p - y)² / 2v + log(v) / 2.
    - ``laplace_nll``: |p - y| / v + log(v): v is the scale of the error, its variance 2 v².
    - ``beta_nll``: ``gaussian_nll`` times v^beta, through which no gradient goes (Seitzer et al. 2022): 0 is
      ``gaussian_nll``; at 1 the mean learns as by ``mse``. It mends that pixels of large variance are given up.
    - ``mse``, ``mae``: (p - y)², |p - y|.
    - ``huber``: d² / 2 up to ``delta``, delta (|d| - delta / 2) beyond.
    - ``quantile``: pinball loss, mean over the levels; the model gives a channel a level. Quantiles may cross in
      training, as the loss is of each level by itself; they are sorted before anything else sees them.

    A pixel without label takes no part, whatever stands there (NaN too), and its gradient is exactly 0; those of the
    others are as by boolean indexing, which would wait for the device. A batch without labels is sum 0 and
    weight 0. The mean is over labelled values, all quantities alike.

    Args:
        kind: see above.
        delta: of ``huber``, in the unit of the target.
        beta: of ``beta_nll``.
        levels: of ``quantile``, rising.
        variance: "bounded" (`bounded_log_variance`) or "published" (s is the soft-plus of the channel).
        low: bound of s.
        high: bound of s.
        rare_edges: see `RareValues`; none weighs all labels alike.
        rare_weights: see `RareValues`.
    """

    @dataclass(frozen=True)
    class Config:
        """Keys of ``loss=regression``, and of ``gaussian_nll laplace_nll beta_nll mse mae huber quantile``."""

        kind: Kind = option("gaussian_nll", "of value and uncertainty (nll, quantile) or of the value alone")
        delta: float = option(1.0, "error from which the Huber loss grows linearly, in the target's unit", above=0)
        beta: float = option(0.5, "of the beta-NLL: 0 is the Gaussian NLL, 1 learns the mean as MSE", minimum=0)
        levels: list[float] = option([0.05, 0.5, 0.95], "of the quantile loss, rising", above=0, maximum=1)
        variance: VarianceForm = option("bounded", "form of the log-variance; published weights need published")
        low: float = option(LOW, "lowest log-variance of the bounded form, of the labels as the model learns them")
        high: float = option(HIGH, "highest log-variance of the bounded form, of the labels as the model learns them")
        rare: float = option(
            0.0, "power of the inverse density of the labels that weighs them; 0 weighs all alike", minimum=0
        )
        rare_edges: list[float] = option([], "inner edges of bins of the target that have weights of their own")
        rare_weights: list[float] = option([], "weights of these bins, one more than edges; none weighs all alike")

    def __init__(
        self,
        kind: Kind = "gaussian_nll",
        delta: float = 1.0,
        beta: float = 0.5,
        levels: Sequence[float] = (0.05, 0.5, 0.95),
        variance: VarianceForm = "bounded",
        low: float = LOW,
        high: float = HIGH,
        rare_edges: Sequence[float] = (),
        rare_weights: Sequence[float] = (),
    ) -> None:
        super().__init__()
        if kind == "quantile":
            _check_levels(levels)
        if low >= high:
            raise SpectrainError(f"the log-variance cannot lie between {low:g} and {high:g}", where="loss.low")
        self.kind, self.delta, self.beta, self.levels = kind, delta, beta, tuple(levels)
        self.variance, self.low, self.high = variance, low, high
        self.error: ErrorModel = ERRORS.get(kind, "none")
        self.rare = RareValues(rare_edges, rare_weights) if rare_edges or rare_weights else None

    @classmethod
    def from_config(cls, config: Config) -> RegressionLoss:
        """Return the loss."""
        return cls(**{name: value for name, value in vars(config).items() if name != "rare"})

    def channels(self, quantities: int = 1) -> int:
        """Return how many numbers a pixel the model has to give."""
        each = len(self.levels) if self.kind == "quantile" else 1 if self.error == "none" else 2
        return each * quantities

    @property
    def quantile_levels(self) -> tuple[float, ...]:
        """Levels of the quantiles that the model gives; () where it gives none."""
        return self.levels if self.kind == "quantile" else ()

    def found(
        self, raw: Tensor, y: Tensor, valid: Tensor, names: Sequence[str], row: Tensor | None = None
    ) -> Regressed:
        """Return what a model's numbers mean.

        Args:
            raw: [B,C,H,W] or [M,C] with C channels as `channels` says: all means, then all log-variances; of
                ``quantile`` all quantities of the first level, then of the next. A loss of values alone ignores what
                comes after the means.
            y: [B,Q,H,W] or [M,Q].
            valid: bool, of the shape of ``y``.
            names: of the Q quantities.
            row: see `Regressed`.
        """
        mean, s, quantiles = self.moments(raw, len(names))
        return Regressed(mean, s, y, valid, tuple(names), self.error, row, quantiles, self.quantile_levels)

    def moments(self, raw: Tensor, quantities: int = 1) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return mean, log-variance and quantiles [B,L,Q,H,W] of a model's numbers, float32; None what it has not."""
        if raw.shape[1] < self.channels(quantities):
            raise SpectrainError(
                f"the model gives {raw.shape[1]} channels, and {self.kind} of {quantities} quantities needs "
                f"{self.channels(quantities)}",
                where="loss.kind",
                fix="build the model with RegressionLoss.channels",
            )
        raw = raw.float()
        if self.kind == "quantile":
            quantiles = raw[:, : self.channels(quantities)].reshape(
                raw.shape[0], len(self.levels), quantities, *raw.shape[2:]
            )
            return *moments_of_quantiles(quantiles, self.levels), quantiles
        mean = raw[:, :quantities]
        if self.error == "none":
            return mean, None, None
        return mean, log_variance(raw[:, quantities : 2 * quantities], self.variance, self.low, self.high), None

    def forward(self, found: Regressed) -> Tensor:
        """Return the mean loss, a float32 scalar; 0 where no label counts."""
        return self.sums(found)[0].mean

    def sums(self, found: Regressed) -> tuple[LossSum, dict[str, LossSum]]:
        """Return the loss, and ``mse`` and ``mae`` for the log, as sums over the labels that count."""
        valid = found.valid
        count = valid.sum(dtype=torch.float32)
        y = fill_invalid(found.y.float(), valid)
        mean = fill_invalid(found.mean.float(), valid)
        each = self._each(found, mean, y)
        if self.rare is not None:
            each = each * self.rare(y)
        # the loss of a hole is some finite number, and its gradient is cut off here
        total = fill_invalid(each, valid).sum()
        error = (mean - y).detach()
        parts = {"mse": error.square().sum(), "mae": error.abs().sum()}
        return LossSum(total, count), {f"loss_{name}": LossSum(parts[name], count) for name in PARTS}

    def _each(self, found: Regressed, mean: Tensor, y: Tensor) -> Tensor:
        """Return the loss of each value, finite at holes too."""
        error = mean - y
        if self.kind == "mse":
            return error.square()
        if self.kind == "mae":
            return error.abs()
        if self.kind == "huber":
            size = error.abs()
            return torch.where(size <= self.delta, 0.5 * error.square(), self.delta * (size - 0.5 * self.delta))
        if self.kind == "quantile":
            assert found.quantiles is not None
            quantiles = fill_invalid(found.quantiles.float(), found.valid[:, None])
            losses = []
            for number, level in enumerate(self.levels):
                short = y - quantiles[:, number]
                losses.append(torch.maximum(level * short, (level - 1) * short))
            return torch.stack(losses).mean(0)
        v = found.spread
        if self.kind == "laplace_nll":
            return error.abs() / v + v.log()
        nll = 0.5 * error.square() / v + 0.5 * v.log()
        return nll if self.kind == "gaussian_nll" else nll * v.detach() ** self.beta


def _check_levels(levels: Sequence[float]) -> None:
    rising = all(b > a for a, b in pairwise(levels))
    if len(levels) < 2 or not rising or not 0 < levels[0] < 0.5 < levels[-1] < 1:
        raise SpectrainError(
            f"the levels {list(levels)} are not rising numbers on both sides of 0.5",
            where="loss.levels",
            fix="give at least two between 0 and 1, such as [0.05, 0.5, 0.95]",
        )
