"""Polygons of a map of classes: connected pixels of one class, with their area and their mean probability."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.atomic import atomic_write
from ...core.errors import RunError
from ...data.ground import EQUAL_AREA, packages
from ...data.scene import SceneGrid
from ...tasks.base import Layer

KINDS = (".geojson", ".parquet")
DIGITS = 8
"""Decimals of degrees in GeoJSON: a millimetre."""


def polygon_layer(path: Path, layers: Sequence[Layer], grid: SceneGrid) -> Layer:
    """Return the layer whose classes become polygons, or say why there can be none.

    Raises:
        RunError: the file is of another kind, the task has no classes, or the scene has no place on the ground.
    """
    if path.suffix.lower() not in KINDS:
        raise RunError("polygons are GeoJSON or GeoParquet", where=str(path), fix=f"call it {path.stem}.geojson")
    found = next((layer for layer in layers if layer.classes and layer.probability), None)
    if found is None:
        fix = "leave --polygons out; contours of values are drawn by `gdal_contour` from the map"
        raise RunError("the task maps values, not classes", where=str(path), fix=fix)
    if grid.crs is None:
        fix = "leave --polygons out, or give the scene its place, e.g. by `gdal_translate -a_srs`"
        raise RunError("the scene says not where it lies, so polygons have no place", where=str(path), fix=fix)
    return found


class Polygons:
    """Collects polygons from finished rows; a polygon that goes on in the next rows is put together at the end.

    Pixels that share a side belong together, not those that only share a corner. Memory grows with the number of
    polygons, not with that of pixels.

    Args:
        layer: see `polygon_layer`.
        grid: of the scene.
        min_area: polygons of fewer square metres are left out.
    """

    def __init__(self, layer: Layer, grid: SceneGrid, min_area: float = 0.0) -> None:
        self._layer, self._grid, self._min_area = layer, grid, min_area
        self._pieces: list[Any] = []
        self._parent: list[int] = []
        self._class: list[int] = []
        self._sums: list[NDArray[np.float64]] = []  # of each strip's pieces: pixels, and the sum of their probability
        self._above: NDArray[np.int64] = np.full(grid.size[1], -1)

    def write(self, row: int, maps: Mapping[str, NDArray[Any]], seen: NDArray[np.bool_]) -> None:
        """Take rows from ``row`` on; each layer is in ``maps`` as [N,h,W]."""
        features = import_module("rasterio.features")
        shape = packages()[0].geometry.shape
        classes = np.where(seen, maps[self._layer.name][0], 0).astype(np.uint8)
        wanted = seen if self._layer.background is None else seen & (classes != self._layer.background)
        found = [
            (record, int(value))
            for record, value in features.shapes(classes, mask=wanted, connectivity=4, transform=_down(row))
        ]
        first = len(self._pieces)
        labels: NDArray[np.int64] = np.full(classes.shape, -1)
        if found:
            numbered = ((record, number) for number, (record, _) in enumerate(found))
            labels = features.rasterize(
                numbered, out_shape=classes.shape, transform=_down(row), fill=-1, dtype=np.int32
            ).astype(np.int64)
        here = labels >= 0
        share = self._share(maps, classes)[here].astype(np.float64)
        pixels = np.bincount(labels[here], minlength=len(found))
        self._sums.append(np.stack([pixels, np.bincount(labels[here], share, minlength=len(found))], axis=1))
        labels[here] += first
        self._pieces += [shape(record) for record, _ in found]
        self._class += [value for _, value in found]
        self._parent += range(first, len(self._pieces))
        self._join(labels[0])
        self._above = labels[-1]

    def _share(self, maps: Mapping[str, NDArray[Any]], classes: NDArray[np.uint8]) -> NDArray[np.floating[Any]]:
        """Return the probability of each pixel's class."""
        assert self._layer.probability is not None
        given: NDArray[np.floating[Any]] = maps[self._layer.probability]
        share: NDArray[np.floating[Any]]
        if len(given) == 1:
            share = np.abs(given[0] - (classes != 1))
        else:
            share = np.take_along_axis(given, classes[None].astype(np.int64), axis=0)[0]
        return share

    def _join(self, below: NDArray[np.int64]) -> None:
        """Note which pieces of the strip before go on in this one."""
        both = (self._above >= 0) & (below >= 0)
        for one, other in np.unique(np.stack([self._above[both], below[both]], axis=1), axis=0).tolist():
            if self._class[one] == self._class[other]:
                self._parent[self._root(other)] = self._root(one)

    def _root(self, piece: int) -> int:
        while self._parent[piece] != piece:
            self._parent[piece] = self._parent[self._parent[piece]]
            piece = self._parent[piece]
        return piece

    def table(self) -> Any:
        """Return the polygons as a GeoDataFrame in the scene's CRS: class, name, area_m2, probability, geometry."""
        geopandas = import_module("geopandas")
        shapely, _ = packages()
        groups: dict[int, list[int]] = {}
        for piece in range(len(self._pieces)):
            groups.setdefault(self._root(piece), []).append(piece)
        whole = [
            self._pieces[held[0]]
            if len(held) == 1
            else shapely.simplify(shapely.union_all([self._pieces[piece] for piece in held]), 0)
            for held in groups.values()
        ]
        sums = np.concatenate([np.empty((0, 2)), *self._sums])
        added = np.array([sums[held].sum(axis=0) for held in groups.values()]).reshape(-1, 2)
        classes = np.array([self._class[root] for root in groups], dtype=np.int64)
        a, b, c, d, e, f = self._grid.transform
        placed = shapely.transform(
            np.array(whole, dtype=object), lambda xy: xy @ np.array([[a, d], [b, e]]) + np.array([c, f])
        )
        frame = geopandas.GeoDataFrame(
            {
                "class": classes,
                "name": np.array([self._layer.classes[number] for number in classes], dtype=object),
                "area_m2": 0.0,
                "probability": added[:, 1] / np.maximum(added[:, 0], 1),
            },
            geometry=geopandas.GeoSeries(placed, crs=self._grid.crs),
        )
        frame["area_m2"] = frame.geometry.to_crs(EQUAL_AREA).area
        return frame[frame["area_m2"] >= self._min_area].reset_index(drop=True)


def write_polygons(frame: Any, path: Path) -> None:
    """Write polygons, whole or not at all: GeoParquet in the CRS of the scene, GeoJSON in longitude and latitude.

    Raises:
        RunError: the folder cannot be written, or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".parquet":
        content = io.BytesIO()
        frame.to_parquet(content)
        atomic_write(path, content.getbuffer())
        return
    shapely, _ = packages()
    degrees = frame.to_crs(4326)
    rounded = shapely.transform(degrees.geometry.to_numpy(), lambda xy: np.round(xy, DIGITS))
    atomic_write(path, degrees.set_geometry(shapely.orient_polygons(rounded), crs=4326).to_json(drop_id=True))


def _down(row: int) -> Any:
    """Return the transform of rows that begin at ``row``, in px of the scene."""
    return import_module("rasterio").Affine.translation(0, row)
