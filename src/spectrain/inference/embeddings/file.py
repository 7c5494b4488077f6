"""The file of embeddings: HDF5 with one dataset per split, as the published latents, and beside it who is who.

For each split: ``SPLIT`` float32 [N,D] in the order of the patches, ``SPLIT_ids`` their patch_ids; with a projection
on principal components ``SPLIT_pca`` float32 [N,K] (published: Y), with UMAP ``SPLIT_umap`` float32 [N,2]. The group
``pca`` holds ``components`` [K,D] (published: M, transposed), ``mean`` [D] and ``explained_variance_ratio`` [K]. The
attributes of the file say which weights and which data it was made of.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ...core.damage import reading
from ...core.errors import DataError
from ...runs.migrations import migrated

NAME, VERSION = "spectrain.embeddings", 1
IDS, PCA, UMAP = "_ids", "_pca", "_umap"

Floats = NDArray[np.float32]


def write_split(
    file: h5py.File, split: str, ids: Sequence[str], dim: int, parts: Iterable[tuple[NDArray[np.int64], Floats]]
) -> None:
    """Write a split's embeddings as they come.

    Args:
        file: open for writing.
        split: name of the dataset.
        ids: patch_ids [N].
        dim: D.
        parts: (rows [B], embeddings [B,D]); a row of -1 is padding and is left out.
    """
    data = file.create_dataset(split, (len(ids), dim), dtype=np.float32, fillvalue=np.nan)
    for rows, values in parts:
        kept = rows >= 0
        if kept.any():
            first = int(rows[kept][0])
            data[first : first + int(kept.sum())] = values[kept]
    file.create_dataset(split + IDS, data=list(ids), dtype=h5py.string_dtype())


def write_facts(file: h5py.File, facts: dict[str, Any]) -> None:
    """Write what the file is and what it was made of."""
    file.attrs["format"] = json.dumps({"name": NAME, "version": VERSION})
    file.attrs["facts"] = json.dumps(facts)


def facts_of(path: Path) -> dict[str, Any]:
    """Return what `write_facts` wrote.

    Raises:
        DataError: the file is damaged, or of another kind.
        RunError: a newer version wrote it.
    """
    with opened(path) as file, reading(path, fix="remove it and embed again"):
        facts: dict[str, Any] = json.loads(file.attrs["facts"])
        return facts


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open a file of embeddings for reading; see `facts_of` for what it raises."""
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise DataError(
            "the embeddings cannot be read: the file is damaged or no HDF5 file",
            where=str(path),
            fix="remove it and embed again",
        ) from error
    with file:
        with reading(path, fix="remove it and embed again"):
            tag = json.loads(file.attrs.get("format", "{}"))
        if not isinstance(tag, dict) or tag.get("name") != NAME:
            raise DataError(
                "the file exists and holds something else than embeddings", where=str(path), fix="give another -o"
            )
        migrated({"format": tag}, NAME, VERSION, where=str(path))
        yield file


def splits_of(file: h5py.File) -> list[str]:
    """Return the names of the embedded splits, in the order in which they were written."""
    splits: list[str] = json.loads(file.attrs["facts"])["splits"]
    return splits
