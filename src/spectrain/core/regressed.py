"""What a model that gives a value for each pixel made of a batch, for the losses, the metrics and the pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from .fill import fill_invalid
from .targets import SparseValues

ErrorModel = Literal["none", "gaussian", "laplace"]
"""How errors are taken to be distributed; "none" where a model gives values alone."""
SMALLEST = 1e-8
"""Added to exp(s), as published: a variance is never 0."""


@dataclass(frozen=True, slots=True)
class Regressed:
    """Values and their uncertainty beside what was measured.

    Two shapes are taken: [B,Q,H,W], every pixel, or [M,Q], the M measured ones (`SparseValues.at` gives these). Q
    counts the quantities.

    Attributes:
        mean: float32, in the unit of the target.
        log_variance: float32 s, of the shape of ``mean``: exp(s) is the variance of a Gaussian error, or the scale b of
            a Laplace error (whose variance is 2 b²). None where the model gives values alone.
        y: float32, what was measured; anything where ``valid`` is False.
        valid: bool, True where a label counts: it is measured, and its pixel is one of an image.
        names: of the Q quantities.
        error: what ``log_variance`` is of.
        row: int64 [M], the image of each measured pixel; None for [B,Q,H,W].
        quantiles: float32 [B,L,Q,H,W] or [M,L,Q] where the model gives quantiles, in the order of ``levels``; they may
            cross. Where they were recalibrated, as they are then.
        levels: the L levels of ``quantiles``; () where there are none.
        own: quantiles and their levels as the model gives them, where those above are recalibrated; else None.
        whole: for a picture of [M,Q]: mean and log-variance [N,Q,H,W] of the first N images; None draws none.
        unit: of the values, for a picture; None where it is not known.
    """

    mean: Tensor
    log_variance: Tensor | None
    y: Tensor
    valid: Tensor
    names: tuple[str, ...]
    error: ErrorModel = "none"
    row: Tensor | None = None
    quantiles: Tensor | None = None
    levels: tuple[float, ...] = ()
    own: tuple[Tensor, tuple[float, ...]] | None = None
    whole: tuple[Tensor, Tensor | None] | None = None
    unit: str | None = None

    def __post_init__(self) -> None:
        shapes = {tuple(x.shape) for x in (self.mean, self.y, self.valid)}
        if len(shapes) > 1:
            raise ValueError(f"values, labels and which of them count differ in shape: {sorted(shapes)}")
        if self.mean.shape[1] != len(self.names):
            raise ValueError(f"{self.mean.shape[1]} quantities and {len(self.names)} names")
        if (self.log_variance is None) != (self.error == "none"):
            raise ValueError(f"an error model {self.error!r} and the log-variance do not go together")
        if self.log_variance is not None and self.log_variance.shape != self.mean.shape:
            raise ValueError(f"log-variance {tuple(self.log_variance.shape)} of values {tuple(self.mean.shape)}")
        if self.quantiles is not None and self.quantiles.shape[1] != len(self.levels):
            raise ValueError(f"{self.quantiles.shape[1]} quantiles of {len(self.levels)} levels")

    @property
    def spread(self) -> Tensor:
        """``exp(s) + 1e-8``: variance or Laplace scale, of the shape of ``mean``; 1 where nothing counts."""
        assert self.log_variance is not None
        return fill_invalid(self.log_variance, self.valid).exp() + SMALLEST

    @property
    def variance(self) -> Tensor:
        """Variance of the error, of the shape of ``mean``; of no meaning where nothing counts."""
        assert self.log_variance is not None
        return variance_of(fill_invalid(self.log_variance, self.valid), self.error)

    @property
    def images(self) -> Tensor:
        """The image of each value, int64, broadcastable to ``mean``."""
        if self.row is not None:
            return self.row[:, None]
        number = torch.arange(self.mean.shape[0], device=self.mean.device)
        return number.view(-1, *[1] * (self.mean.ndim - 1))

    @property
    def offsets(self) -> Tensor | None:
        """Quantiles, sorted, less their median ``mean``; None where there are none."""
        return None if self.quantiles is None else self.quantiles.sort(dim=1).values - self.mean[:, None]

    def detach(self) -> Regressed:
        """Return the same without the graph."""
        s, quantiles = (None if one is None else one.detach() for one in (self.log_variance, self.quantiles))
        return replace(self, mean=self.mean.detach(), log_variance=s, quantiles=quantiles)

    def mapped(self, target: SparseValues, count: int) -> Regressed:
        """Return values [M,Q] as maps [N,Q,H,W] of the first N images, without waiting for the device.

        Without ``whole`` the predictions are at the measured pixels alone, NaN elsewhere.

        Args:
            target: where the M measured pixels lie.
            count: N.
        """
        height, width = target.shape[1:]
        size = count * height * width
        kept = (target.row < count) & self.valid.any(1)
        place = torch.where(kept, target.row * height * width + target.index, size)  # all others share one more

        def spread(values: Tensor, fill: float) -> Tensor:
            held = values.new_full((size + 1, values.shape[1]), fill)
            held[place] = values
            return held[:-1].view(count, height, width, -1).movedim(-1, 1)

        if self.whole is not None:
            mean, log_variance = self.whole
        else:
            mean = spread(self.mean, torch.nan)
            log_variance = None if self.log_variance is None else spread(self.log_variance, torch.nan)
        return Regressed(
            mean, log_variance, spread(self.y, 0), spread(self.valid, False), self.names, self.error, unit=self.unit
        )


def variance_of(s: Tensor, error: ErrorModel) -> Tensor:
    """Return the variance of an error with this log-variance (Gaussian) or log-scale (Laplace)."""
    spread = s.exp() + SMALLEST
    return spread if error == "gaussian" else 2 * spread.square()
