"""Masked autoencoding: hidden parts of an image, in space and spectrum, are to be told from what is left."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..core.batch import Batch
from ..losses.mae_spectral import Compared, MAESpectralLoss
from ..models.any_bands import AnyBands, Tokens
from ..models.masking import Plan
from ..models.tokens import put, take
from .base import Metrics, Step, Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class MaskedAutoencoding(Task):
    """Masked autoencoding (He et al. 2022) with a model that says which tokens to hide, or plain autoencoding with one
    that hides none.

    The masks of training are drawn anew each epoch; those of validation belong to the sample, so that two validations
    are of the same task.

    Args:
        loss: see `MAESpectralLoss`.
        metric: a metric part, or None.
        plot: a show_prediction part, or None.
    """

    @dataclass(frozen=True)
    class Config:
        """``task=mae`` has no keys: what is hidden is up to the model, what counts up to the loss."""

    def __init__(self, loss: MAESpectralLoss, metric: Any = None, plot: Any = None) -> None:
        self.criterion, self.metric, self.plot = loss, metric, plot

    @classmethod
    def from_config(cls, config: Config, *, loss: MAESpectralLoss, metric: Any, plot: Any) -> MaskedAutoencoding:
        """Return the configured task."""
        return cls(loss, metric, plot)

    def loss(self, model: nn.Module, batch: Batch) -> Step:
        """Return the loss of a batch; where the model is in eval mode, with the reconstruction as output."""
        inner = getattr(model, "module", model)
        if not isinstance(inner, AnyBands):
            raise TypeError("not yet")
        tokens = inner.tokens(batch)
        plan = inner.net.plan(tokens, batch.key, batch.index)
        everything = self.criterion.needs_all
        prediction = model(tokens, plan, everything=everything)
        loss, parts = self.criterion.sums(compare(inner, tokens, plan, prediction, batch.real, everything))
        return Step(loss, parts)

    def metrics(self) -> Metrics | None:
        """Return fresh sums of the configured metric."""
        started: Metrics | None = None if self.metric is None else self.metric.start()
        return started

    def picture(self, step: Step, batch: Batch) -> Figure | None:
        """Return the configured figure."""
        figure: Figure | None = None if self.plot is None else self.plot(step, batch)
        return figure


def compare(
    model: AnyBands, tokens: Tokens, plan: Plan, prediction: Tensor, real: Tensor, everything: bool
) -> Compared:
    """Return predicted tokens beside what was there; rows of padding (``real`` False) count nothing."""
    grid, held = tokens.grid, model.band_set(tokens.member)
    index = torch.cat((plan.visible, plan.predicted), 1) if everything else plan.predicted
    bands = (grid.group_size, grid.patch**2)
    counted = None if tokens.valid is None else take(tokens.valid, index)
    wanted = plan.wanted
    if everything and plan.seen is not None and wanted is not None:
        wanted = torch.cat((plan.seen, wanted), 1)
    if wanted is not None and counted is not None:
        counted = counted & wanted[..., None]
    counted = None if counted is None else counted.unflatten(2, bands)
    whole = tokens.values.view(-1, grid.groups, grid.places, *bands)
    measured = torch.addcmul(held.shift[:, None, :, None], whole, held.scale[:, None, :, None])
    if tokens.valid is not None:
        measured = torch.where(tokens.valid.view_as(measured), measured, 0.0)
    return Compared(
        prediction=prediction.unflatten(2, bands),
        target=take(tokens.values, index).unflatten(2, bands),
        counted=counted,
        hidden_from=plan.visible.shape[1] if everything else 0,
        real=real,
        group=index // grid.places,
        place=index % grid.places,
        groups=grid.groups,
        places=grid.places,
        squares=measured.square().sum((1, 3)),
        scale=held.scale,
        shift=held.shift,
        low=held.low,
        high=held.high,
    )
