"""What `spectrain inspect` says of labels and folds, and with which command the data are trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..core.targets import IGNORED
from ..data.patches import Patches
from .commands import option, without_labels


def ignored_labels(patches: Patches, counts: Mapping[str, int]) -> tuple[str, ...]:
    """Return which of the labels that were counted do not count for a map of classes."""
    if "measured" in counts or "not measured" in counts:
        return ()
    said = (patches.preparation or {}).get("labels") or {}
    ignored = {str(IGNORED), *map(str, said.get("ignored", []))}
    return tuple(name for name in counts if name in ignored)


def command(
    path: Path,
    splits: Sequence[str],
    recipe: str,
    *,
    always_folded: bool,
    folds: Sequence[Mapping[str, int]],
    labels: Path | None = None,
    window: int | None = None,
) -> tuple[str, ...]:
    """Return the words of the command that trains on a data set.

    Args:
        path: the data.
        splits: that there are.
        recipe: to train by.
        always_folded: training and validation are parts of a fold.
        folds: that are given.
        labels: folder of labels that lie apart, or None.
        window: side in px of windows to cut images into, or None.
    """
    words = ["spectrain", "train", recipe, option("dataset.path", str(path))]
    words += [] if labels is None else [option("dataset.labels_path", str(labels))]
    words += [] if window is None else [f"dataset.window={window}"]
    if always_folded:
        words += [] if folds else ["dataset.fold_method=published"]
    elif folds and "train" not in splits:
        words.append("dataset.fold=0")
    elif "train" not in splits:
        words.append(option("dataset.train_key", splits[0]))
        words.append("dataset.valid_key=" + ("null" if "valid" not in splits else "valid"))
    elif "valid" not in splits:
        words.append("dataset.valid_key=null")
    return tuple(words)


def recipe_for(patches: Patches, counts: Mapping[str, int]) -> str:
    """Return the recipe that goes with the labels: of maps of classes, of maps of values, else one without labels."""
    unlabelled = without_labels(patches.shape[1])[0]
    maps = patches.labels(np.zeros(1, dtype=np.int64)) if patches.has_labels else None
    if maps is None or maps.ndim not in (3, 4):
        return unlabelled
    if "measured" in counts or any(name.isdigit() and int(name) > IGNORED for name in counts):
        return "regression"
    return "segmentation" if maps.ndim == 3 and "not measured" not in counts else unlabelled
