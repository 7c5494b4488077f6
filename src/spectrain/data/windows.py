"""Patches that are windows of larger stored images, or whole images, read one window at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..core.bands import Bands
from .fingerprint import content_fingerprint, files_stamp
from .patches import Patches, Rows
from .pictures import Pictures
from .stored.rows import StoredValues, checked_index
from .window_grid import Cut, Places

if TYPE_CHECKING:
    import pandas as pd


class StoredImages(Protocol):
    """M images [C,H,W] of equal C and type, of any H and W, from which windows are read."""

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """In the machine's byte order."""
        ...

    @property
    def shapes(self) -> NDArray[np.int64]:
        """[M,3]: channels, height and width of each image."""
        ...

    @property
    def files(self) -> Sequence[Path]:
        """All files that are read, one an image and what lies beside it."""
        ...

    def take(self, places: Places, size: tuple[int, int]) -> StoredValues:
        """Return the windows at ``places`` [B,3] (image, row, column) as [B,C,h,w], in memory of their own.

        Every window must lie within its image.

        Raises:
            DataError: a file is gone, damaged, or shorter than it was.
        """
        ...

    def check(self) -> None:
        """Raise a `DataError` where a file is gone or shorter than it must be."""
        ...


class WindowLabels(Protocol):
    """Labels of windows."""

    def take(self, places: Places, size: tuple[int, int]) -> StoredValues:
        """Return the labels of the windows at ``places`` [B,3], first axis B."""
        ...

    def check(self) -> None:
        """Raise a `DataError` where a file is gone or shorter than it must be."""
        ...


class Ground(Protocol):
    """Where windows lie on the ground."""

    def columns(self, cut: Cut) -> Mapping[str, Any]:
        """Return columns of the metadata: ``lon_w lat_s lon_e lat_n`` in degrees and ``geometry`` (WKB)."""
        ...


class ImageLabels:
    """One label an image, which all of its windows have: ``values`` [M]."""

    def __init__(self, values: StoredValues) -> None:
        self._values = values

    def take(self, places: Places, size: tuple[int, int]) -> StoredValues:
        """Return the labels [B]."""
        return self._values[places[:, 0]]

    def check(self) -> None:
        """There is nothing to look at."""


class LabelMaps:
    """Maps of labels beside the images.

    Args:
        images: [T,H,W] each.
        layered: labels are [B,T,h,w]; else T is 1 and they are [B,h,w].
        nodata: what means "not measured" in maps of values, and is read as NaN.
        values: the maps are values, also of whole numbers; else only decimals are.
        scale: factor from what is stored to values, one a layer.
        offset: summand, likewise.
        measured: 0 where nothing was measured, [1,H,W] each; or None.
    """

    def __init__(
        self,
        images: StoredImages,
        *,
        layered: bool,
        nodata: float | None = None,
        values: bool = False,
        scale: Sequence[float] = (1.0,),
        offset: Sequence[float] = (0.0,),
        measured: StoredImages | None = None,
    ) -> None:
        self._images, self._layered, self._values, self._measured = images, layered, values, measured
        self._nodata = nodata if values or images.dtype.kind == "f" else None
        self._scale, self._offset = (np.array(one, np.float64).reshape(-1, 1, 1) for one in (scale, offset))

    def take(self, places: Places, size: tuple[int, int]) -> StoredValues:
        """Return the labels of the windows."""
        maps: NDArray[Any] = self._images.take(places, size)
        lost = None if self._nodata is None else maps == self._nodata
        if self._values:
            maps = (maps * self._scale + self._offset).astype(np.float32)
            if self._measured is not None:
                unseen = self._measured.take(places, size) == 0
                lost = unseen if lost is None else lost | unseen
        if lost is not None:
            maps[np.broadcast_to(lost, maps.shape)] = np.nan
        return maps if self._layered else maps[:, 0]

    def check(self) -> None:
        """Raise a `DataError` where a file is gone or shorter than it must be."""
        self._images.check()
        if self._measured is not None:
            self._measured.check()


class WindowPatches(Patches):
    """Windows of one size from one image or from thousands.

    Args:
        path: what was opened.
        split: name of the split.
        bands: one a channel.
        images: what the windows are cut from.
        cut: the windows.
        mask: 0 where nothing was observed, [1,H,W] or [C,H,W] an image; or None.
        labels: of the windows, or None.
        table: columns of the metadata with one value an image; ``file`` names the image, the same wherever the data
            lie.
        ground: where the windows lie, or None.
        pictures: of the images, or None.
    """

    def __init__(
        self,
        path: Path,
        split: str,
        bands: Bands,
        images: StoredImages,
        cut: Cut,
        *,
        table: Mapping[str, Sequence[Any]],
        mask: StoredImages | None = None,
        labels: WindowLabels | None = None,
        ground: Ground | None = None,
        pictures: Pictures | None = None,
    ) -> None:
        self.path, self.split, self.bands, self.dtype = path, split, bands, images.dtype
        self.has_mask, self.has_labels = mask is not None, labels is not None
        self.shape = (len(cut.places), len(bands), *cut.size)
        self.cut = cut
        self._images, self._mask, self._labels = images, mask, labels
        self._table, self._ground, self._pictures = table, ground, pictures

    def read(self, index: NDArray[np.int64]) -> Rows:
        """Return the windows at ``index`` [B], in the order asked for; doubles are allowed.

        Raises:
            IndexError: an index outside [0, N).
            DataError: a file is damaged, or was cut since it was opened.
        """
        places, size = self.cut.places[checked_index(index, len(self))], self.cut.size
        return Rows(
            image=self._images.take(places, size),
            mask=None if self._mask is None else self._mask.take(places, size) != 0,
            labels=None if self._labels is None else self._labels.take(places, size),
        )

    def labels(self, index: NDArray[np.int64]) -> NDArray[np.generic] | None:
        """Return the labels of the windows at ``index`` alone; no image is read."""
        places = self.cut.places[checked_index(index, len(self))]
        return None if self._labels is None else self._labels.take(places, self.cut.size)

    def metadata(self) -> pd.DataFrame:
        """Return one row a window: ``patch_id``, ``file``, ``row``, ``column``, and what is known of its image."""
        import pandas as pd

        from .splits import patch_id

        image, row, column = self.cut.places.T
        files = self._table["file"]
        ids = [patch_id(files[one], y, x, *self.cut.size) for one, y, x in self.cut.places.tolist()]
        columns: dict[str, Any] = {"patch_id": ids, "file": [files[one] for one in image], "row": row, "column": column}
        for name, values in self._table.items():
            columns.setdefault(name, [values[one] for one in image])
        if self._ground is not None:
            columns |= self._ground.columns(self.cut)
        return pd.DataFrame(columns)

    def picture(self, index: int) -> NDArray[np.uint8] | None:
        """Return what an RGB picture shows of a window, read now; None where there is none."""
        if self._pictures is None:
            return None
        image, row, column = self.cut.places[index].tolist()
        return self._pictures.take(image, row, column, self.cut.size)

    def fingerprint(self) -> str:
        """Return a hash of bands, type, shape and the content of up to 64 windows, not of place, date or packing."""
        return content_fingerprint(self)

    def stamp(self) -> str | None:
        """Return a hash of the places, sizes and dates of all files of images and masks, and which windows are cut."""
        files = [*self._images.files, *(() if self._mask is None else self._mask.files)]
        cut = f"{self.cut.size} {self._mask is not None} ".encode() + self.cut.places.astype("<i8").tobytes()
        return files_stamp(files, cut)

    def check(self) -> None:
        """Raise a `DataError` where a file is gone or shorter than when it was opened."""
        for part in (self._images, self._mask, self._labels):
            if part is not None:
                part.check()
