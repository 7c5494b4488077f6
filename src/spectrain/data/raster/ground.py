"""Where windows of rasters lie on the ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.damage import reading
from ...core.errors import DataError
from ..ground import footprints, joined_groups, mended, packages
from ..window_grid import Cut
from .rasters import Raster, Transform, rasterio_package

EDGE = 8
"""Points along a side, since what is straight on one map is bent on another."""
INSIDE = 0.05
"""Pixels by which polygons are drawn in, so that neighbours only touch whatever map they are looked at on."""
PLACE = "correct where the file says that it lies"


@dataclass(frozen=True)
class RasterGround:
    """The places of windows of rasters.

    Attributes:
        crs: WKT of each image's.
        transform: of each image's pixel corners.
        files: of the images, for messages; none where they are not known.
    """

    crs: tuple[str, ...]
    transform: tuple[Transform, ...]
    files: tuple[Path, ...] = ()

    @classmethod
    def of(cls, rasters: Sequence[Raster]) -> RasterGround | None:
        """Return the places; None where a raster has none."""
        if any(raster.crs is None for raster in rasters):
            return None
        systems = tuple(raster.crs or "" for raster in rasters)
        return cls(systems, tuple(raster.transform for raster in rasters), tuple(raster.path for raster in rasters))

    def columns(self, cut: Cut) -> dict[str, Any]:
        """Return for each window its box ``lon_w lat_s lon_e lat_n`` in degrees, and its polygon ``geometry`` (WKB).

        The polygon is what tells whether two windows share ground: boxes of neighbours on a map whose north is not
        quite up do overlap.
        """
        shapely, _ = packages()
        rings = self.rings(cut.places, np.tile(cut.size, (len(cut.places), 1)))
        low, high = rings.min(axis=1), rings.max(axis=1)
        box = {"lon_w": low[:, 0], "lat_s": low[:, 1], "lon_e": high[:, 0], "lat_n": high[:, 1]}
        with reading(str(self.files[0].parent) if self.files else self.crs[0], fix=PLACE):
            return {**box, "geometry": list(shapely.to_wkb(outlines(rings)))}

    def rings(self, places: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the outlines [N,P,2] of windows (image, row, column) of sizes [N,2], as longitude and latitude."""
        along = np.linspace(0, 1, EDGE, endpoint=False)
        zero, one = np.zeros(EDGE), np.ones(EDGE)
        across = np.concatenate([along, one, 1 - along, zero])
        down = np.concatenate([zero, along, one, 1 - along])
        inner = sizes - 2 * INSIDE
        column = places[:, 2:] + INSIDE + across * inner[:, 1:]
        row = places[:, 1:2] + INSIDE + down * inner[:, :1]
        a, b, c, d, e, f = np.array(self.transform)[places[:, 0]].T[..., None]
        x, y = a * column + b * row + c, d * column + e * row + f
        warp = rasterio_package()
        import rasterio.warp

        out = np.empty((*x.shape, 2))
        systems = np.array(self.crs)[places[:, 0]]
        for crs in dict.fromkeys(self.crs):
            of = systems == crs
            if of.any():
                farthest = np.nan_to_num(np.maximum(np.abs(x), np.abs(y))[of].max(axis=1), nan=np.inf).argmax()
                where = str(self.files[int(places[of][farthest, 0])]) if self.files else crs
                with reading(where, fix=PLACE):
                    found = rasterio.warp.transform(
                        warp.crs.CRS.from_wkt(crs), "EPSG:4326", x[of].ravel().tolist(), y[of].ravel().tolist()
                    )
                out[of] = np.stack(found[:2], axis=-1).reshape(-1, x.shape[1], 2)
        return out


def outlines(rings: NDArray[np.float64]) -> NDArray[np.object_]:
    """Return the polygons of rings [N,P,2] in degrees; one across the antimeridian has a part on either side of it.

    Joined as it is, such a ring would lie around the Earth: on all other ground of its latitudes, and not on its own.
    One that goes around a pole stays as it is. One that crosses itself becomes the parts that it encloses. Points that
    lie nowhere on the Earth (NaN or infinite) are left out; a polygon of fewer than three points is empty.
    """
    shapely, _ = packages()
    rings = _on_earth(rings)
    found: NDArray[np.object_] = shapely.polygons(rings)
    jumps = (np.abs(np.diff(rings[..., 0], axis=1, append=rings[:, :1, 0])) > 180).sum(axis=1)
    for number in np.flatnonzero((jumps > 0) & (jumps % 2 == 0)):
        ring = rings[number].copy()
        ring[:, 0] = np.unwrap(ring[:, 0], period=360)
        parts = mended(shapely.polygons([ring + np.array([turn, 0.0]) for turn in (-360, 0, 360)]))
        found[number] = shapely.union_all(shapely.intersection(parts, shapely.box(-180, -90, 180, 90)))
    return mended(found)


def _on_earth(rings: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rings whose points that are not finite are the one before in their ring, or 0 where there is none."""
    there: NDArray[np.bool_] = np.all(np.isfinite(rings), axis=2)
    if there.all():
        return rings
    rings = rings.copy()
    for ring, finite in zip(rings, there, strict=True):
        last = np.maximum.accumulate(np.where(finite, np.arange(len(ring)), -1))
        last[last < 0] = last[-1]
        ring[:] = ring[last] if finite.any() else 0.0
    return rings


def file_polygons(rasters: Sequence[Raster]) -> list[bytes] | None:
    """Return the polygon of each file as WKB in longitude and latitude; None where one has no place.

    Raises:
        DataError: a file covers no ground.
    """
    ground = RasterGround.of(rasters)
    if ground is None:
        return None
    shapely, _ = packages()
    places = np.zeros((len(rasters), 3), dtype=np.int64)
    places[:, 0] = np.arange(len(rasters))
    sizes = np.array([raster.shape[1:] for raster in rasters], dtype=np.int64)
    found = outlines(ground.rings(places, sizes))
    if (nowhere := shapely.is_empty(found)).any():
        lost = rasters[int(np.flatnonzero(nowhere)[0])].path
        raise DataError("the image covers no ground on the Earth", where=str(lost), fix=PLACE)
    return list(shapely.to_wkb(found))


def joined_by_ground(groups: Sequence[str], polygons: Sequence[bytes]) -> list[str]:
    """Return groups in which those that share ground are one."""
    import pandas as pd

    places = footprints(pd.DataFrame({"geometry": list(polygons)}))
    assert places is not None
    return joined_groups(groups, places)
