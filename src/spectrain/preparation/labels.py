"""Labels of a scene by windows: from a raster on any grid, or from polygons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError
from ..data.ground import packages
from ..data.raster.ground import RasterGround, outlines
from ..data.raster.rasters import Raster, rasterio_package
from ..data.scene import SceneGrid
from .affine import apply, inverse
from .ingredients import placed
from .points.dealt import PointOptions
from .resampling import Valid
from .sources import RasterSource
from .vectors import Polygons

IGNORED = 255
LARGEST = 254
MARGIN, SIDES, MOST_POINTS = 16, 64, 10_000
"""Px beyond a scene that polygons are kept in; parts of a scene's width that their sides are cut into to be bent; most
points that one gets so."""


class SceneLabels(Protocol):
    """Labels of one scene."""

    values: bool
    """They are continuous values (float32, NaN is missing), not classes (uint8, 255 is ignored)."""

    def read(self, row: int, column: int, height: int, width: int) -> NDArray[Any]:
        """Return the labels [h,w] of a window, which lies within the scene."""
        ...


@dataclass(frozen=True)
class LabelOptions:
    """How labels are to be read.

    Attributes:
        kind: "classes", "values", or "auto": decimals are values.
        ignored: classes that mean "not labelled".
        column: column of a vector file with the classes, or None for one class.
        names: class names, the background first; of a vector file's column where it holds words.
        scene_column: column of a vector file that names the scene, or None.
        extent: vector file of what was labelled, "hull" of the polygons, or None for everything.
        footprints: vector files of what was labelled of each scene, by its name; one that is not in them was labelled
            everywhere.
        points: how points become labels, or None where labels are something else.
    """

    kind: str = "auto"
    ignored: tuple[int, ...] = ()
    column: str | None = None
    names: tuple[str, ...] = ()
    scene_column: str | None = None
    extent: str | None = None
    footprints: tuple[str, ...] = ()
    points: PointOptions | None = None


class RasterLabels:
    """A raster of classes or values; on another grid than the scene the nearest pixel counts.

    Args:
        path: the raster.
        grid: of the scene.
        options: how to read it.
        crs: of the raster where it does not say, or None.

    Raises:
        DataError: it is damaged, has no coordinate system, several bands, or lies elsewhere.
    """

    def __init__(self, path: Path, grid: SceneGrid, options: LabelOptions, crs: str | None = None) -> None:
        raster = placed(path, crs)
        if raster.shape[0] != 1:
            raise DataError(
                f"the label raster has {raster.shape[0]} bands", where=str(path), fix="write its labels as one band"
            )
        self.values = options.kind == "values" or (options.kind == "auto" and raster.dtype.kind == "f")
        self._path, self._ignored = path, np.array((*options.ignored, IGNORED), dtype=np.int64)
        self._source = RasterSource(raster, grid, [1], "nearest")
        _expect_on_scene(self._source, grid, raster)

    def read(self, row: int, column: int, height: int, width: int) -> NDArray[Any]:
        """See `SceneLabels.read`; 255 means "not labelled" here already.

        Raises:
            DataError: a class is negative, above 255 or no whole number.
        """
        plane = self._source.read(row, column, height, width)
        labels, valid = plane.values[0], plane.valid[0]
        if self.values:
            return np.where(valid, labels, np.nan).astype(np.float32)
        whole = np.where(valid, labels, 0).astype(np.int64)
        valid = valid & ~np.isin(whole, self._ignored)
        wrong = valid & ((whole < 0) | (whole > LARGEST) | (whole != labels))
        if wrong.any():
            y, x = np.argwhere(wrong)[0]
            raise DataError(
                f"the class {labels[y, x]} is none of 0 to {LARGEST}",
                where=f"{self._path}, row {row + y}, column {column + x} of the scene",
                fix="say with ignored that it means nothing, or with label-kind=values that these are no classes",
            )
        return np.where(valid, whole, IGNORED).astype(np.uint8)


class PolygonLabels:
    """Polygons burnt into the grid of the scene: a pixel belongs to the last one that its centre lies in.

    Args:
        polygons: of one file or several, with the class of each.
        grid: of the scene.
    """

    values = False

    def __init__(self, polygons: Sequence[Polygons], grid: SceneGrid) -> None:
        self._shapes = np.concatenate([in_pixels(one.geometry, one.crs, grid) for one in polygons])
        self._classes = np.concatenate([one.classes for one in polygons])

    def read(self, row: int, column: int, height: int, width: int) -> NDArray[Any]:
        """See `SceneLabels.read`."""
        return burnt(self._shapes, self._classes, row, column, height, width)


class WithinExtent:
    """Labels that count within some polygons only.

    Args:
        labels: whose pixels outside are ignored.
        shapes: polygons in columns and rows of the scene.
    """

    def __init__(self, labels: SceneLabels, shapes: NDArray[np.object_]) -> None:
        self.values = labels.values
        self._labels, self._shapes = labels, shapes

    def read(self, row: int, column: int, height: int, width: int) -> NDArray[Any]:
        """See `SceneLabels.read`."""
        inside = burnt(self._shapes, np.ones(len(self._shapes), np.uint8), row, column, height, width) != 0
        found = self._labels.read(row, column, height, width)
        return np.where(inside, found, np.nan if self.values else found.dtype.type(IGNORED)).astype(found.dtype)


def in_pixels(
    shapes: Sequence[Any] | NDArray[np.object_], crs: Any, grid: SceneGrid, *, whole: bool = False
) -> NDArray[np.object_]:
    """Return polygons in columns and rows of a grid.

    From another coordinate system long sides are bent, and what lies far beyond the grid may have no place in it: it is
    cut away.

    Args:
        shapes: shapely polygons.
        crs: theirs.
        grid: of the scene.
        whole: cut nothing away.
    """
    shapely, pyproj = packages()
    found: NDArray[np.object_] = np.array(shapes, dtype=object)
    project = pyproj.Transformer.from_crs(crs, grid.crs, always_xy=True).transform
    back = inverse(grid.transform)
    near = ground_of(grid, crs, around=max(MARGIN, max(grid.size) // 8))
    if len(found) and not pyproj.CRS(crs).equals(pyproj.CRS(grid.crs)) and np.isfinite(near.bounds).all():
        if not whole and (beyond := ~shapely.covered_by(found, near)).any():
            found[beyond] = shapely.intersection(found[beyond], near)
        low_x, low_y, high_x, high_y = near.bounds
        side = max(high_x - low_x, high_y - low_y) / SIDES
        found = shapely.segmentize(found, np.maximum(side, shapely.length(found) / MOST_POINTS))

    def moved(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(apply(back, *project(xy[:, 0], xy[:, 1])))

    moved_shapes: NDArray[np.object_] = shapely.transform(found, moved)
    return moved_shapes


def ground_of(grid: SceneGrid, crs: Any, around: int = 0) -> Any:
    """Return the outline of a grid as shapely has it, in another coordinate system.

    Args:
        grid: of a scene.
        crs: of the outline.
        around: px that it is wider at each side.
    """
    shapely, pyproj = packages()
    assert grid.crs is not None
    ground = RasterGround((grid.crs,), (grid.transform,))
    sides = np.array([grid.size], np.int64) + 2 * around
    ring = ground.rings(np.array([[0, -around, -around]], np.int64), sides)
    project = pyproj.Transformer.from_crs(4326, crs, always_xy=True).transform
    return shapely.transform(outlines(ring)[0], lambda xy: np.column_stack(project(xy[:, 0], xy[:, 1])))


def burnt(
    shapes: NDArray[np.object_], classes: NDArray[np.uint8], row: int, column: int, height: int, width: int
) -> NDArray[np.uint8]:
    """Return the class of each pixel [h,w] of a window, 0 where no polygon has its centre.

    Args:
        shapes: polygons in columns and rows of the whole grid.
        classes: of each.
        row: of the window.
        column: of the window.
        height: of the window.
        width: of the window.
    """
    from rasterio.features import rasterize

    shapely, _ = packages()
    found = np.zeros((height, width), dtype=np.uint8)
    low_x, low_y, high_x, high_y = shapely.bounds(shapes).T if len(shapes) else np.empty((4, 0))
    near = (low_x < column + width) & (high_x > column) & (low_y < row + height) & (high_y > row)
    if near.any():
        place = rasterio_package().Affine(1, 0, column, 0, 1, row)
        pairs = list(zip(shapes[near], classes[near].tolist(), strict=True))
        rasterize(pairs, out=found, transform=place)
    return found


def _expect_on_scene(source: RasterSource, grid: SceneGrid, raster: Raster) -> None:
    """Raise unless some of the scene has a pixel of the raster under it."""
    shapely, _ = packages()
    y, x = source.places(np.linspace(0, grid.size[0], 9), np.linspace(0, grid.size[1], 9))
    there = ((y >= 0) & (x >= 0) & (y <= raster.shape[1]) & (x <= raster.shape[2])).any()
    own = SceneGrid(raster.shape[1:], raster.crs, raster.transform)  # it may lie between these places
    if not there and not shapely.intersects(ground_of(grid, 4326), ground_of(own, 4326)):
        raise DataError(
            "the label raster lies elsewhere than its scene",
            where=str(raster.path),
            fix="see its coordinate system and place, and the pattern that names it",
        )


def valid_labels(labels: NDArray[Any]) -> Valid:
    """Return where labels [...] say something."""
    found: Valid = np.isfinite(labels) if labels.dtype.kind == "f" else labels != IGNORED
    return found


def kind_record(values: bool, names: Sequence[str]) -> Mapping[str, Any]:
    """Return what preparation.json says of the labels."""
    return {"kind": "values" if values else "classes", "names": list(names)}
