"""From any patches to the native form, which training maps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import DataError
from ..patches import Patches, Rows
from ..sparse_labels import SparseLabels
from ..splits_file import given_splits
from .writer import SHARD_BYTES, NativeWriter


def write_native(
    patches_by_split: Mapping[str, Patches],
    path: Path | str,
    *,
    shard_bytes: int = SHARD_BYTES,
    statistics: Mapping[str, Any] | None = None,
    splits: Mapping[str, Any] | None = None,
    preparation: Mapping[str, Any] | None = None,
    sparse: bool = False,
) -> Path:
    """Write any patches in the native form, split behind split, in bounded memory.

    Args:
        patches_by_split: splits of one patch set; all have the same bands, shape of a patch, masks and labels or none.
        path: the folder to make.
        shard_bytes: images in one shard.
        statistics: the content of statistics.json.
        splits: the content of splits.json; None makes a split of each that is given.
        preparation: the content of preparation.json.
        sparse: write labels [n,h,w] of decimals as index and value, which is smaller where few pixels are measured.

    Returns:
        The path.

    Raises:
        DataError: the splits differ in form, share a patch id, or cannot be read or written.
    """
    if not patches_by_split:
        raise DataError("there are no splits to write", where=str(path), fix="give at least one")
    first = next(iter(patches_by_split.values()))
    ids: dict[str, list[str]] = {}
    with NativeWriter(path, first.bands, shard_bytes=shard_bytes) as writer:
        for split, patches in patches_by_split.items():
            if patches.bands != first.bands:
                raise DataError(
                    f"the split {split!r} has other bands than {next(iter(patches_by_split))!r}",
                    where=str(patches.path),
                    fix="write them as two sets, or describe both with the same dataset.bands",
                )
            table = patches.metadata().assign(split=split)
            ids[split] = table["patch_id"].tolist()
            step = max(1, shard_bytes // (4 * patches.dtype.itemsize * int(np.prod(patches.shape[1:]))))
            for start in range(0, len(patches), step):
                index = np.arange(start, min(start + step, len(patches)))
                rows = patches.read(index)
                writer.append(with_sparse(rows) if sparse else rows, table.iloc[index])
        return writer.commit(splits=splits or given_splits(ids), statistics=statistics, preparation=preparation)


def with_sparse(rows: Rows) -> Rows:
    """Return rows whose labels are index and value.

    Raises:
        DataError: they are no maps of decimals.
    """
    labels = rows.labels
    if labels is None or isinstance(labels, SparseLabels):
        return rows
    if labels.ndim != 3 or labels.dtype.kind != "f":
        raise DataError(
            f"labels of {labels.dtype} {labels.shape[1:]} a patch cannot be index and value",
            fix="give one map of decimals a patch, NaN where nothing was measured",
        )
    return Rows(rows.image, rows.mask, SparseLabels.from_dense(labels))
