"""GeoTIFFs: what their headers say of bands, grid and place, and how windows of their pixels are read."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.bands import Band, Bands
from ...core.damage import reading
from ...core.errors import DataError, needs
from ..band_table import bands_in_nm
from ..stored.library_images import LibraryImages
from ..stored.mapped import MappedFiles, cut_short
from ..stored.rows import StoredValues
from .drivers import drivers_for

METRES_PER_DEGREE = 111_195.0
"""Of a great circle, on a sphere of the Earth's mean radius."""

Transform = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Raster:
    """What the header of a file says.

    Attributes:
        path: the file.
        size: its bytes.
        shape: (bands, H, W).
        dtype: of all its bands.
        bands: with wavelengths as its tags say, scale, offset, nodata, unit and resolution.
        crs: as WKT; None where the file has no place on the ground.
        transform: of pixel corners: x = a·column + b·row + c, y = d·column + e·row + f.
        masked: a mask is stored in it or beside it.
    """

    path: Path
    size: int
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    bands: Bands
    crs: str | None
    transform: Transform
    masked: bool


def read_raster(path: Path) -> Raster:
    """Return what a file's header says; no pixel is read. A file that did not change is not opened twice in a process.

    Raises:
        DataError: rasterio is not installed; the file is gone, damaged, cut short or no raster of numbers of one type.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=str(path), fix="put it back") from error
    return _read(path.absolute(), stat.st_size, stat.st_mtime_ns, stat.st_ino)


def rasterio_package() -> Any:
    """Return rasterio, or say how to get it."""
    with needs("geo", "to read GeoTIFFs"):
        import rasterio
        import rasterio.errors
        import rasterio.io
        import rasterio.windows
    return rasterio


def open_raster(path: Path) -> Any:
    """Open a file; a `DataError` where that fails."""
    rasterio = rasterio_package()
    allowed = drivers_for(path)
    try:
        with warnings.catch_warnings(), rasterio.Env():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            return rasterio.io.DatasetReader(str(path.absolute()), driver=allowed)  # `open` takes one driver alone
    except Exception as error:  # besides rasterio's own errors those of GDAL, and of text in tags
        fix = "see that it is whole, else copy or write it again"
        if path.suffix.lower() == ".npy":
            fix = "a .npy file does not say where it lies: write it as a GeoTIFF"
        raise DataError(f"cannot be opened as a raster: {error}", where=str(path), fix=fix) from error


@lru_cache(maxsize=1 << 16)
def _read(path: Path, size: int, modified: int, inode: int) -> Raster:
    with reading(path), open_raster(path) as held:
        kinds = {np.dtype(name) if name != "complex_int16" else np.dtype("c8") for name in held.dtypes}
        dtype = kinds.pop()
        if kinds or dtype.kind not in "iuf":
            raise DataError(
                f"the bands are of type {', '.join(dict.fromkeys(held.dtypes))}: these are not images",
                where=str(path),
                fix="write all bands in one type of whole or decimal numbers",
            )
        end = _end(held)
        if end > size:
            raise cut_short(path, size, end)
        placed = held.crs is not None and not held.transform.is_identity
        flags = [flag.name for flag in held.mask_flag_enums[0]]
        return Raster(
            path,
            size,
            (held.count, held.height, held.width),
            dtype,
            _equal(_bands(held)),
            _text(held.crs.to_wkt()) if placed else None,
            tuple(held.transform)[:6],
            flags == ["per_dataset"],
        )


def _end(held: Any) -> int:
    """Return the byte that the last block of the first or last band ends at; 0 where the format does not say."""
    end = 0
    for band in {1, held.count}:
        height, width = held.block_shapes[band - 1]
        block = f"{(held.width - 1) // width}_{(held.height - 1) // height}"
        offset = held.get_tag_item(f"BLOCK_OFFSET_{block}", "TIFF", bidx=band)
        length = held.get_tag_item(f"BLOCK_SIZE_{block}", "TIFF", bidx=band)
        if offset and length:
            end = max(end, int(offset) + int(length))
    return end


def _bands(held: Any) -> Bands:
    names = [text.strip() if text else "" for text in held.descriptions]
    if not all(names) or len(set(names)) < len(names):
        names = list(Bands.unnamed(held.count).names)
    nodata = [None if value is None or math.isnan(value) else float(value) for value in held.nodatavals]
    bands = Bands(
        Band(name, None, None, unit or None, scale, offset, missing)
        for name, unit, scale, offset, missing in zip(names, held.units, held.scales, held.offsets, nodata, strict=True)
    )
    tags = [{**held.tags(number), **_imagery(held.tags(number, ns="IMAGERY"))} for number in held.indexes]
    found = [_number(_tag(one, "wavelength", "wavelength_nm")) for one in tags]
    widths = [_number(_tag(one, "fwhm", "fwhm_nm", "width_nm")) for one in tags]
    unit = next((unit for one in tags if (unit := _tag(one, "wavelength_units", "wavelength_unit"))), None)
    described = (replace(a, wavelength=b, width=c) for a, b, c in zip(bands, found, widths, strict=True))
    return bands_in_nm(Bands(described), unit)


def _imagery(tags: Mapping[str, str]) -> dict[str, str]:
    """Return GDAL's own words for wavelengths, which it gives in micrometres, as tags like others."""
    if "CENTRAL_WAVELENGTH_UM" not in tags:
        return {}
    found = {"wavelength": tags["CENTRAL_WAVELENGTH_UM"], "wavelength_units": "um"}
    return found | ({"fwhm": tags["FWHM_UM"]} if "FWHM_UM" in tags else {})


def _tag(tags: Mapping[str, str], *names: str) -> str | None:
    lower = {key.lower(): value for key, value in tags.items()}
    return next((lower[name] for name in names if name in lower), None)


def _number(text: str | None) -> float | None:
    """Return the number that a tag begins with, as "490.5 nm" does; None where it holds none above 0."""
    try:
        value = float((text or "").split()[0])
    except (ValueError, IndexError):
        return None
    return value if 0 < value < math.inf else None


def resolution(raster: Raster) -> float | None:
    """Return the side of a pixel in metres, for degrees at the latitude of the centre: the root of its area there."""
    if raster.crs is None:
        return None
    crs = rasterio_package().crs.CRS.from_wkt(raster.crs)
    a, b, _, d, e, f = raster.transform
    area = abs(a * e - b * d)
    if not crs.is_geographic:
        return float(math.sqrt(area) * crs.linear_units_factor[1])
    _, height, width = raster.shape
    latitude = d * width / 2 + e * height / 2 + f
    return math.sqrt(area * math.cos(math.radians(latitude))) * METRES_PER_DEGREE


@lru_cache(maxsize=64)
def _equal(bands: Bands) -> Bands:
    """Return the bands that were first seen equal to these, so that thousands of files share them."""
    return bands


@lru_cache(maxsize=64)
def _text(text: str) -> str:
    """Return the text that was first seen equal to this one."""
    return text


class RasterImages(LibraryImages[Any]):
    """Rasters, or the masks stored with them, of which only the blocks under a window are unpacked.

    Args:
        rasters: the files.
        masks: read the masks [1,H,W] (0 where nothing was observed) in place of the bands.
    """

    def __init__(self, rasters: Sequence[Raster], *, masks: bool = False) -> None:
        files = MappedFiles([raster.path for raster in rasters], [raster.size for raster in rasters])
        shapes: NDArray[np.int64] = np.array([raster.shape for raster in rasters], dtype=np.int64)
        if masks:
            shapes[:, 0] = 1
        super().__init__(files, np.dtype(np.uint8) if masks else rasters[0].dtype, shapes)
        self._masks = masks

    @property
    def files(self) -> Sequence[Path]:
        """The rasters, and the masks and descriptions that GDAL reads beside them."""
        beside = [path.with_name(path.name + end) for path in self._files.paths for end in (".msk", ".aux.xml")]
        return [*self._files.paths, *(path for path in beside if path.is_file())]

    def _open(self, image: int) -> Any:
        return open_raster(self._files.paths[image])

    def _close(self, handle: Any) -> None:
        handle.close()

    def _window(self, handle: Any, image: int, row: int, column: int, size: tuple[int, int]) -> StoredValues:
        rasterio = rasterio_package()
        window = rasterio.windows.Window(column, row, size[1], size[0])
        try:
            values: StoredValues = self._read(handle, window)
        except Exception as error:
            raise DataError(
                f"cannot be read: {error.__cause__ or error}",
                where=f"{self._files.paths[image]}, pixels from row {row}, column {column}",
                fix="the file is damaged: copy or write it again",
            ) from error
        return values

    def _read(self, handle: Any, window: Any) -> Any:
        """Return what a raster is read for; a subclass may read something else of it."""
        return handle.read_masks([1], window=window) if self._masks else handle.read(window=window)
