"""Patches whose images, masks and labels are one stored array each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.bands import Bands
from ..core.errors import DataError
from .fingerprint import content_fingerprint, files_stamp
from .patches import Patches, Rows
from .stored.rows import StoredArray, checked_index

if TYPE_CHECKING:
    import pandas as pd


class ArrayPatches(Patches):
    """One split of patches. A row of an array is a patch.

    Args:
        path: the file or folder.
        split: name of the split.
        bands: one a channel.
        shape: (N, C, H, W).
        image: rows [C,H,W] or [H,W].
        mask: rows [1,H,W], [C,H,W] or [H,W], 0 where nothing was observed; or None.
        labels: one row a patch, or None.
        preparation: what is known of how they were made; see `Patches`.
        table: returns the metadata for a number of patches, and can be pickled; None numbers the patches.
    """

    def __init__(
        self,
        path: Path,
        split: str,
        bands: Bands,
        shape: tuple[int, int, int, int],
        *,
        image: StoredArray,
        mask: StoredArray | None = None,
        labels: StoredArray | None = None,
        preparation: Mapping[str, Any] | None = None,
        table: Callable[[int], pd.DataFrame] | None = None,
    ) -> None:
        self.path, self.split, self.bands, self.shape = path, split, bands, shape
        self.dtype = image.dtype
        self.has_mask, self.has_labels = mask is not None, labels is not None
        self.preparation, self._table = preparation, table
        self._image, self._mask, self._labels = image, mask, labels

    def read(self, index: NDArray[np.int64]) -> Rows:
        """Return the patches at ``index`` [B], in the order asked for; doubles are allowed.

        Raises:
            IndexError: an index outside [0, N).
            DataError: a file is damaged, or was cut since it was opened.
        """
        index = checked_index(index, len(self))
        mask = None
        if self._mask is not None:
            channels = self._mask.shape[1] if len(self._mask.shape) == 4 else 1
            mask = (self._mask.take(index) != 0).reshape(len(index), channels, *self.shape[2:])
        return Rows(
            image=self._image.take(index).reshape(len(index), *self.shape[1:]),
            mask=mask,
            labels=None if self._labels is None else self._labels.take(index),
        )

    def labels(self, index: NDArray[np.int64]) -> NDArray[np.generic] | None:
        """Return the labels of the patches at ``index`` alone; no image is read."""
        return None if self._labels is None else self._labels.take(checked_index(index, len(self)))

    def metadata(self) -> pd.DataFrame:
        """Return one row a patch; where nothing is known of them, ``patch_id`` is ``<split>/<number>``."""
        if self._table is not None:
            return self._table(len(self))
        import pandas as pd

        return pd.DataFrame({"patch_id": [f"{self.split}/{number}" for number in range(len(self))]})

    def fingerprint(self) -> str:
        """Return a hash of bands, type, shape and the content of up to 64 patches, not of date or packing."""
        return content_fingerprint(self)

    def stamp(self) -> str | None:
        """Return a hash of place, size and date of all files of images and masks; None where these are not known."""
        files: list[Path] = []
        for part in (self._image, self._mask):
            held = () if part is None else getattr(part, "files", None)
            if held is None:
                return None
            files += held
        return files_stamp(files, f"{self.split} {self._mask is not None}".encode())

    def check(self) -> None:
        """Raise a `DataError` where a file is gone or shorter than when it was opened."""
        for part in (self._image, self._mask, self._labels):
            if part is not None:
                part.check()


def image_shape(shape: tuple[int, ...], dtype: np.dtype[Any], where: str) -> tuple[int, int, int, int]:
    """Return (N, C, H, W) of an array of images.

    Raises:
        DataError: these are no images, or there are none.
    """
    if len(shape) not in (3, 4) or dtype.kind not in "iuf":
        raise DataError(
            f"the array has shape {shape} and type {dtype}: these are not images",
            where=where,
            fix="images are numbers of shape (N,H,W), (N,1,H,W) or (N,C,H,W)",
        )
    if 0 in shape:
        raise DataError(f"the array is empty: its shape is {shape}", where=where, fix="give another split")
    count, *channels, height, width = shape
    return count, channels[0] if channels else 1, height, width


def expect_beside(
    kind: str, held: tuple[int, ...], dtype: np.dtype[Any], shape: tuple[int, int, int, int], where: str
) -> None:
    """Raise a `DataError` where masks or labels do not fit the images.

    Args:
        kind: "mask" or "labels".
        held: shape of the array.
        dtype: its type.
        shape: (N, C, H, W) of the images.
        where: the array, for the message.
    """
    count, channels, height, width = shape
    if kind == "mask":
        allowed = {(count, height, width), (count, 1, height, width), (count, channels, height, width)}
        fits = held in allowed and dtype.kind in "iub"
        fix = "masks are whole numbers or bool, of shape " + " or ".join(map(str, sorted(allowed, key=len)))
    else:
        fits = held == (count,) or (len(held) in (3, 4) and held[0] == count and held[-2:] == (height, width))
        fits = fits and dtype.kind in "iufb"
        fix = f"labels are numbers of shape ({count},), ({count},{height},{width}) or ({count},T,{height},{width})"
    if not fits:
        raise DataError(
            f"the {'masks' if kind == 'mask' else kind} have shape {held} and type {dtype}, the images shape {shape}",
            where=where,
            fix=fix,
        )
