"""What the user says of the bands goes before what the data say; the same for every reader."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..config.schema import DatasetOptions
from ..core.bands import Bands
from ..core.errors import DataError
from .band_table import given_wavelengths
from .fingerprint import content_fingerprint
from .patches import Patches, Rows
from .sparse_labels import Labels
from .stored.rows import StoredValues

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")


def with_options(patches: Patches, options: DatasetOptions) -> Patches:
    """Return the patches with the bands that the options ask for, described as the options say.

    ``wavelengths`` replaces those of all bands of the data. ``bands`` takes the named channels, in the order given.
    Where the data name no bands, it names them. ``scale``, ``offset`` and ``nodata`` replace what the data say, one
    value for all bands taken or one each; a NaN nodata means that only NaN is missing.

    Raises:
        DataError: a band that is not there, a list of another length than the bands taken, or other than one
            wavelength a band.
    """
    bands, where = patches.bands, str(patches.path)
    if options.wavelengths is not None:
        bands = given_wavelengths(options.wavelengths).described(bands, "dataset.wavelengths", where)
    channels = list(range(len(bands)))
    if options.bands is not None:
        if bands.names == Bands.unnamed(len(bands)).names and not set(options.bands) <= set(bands.names):
            names = _one_each(options.bands, len(bands), "bands", where)
            bands = Bands(replace(band, name=name) for band, name in zip(bands, names, strict=True))
        else:
            channels = [bands.position(name) for name in options.bands]
            bands = Bands(bands[channel] for channel in channels)
    scales = _numbers(options.scale, len(bands), "scale", where)
    offsets = _numbers(options.offset, len(bands), "offset", where)
    nodatas = _numbers(options.nodata, len(bands), "nodata", where)
    if scales is not None:
        bands = Bands(replace(band, scale=scale) for band, scale in zip(bands, scales, strict=True))
    if offsets is not None:
        bands = Bands(replace(band, offset=offset) for band, offset in zip(bands, offsets, strict=True))
    if nodatas is not None:
        bands = Bands(
            replace(band, nodata=None if math.isnan(nodata) else nodata)
            for band, nodata in zip(bands, nodatas, strict=True)
        )
    if bands == patches.bands and channels == list(range(len(patches.bands))):
        return patches
    return BandChoice(patches, bands, channels)


class BandChoice(Patches):
    """The patches of another set with some of its channels, or with other facts about them.

    Args:
        patches: the set as stored.
        bands: one for each channel taken.
        channels: which channels these are.
    """

    def __init__(self, patches: Patches, bands: Bands, channels: Sequence[int]) -> None:
        self.path, self.split, self.bands, self.dtype = patches.path, patches.split, bands, patches.dtype
        self.has_mask, self.has_labels = patches.has_mask, patches.has_labels
        count, _, height, width = patches.shape
        self.shape = (count, len(channels), height, width)
        self.stored, self.preparation = patches, patches.preparation
        self._channels = None if list(channels) == list(range(patches.shape[1])) else list(channels)

    def read(self, index: NDArray[np.int64]) -> Rows:
        """Return the patches at ``index`` [B], in the order asked for; doubles are allowed.

        Raises:
            IndexError: an index outside [0, N).
            DataError: the file is damaged, or was cut since it was opened.
        """
        rows = self.stored.read(index)
        if self._channels is None:
            return rows
        per_channel = rows.mask is not None and rows.mask.shape[1] == self.stored.shape[1] > 1
        image: StoredValues = rows.image[:, self._channels]
        return Rows(
            image, rows.mask[:, self._channels] if rows.mask is not None and per_channel else rows.mask, rows.labels
        )

    def labels(self, index: NDArray[np.int64]) -> Labels | None:
        """Return the labels of the patches at ``index`` alone."""
        return self.stored.labels(index)

    def metadata(self) -> pd.DataFrame:
        """Return one row a patch."""
        return self.stored.metadata()

    def column(self, name: str) -> NDArray[Any] | None:
        """Return one column of the metadata; None where there is none."""
        return self.stored.column(name)

    def fingerprint(self) -> str:
        """Return a hash of the stored set's fingerprint, the bands taken, and the content of up to 64 patches."""
        return content_fingerprint(self, also=self.stored.fingerprint())

    def stamp(self) -> str | None:
        """Return the stamp of the stored set and which channels are taken; None where that has none."""
        stored = self.stored.stamp()
        return None if stored is None else f"{stored} {self._channels or 'all'}"

    def picture(self, index: int) -> NDArray[np.uint8] | None:
        """Return an RGB picture of the place of a patch; None where there is none."""
        return self.stored.picture(index)

    def check(self) -> None:
        """Raise a `DataError` where a file is gone or shorter than when it was opened."""
        self.stored.check()


def _numbers(given: float | Sequence[float] | None, count: int, key: str, where: str) -> list[float] | None:
    """Return one number a band from one for all or one each; None stays None."""
    if given is None or isinstance(given, int | float):
        return None if given is None else [float(given)] * count
    return [float(value) for value in _one_each(given, count, key, where)]


def _one_each(given: Sequence[T], count: int, key: str, where: str) -> list[T]:
    """Return the list, or raise where it is not one a band."""
    if len(given) != count:
        raise DataError(
            f"dataset.{key} lists {len(given)} values for {count} bands", where=where, fix=f"give {count}, one a band"
        )
    return list(given)
