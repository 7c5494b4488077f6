"""What a regression leaves to the labels: how many quantities there are, their mean and their deviation."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import Config
from ..core.errors import DataError, SpectrainError
from ..data.mixture import members_of
from ..data.patches import Patches
from ..data.sparse_labels import SparseLabels
from ..models.weights import read_tensors
from ..tasks.regression import VALUE, counted, measured
from .shared_work import from_main
from .trained import checkpoint_of, read_trained

log = logging.getLogger("spectrain")

HEAD = "meanlayer.conv.weight"
"""In the weights of the published U-Net."""
MAGNITUDE = 8.0
"""Labels that are this many times as large as others, or as small, are about an order of magnitude from them."""
_PIXELS, _LOOKED_AT = 1 << 22, 256


def with_measured(cfg: Config, patches: Patches, valid: Patches | None = None) -> Config:
    """Return the configuration with names, mean and deviation of the quantities filled in from the training's labels.

    A run's configuration holds what was found, so a checkpoint says in which numbers its model speaks. A task without
    such options is left as it is. A model that begins from the weights of a regression goes on in their numbers.

    Args:
        cfg: the configuration.
        patches: the training split.
        valid: the validation split; where its labels seem to be in another unit, a line says so.

    Raises:
        DataError: there are no labels, no pixel is measured, or the names are not one a layer.
    """
    options = cfg.task.options
    if not {"centre", "spread", "standardise"} <= {field.name for field in dataclasses.fields(options)}:
        return cfg
    if options.centre and options.spread:  # of a run that goes on, or as was said
        return cfg
    count, mean, deviation = from_main(lambda: label_moments(patches, options.ignore))
    layers = len(count)
    where = f"{patches.path}, {patches.split}"
    if not count.all():
        raise DataError(
            "no pixel of the training split is measured" + (f" in layer {np.argmin(count)}" if count.any() else ""),
            where=where,
            fix="look at the labels with `spectrain inspect`; NaN and task.ignore mean 'not measured'",
        )
    names = list(options.names) or ([VALUE] if layers == 1 else [f"{VALUE}_{number}" for number in range(layers)])
    if len(names) != layers:
        raise DataError(f"{len(names)} names for {layers} layers of labels", where="task.names", fix="name each layer")
    if valid is not None and valid is not patches:
        from_main(lambda: _doubt_units(valid, options, mean, deviation, "of the training"))
    published = getattr(cfg.loss.options, "variance", None) == "published"
    begun = _of_weights(cfg, layers) if options.standardise == "auto" else None
    if begun is not None:
        (centre, spread), whose = begun, "of the weights to begin from"
        if centre.any() or (spread != 1).any():
            from_main(lambda: _doubt_units(patches, options, centre, spread, whose))
        mean, deviation = begun
    elif options.standardise == "none" or (options.standardise == "auto" and published):
        mean, deviation = np.zeros(layers), np.ones(layers)
    found = {"names": names, "centre": options.centre or mean.tolist(), "spread": options.spread or deviation.tolist()}
    origin = "the labels" if begun is None else "the weights of model.init_from"
    origins = {f"task.{name}": origin for name in found if not getattr(options, name)}
    task = dataclasses.replace(cfg.task, options=dataclasses.replace(options, **found))
    return dataclasses.replace(cfg, task=task, origins={**cfg.origins, **origins})


def _of_weights(cfg: Config, layers: int) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return mean and deviation of the labels in whose numbers the weights to begin from speak; None where they do not.

    The published U-Net learns labels as they are, and its file says nothing of them.
    """
    source = getattr(cfg.model.options, "init_from", None)
    if source is None or getattr(cfg.model.options, "init_part", "all") != "all":
        return None
    task: dict[str, Any] = {}
    try:
        task = read_trained(checkpoint_of(Path(source)))["meta"]["config"]["task"]
    except SpectrainError:  # no checkpoint of ours
        if HEAD in read_tensors(source):
            task = {"name": "regression"}
    if task.get("name") != "regression":
        return None
    centre, spread = task.get("centre") or [0.0] * layers, task.get("spread") or [1.0] * layers
    return (np.array(centre), np.array(spread)) if len(centre) == len(spread) == layers else None


def label_moments(
    patches: Patches, ignore: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return how many labels each quantity has, their mean, and their deviation (1 where they do not vary), [Q] each.

    Patches without any are said in a line: they take no part in the loss.

    Blocks are joined by their means and squares about them, so that heights of 3,000 m that differ by centimetres keep
    their digits.
    """
    moments = _Moments()
    for one in members_of(patches):
        rows = max(1, _PIXELS // (one.shape[2] * one.shape[3]))
        starts = range(0, len(one), rows)
        empty = sum(moments.add(one, np.arange(at, min(at + rows, len(one))), ignore) for at in starts)
        if empty:
            said = "%s, %s: %d of %d patches have no labelled pixel and teach nothing"
            log.warning(said, one.path, one.split, empty, len(one))
    return moments.found()


class _Moments:
    """Count, mean and squares about the mean of each quantity, block by block."""

    def __init__(self) -> None:
        self.count = self.mean = self.square = np.zeros(1)

    def add(self, patches: Patches, index: NDArray[np.int64], ignore: Sequence[float]) -> int:
        """Add the labels of some patches; return how many of these have none."""
        labels = patches.labels(index)
        if isinstance(labels, SparseLabels):
            kept = counted(labels, ignore)
            empty = len(labels) - len(np.unique(labels.row[kept]))
            values = labels.value[None, kept]
        else:
            values = measured(labels, ignore)
            empty = int((~np.isfinite(values).reshape(len(values), -1).any(1)).sum())
            values = values.swapaxes(0, 1).reshape(values.shape[1], -1)
        there = np.isfinite(values)
        n = there.sum(1).astype(np.float64)
        held = np.where(there, values, 0).astype(np.float64)
        own = held.sum(1) / np.maximum(n, 1)
        off = np.where(there, held - own[:, None], 0)
        total = np.maximum(self.count + n, 1)
        self.square = self.square + (off**2).sum(1) + (own - self.mean) ** 2 * self.count * n / total
        self.mean = self.mean + (own - self.mean) * n / total
        self.count = self.count + n
        return empty

    def found(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return what `label_moments` returns."""
        count, mean = self.count, self.mean
        deviation = np.sqrt(self.square / np.maximum(count, 1))
        varies = deviation > 1e-7 * np.abs(mean)  # less is what float32 leaves of labels that are all alike
        return count, np.where(count > 0, mean, 0), np.where(varies, deviation, 1.0)


def doubt_units(cfg: Config, patches: Patches) -> None:
    """Warn where labels of a test are orders of magnitude out of those that a regression was trained on.

    A model of labels as they are (``task.standardise=none``) does not know what it was trained on.
    """
    options = cfg.task.options
    centre, spread = getattr(options, "centre", []), getattr(options, "spread", [])
    if not centre or not spread or (not any(centre) and all(one == 1 for one in spread)):
        return
    _doubt_units(patches, options, np.array(centre), np.array(spread), "of the training")


def _doubt_units(
    patches: Patches, options: Any, mean: NDArray[np.float64], deviation: NDArray[np.float64], whose: str
) -> None:
    """Warn where the labels of up to `_LOOKED_AT` patches of each data set are of another magnitude."""
    for one in members_of(patches):
        if not one.has_labels:
            continue
        moments = _Moments()
        rows = max(1, _PIXELS // (one.shape[2] * one.shape[3]))
        index = np.unique(np.linspace(0, len(one) - 1, min(len(one), _LOOKED_AT)).astype(np.int64))
        for at in range(0, len(index), rows):
            moments.add(one, index[at : at + rows], options.ignore)
        count, own, spread = moments.found()
        if len(own) != len(mean):  # the task says so itself
            continue
        ratio = np.hypot(own, spread) / np.hypot(mean, deviation)
        names = list(options.names) or [VALUE] * len(own)
        for number in np.flatnonzero((count > 0) & ((ratio >= MAGNITUDE) | (ratio <= 1 / MAGNITUDE))).tolist():
            log.warning(
                "%s, %s: the labels (%s) are %.3g ± %.3g, those %s %.3g ± %.3g: are they in another unit?",
                one.path, one.split, names[number], own[number], spread[number], whose, mean[number], deviation[number],
            )  # fmt: skip
