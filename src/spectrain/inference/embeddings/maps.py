"""Adds to a file of embeddings what shows them in few dimensions: principal components, and UMAP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np

from ...core.atomic import OF_OUTPUT, atomic_write
from .file import PCA, UMAP, Floats, opened, splits_of
from .projection import StreamedPca, umap_positions


def add_pca(path: Path, train_key: str, components: int) -> None:
    """Add principal components, unless as many are there."""
    with opened(path) as file:
        splits = splits_of(file)
        if "pca" in file and len(file["pca/components"]) >= min(components, *file[splits[0]].shape):
            return
        fitted = [train_key] if train_key in splits else splits
        streamed = StreamedPca()
        for split in fitted:
            for rows in _blocks(file[split]):
                streamed.update(rows)
        found = streamed.result(components)

    def add(file: h5py.File) -> None:
        file.pop("pca", None)
        group = file.create_group("pca")
        group["components"], group["mean"] = found.components, found.mean
        group["explained_variance_ratio"] = found.explained_variance_ratio
        group.attrs["fitted_on"] = fitted
        for split in splits:
            file.pop(split + PCA, None)
            data = file.create_dataset(split + PCA, (len(file[split]), len(found.components)), np.float32)
            start = 0
            for rows in _blocks(file[split]):
                data[start : start + len(rows)] = found.transform(rows)
                start += len(rows)

    _changed(path, add)


def add_umap(path: Path, seed: int) -> None:
    """Add a map of all splits together in two dimensions, unless it is there."""
    with opened(path) as file:
        splits = splits_of(file)
        if splits[0] + UMAP in file:
            return
        rows = np.concatenate([file[split][()] for split in splits])
        lengths = [len(file[split]) for split in splits]
    positions = np.split(umap_positions(rows, seed), np.cumsum(lengths)[:-1])

    def add(file: h5py.File) -> None:
        for split, part in zip(splits, positions, strict=True):
            file[split + UMAP] = part

    _changed(path, add)


def _changed(path: Path, add: Callable[[h5py.File], None]) -> None:
    """Change a file of embeddings so that it is whole at any moment: a copy is changed and takes its place."""

    def write(stream: BinaryIO) -> None:
        with path.open("rb") as source:
            while block := source.read(1 << 24):
                stream.write(block)
        stream.seek(0)
        with h5py.File(stream, "r+") as file:
            add(file)

    atomic_write(path, write, OF_OUTPUT)


def _blocks(data: h5py.Dataset, rows: int = 8192) -> Iterator[Floats]:
    """Yield a dataset's rows in blocks."""
    for start in range(0, len(data), rows):
        yield data[start : start + rows]
