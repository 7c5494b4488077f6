"""What `spectrain inspect` says of labels and folds, and with which command the data are trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.targets import IGNORED
from ..data.patches import Patches
from ..data.sparse_labels import SparseLabels
from .commands import option, without_labels
from .found import LabelRange
from .label_ranges import label_ranges

LABELS_READ = 4096
_AT_ONCE = 1 << 24


def counted_labels(patches: Patches) -> tuple[dict[str, int], int, int]:
    """Count the classes of up to `LABELS_READ` patches; of measurements, how many there are. No image is read.

    Returns:
        The counts; how many patches have no measurement at all, 0 where labels are classes; how many were looked at.
    """
    if not patches.has_labels:
        return {}, 0, 0
    rows = np.unique(np.linspace(0, len(patches) - 1, min(len(patches), LABELS_READ)).astype(np.int64))
    step = max(1, _AT_ONCE // (patches.shape[2] * patches.shape[3]))
    counts: Counter[Any] = Counter()
    bare = 0
    for start in range(0, len(rows), step):
        values = patches.labels(rows[start : start + step])
        if values is None:
            continue
        if isinstance(values, SparseLabels):
            measured = int(np.isfinite(values.value).sum())
            counts.update({"measured": measured, "not measured": values.size - measured})
            bare += len(values) - len(np.unique(values.row[np.isfinite(values.value)]))
            continue
        if values.dtype.kind == "f":
            there = np.isfinite(values)
            measured = int(there.sum())
            bare += int((~there.reshape(len(values), -1).any(1)).sum())
            counts.update({"measured": measured, "not measured": values.size - measured})
            continue
        classes, numbers = np.unique(values, return_counts=True)
        counts.update(dict(zip(classes.tolist(), numbers.tolist(), strict=True)))
    named = {str(int(one) if isinstance(one, bool) else one): count for one, count in sorted(counts.items())}
    return {name: count for name, count in named.items() if count or name == "not measured"}, bare, len(rows)


def measured_ranges(patches: Patches) -> tuple[LabelRange | None, ...]:
    """Return the range of each layer of measured labels, of the patches that `counted_labels` looks at."""
    if not patches.has_labels:
        return ()
    rows = np.unique(np.linspace(0, len(patches) - 1, min(len(patches), LABELS_READ)).astype(np.int64))
    return label_ranges(patches, rows, max(1, _AT_ONCE // (patches.shape[2] * patches.shape[3])))


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
