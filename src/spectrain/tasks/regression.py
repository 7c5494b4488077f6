"""Regression: a value for each pixel and how far it is to be trusted, from the pixels where it was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..config.option import option
from ..core.batch import Batch
from ..core.errors import DataError, RunError, SpectrainError
from ..core.fill import fill_invalid
from ..core.first_samples import first_samples
from ..core.quantiles import own_shares
from ..core.regressed import SMALLEST, ErrorModel, Regressed, variance_of
from ..core.step import Step, mean_step
from ..core.targets import DenseValues, NoTarget, SparseValues, Target
from ..data.sparse_labels import SPARSE, Labels, SparseLabels
from ..losses.regression import RegressionLoss
from ..metrics.base import read_sums
from ..metrics.calibration import Recalibration
from ..metrics.ensemble import EnsembleMoments
from ..metrics.labelled import LabelledPixels
from ..metrics.regression import LEVELS, PUBLISHED, RegressionSums
from .base import Layer, Metrics, Task
from .value_layers import VALUE, shared_offsets, value_layers, value_maps

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
        recalibrate: see `Regression.recalibrate`.
        interval: share of pixels that the bounds in maps are to hold, see `interval_of`.
        metric: a metric part, or None.
        plot: a show_prediction part, or None.
        limits: lowest and highest value of each quantity in the plots of its metric, one quantity after the other; none
            is 4 spreads about the centre.

    Raises:
        DataError: not one centre and spread and two limits a quantity, a spread that is not above 0, or limits that do
            not rise.
        SpectrainError: ``interval`` is none of those that are calibrated.
    """

    published = PUBLISHED
    exports = "values"
    headline = ("loss", "rmse", "mae", "me", "r2", "coverage_90", "crps")
    interval: float

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
        recalibrate: bool = option(
            True, "fit variances and intervals on the validation labels after training, use them"
        )
        interval: float = option(
            0.9, "share that the bounds in maps are to hold: 0.5, 0.68, 0.9, 0.95, or that of a pair of loss.levels"
        )
        limits: list[float] = option(
            [], "lowest and highest value of each quantity in plots; none takes those of the training's labels"
        )

    def __init__(
        self,
        loss: RegressionLoss,
        names: Sequence[str] = (),
        ignore: Sequence[float] = (),
        centre: Sequence[float] = (),
        spread: Sequence[float] = (),
        unit: str | None = None,
        recalibrate: bool = True,
        interval: float = 0.9,
        metric: Any = None,
        plot: Any = None,
        limits: Sequence[float] = (),
    ) -> None:
        self.wants_recalibration = recalibrate
        self.recalibration: Recalibration | None = None
        self._constants: dict[tuple[str, torch.device], Tensor] = {}
        self.criterion, self.metric, self.plot, self.unit = loss, metric, plot, unit
        self.levels = loss.quantile_levels
        self.interval_of(interval)
        self.names, self.ignore = tuple(names) or (VALUE,), tuple(ignore)
        count = len(self.names)
        self.centre, self.spread = tuple(centre) or (0.0,) * count, tuple(spread) or (1.0,) * count
        if {len(self.centre), len(self.spread)} != {count} or min(self.spread) <= 0:
            raise DataError(
                f"{len(self.centre)} means and {len(self.spread)} deviations of labels for {count} quantities",
                where="task.centre, task.spread",
                fix="give one each, deviations above 0, or none: then they are taken from the training's labels",
            )
        about = [(c - 4 * s, c + 4 * s) for c, s in zip(self.centre, self.spread, strict=True)]
        self.limits = tuple(zip(limits[::2], limits[1::2], strict=False)) or tuple(about)
        if len(limits) not in (0, 2 * count) or any(low >= high for low, high in self.limits):
            raise DataError(
                f"{list(limits)} are not the lowest and highest value of {count} quantities",
                where="task.limits",
                fix="give two numbers that rise for each, or none: then they are taken from the training's labels",
            )

    @classmethod
    def from_config(cls, config: Config, *, loss: RegressionLoss, metric: Any, plot: Any) -> Regression:
        """Return the configured task."""
        options = {name: value for name, value in vars(config).items() if name != "standardise"}
        return cls(loss, **options, metric=metric, plot=plot)

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
        # nothing is drawn of a training step
        found = self._found(model(batch), batch, drawn=0 if model.training else self._drawn(batch))
        loss, parts = self.criterion.sums(found)
        return Step(loss, parts, self._scaled(found.detach()))

    def _scaled(self, found: Regressed) -> Regressed:
        """Return the same with variances and quantiles as they were found to be on validation."""
        if self.recalibration is None or found.log_variance is None:
            return found
        # the scale of a Laplace error goes with the root of its variance
        power = 1.0 if found.error == "gaussian" else 0.5
        logs = self._constant("factors", [power * math.log(x) for x in self.recalibration.factors], found.mean)
        whole = found.whole
        if whole is not None and whole[1] is not None:
            whole = (whole[0], whole[1] + logs.view(-1, 1, 1))
        found = replace(found, log_variance=found.log_variance + logs, whole=whole)
        if found.offsets is None or not self.recalibration.widenings:
            return found
        assert found.quantiles is not None
        offsets, levels = self.recalibration.quantiles(found.offsets, found.levels)
        return replace(
            found, quantiles=found.mean[:, None] + offsets, levels=levels, own=(found.quantiles, found.levels)
        )

    def ensemble(self, steps: Sequence[Step]) -> Step:
        """Return the step of several models: their mean, and as log-variance that of their predictive variance.

        Models without an error model are together as unsure as they differ. Errors are taken for Gaussian, but models
        of the same quantiles have these together, see `shared_offsets`.
        """
        outputs: list[Regressed] = [step.output for step in steps]
        moments = _mixture([(found.mean, found.log_variance, found.error) for found in outputs])
        mean, s = _of_mixture(moments)
        offsets, levels = [found.offsets for found in outputs if found.offsets is not None], outputs[0].levels
        shared = len(offsets) == len(outputs) and all(found.levels == levels for found in outputs)
        quantiles = mean[:, None] + shared_offsets(offsets, moments, axis=1) if shared else None
        first, whole = outputs[0], [(*found.whole, found.error) for found in outputs if found.whole is not None]
        output = replace(
            first,
            mean=mean,
            log_variance=s,
            error="gaussian",
            quantiles=quantiles,
            levels=levels if shared else (),
            whole=_of_mixture(_mixture(whole)) if len(whole) == len(outputs) else None,
        )
        return mean_step(steps, self._scaled(output))

    def _found(self, output: Tensor, batch: Batch, drawn: int = 0) -> Regressed:
        """Return values beside labels: of every pixel, or of the measured ones where these are sparse.

        Of measured ones whole maps of the first ``drawn`` images are kept besides.
        """
        target = batch.target
        if not isinstance(target, DenseValues | SparseValues):
            raise DataError("regression needs measured values", where="the data", fix="give labels of each pixel")
        counted = batch.counted[:, None]
        row = whole = None
        if isinstance(target, DenseValues):
            y, valid = target.value, target.valid & counted
        else:
            whole = self._moments(output[:drawn].detach())[:2] if drawn else None
            output, row, y = target.at(output), target.row, target.value[:, None]
            valid = target.valid[:, None] & target.at(counted)
            y = fill_invalid(y, valid)
        mean, s, quantiles = self._moments(output)
        levels = self.criterion.quantile_levels
        return Regressed(mean, s, y, valid, self.names, self.criterion.error, row, quantiles, levels, whole=whole)

    def _moments(self, output: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return mean, log-variance (or log of the Laplace scale) and quantiles in the unit of the labels."""
        mean, s, quantiles = self.criterion.moments(output, len(self.names))
        centre = self._constant("centre", self.centre, mean)
        spread = self._constant("spread", self.spread, mean)
        power = 2 if self.criterion.error == "gaussian" else 1
        return (
            mean * spread + centre,
            None if s is None else s + power * spread.log(),
            None if quantiles is None else quantiles * spread + centre,
        )

    def _constant(self, name: str, numbers: Sequence[float], like: Tensor) -> Tensor:
        """Return a number a quantity in the shape [Q,1,...] of ``like``, copied to its device once."""
        key = (name, like.device)
        if key not in self._constants:
            self._constants[key] = torch.tensor(numbers, dtype=torch.float32, device=like.device)
        return self._constants[key].view(-1, *[1] * (like.ndim - 2))

    def _drawn(self, batch: Batch) -> int:
        """Return how many images of a batch the configured figure draws; all where it does not say how many."""
        return 0 if self.plot is None else min(getattr(self.plot, "nb_to_plot", len(batch.index)), len(batch.index))

    def shown(self, output: Any, batch: Batch) -> tuple[Any, Batch]:
        """Return the images that the configured figure draws, as maps that hold the labels too; no more is kept."""
        count, bare = self._drawn(batch), batch.replace(target=NoTarget())  # labels stand in the output
        few = first_samples(bare.index, bare, count)[1]
        if not count or not isinstance(output, Regressed):
            return None, few
        output = replace(output, unit=self.unit, quantiles=None, levels=(), own=None)
        if not isinstance(batch.target, SparseValues) or output.row is None:
            return first_samples(output, bare, count)[0], few
        return output.mapped(batch.target, count), few

    def metrics(self) -> Metrics | None:
        """Return fresh sums of the configured metric, those of `figures` among them."""
        started = super().metrics()
        if isinstance(started, RegressionSums):
            started.limits = self.limits
        return started

    def figures(self, sums: dict[str, Tensor]) -> dict[str, Figure]:
        """Return the figures of a regression's sums, see `figures_of`; none of other sums."""
        if not {"joint", "count"} <= set(sums):
            return {}
        from .regression_figures import figures_of  # matplotlib takes half a second

        return figures_of(read_sums(sums), self.names, self.limits, self.unit)

    def layers(self, members: int = 1) -> tuple[Layer, ...]:
        """See `value_layers`; there is an interval where there is an error model, or a recalibration."""
        modelled = self.criterion.error != "none"
        level = self.interval if modelled or self.recalibration is not None else None
        return value_layers(self.names, members, modelled=modelled, level=level, unit=self.unit)

    def quantities(self, output: Tensor) -> Tensor:
        """Return means, and with an error model variances, float32 [B,Q or 2Q,H,W] in the unit of the labels.

        Of L quantiles [B,(2+L)Q,H,W]: these too, sorted, less their median. All are the model's own, before any
        recalibration.
        """
        mean, s, quantiles = self._moments(output)
        found = [mean] if s is None else [mean, variance_of(s, self.criterion.error)]
        if quantiles is not None and self.levels:
            found.append((quantiles.sort(dim=1).values - mean[:, None]).flatten(1, 2))
        return torch.cat(found, dim=1)

    def exported(self, output: Tensor) -> Tensor:
        """Return means, with an error model variances as recalibrated: float32 [B,Q or 2Q,H,W], in labels' unit."""
        count, found = len(self.names), self.quantities(output)
        if self.criterion.error == "none":
            return found
        factors = (1.0,) * count if self.recalibration is None else self.recalibration.factors
        return torch.cat(
            [found[:, :count], found[:, count : 2 * count] * self._constant("exported", factors, found)], 1
        )

    def exported_as(self) -> dict[str, Any]:
        """Return a name a layer of `exported`, and the unit of the means; that of variances is its square."""
        variances = [] if self.criterion.error == "none" else [f"variance of {name}" for name in self.names]
        return {"layers": [*self.names, *variances], "unit": self.unit}

    def maps(self, quantities: Tensor) -> dict[str, Tensor]:
        """Return the maps of `layers`, see `value_maps`."""
        count, error = len(self.names), self.criterion.error
        variances = None if error == "none" else quantities[:, count : 2 * count]
        offsets = _by_level(quantities[:, 2 * count :], count) if self.levels else None
        fitted = self.recalibration
        found = value_maps(quantities[:, :count], variances, error, self.interval, fitted, offsets, self.levels)
        return {layer.name: found[layer.name] for layer in self.layers(quantities.shape[0])}

    def pixels(self, folder: Path | None = None) -> LabelledPixels:
        """See `Task.pixels`."""
        return LabelledPixels(folder, self.recalibration)

    def recalibrate(self, record: Mapping[str, Any] | None) -> None:
        """Take what was fitted on validation (`Recalibration.to_json`), or nothing.

        From then on the variances of a step's output, and so the metrics, are scaled by it; the loss is not. Maps are
        scaled, and have its intervals. ``task.recalibrate=false`` takes nothing.

        Raises:
            RunError: it is of other quantities.
        """
        found = None if record is None or not self.wants_recalibration else Recalibration.from_json(record)
        if found is not None and found.names != self.names:
            raise RunError(
                f"the recalibration is of {', '.join(found.names)}, and the task of {', '.join(self.names)}",
                fix="train again, or set task.recalibrate=false",
            )
        self.recalibration, self.recalibrated = found, found is not None

    def interval_of(self, level: float) -> None:
        """Set the share of pixels that the interval in maps is to hold: one of `metrics.regression.LEVELS`.

        Of a model of quantiles also that between two of its own.

        Raises:
            SpectrainError: it is none of those that are calibrated.
        """
        known = sorted({*LEVELS, *own_shares(self.levels)})
        if level not in known:
            raise SpectrainError(
                f"there is no interval of {level:g}",
                where="interval",
                fix=f"take one of {', '.join(f'{one:g}' for one in known)}",
            )
        self.interval = level

    def join(self, others: Sequence[Task]) -> None:
        """Say nothing of quantiles in maps where others give none or other ones: intervals are Gaussian then."""
        if any(not isinstance(other, Regression) or other.criterion.quantile_levels != self.levels for other in others):
            self.levels = ()


def _by_level(offsets: Tensor, quantities: int) -> Tensor:
    """Return [M,L*Q,H,W] as [M,L,Q,H,W]."""
    return offsets.reshape(len(offsets), -1, quantities, *offsets.shape[2:])


def _mixture(members: Sequence[tuple[Tensor, Tensor | None, ErrorModel]]) -> EnsembleMoments:
    """Return equal parts of the members' distributions: each its mean, s and error model."""
    moments = EnsembleMoments()
    for mean, s, error in members:
        moments.add(mean, None if s is None else variance_of(s, error))
    return moments


def _of_mixture(moments: EnsembleMoments) -> tuple[Tensor, Tensor]:
    """Return mean and log-variance."""
    return moments.mean, (moments.predictive - SMALLEST).clamp(min=SMALLEST).log()


def counted(labels: SparseLabels, ignore: Sequence[float] = ()) -> NDArray[np.bool_]:
    """Return which values [M] of sparse labels are measured."""
    return np.isfinite(labels.value) & ~np.isin(labels.value, np.array(ignore, dtype=np.float32))


def measured(labels: Labels | None, ignore: Sequence[float] = ()) -> NDArray[np.float32]:
    """Return stored labels as float32 [B,Q,H,W] with NaN where nothing was measured; see `Regression.targets`."""
    if labels is None:
        raise DataError(
            "regression needs labels, and the data have none",
            where="the data",
            fix="give a map of values an image; dataset.labels_path (for a test --labels) names a folder of them",
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
