"""Masked autoencoding: hidden parts of an image, in space and spectrum, are to be told from what is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..core.batch import Batch
from ..core.reconstruction import Reconstruction
from ..core.step import Step
from ..losses.mae_spectral import Compared, MAESpectralLoss
from ..models.any_bands import AnyBands, Tokens
from ..models.banded import BandedModel
from ..models.masking import Plan
from ..models.tokens import take
from .base import Task


class MaskedAutoencoding(Task):
    """Masked autoencoding (He et al. 2022) with a model that hides tokens, autoencoding with one that hides nothing.

    The masks of training are drawn anew each epoch; those of validation belong to the sample, so that two validations
    are of the same task. In eval mode a step's output is a `Reconstruction`, in the images' own unit.

    Args:
        loss: see `MAESpectralLoss`.
        metric: a metric part, or None.
        plot: a show_prediction part, or None.
    """

    exports = "embedding"

    @dataclass(frozen=True)
    class Config:
        """``task=mae`` has no keys: what is hidden is up to the model, what counts up to the loss."""

    def __init__(self, loss: MAESpectralLoss, metric: Any = None, plot: Any = None) -> None:
        self.criterion, self.metric, self.plot = loss, metric, plot
        self._sums = loss.sums
        self._needs_squares: bool = getattr(loss, "needs_squares", True)  # a plugin's may not say

    @classmethod
    def from_config(cls, config: Config, *, loss: MAESpectralLoss, metric: Any, plot: Any) -> MaskedAutoencoding:
        """Return the configured task."""
        return cls(loss, metric, plot)

    def loss(self, model: nn.Module, batch: Batch) -> Step:
        """Return the loss of a batch; in eval mode with the reconstruction."""
        inner = getattr(model, "module", model)  # what parallelism has wrapped
        if not isinstance(inner, AnyBands):
            return self._of_images(model, cast(BandedModel, inner), batch)
        tokens = inner.tokens(batch)
        plan = inner.net.plan(tokens, batch.key, batch.index)
        everything = self.criterion.needs_all
        prediction: Tensor = model(
            tokens, plan, everything=everything
        ).float()  # errors are of float32 in any precision
        squares = _squares(inner, tokens) if self._needs_squares else None
        loss, parts = self._sums(_compared(inner, tokens, plan, prediction, batch.real, everything, squares))
        if model.training:
            return Step(loss, parts)
        hidden = prediction[:, -plan.predicted.shape[1] :].detach()
        return Step(loss, parts, inner.composed(batch, tokens, plan, hidden))

    def _of_images(self, model: nn.Module, inner: BandedModel, batch: Batch) -> Step:
        """Return the loss of a model that hides nothing and returns images."""
        prediction, target = model(batch).float(), inner.standardised(batch)
        squares = _squares_of_images(inner, batch, target) if self._needs_squares else None
        loss, parts = self._sums(_compared_images(inner, batch, prediction, target, squares))
        if model.training:
            return Step(loss, parts)
        image = torch.addcmul(inner.mean.view(-1, 1, 1), prediction.detach(), inner.std.view(-1, 1, 1))
        valid = None if batch.all_valid else batch.valid
        return Step(loss, parts, Reconstruction(image, batch.image, valid, None, inner.data_range, inner.bands))

    def compile(self) -> None:
        """Compile the loss: its dozen passes over the values become a few."""
        self._sums = torch.compile(self.criterion.sums)

    def remarks(self, training: int, validation: int) -> dict[str, str]:
        """Return what each part of the loss weighs, and of what the errors are."""
        weights: dict[str, float] = getattr(self.criterion, "weights", {})  # a plugin's may have none
        said = {f"loss_{name}": f"Times {weight:g} in the loss." for name, weight in weights.items() if weight > 0}
        if "loss_mse" in said:
            said["loss_mse"] = f"Of standardised values; {said['loss_mse'].lower()}"
        unit = "In the square of the images' own unit; data sets of different units are averaged as they are."
        if validation:
            said["mse_masked"] = unit
            said["mse"] = f"Of whole images, what was visible as it stood. {unit}"
            said |= dict.fromkeys(("sam", "psnr", "ssim"), "Of whole images, what was visible as it stood.")
        return said


def _compared(
    model: AnyBands,
    tokens: Tokens,
    plan: Plan,
    prediction: Tensor,
    real: Tensor,
    everything: bool,
    squares: Tensor | None,
) -> Compared:
    """Return predicted tokens beside what was there."""
    grid, held = tokens.grid, model.band_set(tokens.dataset)
    index, wanted = plan.predicted, plan.wanted
    if everything:
        index = torch.cat((plan.visible, plan.predicted), 1)
        wanted = None if wanted is None else torch.cat((cast(Tensor, plan.seen), wanted), 1)
    bands = (grid.group_size, grid.patch**2)
    counted = None
    if tokens.valid is not None:
        counted = take(tokens.valid, index)
        counted = (counted if wanted is None else counted & wanted[..., None]).view(*index.shape, *bands)
    return Compared(
        prediction=prediction.view(*index.shape, *bands),
        target=take(tokens.values, index).view(*index.shape, *bands),
        counted=counted,
        hidden_from=plan.visible.shape[1] if everything else 0,
        real=real,
        group=index // grid.places,
        place=index % grid.places,
        groups=grid.groups,
        places=grid.places,
        squares=squares,
        scale=held.scale,
        shift=held.shift,
        low=held.low,
        high=held.high,
    )


def _squares(model: AnyBands, tokens: Tokens) -> Tensor:
    """Return the squared length of each pixel's measured spectrum [B,places,P], in the images' unit."""
    grid, held = tokens.grid, model.band_set(tokens.dataset)
    values = tokens.values.view(-1, grid.groups, grid.places, grid.group_size, grid.patch**2)
    measured = torch.addcmul(held.shift[:, None, :, None], values, held.scale[:, None, :, None])
    if tokens.valid is not None:
        measured = torch.where(tokens.valid.view_as(measured), measured, 0.0)
    return measured.square().sum((1, 3))


def _compared_images(
    model: BandedModel, batch: Batch, prediction: Tensor, target: Tensor, squares: Tensor | None
) -> Compared:
    """Return whole images as one token each."""
    one = torch.zeros((len(target), 1), dtype=torch.int64, device=target.device)
    return Compared(
        prediction=prediction.flatten(2)[:, None],
        target=target.flatten(2)[:, None],
        counted=None if batch.all_valid else batch.valid.flatten(2)[:, None],
        hidden_from=0,
        real=batch.real,
        group=one,
        place=one,
        groups=1,
        places=1,
        squares=squares,
        scale=model.std[None],
        shift=model.mean[None],
        low=model.low[None],
        high=model.high[None],
    )


def _squares_of_images(model: BandedModel, batch: Batch, target: Tensor) -> Tensor:
    """Return the same [B,1,P], of standardised images."""
    measured = torch.addcmul(model.mean.view(-1, 1, 1), target, model.std.view(-1, 1, 1))
    if not batch.all_valid:
        measured = torch.where(batch.valid, measured, 0.0)
    return measured.square().sum(1).flatten(1)[:, None]
