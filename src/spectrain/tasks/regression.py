"""Regression: a value for each pixel and how far it is to be trusted, from the pixels where it was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..config.option import option
from ..core.batch import Batch
from ..core.errors import DataError
from ..core.fill import fill_invalid
from ..core.regressed import SMALLEST, Regressed
from ..core.step import Step
from ..core.targets import DenseValues, SparseValues, Target
from ..data.sparse_labels import SPARSE, Labels, SparseLabels
from ..losses.regression import RegressionLoss
from ..metrics.ensemble import combine
from ..metrics.regression import PUBLISHED
from .base import Layer, Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VALUE = "value"
"""Name of a quantity that has none."""
MEAN, ALEATORIC, EPISTEMIC, PREDICTIVE = "mean", "aleatoric", "epistemic", "predictive"


class Regression(Task):
    """Values of one or more quantities, with or without an error model, learned from labelled pixels alone.

    A pixel counts where a label is finite and at least one of its bands is valid. The model's numbers are in
    deviations of the training's labels, so that heights in metres and biomass in tonnes are alike to it, to its first
    weights, and to the bounds of the log-variance. All else (loss, metrics, maps) is in the unit of the labels.

    Args:
        loss: see `RegressionLoss`.
        names: of the quantities, as the labels' layers lie; none is one quantity, called "value".
        ignore: stored labels that mean "not measured", besides NaN and infinity.
        centre: what the model's 0 is, one a quantity; none is 0.
        spread: what the model's 1 is more than that, one a quantity; none is 1.
        unit: of the labels, for maps.
        metric: a metric part, or None.
        plot: a show_prediction part, or None.

    Raises:
        DataError: not one centre and spread a quantity, or a spread that is not above 0.
    """

    published = PUBLISHED

    @dataclass(frozen=True)
    class Config:
        """Keys of ``task=regression``."""

        names: list[str] = option([], "names of the quantities, as the labels' layers lie; none numbers them")
        ignore: list[float] = option([], "stored labels that mean 'not measured', besides NaN")
        unit: str | None = option(None, "unit of the labels, as m or Mg ha-1, for maps")
        standardise: Literal["auto", "labels", "none"] = option(
            "auto",
            "the model learns deviations from the mean label (labels) or labels as they are (none); "
            "auto is none with loss.variance=published",
        )
        centre: list[float] = option([], "mean label of each quantity; none takes those of the training's labels")
        spread: list[float] = option([], "deviation of the labels of each quantity; none takes those of the training")

    def __init__(
        self,
        loss: RegressionLoss,
        names: Sequence[str] = (),
        ignore: Sequence[float] = (),
        centre: Sequence[float] = (),
        spread: Sequence[float] = (),
        unit: str | None = None,
        metric: Any = None,
        plot: Any = None,
    ) -> None:
        self.criterion, self.metric, self.plot, self.unit = loss, metric, plot, unit
        self.names, self.ignore = tuple(names) or (VALUE,), tuple(ignore)
        count = len(self.names)
        self.centre, self.spread = tuple(centre) or (0.0,) * count, tuple(spread) or (1.0,) * count
        if {len(self.centre), len(self.spread)} != {count} or min(self.spread) <= 0:
            raise DataError(
                f"{len(self.centre)} means and {len(self.spread)} deviations of labels for {count} quantities",
                where="task.centre, task.spread",
                fix="give one each, deviations above 0, or none: then they are taken from the training's labels",
            )

    @classmethod
    def from_config(cls, config: Config, *, loss: RegressionLoss, metric: Any, plot: Any) -> Regression:
        """Return the configured task."""
        return cls(loss, config.names, config.ignore, config.centre, config.spread, config.unit, metric, plot)

    @property
    def channels(self) -> int:
        """Numbers a pixel: the means, then what the loss wants of their errors."""
        return self.criterion.channels(len(self.names))

    def targets(self, labels: Labels | None) -> Target:
        """Return labels [B,H,W] or [B,Q,H,W] as `SparseValues` where few are measured of one quantity, else dense.

        Labels that are stored as index and value stay so.

        Raises:
            DataError: there are none, they are of one number an image, or of other quantities.
        """
        if isinstance(labels, SparseLabels) and len(self.names) == 1:
            kept = counted(labels, self.ignore)
            index, value, row = (torch.from_numpy(one[kept]) for one in (labels.index, labels.value, labels.row))
            return SparseValues(index, value, row, labels.shape)
        values = measured(labels, self.ignore)
        if values.shape[1] != len(self.names):
            raise DataError(
                f"the labels have {values.shape[1]} layers, and the task {len(self.names)} quantities: "
                f"{', '.join(self.names)}",
                where="the labels",
                fix="set task.names to one name a layer, or give labels with those layers",
            )
        value = torch.from_numpy(values)
        if values.shape[1] == 1 and np.isfinite(values).mean() <= SPARSE:
            return SparseValues.from_dense(value[:, 0])
        return DenseValues.from_nan(value)

    def loss(self, model: nn.Module, batch: Batch) -> Step:
        """Return the loss of a batch; the step's output is `Regressed`, in the unit of the labels."""
        found = self._found(model(batch), batch)
        loss, parts = self.criterion.sums(found)
        return Step(loss, parts, found.detach())

    def _found(self, output: Tensor, batch: Batch) -> Regressed:
        """Return values beside labels: of every pixel, or of the measured ones where these are sparse."""
        target = batch.target
        if not isinstance(target, DenseValues | SparseValues):
            raise DataError("regression needs measured values", where="the data", fix="give labels of each pixel")
        counted = batch.real[:, None, None]
        if not batch.all_valid:
            counted = counted & batch.valid.any(1)
        row = None
        if isinstance(target, DenseValues):
            y, valid = target.value, target.valid & counted[:, None]
        else:
            output, row, y = target.at(output), target.row, target.value[:, None]
            seen = counted.expand(batch.image.shape[0], *batch.image.shape[2:])[:, None]
            valid = target.valid[:, None] & target.at(seen)
            y = fill_invalid(y, valid)
        mean, s, quantiles = self._moments(output)
        return Regressed(mean, s, y, valid, self.names, self.criterion.error, row, quantiles)

    def _moments(self, output: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return mean, log-variance (or log of the Laplace scale) and quantiles in the unit of the labels."""
        mean, s, quantiles = self.criterion.moments(output, len(self.names))
        shape = (-1, *[1] * (mean.ndim - 2))
        centre, spread = (mean.new_tensor(numbers).view(shape) for numbers in (self.centre, self.spread))
        power = 2 if self.criterion.error == "gaussian" else 1
        return (
            mean * spread + centre,
            None if s is None else s + power * spread.log(),
            None if quantiles is None else quantiles * spread + centre,
        )

    def shown(self, output: Any, batch: Batch) -> tuple[Any, Batch]:
        """Return what the configured figure draws; nothing of the output is kept where there is none."""
        return (None if self.plot is None else output), batch

    def picture(self, step: Step, batch: Batch) -> Figure | None:
        """Return the configured figure."""
        figure: Figure | None = None if self.plot is None else self.plot(step, batch)
        return figure

    def layers(self, members: int = 1) -> tuple[Layer, ...]:
        """Return mean, and as standard deviations aleatoric (with an error model), epistemic and predictive.

        The last two are of several models; predictive only beside aleatoric, as it is epistemic otherwise.
        """
        modelled = self.criterion.error != "none"
        found = [MEAN, *([ALEATORIC] if modelled else [])]
        if members > 1:
            found += [EPISTEMIC, *([PREDICTIVE] if modelled else [])]
        return tuple(self._layer(name) for name in found)

    def _layer(self, name: str) -> Layer:
        alone = self.names == (VALUE,)
        bands = tuple(name if alone else f"{name} of {quantity}" for quantity in self.names)
        return Layer(name, bands, unit=self.unit)

    def quantities(self, output: Tensor) -> Tensor:
        """Return means, and with an error model variances, float32 [B,Q or 2Q,H,W] in the unit of the labels."""
        mean, s, _ = self._moments(output)
        if s is None:
            return mean
        spread = s.exp() + SMALLEST
        return torch.cat([mean, spread if self.criterion.error == "gaussian" else 2 * spread.square()], dim=1)

    def maps(self, quantities: Tensor) -> dict[str, Tensor]:
        """Return `layers`: the members' mean, and roots of their mean variance, of their spread and of both."""
        count, modelled = len(self.names), self.criterion.error != "none"
        moments = combine(quantities[:, :count], quantities[:, count:] if modelled else None)
        found = {MEAN: moments.mean, EPISTEMIC: moments.epistemic.sqrt(), PREDICTIVE: moments.predictive.sqrt()}
        if moments.aleatoric is not None:
            found[ALEATORIC] = moments.aleatoric.sqrt()
        return {layer.name: found[layer.name] for layer in self.layers(quantities.shape[0])}


def counted(labels: SparseLabels, ignore: Sequence[float] = ()) -> NDArray[np.bool_]:
    """Return which values [M] of sparse labels are measured."""
    return np.isfinite(labels.value) & ~np.isin(labels.value, np.array(ignore, dtype=np.float32))


def measured(labels: Labels | None, ignore: Sequence[float] = ()) -> NDArray[np.float32]:
    """Return stored labels as float32 [B,Q,H,W] with NaN where nothing was measured; see `Regression.targets`."""
    if labels is None:
        raise DataError(
            "regression needs labels, and the data have none",
            where="the data",
            fix="give a map of values an image; dataset.labels_path names a folder of them",
        )
    if labels.ndim not in (3, 4):
        raise DataError(
            f"regression needs one value a pixel, [B,H,W] or [B,Q,H,W], not labels of shape {labels.shape}",
            where="the data",
            fix="give labels of the height and width of the images, NaN where nothing was measured",
        )
    stored: NDArray[Any] = np.asarray(labels)
    values = stored if stored.ndim == 4 else stored[:, None]
    with np.errstate(over="ignore"):  # beyond float32 is infinite, so not measured
        found: NDArray[np.float32] = values.astype(np.float32)
    if len(ignore):
        found[np.isin(values, list(ignore)) | np.isin(found, np.array(ignore, dtype=np.float32))] = math.nan
    return found
