"""Writes maps as cloud-optimised GeoTIFFs, row by row, whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.atomic import FULL, sync_folder
from ...core.errors import RunError, SpectrainError
from ...core.processes import UNKNOWN, is_gone, machine
from ...data.raster.rasters import rasterio_package
from ...data.scene import SceneGrid
from ...tasks.base import Layer

BLOCK = 512
"""Side in px of the blocks of the finished file."""
READ_CACHE = 512 << 20
"""Bytes."""
_LEAST_CACHE = 64 << 20
_NO_ROOM = ("No space", "File too large", "Write error", "Write failed", "read directory")
_PLACE = ("OFFSET", "SIZE")


def files_of(output: Path, layers: Sequence[Layer]) -> dict[Path, list[Layer]]:
    """Return which layers go into which file: those stored like the first into ``output``, others beside it.

    A GeoTIFF has one type and one nodata, and a map of classes with colours stands alone: OUT.tif holds the classes,
    OUT_probability.tif the probabilities and their spread.
    """
    alike: dict[tuple[str, bool], list[Layer]] = {}
    for layer in layers:
        alike.setdefault((layer.dtype, bool(layer.colours)), []).append(layer)
    found: dict[Path, list[Layer]] = {}
    for number, held in enumerate(alike.values()):
        suffix = "" if number == 0 else f"_{held[0].name}"
        found[output.with_name(f"{output.stem}{suffix}{output.suffix}")] = held
    return found


def stored(layer: Layer, values: NDArray[Any], seen: NDArray[np.bool_]) -> NDArray[Any]:
    """Return values [N,h,W] as they are stored, the layer's nodata where nothing was seen."""
    if (layer.scale, layer.offset) != (1.0, 0.0):
        values = (values - layer.offset) / layer.scale
    dtype = np.dtype(layer.dtype)
    if dtype.kind == "u" and values.dtype.kind == "f":
        info = np.iinfo(dtype)
        values = np.clip(np.rint(np.nan_to_num(values)), info.min, info.max)
    return np.where(seen, values.astype(dtype), np.asarray(layer.nodata, dtype))


class MapFile:
    """One GeoTIFF while it is written, in a folder of its own beside its place.

    Args:
        folder: where it is written until it is whole.
        path: where it belongs.
        layers: one behind the other, of one type.
        grid: of the scene.
        tags: words about the whole file.
    """

    def __init__(
        self, folder: Path, path: Path, layers: Sequence[Layer], grid: SceneGrid, tags: Mapping[str, str]
    ) -> None:
        self.path, self.layers = path, list(layers)
        self._rows, self.finished = folder / f"rows_{path.name}", folder / path.name
        count = sum(len(layer.bands) for layer in layers)
        height, width = grid.size
        first = layers[0]
        rasterio = rasterio_package()
        # lines of one row each can be written in any number without writing any twice
        with gdal_errors(path):
            self._file = rasterio.open(
                self._rows,
                "w",
                driver="GTiff",
                height=height,
                width=width,
                count=count,
                dtype=first.dtype,
                nodata=first.nodata,
                crs=None if grid.crs is None else rasterio.crs.CRS.from_wkt(grid.crs),
                transform=None if _placeless(grid) else rasterio.Affine(*grid.transform),
                compress="DEFLATE",
                zlevel=1,
                blockysize=1,
                interleave="band",
                bigtiff="IF_SAFER",
                **({"photometric": "PALETTE"} if first.colours else {}),
            )
            self._describe(tags)
        self._bytes = count * BLOCK * width * np.dtype(first.dtype).itemsize

    def _describe(self, tags: Mapping[str, str]) -> None:
        file, band = self._file, 0
        for layer in self.layers:
            for name in layer.bands:
                band += 1
                file.set_band_description(band, name)
                if layer.unit is not None:
                    file.set_band_unit(band, layer.unit)
        described = [layer for layer in self.layers for _ in layer.bands]
        file.scales = tuple(layer.scale for layer in described)
        file.offsets = tuple(layer.offset for layer in described)
        if self.layers[0].colours:
            colours = {number: (*colour, 255) for number, colour in enumerate(self.layers[0].colours)}
            file.write_colormap(1, colours | {int(self.layers[0].nodata): (0, 0, 0, 0)})
        classes = {number: name for layer in self.layers for number, name in enumerate(layer.classes)}
        file.update_tags(**tags, **({"CLASSES": json.dumps(classes, ensure_ascii=False)} if classes else {}))

    def write(self, row: int, maps: Mapping[str, NDArray[Any]], seen: NDArray[np.bool_]) -> None:
        """Write rows from ``row`` on; each layer is in ``maps`` as [N,h,W]."""
        values = np.concatenate([stored(layer, maps[layer.name], seen) for layer in self.layers])
        window = rasterio_package().windows.Window(0, row, values.shape[2], values.shape[1])
        with gdal_errors(self.path):
            self._file.write(values, window=window)

    def finish(self) -> None:
        """Make the cloud-optimised file of the rows, whole, still in the folder."""
        rasterio = rasterio_package()
        with gdal_errors(self.path):
            self._file.close()
            _require_whole(self._rows)
            classes = bool(self.layers[0].classes)
            with rasterio.Env(GDAL_CACHEMAX=max(_LEAST_CACHE, 2 * self._bytes)):
                import_module("rasterio.shutil").copy(
                    self._rows,
                    self.finished,
                    driver="COG",
                    COMPRESS="DEFLATE",
                    PREDICTOR="YES",
                    BLOCKSIZE=str(BLOCK),
                    OVERVIEW_RESAMPLING="MODE" if classes else "AVERAGE",
                    BIGTIFF="IF_SAFER",
                    NUM_THREADS="ALL_CPUS",
                )
            _require_whole(self.finished)
        self._rows.unlink()

    def close(self) -> None:
        """Close the file; what was written of it goes with its folder."""
        self._file.close()


@contextmanager
def map_files(
    places: Mapping[Path, Sequence[Layer]], grid: SceneGrid, tags: Mapping[str, str]
) -> Iterator[list[MapFile]]:
    """Open the files of a map; when the block ends all are put in place, after a failure none is.

    Raises:
        RunError: the folder cannot be written, or the disk is full.
    """
    parent = next(iter(places)).parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(parent)
        folder = Path(tempfile.mkdtemp(prefix=f"{_prefix()}{os.getpid()}-", suffix=".tmp", dir=parent))
    except OSError as error:
        fix = "name another output, or mend the rights of the folder"
        raise RunError(f"cannot write: {error.strerror}", where=str(parent), fix=fix) from error
    files: list[MapFile] = []
    try:
        for path, layers in places.items():
            files.append(MapFile(folder, path, layers, grid, tags))
        yield files
        for file in files:
            file.finish()
        for file in files:
            os.replace(file.finished, file.path)  # noqa: PTH105 - as in core/atomic.py
        sync_folder(parent)
    finally:
        with suppress(Exception):  # of files that are thrown away
            for file in files:
                file.close()
        shutil.rmtree(folder, ignore_errors=True)


def _prefix() -> str:
    """Return how the folders begin that processes of this machine write maps in."""
    return f".map-{zlib.crc32(machine().encode()):08x}-"


def _remove_leftovers(parent: Path) -> None:
    """Remove what killed processes of this machine had not finished; of those of others nothing is known."""
    for folder in parent.glob(f"{_prefix()}*.tmp"):
        if machine() != UNKNOWN and is_gone(folder.name.removeprefix(_prefix()).partition("-")[0]):
            shutil.rmtree(folder, ignore_errors=True)


def block_cache() -> AbstractContextManager[Any]:
    """Return the block in which GDAL holds `READ_CACHE` of unpacked blocks, or what GDAL_CACHEMAX says.

    Its own choice is a twentieth of the machine's memory. Windows overlap, so what is held is unpacked once, not often.
    """
    if "GDAL_CACHEMAX" in os.environ:
        return nullcontext()
    made: AbstractContextManager[Any] = rasterio_package().Env(GDAL_CACHEMAX=READ_CACHE)
    return made


def _require_whole(path: Path) -> None:
    """Raise an `OSError` where the end of a file was not written: GDAL says nothing of what fails as it closes one."""
    size = path.stat().st_size
    with rasterio_package().open(path) as file:
        for band in {1, file.count}:
            height, width = file.block_shapes[band - 1]
            block = f"{(file.width - 1) // width}_{(file.height - 1) // height}"
            offset, length = (file.get_tag_item(f"BLOCK_{what}_{block}", "TIFF", bidx=band) for what in _PLACE)
            if not offset or not length or int(offset) + int(length) > size:
                raise OSError(errno.ENOSPC, "its end was not written")


def _placeless(grid: SceneGrid) -> bool:
    return grid.crs is None and grid.transform == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@contextmanager
def gdal_errors(path: Path) -> Iterator[None]:
    """Turn a failure of GDAL to write ``path`` into a `RunError` that says how to mend it."""
    try:
        yield
    except SpectrainError:
        raise
    except Exception as error:
        if not isinstance(error, OSError) and not type(error).__module__.startswith("rasterio"):
            raise
        text = " ".join(str(one) for one in (error, error.__cause__) if one is not None)
        full = getattr(error, "errno", None) in FULL or any(word in text for word in _NO_ROOM)
        raise RunError(
            "the disk is full" if full else f"cannot write: {text}",
            where=str(path),
            fix="free space there (about three times what the map will take), or name an output on another disk; "
            "nothing was half written",
        ) from error
