"""`spectrain prepare patches`: patches that are there already, once written in the form that training maps."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..config.schema import DatasetOptions
from ..core.errors import DataError
from ..data.native.convert import write_native
from ..data.native.format import MANIFEST
from ..data.opening import open_patches, open_pool, recognise
from ..data.patches import Patches
from ..data.reader import Reader
from ..data.sparse_labels import SPARSE, SparseLabels
from .made import Prepared

SOME = 64
"""Patches whose labels are looked at to say whether few pixels are measured."""


def prepare_patches(options: DatasetOptions, folder: Path) -> Prepared:
    """Write a patch set of any form in the native form, with its splits and folds, in bounded memory.

    Images keep their stored type, missing stays missing. Data that come as the three sets of `spectrain prepare` stay
    three sets in one folder. RGB pictures that a table names are not copied. A killed call leaves nothing that looks
    whole; the same call again begins anew.

    Args:
        options: the data and how they are read.
        folder: to write.

    Raises:
        DataError: the data cannot be read, are in the native form already, or there is something at `folder`.
    """
    if len(options.places) != 1:
        raise DataError("several sets cannot become one", where="path", fix="write one at a time")
    [place] = options.places
    reader = recognise(place, options)
    if any((path / MANIFEST).is_file() for path in (place, *place.glob("*.zarr"))):
        raise DataError("these patches are in the native form", where=str(place), fix=f"train on dataset.path={place}")
    for leftover in folder.parent.glob(f".{folder.name}.partial-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    options = replace(options, load_rgb=False)
    if getattr(reader, "always_folded", False):
        return _as_sets(reader, place, options, folder)
    splits, content = _splits(reader, place, options)
    if not splits:
        raise DataError("there is no split in it", where=str(place), fix=f"known is: {reader.description}")
    _write(splits, folder, content)
    held = {name: len(patches) for name, patches in splits.items()} if content is None else _counted(content)
    return Prepared(folder, held, expected=())


def _as_sets(reader: Reader, place: Path, options: DatasetOptions, folder: Path) -> Prepared:
    """Write a set a split into one folder, renamed into place last."""
    if folder.exists():
        raise DataError("there is something at this place already", where=str(folder), fix="choose another")
    pool = open_pool(place, options)
    held = {name: open_patches(place, name, options) for name in reader.splits(place)}
    made = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    try:
        for name, patches in held.items():
            _write({name: patches}, made / f"{name}.zarr", pool[1] if pool and name == reader.pool else None)
        made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return Prepared(folder, {name: len(patches) for name, patches in held.items()})


def _splits(
    reader: Reader, place: Path, options: DatasetOptions
) -> tuple[dict[str, Patches], Mapping[str, Any] | None]:
    """Return what is to be written, and the content of splits.json where a file says it."""
    own, found = reader.splits(place), open_pool(place, options)
    if found is None:
        return {name: open_patches(place, name, options) for name in own}, None
    pool, content = found
    plain = replace(options, splits=None)
    others = [] if reader.pool else [name for name in own if name not in (pool.split, *content["splits"])]
    held = {name: open_patches(place, name, plain) for name in others}
    ids = {name: patches.ids() for name, patches in held.items()}
    return {pool.split: pool, **held}, {**content, "splits": {**content["splits"], **ids}}


def _write(splits: Mapping[str, Patches], path: Path, content: Mapping[str, Any] | None) -> None:
    first = next(iter(splits.values()))
    write_native(splits, path, splits=content, preparation=first.preparation, sparse=_is_sparse(first))


def _is_sparse(patches: Patches) -> bool:
    """Say whether few pixels have a label, of some patches at even distances."""
    if not patches.has_labels or not len(patches):
        return False
    labels = patches.labels(np.unique(np.linspace(0, len(patches) - 1, SOME).astype(np.int64)))
    if labels is None or isinstance(labels, SparseLabels):
        return labels is not None
    return labels.ndim == 3 and labels.dtype.kind == "f" and bool(np.isfinite(labels).mean() <= SPARSE)


def _counted(content: Mapping[str, Any]) -> dict[str, int]:
    return {name: len(ids) for name, ids in content["splits"].items()}
