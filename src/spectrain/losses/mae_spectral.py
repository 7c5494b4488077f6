"""The loss of a spectral masked autoencoder: a sum of named parts, each weighted and each logged."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal

import torch
from torch import Tensor, nn

from ..config.option import option
from ..core.errors import ConfigError, Problem
from ..core.fill import fill_invalid
from ..core.loss_sum import LossSum
from .token_sums import TokenSums, token_sums

Compare = Literal["masked", "all"]

LEAST_VARIANCE = 1e-2
"""Least variance that the errors of a token are divided by, in standardised units: the variance of a band is 1 there.

What deviates by less than a tenth of its band is flat to the eye, and much of that is noise. Such a token counts as if
it deviated by that tenth, at most 100 times as much as its plain error; without a floor a constant one would swamp all
others. Where ``model.standardise=none`` feeds images as they are, it is in their own unit.
"""


@dataclass(frozen=True, slots=True)
class Compared:
    """Predicted tokens beside what was there.

    A token is a block of u bands by P pixels; tokens of the same place are one below the other in the spectrum.

    Attributes:
        prediction: float32 [B,M,u,P], standardised.
        target: float32 [B,M,u,P], standardised; anything finite where not valid.
        counted: bool [B,M,u,P], what is compared; None where everything is.
        hidden_from: tokens from this one on were hidden from the encoder, those before it were visible.
        real: bool [B], False for rows that only fill up a batch.
        group: int64 [B,M], the band group of each token.
        place: int64 [B,M], its place in the image.
        groups: band groups.
        places: places in an image.
        squares: float32 [B,places,P], the squared length of each pixel's whole spectrum in the target's own unit; None
            where the loss does not need it (see `MAESpectralLoss.needs_squares`).
        scale: float32 [groups,u], a standardised value times this,
        shift: plus this, is in the unit of the image.
        low: float32 [groups,u], smallest standardised value that is known; -inf for none.
        high: largest, likewise.
    """

    prediction: Tensor
    target: Tensor
    counted: Tensor | None
    hidden_from: int
    real: Tensor
    group: Tensor
    place: Tensor
    groups: int
    places: int
    squares: Tensor | None
    scale: Tensor
    shift: Tensor
    low: Tensor
    high: Tensor


class MAESpectralLoss(nn.Module):
    """Weighted sum of what makes a reconstructed spectrum unlike the measured one.

    Its parts are logged as ``loss_mse`` and so on.

    Each part is a mean over one image; a batch is the mean of its images, each weighted by how many hidden values it
    has, so that micro-batches and processes add up. Parts of weight 0 cost nothing and are not logged. All in float32.

    - ``mse``: mean squared error of standardised values, of the hidden tokens or of all.
    - ``sam``: mean spectral angle in radians (Kruse et al. 1993) over the pixels with a hidden value, between the whole
      measured spectrum and the same with the hidden values replaced by the predicted ones, in the image's own unit. Its
      gradient is finite everywhere, at no difference and at a spectrum of zeros too.
    - ``variance``: how much less a band's predicted values deviate than the measured ones, mean over bands.
    - ``range``: how far predictions leave the range of the training data.
    - ``spectral_sum``: mean squared difference of the sums over band groups of all tokens, divided by the square of
      their number (the second term of SpectralGPT, there not divided: ``spectral_sum_normalised=false``).

    Args:
        mse_weight: of ``mse``.
        sam_weight: of ``sam``.
        variance_weight: of ``variance``.
        range_penalty_weight: of ``range``.
        spectral_sum_weight: of ``spectral_sum``.
        compare: "masked" compares hidden tokens, "all" visible ones too.
        normalise_tokens: ``mse`` weighs each token's squared error by 1 over the variance of what was measured in it,
            at least `LEAST_VARIANCE`, so that faint texture counts like strong. He et al. (2022) predict tokens
            less their mean and over their deviation, and so never learn a token's level; here the values themselves
            are predicted, so that pictures and metrics are of the model's own output, and a wrong level is an error.
        spectral_sum_normalised: see above.
        value_range: lowest and highest value that no reconstruction should leave, in the image's unit; None takes
            each band's range in the training data.
    """

    @dataclass(frozen=True)
    class Config:
        """Keys of ``loss=mae_spectral``."""

        mse_weight: float = option(1.0, "weight of the mean squared error", minimum=0)
        sam_weight: float = option(0.1, "weight of the spectral angle in radians", minimum=0)
        variance_weight: float = option(0.01, "weight of deviation that a band has lost", minimum=0)
        range_penalty_weight: float = option(0.001, "weight of values beyond the range of the data", minimum=0)
        spectral_sum_weight: float = option(0.0, "weight of sums over band groups (SpectralGPT)", minimum=0)
        spectral_sum_normalised: bool = option(True, "divide that by the square of their number; false is as published")
        compare: Compare = option("masked", "compare the hidden tokens, or all")
        normalise_tokens: bool = option(False, "the squared error of a token counts by 1 over its own variance")
        value_range: tuple[float, float] | None = option(
            None, "lowest and highest value of a reconstruction; null is each band's range in the training data"
        )

        def __post_init__(self) -> None:
            """Raise a `ConfigError` where the range does not rise."""
            if self.value_range is not None and not self.value_range[0] < self.value_range[1]:
                what = f"must rise, not go from {self.value_range[0]:g} to {self.value_range[1]:g}"
                fix = "write [lowest, highest], as [0, 1], or null"
                raise ConfigError([Problem("loss.value_range", "loss", what, fix)])

    def __init__(
        self,
        mse_weight: float = 1.0,
        sam_weight: float = 0.1,
        variance_weight: float = 0.01,
        range_penalty_weight: float = 0.001,
        spectral_sum_weight: float = 0.0,
        *,
        compare: Compare = "masked",
        normalise_tokens: bool = False,
        spectral_sum_normalised: bool = True,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        super().__init__()
        self.weights = {
            "mse": mse_weight,
            "sam": sam_weight,
            "variance": variance_weight,
            "range": range_penalty_weight,
            "spectral_sum": spectral_sum_weight,
        }
        self.compare, self.normalise_tokens, self.value_range = compare, normalise_tokens, value_range
        self.spectral_sum_normalised = spectral_sum_normalised

    @classmethod
    def from_config(cls, config: Config) -> MAESpectralLoss:
        """Return the configured loss."""
        return cls(
            config.mse_weight,
            config.sam_weight,
            config.variance_weight,
            config.range_penalty_weight,
            config.spectral_sum_weight,
            compare=config.compare,
            normalise_tokens=config.normalise_tokens,
            spectral_sum_normalised=config.spectral_sum_normalised,
            value_range=config.value_range,
        )

    @property
    def needs_all(self) -> bool:
        """It compares visible tokens too, so they have to be predicted."""
        return self.compare == "all" or self.weights["spectral_sum"] > 0

    @property
    def needs_squares(self) -> bool:
        """It compares spectra, so their length has to be known, which takes a pass over whole images."""
        return self.weights["sam"] > 0

    def forward(self, reconstructed: Tensor, original: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss of images [B,C,H,W], a scalar; of the values where ``mask``, bool [B,C,H,W], is True.

        Without a mask all do. NaN in ``original`` is missing and does not count. With nothing to compare the loss is 0.
        """
        batch, channels = original.shape[:2]
        valid = torch.isfinite(original)
        counted = valid if mask is None else valid & mask
        target = fill_invalid(original.float(), valid)
        whole = original.new_zeros((batch, 1), dtype=torch.int64)
        replaced = torch.where(counted, reconstructed.float(), target)
        ones = torch.ones((1, channels), device=original.device)
        compared = Compared(
            prediction=replaced.reshape(batch, 1, channels, -1),
            target=target.reshape(batch, 1, channels, -1),
            counted=counted.reshape(batch, 1, channels, -1),
            hidden_from=0,
            real=torch.ones(batch, dtype=torch.bool, device=original.device),
            group=whole,
            place=whole,
            groups=1,
            places=1,
            squares=target.square().sum(1).reshape(batch, 1, -1) if self.needs_squares else None,
            scale=ones,
            shift=0 * ones,
            low=-math.inf * ones,
            high=math.inf * ones,
        )
        found = self.sums(compared)[0]  # an image is one token here: the weight may be far below 1
        return found.sum / found.weight.where(found.weight > 0, 1.0)

    def sums(self, c: Compared) -> tuple[LossSum, dict[str, LossSum]]:
        """Return the loss and its parts, each as a sum over images and their weight (hidden values, in tokens)."""
        f = self._figures(c)
        counted = f.number[:, c.hidden_from :] if self.compare == "masked" else f.number
        weight = counted.sum((1, 2)) * c.real / math.prod(c.prediction.shape[2:])
        number = weight.sum()
        parts: dict[str, LossSum] = {}
        total = c.prediction.new_zeros(())
        for name, of in PARTS.items():
            if self.weights[name] > 0:
                one = (of(self, c, f) * weight).sum()
                parts[f"loss_{name}"] = LossSum(one.detach(), number)
                total = total + self.weights[name] * one
        if not parts:
            total = total + 0 * c.prediction.sum()
        return LossSum(total, number), parts

    def _figures(self, c: Compared) -> Figures:
        """Return what the parts need of each token and band."""
        batch, count, bands, pixels = c.prediction.shape
        if c.counted is None:
            number = torch.full((batch, count, bands), float(pixels), device=c.prediction.device)
            target = c.target
        else:
            number = c.counted.sum(3).to(torch.float32)
            target = fill_invalid(c.target, c.counted)
        hidden = _hidden(c, number)
        by_group = Bins.of(c.group, c.groups)
        in_group = by_group.added(hidden)
        centre = by_group.added(_hidden(c, target.sum(3))) / in_group.clamp(min=1)
        centre = centre.gather(1, c.group[..., None].expand(-1, -1, bands))  # of each token's own bands
        low, high = c.low, c.high
        if self.value_range is not None:
            low, high = ((value - c.shift) / c.scale for value in self.value_range)
        found = token_sums(
            c.prediction.flatten(0, 1),
            c.target.flatten(0, 1),
            None if c.counted is None else c.counted.flatten(0, 1),
            centre=centre.flatten(0, 1)[..., None],
            **{
                name: of_group[c.group].flatten(0, 1)[..., None]
                for name, of_group in (("scale", c.scale), ("shift", c.shift), ("low", low), ("high", high))
            },
        )
        shaped = (getattr(found, field.name).unflatten(0, (batch, count)) for field in fields(found))
        return Figures(number, hidden, target, centre, TokenSums(*shaped), by_group, in_group)


@dataclass(frozen=True, slots=True)
class Figures:
    """What the parts of the loss are made of.

    Attributes:
        number: [B,M,u], how many values of each band of each token are compared.
        hidden: the same, 0 for tokens that were visible.
        target: [B,M,u,P], 0 where nothing is compared.
        centre: [B,M,u], mean of the hidden target values of that band.
        sums: with B and M for R.
        by_group: adds tokens of a band group up.
        in_group: [B,groups,u], ``hidden`` so added up.
    """

    number: Tensor
    hidden: Tensor
    target: Tensor
    centre: Tensor
    sums: TokenSums
    by_group: Bins
    in_group: Tensor


def _hidden(c: Compared, values: Tensor) -> Tensor:
    """Return [B,M,...] with 0 for the tokens that were visible."""
    if not c.hidden_from:
        return values
    return torch.cat((torch.zeros_like(values[:, : c.hidden_from]), values[:, c.hidden_from :]), 1)


def _mean(loss: MAESpectralLoss, c: Compared, f: Figures, of_token: Tensor) -> Tensor:
    """Return the mean [B] over what is compared, from the sums of tokens [B,M]."""
    number = f.number.sum(2)
    if loss.compare == "masked":
        number, of_token = number[:, c.hidden_from :], of_token[:, c.hidden_from :]
    return of_token.sum(1) / number.sum(1).clamp(min=1)


def _mse(loss: MAESpectralLoss, c: Compared, f: Figures) -> Tensor:
    squared = f.sums.squared.sum(2)
    if loss.normalise_tokens:
        squared = squared / _variance_of_tokens(c, f)
    return _mean(loss, c, f, squared)


def _variance_of_tokens(c: Compared, f: Figures) -> Tensor:
    """Return the variance of what is compared in each token [B,M]: unbiased, and at least `LEAST_VARIANCE`."""
    number = f.number.sum(2)
    centred = f.target - (f.target.sum((2, 3)) / number.clamp(min=1))[..., None, None]
    centred = centred if c.counted is None else fill_invalid(centred, c.counted)
    return (centred.square().sum((2, 3)) / (number - 1).clamp(min=1)).clamp(min=LEAST_VARIANCE)


TINY = 1e-12
"""Under the root of the sine: an angle of 1e-6 rad is the least that is told from none.

A spectrum less than a millionth as long as the longest in its image counts as none.
"""


def _sam(loss: MAESpectralLoss, c: Compared, f: Figures) -> Tensor:
    """Spectral angle between a (measured) and a + e (hidden values predicted), from the error e alone.

    ``|a x (a + e)| = |a x e|``, so the sine is ``sqrt(|a|²|e|² - (a·e)²)`` and the cosine ``|a|² + a·e``, over the same
    lengths: exact for small errors, where the arc cosine has lost half of its digits. Visible tokens have no error.
    """
    assert c.squares is not None
    start = c.hidden_from
    place = c.place[:, start:]
    by_place = Bins.of(place, c.places)
    errors, along = (by_place.added(one[:, start:]) for one in (f.sums.errors, f.sums.along))
    if c.counted is None:
        touched = torch.ones_like(place, dtype=errors.dtype)[..., None]
    else:
        touched = c.counted[:, start:].any(2).to(errors.dtype)
    least = TINY * c.squares.amax((1, 2), keepdim=True)  # images may be in any unit
    chosen = (by_place.added(touched) > 0) & (c.squares > least)
    squares = torch.where(chosen, c.squares, 1.0)
    errors, along = errors / squares, along / squares  # in units of the spectrum's length
    across = (errors - along.square()).clamp(min=0)
    angle = torch.atan2((across + TINY).sqrt(), 1 + along)  # the gradient is finite where nothing differs too
    return torch.where(chosen, angle, 0.0).sum((1, 2)) / chosen.sum((1, 2)).clamp(min=1)


def _variance(loss: MAESpectralLoss, c: Compared, f: Figures) -> Tensor:
    """How much less the hidden values of a band deviate as predicted; moments are taken around the target's mean."""
    centred = f.target - f.centre[..., None]
    centred = centred if c.counted is None else fill_invalid(centred, c.counted)
    of_target = centred.square().sum(3)
    of_prediction = of_target + 2 * f.sums.with_target + f.sums.squared
    enough = f.in_group
    number = enough.clamp(min=1)

    def mean(values: Tensor) -> Tensor:
        return f.by_group.added(_hidden(c, values)) / number

    target = mean(of_target)  # less the square of the mean, which is 0
    prediction = (mean(of_prediction) - mean(f.sums.error).square()).clamp(min=0)
    lost = ((target + 1e-6).sqrt() - (prediction + 1e-6).sqrt()).clamp(min=0)
    return torch.where(enough >= 2, lost, 0.0).sum((1, 2)) / (enough >= 2).sum((1, 2)).clamp(min=1)


def _range(loss: MAESpectralLoss, c: Compared, f: Figures) -> Tensor:
    return _mean(loss, c, f, f.sums.beyond)


def _spectral_sum(loss: MAESpectralLoss, c: Compared, f: Figures) -> Tensor:
    error = c.prediction - c.target
    error = error if c.counted is None else fill_invalid(error, c.counted)
    total = Bins.of(c.place, c.places).added(error.flatten(2))
    return total.square().mean((1, 2)) / (c.groups**2 if loss.spectral_sum_normalised else 1)


@dataclass(frozen=True, slots=True)
class Bins:
    """Where tokens go that are added up: worked out once for all that is added in the same way.

    Attributes:
        flat: int64 [B*M], the bin of each token, counted through the batch.
        shape: (B, M).
        count: bins an image.
    """

    flat: Tensor
    shape: tuple[int, int]
    count: int

    @classmethod
    def of(cls, index: Tensor, count: int) -> Bins:
        """Return the bins for tokens of bin ``index`` [B,M], 0 to ``count - 1``."""
        batch, tokens = index.shape
        flat = (index + count * torch.arange(batch, device=index.device)[:, None]).flatten()
        return cls(flat, (batch, tokens), count)

    def added(self, tokens: Tensor) -> Tensor:
        """Return [B,count,n]: the tokens [B,M,n] of one bin added up."""
        batch = self.shape[0]
        tokens = tokens.expand(*self.shape, -1).flatten(0, 1)
        sums = tokens.new_zeros((batch * self.count, tokens.shape[1])).index_add(0, self.flat, tokens)
        return sums.view(batch, self.count, -1)


PARTS: dict[str, Callable[[MAESpectralLoss, Compared, Figures], Tensor]] = {
    "mse": _mse,
    "sam": _sam,
    "variance": _variance,
    "range": _range,
    "spectral_sum": _spectral_sum,
}
