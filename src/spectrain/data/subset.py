"""Some of the patches of another set: a split or fold that a splits file describes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError
from .fingerprint import content_fingerprint
from .patches import Patches, Rows
from .sparse_labels import Labels
from .stored.rows import checked_index

if TYPE_CHECKING:
    import pandas as pd


class Subset(Patches):
    """The patches of a set at given rows, in the order of the rows.

    Args:
        patches: the whole set.
        split: name of the part.
        rows: [N], places in the whole set.

    Raises:
        DataError: there are no rows.
        IndexError: a row outside the set.
    """

    def __init__(self, patches: Patches, split: str, rows: NDArray[np.int64]) -> None:
        if len(rows) == 0:
            raise DataError(
                f"the split {split!r} has no patches", where=str(patches.path), fix="choose another, or split anew"
            )
        self.path, self.split, self.bands, self.dtype = patches.path, split, patches.bands, patches.dtype
        self.has_mask, self.has_labels = patches.has_mask, patches.has_labels
        self.shape = (len(rows), *patches.shape[1:])
        self.preparation = patches.preparation
        self.whole = patches
        self.rows = checked_index(rows, len(patches))

    @classmethod
    def of_ids(cls, patches: Patches, split: str, ids: Sequence[str], where: str) -> Subset:
        """Return the patches with these ids, in the order of the whole set, so that reading goes forward.

        Raises:
            DataError: an id that no patch has, or one given twice, or none at all.
        """
        known = {name: row for row, name in enumerate(patches.ids())}
        rows = np.array([known.get(str(name), -1) for name in ids], dtype=np.int64)
        if (missing := rows < 0).any():
            first = ids[int(np.flatnonzero(missing)[0])]
            raise DataError(
                f"{int(missing.sum())} of {len(ids)} patches of the split {split!r} are not in the data, as {first!r}",
                where=where,
                fix=f"the splits belong to other data than {patches.path}: split these anew",
            )
        if len(set(ids)) != len(ids):
            raise DataError(f"the split {split!r} names a patch twice", where=where, fix="split anew")
        return cls(patches, split, np.sort(rows).astype(np.int64))

    def read(self, index: NDArray[np.int64]) -> Rows:
        """Return the patches at ``index`` [B], in the order asked for; doubles are allowed.

        Raises:
            IndexError: an index outside [0, N).
            DataError: the file is damaged, or was cut since it was opened.
        """
        return self.whole.read(self.rows[checked_index(index, len(self))])

    def labels(self, index: NDArray[np.int64]) -> Labels | None:
        """Return the labels of the patches at ``index`` alone."""
        return self.whole.labels(self.rows[checked_index(index, len(self))])

    def metadata(self) -> pd.DataFrame:
        """Return one row a patch."""
        return self.whole.metadata().iloc[self.rows].reset_index(drop=True)

    def column(self, name: str) -> NDArray[Any] | None:
        """Return one column of the metadata; None where there is none."""
        found = self.whole.column(name)
        return None if found is None else found[self.rows]

    def fingerprint(self) -> str:
        """Return a hash of the whole set's fingerprint, which rows these are, and the content of up to 64 of them."""
        return content_fingerprint(self, also=f"{self.whole.fingerprint()} {self._rows_hash()}")

    def stamp(self) -> str | None:
        """Return a hash of the whole set's stamp and which rows these are; None where that has none."""
        whole = self.whole.stamp()
        return None if whole is None else f"{whole} {self._rows_hash()}"

    def picture(self, index: int) -> NDArray[np.uint8] | None:
        """Return an RGB picture of the place of a patch; None where there is none."""
        return self.whole.picture(int(self.rows[index]))

    def check(self) -> None:
        """Raise a `DataError` where a file is gone or shorter than when it was opened."""
        self.whole.check()

    def _rows_hash(self) -> str:
        return hashlib.blake2b(self.rows.astype("<i8").tobytes(), digest_size=16).hexdigest()
