"""What the options leave to the labels: how many classes there are, what they are called, how rare each is."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...config import Config
from ...core.errors import DataError
from ...core.targets import IGNORED
from ...data.mixture import datasets_of
from ...data.patches import Patches
from ...tasks.segmentation import class_map
from ..processes.shared_work import from_main

_PIXELS = 1 << 24


def with_classes(cfg: Config, splits: Sequence[Patches]) -> Config:
    """Return the configuration with classes, their names and the weights of a loss filled in from the labels.

    Labels that the data declare to mean "not labelled" are ignored beside those of ``task.ignore``. A run's
    configuration holds what was found, so it is the same when it continues or is tested. A task without such options is
    left as it is.

    Args:
        cfg: the configuration.
        splits: those whose labels are looked at, training first: its pixels decide how rare a class is.

    Raises:
        DataError: there are no labels, or only one class.
    """
    cfg = with_ignored(cfg, splits[0])
    options = cfg.task.options
    if not hasattr(options, "classes"):
        return cfg
    said = _said(datasets_of(splits[0])[0])
    names = list(options.class_names) or [str(name) for name in said.get("names", [])]
    classes = options.classes or (len(names) or None)
    automatic = getattr(cfg.loss.options, "alpha", None) == "auto"
    if classes is None or automatic:
        counts = _counted(splits, options.ignore, classes)
        where = f"{splits[0].path}, {splits[0].split}"
        if not counts[0].any():
            fix = "look at the labels with `spectrain inspect`; task.ignore names those that do not count"
            raise DataError("no pixel of the training split is labelled", where=where, fix=fix)
        classes = classes or max(2, int(np.flatnonzero(counts.sum(0))[-1]) + 1)
        if np.count_nonzero(counts[0][:classes]) < 2:
            raise DataError(
                f"all labelled pixels of the training split are of class {int(np.argmax(counts[0]))}",
                where=where,
                fix="look at the labels with `spectrain inspect`, or set task.ignore",
            )
        if automatic:
            cfg = _weighed(cfg, counts[0][:classes])
    if names and len(names) != classes:
        names = []
    task = dataclasses.replace(options, classes=classes, class_names=names)
    origins = dict(cfg.origins) if options.classes else {**cfg.origins, "task.classes": "the labels"}
    return dataclasses.replace(cfg, task=dataclasses.replace(cfg.task, options=task), origins=origins)


def with_ignored(cfg: Config, patches: Patches) -> Config:
    """Return the configuration with the labels ignored that the data declare to mean "not labelled".

    A task that ignores none is left as it is. Of a mixture they are those of all its data.

    Raises:
        DataError: a label that is a class of one data set means "not labelled" in another.
    """
    options = cfg.task.options
    if not hasattr(options, "ignore"):
        return cfg
    datasets = datasets_of(patches)
    declared = dict.fromkeys(int(label) for one in datasets for label in _said(one).get("ignored", []))
    more = [label for label in declared if label not in options.ignore]
    if not more:
        return cfg
    for one in datasets:
        names, own = _said(one).get("names", []), _said(one).get("ignored", [])
        if wrong := [label for label in more if label < len(names) and label not in own]:
            raise DataError(
                f"the label {wrong[0]} is the class {names[wrong[0]]!r} here, "
                "and means 'not labelled' in other data of the mixture",
                where=str(one.path),
                fix="write the labels of one of them anew, or train on one alone",
            )
    origin = f"{cfg.origins.get('task.ignore', 'default')}, and {', '.join(map(str, more))} of the data"
    task = dataclasses.replace(options, ignore=[*options.ignore, *more])
    return dataclasses.replace(
        cfg, task=dataclasses.replace(cfg.task, options=task), origins=cfg.origins | {"task.ignore": origin}
    )


def _said(patches: Patches) -> Mapping[str, Any]:
    """Return what data say of their labels."""
    found: Mapping[str, Any] = (patches.preparation or {}).get("labels") or {}
    return found


def _weighed(cfg: Config, counts: NDArray[np.int64]) -> Config:
    """Return the configuration with ``loss.alpha`` as one weight a class: as its pixels are rare, their sum 1."""
    share = counts / counts.sum()
    weights = np.where(counts > 0, 1 / np.maximum(share, 1e-9), 0.0)
    alpha = [round(float(weight), 6) for weight in weights / weights.sum()]
    loss = dataclasses.replace(cfg.loss.options, alpha=alpha)
    origin = f"auto ({cfg.origins.get('loss.alpha', 'default')})"
    return dataclasses.replace(
        cfg, loss=dataclasses.replace(cfg.loss, options=loss), origins=cfg.origins | {"loss.alpha": origin}
    )


def _counted(splits: Sequence[Patches], ignore: Sequence[int], classes: int | None) -> NDArray[np.int64]:
    """Return how many pixels of each split are of each class, by the main process."""
    return from_main(lambda: np.stack([label_counts(split, ignore, classes) for split in splits]))


def label_counts(patches: Patches, ignore: Sequence[int], classes: int | None) -> NDArray[np.int64]:
    """Return how many labelled pixels are of each class [255]; the images are not read where that can be helped."""
    counts = np.zeros(IGNORED + 1, dtype=np.int64)
    for one in datasets_of(patches):
        rows = max(1, _PIXELS // (one.shape[2] * one.shape[3]))
        for start in range(0, len(one), rows):
            labels = one.labels(np.arange(start, min(start + rows, len(one)), dtype=np.int64))
            counts += np.bincount(class_map(labels, classes, ignore).ravel(), minlength=IGNORED + 1)
    return counts[:IGNORED]
