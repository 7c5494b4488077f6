"""What a regression draws as maps: mean, what its spread is made of, and an interval."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..core.quantiles import central_interval
from ..core.regressed import ErrorModel
from ..metrics.calibration import Recalibration
from ..metrics.distributions import half_width
from ..metrics.ensemble import EnsembleMoments, combine
from .layers import Layer

VALUE = "value"
"""Name of a quantity that has none."""
MEAN, ALEATORIC, EPISTEMIC, PREDICTIVE, LOWER, UPPER = "mean", "aleatoric", "epistemic", "predictive", "lower", "upper"


def value_layers(
    names: Sequence[str], members: int, *, modelled: bool, level: float | None, unit: str | None
) -> tuple[Layer, ...]:
    """Return the layers of a map of values; all but mean and bounds are standard deviations.

    Args:
        names: of the quantities.
        members: how many models there are; of several there are ``epistemic`` and, where they have an error model,
            ``predictive``, which is epistemic otherwise.
        modelled: they have an error model, so there is ``aleatoric``.
        level: share that the interval from ``lower`` to ``upper`` is to hold; None has none.
        unit: of the values.
    """
    found = [MEAN, *([ALEATORIC] if modelled else [])]
    if members > 1:
        found += [EPISTEMIC, *([PREDICTIVE] if modelled else [])]
    said = {one: one for one in found}
    if level is not None:
        said |= {one: f"{one} bound of {100 * level:.4g} %" for one in (LOWER, UPPER)}
    alone = tuple(names) == (VALUE,)
    return tuple(
        Layer(name, tuple(words if alone else f"{words} of {quantity}" for quantity in names), unit=unit)
        for name, words in said.items()
    )


def value_maps(
    means: Tensor,
    variances: Tensor | None,
    error: ErrorModel,
    level: float,
    fitted: Recalibration | None,
    offsets: Tensor | None = None,
    levels: Sequence[float] = (),
) -> dict[str, Tensor]:
    """Return what `value_layers` names, each [Q,H,W]; bounds are of no meaning where there are none.

    A recalibration scales all variances alike, so that the squares of aleatoric and epistemic still add up to that of
    predictive. Bounds are its conformal interval; without one, or where it had too few labels for the level, those of
    the models' own distribution: Gaussian where they are several. Models of quantiles have bounds of these, see
    `shared_offsets`, which a recalibration widens.

    Args:
        means: float32 [M,Q,H,W] of M models, in the unit of the labels.
        variances: predicted, likewise, or None.
        error: how a model's errors are distributed.
        level: of the interval.
        fitted: what was learnt of these models' errors on labels that none was trained on.
        offsets: float32 [M,L,Q,H,W] of models of quantiles: these, sorted, less their median ``means``.
        levels: of them.
    """
    several = len(means) > 1
    moments = combine(means, variances)
    raw = moments.predictive if several or variances is not None else torch.ones_like(moments.mean)
    factor = torch.ones_like(raw) if fitted is None else fitted.variance(torch.ones_like(raw), axis=0)
    deviation = (raw * factor).sqrt()
    half = deviation * half_width(level, error if not several and error == "laplace" else "gaussian")
    if fitted is not None:
        conformal = fitted.half_width(raw, level, axis=0)
        half = torch.where(conformal.isfinite(), conformal, half)
    low, high = -half, half
    if offsets is not None and (fitted is None or fitted.widenings):  # one of before has widths alone
        own = shared_offsets(list(offsets), moments, axis=0)[None]
        own, levels = (own, levels) if fitted is None else fitted.quantiles(own, levels)
        low, high = (end[0] for end in central_interval(own, levels, level))
    found = {MEAN: moments.mean, LOWER: moments.mean + low, UPPER: moments.mean + high}
    if variances is not None and moments.aleatoric is not None:
        found[ALEATORIC] = (moments.aleatoric * factor).sqrt()
    if several:
        found[EPISTEMIC] = (moments.epistemic * factor).sqrt()
        found[PREDICTIVE] = deviation
    return found


def shared_offsets(offsets: Sequence[Tensor], moments: EnsembleMoments, axis: int) -> Tensor:
    """Return the quantiles of several models as one, less the mean of their medians.

    They are the mean of the models' own, which keeps their shape, and as much further from the median as the predictive
    deviation is larger than the aleatoric one: so what the models do not agree on widens them.

    Args:
        offsets: of each model its quantiles, sorted, less its median.
        moments: of their medians and variances.
        axis: of the offsets, the one over quantiles, which the moments have not.
    """
    mean = sum(offsets[1:], offsets[0]) / len(offsets)
    if moments.members == 1 or moments.aleatoric is None:
        return mean
    return mean * (moments.predictive / moments.aleatoric).sqrt().unsqueeze(axis)
