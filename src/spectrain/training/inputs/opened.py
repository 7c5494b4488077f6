"""The patches of a training and its validation; what is wrong with their folders is said with what to write instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ...config.schema import DatasetOptions
from ...core.errors import DataError, SpectrainError
from ...data.group_splits import split_name
from ...data.opening import SPLITS, open_patches, recognise
from ...data.patches import CubeKeyError, Patches
from ...data.reader import ALL


def open_split(options: DatasetOptions, key: str) -> Patches:
    """Return a split of the data.

    Args:
        options: the configuration group ``dataset``.
        key: its option that names the split, "train_key" or "valid_key".

    Raises:
        DataError: see `open_patches`. Of a split that there is not it names those there are as options; of a folder
            that is one split of a data set, the folder above.
    """
    split = str(getattr(options, key))
    try:
        return open_patches(options.path or (), split, options)
    except CubeKeyError:
        raise  # its advice is the right one: a cube has no splits at all
    except DataError as error:
        if (advice := _folder_above(options, split) or _other_split(options, key, split)) is None:
            raise
        raise DataError(error.what, where=error.where, fix=advice) from error


def _folder_above(options: DatasetOptions, split: str) -> str | None:
    """Return what to name where a folder is that of a split, and the one above has the split that is wanted."""
    for key, place in _named(options):
        above = _splits(place.parent, options)
        if _has(above, place.name) and _has(above, split) and not _has(_splits(place, options), split):
            return f"{place.name} is one of the splits: name the folder that they are in, dataset.{key}={place.parent}"
    return None


def _other_split(options: DatasetOptions, key: str, split: str) -> str | None:
    """Return what to name instead of a split that images or labels lack; None where all have it."""
    drawn = options.fold is not None or options.fold_method != "given" or options.splits is not None
    there = [found for _, place in _named(options) if (found := _splits(place, options))]
    if drawn or not there or all(_has(found, split) for found in there):
        return None
    others = [name for name in there[0] if name != ALL and all(_has(found, name) for found in there)]
    if key == "train_key":
        return f"take one that there is: {', '.join(f'dataset.{key}={name}' for name in others)}" if others else None
    taken = [
        f"dataset.{key}={name} validates on {name}" + (", which then is no test any more" if name == "test" else "")
        for name in others
        if name != options.train_key
    ]
    return "; ".join([*taken, f"dataset.{key}=null trains without validation, or add the split"])


def _named(options: DatasetOptions) -> Iterator[tuple[str, Path]]:
    """Yield images and labels: the option and what it names."""
    for place in options.places:
        yield "path", place.absolute()
    if options.labels_path is not None:
        yield "labels_path", Path(options.labels_path).expanduser().absolute()


def _has(splits: Sequence[str], name: str) -> bool:
    return name in splits or split_name(name) in splits


def _splits(place: Path, options: DatasetOptions) -> list[str]:
    """Return the splits of a folder; none where it is of no known kind, or where others are beside it."""
    with suppress(SpectrainError, OSError):
        reader = recognise(place, options)
        if not getattr(reader, "always_folded", False) and not (place / SPLITS).is_file():
            return reader.splits(place)
    return []
