"""What a preparation is going to do: scenes, their splits, the bands and how labels are read; from headers alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.bands import Bands
from ..core.errors import DataError, SpectrainError
from ..data.ground import packages
from ..data.raster.ground import RasterGround, outlines
from ..data.raster.rasters import Raster
from ..data.scene import SceneGrid
from .assign import Assignment, assign
from .cutting import CutOptions
from .expressions import Expression
from .ingredients import Ingredients, stored_form
from .job import Job, scene_labels
from .labels import LabelOptions, kind_record
from .layouts import FOOTPRINTS, planet_footprints, point_files
from .opening import build_scene, elevation, gather
from .options import WAVELENGTHS, Kind, PrepareOptions
from .patterns import SceneFiles, default_patterns, rasters_in
from .points.dealt import POINTS, PointOptions
from .prepared import PreparedScene, scene_grid
from .record import Preparation

LABELLED, ONE_PIXEL = 0.1, 1e-9
"""Least share of labelled pixels in a patch where nobody says it: of areas, and of points, where one is enough."""
COARSER = 1.1
"""How many times as large the pixels of scenes may be; those in degrees are wider in the south."""
ELSEWHERE = ("workers", "dask_worker", "scheduler", "device", "ee_project", "ee_use_highvolume", "preprocess_cache")
"""Options that change nothing in what comes out."""


@dataclass(frozen=True)
class Plan:
    """What is going to be done.

    Attributes:
        scenes: those that can be prepared.
        record: how bands are made.
        assignment: of scenes to splits.
        failed: what is wrong with the other scenes.
        lines: what the user should know.
        options: as given.
        vectors: files of all scenes' labels.
        labels: how labels are read; None where there are none.
        grids: of the scenes, by name.
    """

    scenes: tuple[SceneFiles, ...]
    record: Preparation
    assignment: Assignment
    failed: Mapping[str, str]
    lines: tuple[str, ...]
    options: PrepareOptions
    vectors: tuple[Path, ...]
    labels: LabelOptions | None
    grids: Mapping[str, SceneGrid]

    def job(self, scene: SceneFiles) -> Job:
        """Return what is to be done with a scene."""
        o = self.options
        pointed = self.labels is not None and self.labels.points is not None
        least = o.min_labelled if o.min_labelled is not None else ONE_PIXEL if pointed else LABELLED
        cut = CutOptions(o.patch_size, o.overlap, o.exclude_nopositive, o.exclude_nan, o.mask_erosion_size, least)
        # absolute, as a worker may stand elsewhere
        record, labels = self.record, self.labels
        record = replace(record, dem=_absolute(record.dem), aux=tuple(_absolute(one) or "" for one in record.aux))
        if labels is not None and labels.extent != "hull":
            labels = replace(labels, extent=_absolute(labels.extent))
        return Job(scene, record, cut, labels, self.vectors, Path())

    def part_record(self, scene: SceneFiles) -> dict[str, Any]:
        """Return all that decides what is in the part of a scene, besides its files."""
        job = self.job(scene)
        labels = None if self.labels is None else asdict(self.labels)
        return {"scene": scene.name, "record": self.record.to_json(), "cut": asdict(job.cut), "labels": labels}

    def files(self, scene: SceneFiles) -> list[Path]:
        """Return all files that a scene is made of."""
        files = [path for _, path in scene.images]
        files += [path for path in (scene.quality, scene.label) if path is not None]
        files += self.vectors
        if self.labels is not None and self.labels.extent not in (None, "hull"):
            files.append(Path(self.labels.extent or "").expanduser())
        if self.labels is not None:
            files += map(Path, self.labels.footprints)
            files += map(Path, () if self.labels.points is None else self.labels.points.files)
        for place in (self.record.dem, *self.record.aux):
            files += rasters_in(place, "dem") if place is not None else []
        return files

    @property
    def options_key(self) -> str:
        """A hash of the options that change what comes out."""
        held = {
            name: value for name, value in asdict(self.options).items() if name not in (*ELSEWHERE, "train_data_dir")
        }
        return _digest([self.record.preset, held])

    def output_key(self, parts: Sequence[str]) -> str:
        """Return a hash of what the folder is made of."""
        placed = {name: [split, self.assignment.region.get(name)] for name, split in self.assignment.split_of.items()}
        return _digest([self.options_key, list(parts), placed])


def make_plan(kind: Kind, options: PrepareOptions, scenes: Sequence[SceneFiles], vectors: Sequence[Path]) -> Plan:
    """Look at the headers of all scenes, and decide.

    Raises:
        DataError: no scene can be used, bands are not there, or a region or split is unknown.
    """
    wanted = options.labels is not None or vectors or any(scene.label for scene in scenes)
    labelled = label_options(options) if wanted else None
    if options.exclude_nopositive and labelled is None:
        raise DataError("exclude-nopositive needs labels", where="labels", fix="give labels, or leave it away")
    record = _record(kind, options, scenes)
    if labelled is not None and labelled.points is not None:
        record = replace(record, labels=kind_record(True, ()))
    usable, outlines, failed = [], [], {}
    grids: dict[str, SceneGrid] = {}
    first: PreparedScene | None = None
    for scene in scenes:
        try:
            built = build_scene(scene, record)
            _expect_like(built, first, options)
            outlines.append(outline(built))
        except SpectrainError as error:
            failed[scene.name] = str(error)
            continue
        if labelled is not None and record.labels is None:
            try:
                labels, polygons = scene_labels(built, scene, labelled, vectors)
            except SpectrainError as error:
                failed[scene.name] = str(error)
                outlines.pop()
                continue
            names = options.label_names or (polygons[0].names if polygons else ())
            if labelled.column is not None:  # the same number for a word in all files
                labelled = replace(labelled, names=tuple(names))
            if all(name.isdigit() for name in names):  # numbers of this scene; another may have more
                names = ()
            record = replace(record, labels=kind_record(labels.values, names))
        first = first or built
        usable.append(scene)
        grids[scene.name] = built.grid
    if first is None:
        name, why = next(iter(failed.items()))
        raise DataError(f"none of {len(scenes)} scenes can be used; {name}: {why}")
    assignment = assign([scene.name for scene in usable], outlines, options)
    chosen = tuple(scene for scene in usable if scene.name in assignment.split_of)
    lines = assignment.lines if labelled is not None else (*assignment.lines, "no labels given: none are stored")
    return Plan(chosen, record, assignment, failed, lines, options, tuple(vectors), labelled, grids)


def label_options(options: PrepareOptions) -> LabelOptions:
    """Return how labels are read."""
    return LabelOptions(
        options.label_kind,
        tuple(options.ignored),
        options.label_column,
        tuple(options.label_names),
        options.scene_column,
        None if options.extent == FOOTPRINTS else options.extent,
        tuple(str(path) for path in planet_footprints(options)),
        point_options(options) if options.labels == POINTS else None,
    )


def point_options(options: PrepareOptions) -> PointOptions:
    """Return how points become labels.

    Raises:
        DataError: a file is not there, or an expression is none.
    """
    Expression.read(options.points_value or "", "points_value")
    if options.points_filter is not None:
        Expression.read(options.points_filter, "points_filter")
    return PointOptions(
        tuple(str(path) for path in point_files(options)),
        options.points_value or "",
        options.points_filter,
        tuple(options.points_xy),
        options.points_crs,
        options.points_merge,
        options.points_diameter,
        tuple(options.ignored),
    )


def _record(kind: Kind, options: PrepareOptions, scenes: Sequence[SceneFiles]) -> Preparation:
    """Return how bands are made, decided on the first scene whose files can be opened."""
    base = Preparation(
        preset=kind,
        bands=Bands([]),
        dtype="",
        images=tuple(options.images) or tuple(default_patterns(Path(options.data_dir or "").expanduser())),
        band_names=tuple(options.band_names),
        formulas=tuple(options.formulas),
        tpi_outer_radius=options.tpi_outer_radius,
        tpi_inner_radius=options.tpi_inner_radius,
        scale=options.scale,
        offset=options.offset,
        nodata=options.nodata,
        quality=options.quality,
        quality_band=options.quality_band,
        quality_good=tuple(options.quality_good),
        dem=options.dem or options.arcticdem_dir,
        aux=(*options.aux, *([options.tcvis_dir] if options.tcvis_dir else [])),
        resolution=options.resolution,
        crs=options.crs,
        patch_size=options.patch_size,
    )
    wrong: SpectrainError | None = None
    for scene in scenes:
        try:
            ingredients = gather(scene, base, elevation(base))
            names = options.bands or [*ingredients.channels, *ingredients.formulas]
            bands, dtype = stored_form(names, ingredients, _pixel(ingredients, names, options.resolution))
            break
        except SpectrainError as error:
            wrong = wrong or error
    else:
        raise wrong or DataError("there are no scenes", where=str(options.data_dir), fix="correct data-dir")
    own = {name: centre for name, centre in WAVELENGTHS.get(kind, {}).items() if name in ingredients.channels}
    limits = None if not options.limits else (options.limits[0], options.limits[1])
    told = [
        replace(
            band,
            wavelength=band.wavelength or own.get(band.name),
            limits=limits if limits is not None and _counts(ingredients, band.name) else band.limits,
        )
        for band in bands
    ]
    return replace(base, bands=Bands(told), dtype=dtype)


def _counts(ingredients: Ingredients, name: str) -> bool:
    """Say whether a band is of a file of whole numbers, of which limits are said."""
    channel = ingredients.channel(name)
    return channel is not None and channel.raster.dtype.kind in "iu"


def _pixel(ingredients: Ingredients, names: Sequence[str], side: float | None) -> float | None:
    """Return the side in metres of the pixels of the grid that bands come on."""
    from ..data.raster.rasters import resolution

    order = ingredients.needed(names)
    rasters: list[Raster] = [found.raster for name in order if (found := ingredients.channel(name)) is not None]
    rasters = rasters or [channel.raster for channel in ingredients.channels.values()]
    grid = scene_grid(list(dict.fromkeys(rasters)), side)
    like = replace(rasters[0], shape=(1, *grid.size), crs=grid.crs, transform=grid.transform)
    return resolution(like)


def _expect_like(scene: PreparedScene, first: PreparedScene | None, options: PrepareOptions) -> None:
    """Raise where a scene's pixels are of another size, or its bands of other types, than the first one's."""
    if first is None:
        return
    for name, kind in scene.types.items():
        if kind != (other_kind := first.types.get(name, kind)):
            raise DataError(
                f"the band {name!r} is of type {kind}, that of {first.name} of {other_kind}",
                where=scene.name,
                fix="write all scenes in one type and unit",
            )
    own, other = (sum(one.pixel_metres) / 2 for one in (scene, first))
    if not 1 / COARSER < own / other < COARSER:
        raise DataError(
            f"the pixels are {own:.3g} m wide, those of {first.name} {other:.3g} m",
            where=scene.name,
            fix="prepare scenes of another resolution apart, or give resolution",
        )


def outline(scene: PreparedScene) -> bytes:
    """Return the outline of a scene as WKB in longitude and latitude."""
    shapely, _ = packages()
    assert scene.grid.crs is not None
    ground = RasterGround((scene.grid.crs,), (scene.grid.transform,))
    ring = ground.rings(np.zeros((1, 3), np.int64), np.array([scene.grid.size], np.int64))
    found: bytes = shapely.to_wkb(outlines(ring))[0]
    return found


def _absolute(place: str | None) -> str | None:
    return None if place is None else str(Path(place).expanduser().absolute())


def _digest(content: Any) -> str:
    return hashlib.blake2b(json.dumps(content, sort_keys=True, default=str).encode(), digest_size=12).hexdigest()
