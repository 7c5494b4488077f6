"""From a path to patches: what it is is seen from its content, not from its name."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..config.command_options import with_given
from ..config.schema import DatasetOptions
from ..core.damage import reading
from ..core.errors import DataError, perhaps_beside
from ..core.registry import lookup, names, registered
from .band_choice import with_options
from .folds import CHOOSE, drawn_folds, expect_count, expect_positives, warn_of_published
from .patches import Patches
from .reader import ALL, Reader
from .splits_file import chosen_ids, read_splits
from .subset import Subset

log = logging.getLogger("spectrain")
SPLITS = "splits.json"
LARGEST = 2 << 30
"""Bytes of one patch."""
MOST = 1 << 29
"""Patches of one split."""


def open_patches(
    path: str | Path | Sequence[str | Path],
    split: str = "train",
    options: DatasetOptions | None = None,
    **given: Any,
) -> Patches:
    """Open one split of a patch set.

    ::

        patches = open_patches("scenes", "train", window=64, bands=["B04", "B08"], nodata=0)
        patches.physical([0, 1])

    Args:
        path: a file or folder of a known kind; or a list of them, which makes a mixture where they are several.
        split: name of the split. With ``options.fold`` the names of the splits that are trained and validated on mean
            those parts of the fold.
        options: the configuration group ``dataset``; None is its defaults.
        given: options of that group by name, which replace those of ``options``.

    Raises:
        ConfigError: an option that there is not, or a value that it does not take.
        DataError: nothing is there, it is empty, damaged or of no known kind; no such split, fold or band; the
            splits file belongs to other data.
    """
    options = with_given(options or DatasetOptions(), given)
    if not isinstance(path, str | Path):
        if not path:
            raise DataError("dataset.path lists no data", where="dataset.path", fix="name a file or folder")
        from .mixture import mixture_of

        return mixture_of([open_patches(one, split, options) for one in path])
    place = Path(path).expanduser()
    reader = recognise(place, options)
    if options.labels_path is not None and not getattr(reader, "second_root", False):
        raise DataError(
            "dataset.labels_path is for folders of .npy files or GeoTIFFs: these data have their labels in them",
            where=str(place),
            fix="take dataset.labels_path away",
        )
    with reading(place):
        return _expect_bounded(with_options(_opened(reader, place, split, options), options))


def _expect_bounded(patches: Patches) -> Patches:
    """Return the patches, or raise where one of them is larger than any memory is meant for.

    A header of a few bytes may say so, and the first batch would ask for it.
    """
    if len(patches) > MOST:
        what = f"{len(patches):,} patches are said to be there"
        raise DataError(what, where=f"{patches.path}, {patches.split}", fix="the file is damaged: write it again")
    size = math.prod(patches.shape[1:]) * patches.dtype.itemsize
    if size <= LARGEST:
        return patches
    shape = " × ".join(f"{length:,}" for length in patches.shape[1:])
    raise DataError(
        f"one patch of {shape} takes {size / 2**30:,.0f} GiB",
        where=f"{patches.path}, {patches.split}",
        fix="set dataset.window, where these are scenes; else the file is damaged",
    )


def _opened(reader: Reader, place: Path, split: str, options: DatasetOptions) -> Patches:
    """Return a split as stored: of the data, of a splits file, or a part of a fold."""
    if is_folded(reader, place, split, options):
        pool, content, where = folds_of(reader, place, options)
        if split == options.train_key:
            warn_of_published(options)
        expect_positives(pool, content, options)
        ids = chosen_ids(content, split, replace(options, fold=options.fold or 0), where)
        return Subset.of_ids(pool, split, ids, where)
    file = splits_file(reader, place, options)
    if options.splits is None and (getattr(reader, "own_splits", False) or not file.is_file()):
        return reader.open(place, split, options)
    content = read_splits(file)
    if options.splits is None and split not in content["splits"] and split in (*reader.splits(place), ALL):
        return reader.open(place, split, options)
    if options.splits is None and options.fold is None and _of_other_data(reader, place, content, options):
        log.warning("%s is left alone: it was made for other data than %s", file, place)
        return reader.open(place, split, options)
    return Subset.of_ids(
        _whole(reader, place, content, options, file),
        split,
        chosen_ids(content, split, replace(options, fold=None), str(file)),
        str(file),
    )


def is_folded(reader: Reader, place: Path, split: str, options: DatasetOptions) -> bool:
    """Say whether a split means a part of a fold: one that is trained or validated on, of data with folds."""
    if split not in (options.train_key, options.valid_key):
        return False
    if options.fold is not None or options.fold_method != "given":
        return True
    if not getattr(reader, "always_folded", False) or split in reader.splits(place):
        return False
    return not options.splits or split not in read_splits(Path(options.splits).expanduser())["splits"]


def folds_of(reader: Reader, place: Path, options: DatasetOptions) -> tuple[Patches, dict[str, Any], str]:
    """Return the patches that folds are of, the content of a splits file with the folds, and where they are from.

    Raises:
        DataError: none are given, or another number than asked for, or they cannot be drawn.
    """
    if options.fold_method != "given":
        whole = replace(options, fold=None, folds=None, fold_method="given")
        name = getattr(reader, "folded", None) or options.train_key
        pool = reader.open(place, name, whole) if options.splits is None else _opened(reader, place, name, whole)
        return pool, drawn_folds(pool, options), f"{place}, dataset.fold_method={options.fold_method}"
    file = splits_file(reader, place, options)
    if options.splits is None and not file.is_file():
        raise DataError(
            "no folds are given: the splits file cannot be read, there is none", where=str(file), fix=CHOOSE
        )
    content = read_splits(file)
    expect_count(content, options, file)
    return _whole(reader, place, content, options, file), content, str(file)


def run_folds(path: str | Path, options: DatasetOptions) -> dict[str, Any] | None:
    """Return the content of a splits file with the folds that were drawn for a run, None where none were.

    It is of the same patches: with ``dataset.splits`` it gives the same folds without a draw.
    """
    if options.fold_method == "given":
        return None
    place = Path(path).expanduser()
    reader = recognise(place, options)
    _, content, _ = folds_of(reader, place, options)
    return {**content, "fingerprint": reader.open(place, reader.pool or options.train_key, options).fingerprint()}


def given_folds(path: str | Path) -> list[dict[str, int]]:
    """Return how many patches each side of each fold has that is given with the data; none where none are."""
    place, options = Path(path).expanduser(), DatasetOptions()
    file = splits_file(recognise(place, options), place, options)
    if not file.is_file():
        return []
    return [{side: len(fold[side]) for side in ("train", "valid")} for fold in read_splits(file)["folds"]]


def _of_other_data(reader: Reader, place: Path, content: dict[str, Any], options: DatasetOptions) -> bool:
    """Say whether a splits file that lies beside files belongs to another of them."""
    if content["fingerprint"] is None:
        return False
    found: bool = content["fingerprint"] != reader.open(place, reader.pool or options.train_key, options).fingerprint()
    return found


def _whole(reader: Reader, place: Path, content: dict[str, Any], options: DatasetOptions, file: Path) -> Patches:
    """Return the patches that a splits file chooses from.

    Raises:
        DataError: the file is of other data.
    """
    whole = reader.open(place, reader.pool or options.train_key, options)
    made_for = content["fingerprint"]
    if made_for is not None and made_for != whole.fingerprint():
        raise DataError(
            "the splits were made for other data: the fingerprints differ",
            where=str(file),
            fix=f"give the splits of {place}, or split it anew",
        )
    return whole


def open_pool(place: Path, options: DatasetOptions) -> tuple[Patches, dict[str, Any]] | None:
    """Return the patches that a splits file chooses from, as the options describe them, and the file's content.

    None where no such file is there, neither named nor with the data.

    Raises:
        DataError: the file is damaged or of other data, or the data cannot be read.
    """
    reader = recognise(place, options)
    file = splits_file(reader, place, options)
    if options.splits is None and not file.is_file():
        return None
    content = read_splits(file)
    with reading(place):
        return _expect_bounded(with_options(_whole(reader, place, content, options, file), options)), content


def splits_file(reader: Reader, place: Path, options: DatasetOptions) -> Path:
    """Return the splits file that is named; else the one that belongs to the data, there or not."""
    if options.splits:
        return Path(options.splits).expanduser()
    beside = _beside(place)
    own = getattr(reader, "splits_file", None)
    return own(place) if own is not None and not beside.is_file() else beside


def recognise(path: Path, options: DatasetOptions | None = None) -> Reader:
    """Return the reader for a file or folder; those of plugins are asked first.

    An HDF5 file is one cube where `cube_key` names it, whatever else is in it.

    Raises:
        DataError: nothing is there, it is empty, or no reader knows it (those that there are are listed).
    """
    readers: list[Reader] = [*registered("reader").values()]
    readers += [lookup("reader", name) for name in names("reader") if name not in registered("reader")]
    try:
        reader = _recognise(path, readers)
        named = options is not None and options.cube_key is not None and reader is lookup("reader", "hdf5")
        return lookup("reader", "cube") if named else reader
    except OSError as error:
        raise DataError(
            f"cannot be read: {error.strerror or error}", where=str(path), fix="see that you may read it"
        ) from error


def _recognise(path: Path, readers: list[Reader]) -> Reader:
    if not path.exists():
        raise DataError(
            "there is no such file or folder" + perhaps_beside(path),
            where=str(path),
            fix="correct the path (dataset.path)",
        )
    for reader in readers:
        if reader.recognises(path):
            return reader
    if path.is_file() and path.stat().st_size == 0:
        what = "the file is empty"
    elif path.is_dir() and not any(path.iterdir()):
        what = "the folder is empty"
    else:
        what = f"the {'folder' if path.is_dir() else 'file'} is of no known kind"
    raise DataError(what, where=str(path), fix=f"known are: {'; '.join(reader.description for reader in readers)}")


def _beside(place: Path) -> Path:
    """Return where the splits of a file or folder are kept: in the folder, or beside the file."""
    return place / SPLITS if place.is_dir() else place.with_name(SPLITS)
