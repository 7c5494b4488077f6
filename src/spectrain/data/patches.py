"""Patches: N images [C,H,W] on one grid, with their bands, a label each, a metadata row each, and a fingerprint."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.bands import Bands
from ..core.errors import DataError
from .sparse_labels import Labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd  # a third of a second that most trainings never need


@dataclass(frozen=True, slots=True)
class Rows:
    """What a reader returns for B indices, as stored.

    Attributes:
        image: [B,C,H,W] in the stored type.
        mask: bool [B,1,H,W] or [B,C,H,W], True where observed; None where the data have no mask.
        labels: as stored, first axis B ([B] or [B,H,W] or [B,T,H,W]), or `SparseLabels`; None where there are none.
    """

    image: NDArray[np.generic]
    mask: NDArray[np.bool_] | None
    labels: Labels | None


class CubeKeyError(DataError):
    """What `dataset.cube_key` names is no cube of the file, or nothing names the one that lies there."""


class Patches(ABC):
    """One split of a patch set. Readers subclass it; everything else sees only this.

    A `Patches` is cheap to pickle: file handles open on first use in each process, so that loader workers have
    their own.

    Attributes:
        path: the file or folder it was opened from.
        split: the split's name ("train", "valid", ...).
        bands: one a channel.
        shape: (N, C, H, W).
        dtype: stored type of the images.
        has_mask: a mask is stored beside the images.
        has_labels: labels are stored beside the images.
        preparation: how they were made from scenes, as `spectrain prepare` wrote it; None where they were not.
    """

    path: Path
    split: str
    bands: Bands
    shape: tuple[int, int, int, int]
    dtype: np.dtype[np.generic]
    has_mask: bool
    has_labels: bool
    preparation: Mapping[str, Any] | None = None

    def __len__(self) -> int:
        return self.shape[0]

    @abstractmethod
    def read(self, index: NDArray[np.int64]) -> Rows:
        """Return the patches at ``index`` [B], in the order asked for; doubles are allowed.

        Raises:
            IndexError: an index outside [0, N).
            DataError: the file was damaged or cut since it was opened.
        """

    def physical(self, index: NDArray[np.int64] | Sequence[int]) -> NDArray[np.float32]:
        """Return the patches at ``index`` [B] to look at: float32 [B,C,H,W] in each band's unit, NaN where missing.

        They are what training computes with, before `dataset.transform`.

        Raises:
            IndexError: an index outside [0, N).
            DataError: see `read`.
        """
        return physical_values(self.read(np.asarray(index)), self.bands)

    def labels(self, index: NDArray[np.int64]) -> Labels | None:
        """Return the labels of the patches at ``index`` alone, as `read` does; None where there are none."""
        return self.read(index).labels

    @abstractmethod
    def metadata(self) -> pd.DataFrame:
        """Return one row a patch (N rows), at least with a column ``patch_id``."""

    def column(self, name: str) -> NDArray[Any] | None:
        """Return one column of the metadata [N], None where there is none.

        A reader that can do so reads no more than that, and without pandas.
        """
        table = self.metadata()
        return table[name].to_numpy() if name in table else None

    def ids(self) -> list[str]:
        """Return the id of each patch, ``patch_id`` of the metadata, as text."""
        found = self.column("patch_id")
        assert found is not None
        return [str(one) for one in found]

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a short hash of what the patches are: bands, type, shape and the content of up to 64 patches."""

    def stamp(self) -> str | None:
        """Return a short hash of the files that images and masks are read from, their sizes and dates, and the places.

        Unlike the fingerprint it is of this copy of the data, and changes with any file that is written anew. None
        where a reader does not say which files these are.
        """
        return None

    def picture(self, index: int) -> NDArray[np.uint8] | None:
        """Return an RGB picture [H',W',3] of the place of a patch, read now; None where there is none."""
        return None

    def check(self) -> None:  # noqa: B027 - a reader of files that cannot be cut needs none
        """Raise a `DataError` where the file is shorter than its index says; called at open and at each epoch."""


def physical_values(rows: Rows, bands: Bands) -> NDArray[np.float32]:
    """Return images [B,C,H,W] in physical values, by the code that training uses; NaN where missing."""
    import torch

    from .values import Values

    mask = None if rows.mask is None else torch.from_numpy(np.ascontiguousarray(rows.mask))
    image, valid = Values(bands).measure(torch.from_numpy(np.ascontiguousarray(rows.image)), mask)
    found = image if valid is None else torch.where(valid, image, torch.nan)
    return found.numpy()
