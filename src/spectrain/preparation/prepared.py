"""A scene as it is prepared: bands of one file or of several, and bands made of them, on one grid, by windows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.damage import said
from ..core.errors import DataError
from ..data.ground import packages
from ..data.raster.rasters import Raster, resolution
from ..data.scene import Pixels, Scene, SceneGrid
from .affine import apply, scaled
from .ingredients import RANGES, TERRAIN, Channel, Ingredients
from .record import Preparation
from .resampling import Float, Method, Valid
from .sources import Mosaic, Plane, RasterSource, Source
from .terrain import disk_widths, relative_elevation, slope

Physical = dict[str, tuple[Float, Valid]]


@dataclass(frozen=True, slots=True)
class Window:
    """What is read of a scene for a patch.

    Attributes:
        pixels: image and mask, see `Scene.read`.
        observed: bool [h,w]: something of the scene's own files was measured there, and its quality is good.
        complete: bool [h,w]: no band is missing, whatever the quality.
    """

    pixels: Pixels
    observed: Valid
    complete: Valid


class PreparedScene(Scene):
    """A `Scene` of the bands of a `Preparation`; the same pixels whatever window they are read in.

    Args:
        name: of the scene.
        ingredients: the bands there are.
        preparation: the bands to make.
        dem: rasters of the elevation, first on top.
        quality: raster of the quality mask, or None.
    """

    def __init__(
        self,
        name: str,
        ingredients: Ingredients,
        preparation: Preparation,
        dem: Sequence[Raster] = (),
        quality: Raster | None = None,
    ) -> None:
        self.name, self.bands, self.dtype = name, preparation.bands, np.dtype(preparation.dtype)
        self.preparation, self._ingredients = preparation, ingredients
        self._order = ingredients.needed(self.bands.names)
        self._channels = {one: found for one in self._order if (found := self._file_band(one)) is not None}
        rasters = list(dict.fromkeys(channel.raster for channel in self._channels.values())) or _all(ingredients)
        self.grid = scene_grid(rasters, preparation.resolution)
        self._sources = self._grouped(rasters)
        self._aux: dict[str, Source] = {}
        for one in self._order:
            if one in ingredients.aux:
                method: Method = "cubic" if one in RANGES else "bilinear"
                held = ingredients.aux[one]
                self._aux[one] = Mosaic([RasterSource(c.raster, self.grid, [c.number], method) for c in held])
        self._dem: Source | None = None
        self._dem_scale = (1.0, 0.0)
        if "dem" in ingredients.channels:
            own = ingredients.channels["dem"]
            self._dem = RasterSource(own.raster, self.grid, [own.number], "bilinear", own.band.nodata)
            self._dem_scale = (own.band.scale, own.band.offset)
        elif dem:
            self._dem = Mosaic([RasterSource(raster, self.grid, [1], "bilinear") for raster in dem])
        self._quality = None
        if quality is not None:
            self._quality = RasterSource(quality, self.grid, [preparation.quality_band], "nearest")
        self.pixel_metres = self._pixel = ground_size(self.grid)
        self._runs = disk_widths(preparation.tpi_outer_radius, preparation.tpi_inner_radius, self._pixel)
        self._halo = self._terrain_halo()
        self.masked = self._needs_mask()

    def _file_band(self, name: str) -> Channel | None:
        if name == "dem" or name in self._ingredients.aux or self._ingredients.formula(name) is not None:
            return None
        return self._ingredients.channel(name)

    def _grouped(self, rasters: Sequence[Raster]) -> list[tuple[RasterSource, list[str]]]:
        """Return one source a file, with the names of its channels."""
        found = []
        for raster in rasters:
            held = {name: one for name, one in self._channels.items() if one.raster == raster}
            if held:
                numbers = [one.number for one in held.values()]
                source = RasterSource(raster, self.grid, numbers, "bilinear")
                source.nodata = tuple(one.band.nodata for one in held.values())
                found.append((source, list(held)))
        return found

    def _terrain_halo(self) -> tuple[int, int]:
        """Return the rows and columns of elevation that are needed around a window."""
        made = [name for name in self._order if name in TERRAIN and name not in self._channels]
        if "relative_elevation" in made:
            outer = self.preparation.tpi_outer_radius
            return (int(outer / self._pixel[0]) + 1, int(outer / self._pixel[1]) + 1)
        return (1, 1) if made else (0, 0)

    def _needs_mask(self) -> bool:
        """Say whether some pixel may be missing that the stored type has no value for."""
        if self._quality is not None:
            return True
        if self.dtype.kind == "f":
            return False
        silent = {band.name for band in self.bands if band.nodata is None}
        return any(
            silent & set(names) and (not source.covers or source.raster.masked) for source, names in self._sources
        ) or bool(silent - set(self._channels))

    @property
    def types(self) -> dict[str, str]:
        """The types of the files' bands that are used, by name."""
        return {name: channel.raster.dtype.name for name, channel in self._channels.items()}

    def read(self, row: int, column: int, height: int, width: int) -> Pixels:
        """See `Scene.read`."""
        return self.window(row, column, height, width).pixels

    def window(self, row: int, column: int, height: int, width: int) -> Window:
        """Return a window, and what of it was observed.

        Raises:
            DataError: a file is gone or damaged.
        """
        planes: dict[str, Plane] = {}
        for source, names in self._sources:
            found = source.read(row, column, height, width)
            planes |= {
                name: Plane(found.values[place], found.valid[place])
                for place, name in enumerate(names)  # each [h,w]
            }
        made = self._physical(planes, row, column, height, width)
        image = np.empty((len(self.bands), height, width), dtype=self.dtype)
        valid = np.empty(image.shape, dtype=bool)
        for number, name in enumerate(self.bands.names):
            image[number], valid[number] = self._stored(number, name, planes, made)
        own = [planes[name].valid for _, names in self._sources for name in names]
        observed: Valid = np.asarray(np.any(np.stack(own) if own else valid, axis=0))
        mask: Valid | None = None
        if self.masked:
            silent = [band.nodata is None and self.dtype.kind != "f" for band in self.bands]
            mask = np.asarray(valid[silent].all(axis=0))
        if self._quality is not None:
            quality = self._quality.read(row, column, height, width)
            good = quality.valid[0] & np.isin(quality.values[0], self.preparation.quality_good)
            observed, mask = observed & good, good if mask is None else mask & good
        complete: Valid = np.asarray(valid.all(axis=0))
        return Window(Pixels(image, None if mask is None else mask[None]), observed, complete)

    def _physical(self, planes: Mapping[str, Plane], row: int, column: int, height: int, width: int) -> Physical:
        """Return physical values of what is made, and of what it is made of, by name."""
        found: Physical = {}
        wanted = {name for one in self._order if (f := self._ingredients.formula(one)) is not None for name in f.needs}
        for name in self._order:
            if name in planes:
                if name in wanted:
                    band = self._channels[name].band
                    found[name] = (_physical(planes[name].values, band.scale, band.offset), planes[name].valid)
            elif name in self._aux:
                plane = self._aux[name].read(row, column, height, width)
                band = self._ingredients.aux[name][0].band
                found[name] = (_physical(plane.values[0], band.scale, band.offset), plane.valid[0])
            elif name == "dem":
                found |= self._ground(row, column, height, width)
            elif (formula := self._ingredients.formula(name)) is not None:
                found[name] = formula.compute(found)
        return found

    def _ground(self, row: int, column: int, height: int, width: int) -> Physical:
        """Return the elevation and what is made of it."""
        assert self._dem is not None
        down, across = self._halo
        plane = self._dem.read(row - down, column - across, height + 2 * down, width + 2 * across)
        dem, valid = _physical(plane.values[0], *self._dem_scale), plane.valid[0]
        centre = (slice(down, down + height), slice(across, across + width))
        found = {"dem": (dem[centre], valid[centre])}
        if "relative_elevation" in self._order:
            found["relative_elevation"] = relative_elevation(dem, valid, self._halo, self._runs)
        if "slope" in self._order:
            near = (slice(down - 1, down + height + 1), slice(across - 1, across + width + 1))
            found["slope"] = slope(dem[near], valid[near], self._pixel)
        return found

    def _stored(
        self, number: int, name: str, planes: Mapping[str, Plane], made: Physical
    ) -> tuple[NDArray[Any], Valid]:
        """Return a band as it is stored, its nodata (or NaN) where missing, and where it is valid."""
        band = self.bands[number]
        if name in self._channels:
            own, plane = self._channels[name].band, planes[name]
            values, valid = plane.values, plane.valid
            if self.dtype.kind != "f" and (own.scale, own.offset) == (band.scale, band.offset):
                if values.dtype == self.dtype and own.nodata == band.nodata:  # what is valid is not nodata
                    missing = self.dtype.type(0 if band.nodata is None else band.nodata)
                    return values if valid.all() else np.where(valid, values, missing), valid
                stored: NDArray[Any] = values if values.dtype.kind in "iu" else np.rint(values)
                return self._whole(stored, valid, band.nodata)
            physical = values.astype(np.float64) * own.scale + own.offset
        else:
            physical, valid = made[name][0].astype(np.float64), made[name][1]
        if self.dtype.kind == "f":
            return np.where(valid, physical, np.nan).astype(self.dtype), valid
        return self._whole(np.rint((physical - band.offset) / band.scale), valid, band.nodata)

    def _whole(self, stored: NDArray[Any], valid: Valid, nodata: float | None) -> tuple[NDArray[Any], Valid]:
        """Return numbers of the stored type, cut to what it can hold and never equal to what means missing."""
        limits = np.iinfo(self.dtype)
        out = np.clip(np.where(valid, stored, 0), limits.min, limits.max).astype(self.dtype)
        if nodata is not None and limits.min <= nodata <= limits.max:
            clash = out == nodata
            if clash.any():
                out[clash] = nodata - 1 if nodata > limits.min else nodata + 1
            out[~valid] = self.dtype.type(nodata)
        return out, valid


def scene_grid(rasters: Sequence[Raster], side: float | None) -> SceneGrid:
    """Return the grid of the finest of some rasters, or of that one's ground in pixels of another side.

    Args:
        rasters: at least one.
        side: in units of their coordinate system, or None.
    """
    finest = min(rasters, key=lambda raster: resolution(raster) or math.inf)
    size, transform = finest.shape[1:], finest.transform
    if side is None:
        return SceneGrid(size, finest.crs, transform)
    a, b, _, d, e, _ = transform
    down, across = side / math.hypot(b, e), side / math.hypot(a, d)
    rows, columns = (max(1, math.ceil(n / step - 1e-6)) for n, step in zip(size, (down, across), strict=True))
    return SceneGrid((rows, columns), finest.crs, scaled(transform, across, down))


def ground_size(grid: SceneGrid) -> tuple[float, float]:
    """Return height and width in metres on the ground of a pixel at the grid's centre, on the ellipsoid."""
    _, pyproj = packages()
    row, column = grid.size[0] / 2, grid.size[1] / 2
    steps = [(0, 0), (0, 1), (1, 0)]  # (down, across)
    places = [apply(grid.transform, column + across, row + down) for down, across in steps]
    try:
        project = pyproj.Transformer.from_crs(grid.crs, 4326, always_xy=True)
    except pyproj.exceptions.ProjError as error:
        raise DataError(
            f"the coordinate system has no place on the Earth: {said(error)}",
            fix="write another into it",
        ) from error
    lon, lat = project.transform([x for x, _ in places], [y for _, y in places])
    _, _, metres = pyproj.Geod(ellps="WGS84").inv([lon[0]] * 2, [lat[0]] * 2, lon[1:], lat[1:])
    width, height = float(metres[0]), float(metres[1])
    if not (0 < width < math.inf and 0 < height < math.inf):
        raise DataError("the scene lies nowhere on the ground", fix="see its coordinate system and its place")
    return height, width


def _all(ingredients: Ingredients) -> list[Raster]:
    return list(dict.fromkeys(channel.raster for channel in ingredients.channels.values()))


def _physical(values: NDArray[Any], scale: float, offset: float) -> Float:
    if (scale, offset) == (1.0, 0.0):
        return values.astype(np.float32, copy=False)
    return (values.astype(np.float64) * scale + offset).astype(np.float32)
