"""What a data set or a run holds, what is missing, and what looks wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from ..config.schema import DatasetOptions
from ..core.bands import Bands
from ..core.errors import DataError, RunError
from ..data.hdf5.cubes import cube_key_of
from ..data.opening import given_folds, open_patches, recognise
from ..data.patches import Patches
from ..data.reader import Reader
from ..data.statistics import patches_statistics
from ..data.subset import Subset
from ..data.values import Values
from ..data.window_grid import default_window
from ..runs.folder import ENSEMBLE, MEMBERS, find_folder
from ..runs.info import RunInfo
from .commands import EMPTY, option, shell, slug
from .described import command, ignored_labels, recipe_for
from .found import Inspection, SplitFacts
from .label_facts import zero_doubt
from .labels_seen import look_at_labels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 6
CLASSES = 20
"""So many whole numbers are rather classes than an image."""
MOST_BYTES = 512 << 20
"""Of stored images of a split that are looked at; of larger ones patches at even distances are."""
FEW_SCENES, WHOLE = 16, 128
"""Images that are cut into windows: fewer than so many, and of this side in px and more."""


def inspect(
    path: str | Path,
    split: Sequence[str] | None = None,
    output: str | Path | None = None,
    window: int | None = None,
    labels: str | Path | None = None,
) -> Inspection:
    """Look at a data set or a run.

    A data set is read once, in batches, with little memory, and of a large one a part; a band without any valid value
    is a warning here.

    Args:
        path: a data set of a known kind, or a run folder.
        split: the splits to look at; all of them where None.
        output: a PNG of the first patches of the first split to write; not for runs.
        window: side in px of the windows to cut cubes and rasters into; None is as `dataset.window` takes it.
        labels: folder of the labels of .npy files or GeoTIFFs where they lie apart (`dataset.labels_path`).

    Raises:
        DataError: nothing is there, or it is of no known kind.
        RunError: a run is damaged, or several are one.
    """
    path = Path(path)
    if any((path / name).is_file() for name in ("run.json", ENSEMBLE, MEMBERS)):  # the latter are refused
        return _run(find_folder(path))
    reader = recognise(path)
    names = list(split or reader.splits(path))
    if not names:
        raise DataError("there is no split in it", where=str(path), fix=f"known is: {reader.description}")
    options = DatasetOptions(window=window, labels_path=None if labels is None else str(labels))
    found = [(name, open_patches(path, name, options)) for name in names]
    facts = tuple(_facts(name, patches) for name, patches in found)
    if output is not None:
        _picture(found[0][1]).savefig(output)
    first, folds = found[0][1], given_folds(path)
    return Inspection(
        path,
        first.bands.to_json(),
        facts,
        _advice(path, first),
        kind=reader.description,
        folds=tuple(folds),
        words=command(
            path,
            reader.splits(path),
            recipe_for(first, facts[0].labels),
            always_folded=getattr(reader, "always_folded", False),
            folds=folds,
            labels=None if labels is None else Path(labels),
            window=window or _window(reader, found),
        ),
    )


def _run(folder: Path) -> Inspection:
    facts = RunInfo.read(folder).facts()
    if not (folder / "config.yaml").is_file():
        raise RunError("the run has no config.yaml", where=str(folder), fix="copy the folder again, it is not whole")
    checkpoints = sorted(path.name for path in (folder / "checkpoints").glob("*.pt"))
    return Inspection(folder, [], (), (), facts, checkpoints=tuple(checkpoints))


def _facts(name: str, patches: Patches) -> SplitFacts:
    values = _Seen(patches.bands)
    some = _some(patches)
    statistics = patches_statistics(some, values)
    seen = look_at_labels(patches)
    ignored = ignored_labels(patches, seen.counts)
    count = len(some)
    warnings = tuple(statistics.warnings(patches.bands))
    if statistics.empty:
        warnings += (f"{statistics.empty} of {count} patches have no valid value: they are only missing values",)
    if values.zeros > EMPTY * max(1, values.pixels):
        share = values.zeros / values.pixels
        warnings += (f"{share:.0%} of the pixels are 0 in all bands: are they missing (dataset.nodata=0)?",)
    low, high = statistics.minimum[0], statistics.maximum[0]
    if patches.shape[1] == 1 and patches.dtype.kind in "ui" and high - low < CLASSES and not patches.has_labels:
        warnings += (f"the images are whole numbers from {low:g} to {high:g} in one band: are these labels?",)
    if seen.bare:
        warnings += (f"{seen.bare} of {seen.looked_at} patches have no labelled pixel and teach nothing",)
    warnings += tuple(zero_doubt(seen.counts, "task.ignore=[0,255] to `train`") if "0" not in ignored else ())
    names = tuple(map(str, ((patches.preparation or {}).get("labels") or {}).get("names", ())))
    return SplitFacts(
        name,
        patches.shape,
        str(patches.dtype),
        patches.has_mask,
        seen.counts,
        ignored,
        names,
        statistics,
        warnings,
        seen.bare,
        statistics.empty,
        seen.ranges,
        count,
    )


def _window(reader: Reader, found: Sequence[tuple[str, Patches]]) -> int | None:
    """Return the side in px of the windows to train on, where the files are whole scenes and few."""
    height, width = found[0][1].shape[2:]
    if not getattr(reader, "second_root", False) or sum(len(patches) for _, patches in found) >= FEW_SCENES:
        return None
    return default_window(height, width) if min(height, width) >= WHOLE else None


def _some(patches: Patches) -> Patches:
    """Return patches at even distances where all would be too many to look at."""
    count = max(1, MOST_BYTES // (math.prod(patches.shape[1:]) * np.dtype(patches.dtype).itemsize))
    if count >= len(patches):
        return patches
    return Subset(patches, patches.split, np.unique(np.linspace(0, len(patches) - 1, count).astype(np.int64)))


class _Seen(Values):
    """Values that count the pixels that are 0 in all bands, where none is known to be missing.

    Args:
        bands: one a channel.
    """

    def __init__(self, bands: Bands) -> None:
        super().__init__(bands)
        self.zeros = self.pixels = 0

    def measure(self, stored: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """See `Values.measure`."""
        found, valid = super().measure(stored, mask)
        if valid is None and stored.shape[1] > 1:
            self.zeros += int((stored == 0).all(1).sum())
            self.pixels += stored.shape[0] * stored.shape[2] * stored.shape[3]
        return found, valid


def _advice(path: Path, patches: Patches) -> tuple[str, ...]:
    """Return what would make training on these patches better."""
    advice = []
    if path.is_file() and (compression := _compression(path, patches.split)):
        advice.append(
            f"the images are compressed ({compression}): each read unpacks whole chunks; `{_conversion(path)}` writes "
            "them once in the native form, which training maps"
        )
    if not any(band.unit for band in patches.bands):
        advice.append("no band has a unit, so values that are out of range cannot be noticed")
    return tuple(advice)


def _conversion(path: Path) -> str:
    """Return the command that writes patches in the native form."""
    return shell(("spectrain", "prepare", "patches", option("path", str(path)), "-o", f"{slug(path)}-patches"))


def _compression(path: Path, split: str) -> str | None:
    """Return the compression of a dataset of an HDF5 file; None for other files."""
    import h5py

    if not h5py.is_hdf5(path):
        return None
    with h5py.File(path) as file:
        held = file.get(split) or file.get(cube_key_of(file) or split)
        return held.compression if isinstance(held, h5py.Dataset) else None


def _picture(patches: Patches) -> Figure:
    """Draw the first patches, a column each: their colours, and what is missing striped grey."""
    from matplotlib.figure import Figure

    from ..plots.images import to_rgb

    count = min(SHOWN, len(patches))
    index = np.linspace(0, len(patches) - 1, count).astype(np.int64)
    images = patches.physical(index)
    valid = np.isfinite(images)
    figure = Figure(figsize=(2.2 * count, 2.6), layout="constrained")
    for number, axes in enumerate(np.atleast_1d(figure.subplots(1, count))):
        axes.imshow(to_rgb(np.where(valid[number], images[number], 0), valid[number], patches.bands))
        axes.set_title(f"patch {index[number]}", fontsize=9)
        axes.set_axis_off()
    figure.suptitle(f"{patches.path.name}: {patches.split}", fontsize=10)
    return figure
