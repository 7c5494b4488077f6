"""The work on one scene, which any process or machine that sees the files can do."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import DataError, SpectrainError
from ..data.ground import packages
from ..data.raster.ground import RasterGround
from ..data.raster.rasters import rasterio_package
from ..data.splits import patch_id
from ..data.window_grid import Cut
from .cutting import CutOptions, cut
from .labels import LabelOptions, PolygonLabels, RasterLabels, SceneLabels, WithinExtent, ground_of, in_pixels
from .opening import build_scene
from .parts import DiskError, Part, write_part
from .patterns import SceneFiles
from .points.labels import PointLabels
from .prepared import PreparedScene
from .record import Preparation
from .vectors import (
    EmptyVectorError,
    Polygons,
    column_of,
    is_vector,
    no_polygons,
    read_polygons,
    read_table,
)

log = logging.getLogger("spectrain")
CACHE_MB = 128
"""Of unpacked blocks that GDAL keeps in a process; its own default is a share of the machine's memory."""


@dataclass(frozen=True)
class Job:
    """What is to be done with a scene.

    Attributes:
        files: of the scene.
        record: how bands are made.
        cut: which patches are taken.
        labels: how labels are read; None where there are none.
        vectors: vector files of all scenes' labels.
        folder: of the part to write.
        points: file of the points that lie on the scene; None where there are none.
    """

    files: SceneFiles
    record: Preparation
    cut: CutOptions
    labels: LabelOptions | None
    vectors: tuple[Path, ...]
    folder: Path
    points: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        name: of the scene.
        error: what failed, or None.
        fatal: no other scene can be done either.
    """

    name: str
    error: str | None = None
    fatal: bool = False


def work(job: Job) -> Outcome:
    """Write the part of a scene, unless it is there."""
    rasterio = rasterio_package()
    try:
        with rasterio.Env(GDAL_CACHEMAX=CACHE_MB):
            if Part.find(job.folder) is None:
                _make(job)
    except DiskError as error:
        return Outcome(job.files.name, str(error), fatal=True)
    except (SpectrainError, MemoryError) as error:
        return Outcome(job.files.name, str(error) or "out of memory: give a smaller patch-size")
    except Exception as error:  # one scene more or less is no reason to lose the others
        log.debug("%s", job.files.name, exc_info=True)
        return Outcome(job.files.name, f"{type(error).__name__}: {error}")
    return Outcome(job.files.name)


def _make(job: Job) -> Part:
    scene = build_scene(job.files, job.record)
    labels: SceneLabels | None = None
    polygons: list[Polygons] = []
    counted: dict[str, list[int]] = {}
    if job.labels is not None and (of := job.labels.points) is not None:
        points = PointLabels(job.points, scene.grid, of.merge, of.diameter)
        labels, counted = _within(points, [], job.labels, scene), {"points": [points.count, points.pixels]}
    elif job.labels is not None:
        labels, polygons = scene_labels(scene, job.files, job.labels, job.vectors)
    if labels is not None and job.record.labels is not None:
        kind = "values" if labels.values else "classes"
        if kind != job.record.labels["kind"]:
            raise DataError(
                f"the labels are {kind}, those of the other scenes {job.record.labels['kind']}",
                where=str(job.files.label),
                fix="write all label rasters in one type, or say label-kind",
            )
    dropped: Counter[str] = Counter()
    about: dict[str, Any] = {
        "scene": job.files.name,
        "bands": scene.bands.to_json(),
        "mended": {str(one.source): one.mended for one in polygons},
        "polygons": [[str(one.source), [int(row) for row in one.rows]] for one in polygons],
        **counted,
    }
    size = job.cut.size

    def table(places: Sequence[tuple[int, int]], shares: Sequence[tuple[float, float, float]]) -> Mapping[str, Any]:
        return patch_columns(scene, size, places, shares)

    return write_part(job.folder, cut(scene, labels, job.cut, dropped), table, about, dropped)


def patch_columns(
    scene: PreparedScene,
    size: int,
    places: Sequence[tuple[int, int]],
    shares: Sequence[tuple[float, float, float]],
) -> dict[str, list[Any]]:
    """Return the columns of the table of patches; the geometry as hexadecimal WKB."""
    columns: dict[str, list[Any]] = {
        "patch_id": [patch_id(scene.name, row, column, size, size) for row, column in places],
        "scene": [scene.name] * len(places),
        "row": [row for row, _ in places],
        "column": [column for _, column in places],
    }
    if places and scene.grid.crs is not None:
        ground = RasterGround((scene.grid.crs,), (scene.grid.transform,))
        cuts: np.ndarray[Any, np.dtype[np.int64]] = np.array([(0, row, column) for row, column in places], np.int64)
        found = ground.columns(Cut(cuts, (size, size)))
        geometry = [one.hex() for one in found.pop("geometry")]
        columns |= {name: [float(one) for one in values] for name, values in found.items()} | {"geometry": geometry}
    for number, name in enumerate(("positive_share", "labelled_share", "valid_share")):
        columns[name] = [share[number] for share in shares]
    return columns


def scene_labels(
    scene: PreparedScene, files: SceneFiles, options: LabelOptions, vectors: Sequence[Path] = ()
) -> tuple[SceneLabels, list[Polygons]]:
    """Return the labels of a scene, and its polygons where they are polygons.

    Raises:
        DataError: they are missing, damaged, empty, or lie elsewhere.
    """
    if vectors:
        polygons = [_of_scene(path, scene, options) for path in vectors]
    elif files.label is None:
        raise DataError(
            f"the scene {files.name!r} has no labels",
            where=str(files.images[0][1].parent),
            fix="add them, take the scene out, or correct labels",
        )
    elif is_vector(files.label):
        polygons = [_on_scene(_own(files.label, options), scene)]
    else:
        raster = RasterLabels(files.label, scene.grid, options, scene.preparation.crs)
        return _within(raster, [], options, scene), []
    return _within(PolygonLabels(polygons, scene.grid), polygons, options, scene), polygons


def _own(path: Path, options: LabelOptions) -> Polygons:
    """Return the polygons of a scene's own file; one that is empty says that there was nothing to find."""
    try:
        return read_polygons(path, options.column, options.names)
    except EmptyVectorError:
        if options.column is not None and not options.names:  # which classes there are is not known from it
            raise
        return no_polygons(path, options.names)


def _of_scene(path: Path, scene: PreparedScene, options: LabelOptions) -> Polygons:
    """Return the polygons of a scene among those of all."""
    return _on_scene(_named(read_polygons(path, options.column, options.names), scene, options), scene)


def _named(polygons: Polygons, scene: PreparedScene, options: LabelOptions) -> Polygons:
    """Return the polygons that name a scene; all where no column does."""
    if options.scene_column is None:
        return polygons
    named = column_of(read_table(polygons.source), options.scene_column, polygons.source)
    return polygons.chosen(np.array([str(named[row]) == scene.name for row in polygons.rows], dtype=bool))


def _on_scene(polygons: Polygons, scene: PreparedScene) -> Polygons:
    """Return the polygons that share ground with a scene."""
    shapely, _ = packages()
    return polygons.chosen(shapely.intersects(polygons.geometry, ground_of(scene.grid, polygons.crs)))


def _within(
    labels: SceneLabels, polygons: Sequence[Polygons], options: LabelOptions, scene: PreparedScene
) -> SceneLabels:
    """Return labels that count only where something was labelled."""
    if options.extent is None:
        footprints = [_named(read_polygons(Path(one)), scene, options) for one in options.footprints]
        footprints = [one for one in footprints if len(one.rows)]
        if not footprints:
            return labels
        return WithinExtent(
            labels, np.concatenate([in_pixels(one.geometry, one.crs, scene.grid) for one in footprints])
        )
    if options.extent != "hull":
        extent = _on_scene(read_polygons(Path(options.extent).expanduser()), scene)
        return WithinExtent(labels, in_pixels(extent.geometry, extent.crs, scene.grid))
    if not polygons:
        raise DataError("the hull of labels needs polygons", where="extent", fix="give a vector file as extent")
    shapely, _ = packages()
    shapes = np.concatenate([in_pixels(one.geometry, one.crs, scene.grid, whole=True) for one in polygons])
    return WithinExtent(labels, np.array([shapely.convex_hull(shapely.geometrycollections(shapes))], dtype=object))
