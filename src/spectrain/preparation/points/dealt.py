"""Labels that are measured points: read once, filtered, and dealt out to the scenes that they lie on."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.atomic import disk_errors
from ...core.damage import said
from ...core.errors import DataError
from ...data.ground import packages
from ...data.scene import SceneGrid
from ..affine import apply, inverse
from ..expressions import Expression
from ..parts import OF_SCENES, file_stats
from ..prepared import ground_size
from .columns import Block, PointFile, Wanted
from .hdf5 import SUFFIXES as HDF5
from .hdf5 import Hdf5Points
from .tables import CsvPoints, ParquetPoints, VectorPoints

log = logging.getLogger("spectrain")
POINTS = "points"
"""Value of the option ``labels``: labels are points."""
COUNTS, VERSION = "points.json", 1
STORED = np.dtype([("x", "<f8"), ("y", "<f8"), ("value", "<f4")])
"""A point on its scene: column and row in px from the upper left corner of the scene, and the value."""


@dataclass(frozen=True)
class PointOptions:
    """How points become labels.

    Attributes:
        files: CSV tables, GeoParquet and other vector files, HDF5.
        value: expression of the label over the files' columns.
        filter: expression that is true of the points to take, or None for all.
        xy: columns of the place; none guesses, or takes the geometry.
        crs: coordinate system of files that do not say theirs, or None.
        merge: what several points in a pixel make: "mean", "median" or "max".
        diameter: of a point's footprint in metres; 0 is the pixel that holds it alone.
        ignored: values that mean "not measured".
    """

    files: tuple[str, ...]
    value: str
    filter: str | None = None
    xy: tuple[str, ...] = ()
    crs: str | None = None
    merge: str = "mean"
    diameter: float = 0.0
    ignored: tuple[int, ...] = ()


@dataclass(frozen=True)
class DealtPoints:
    """Points by scene, in a folder of raw files.

    Attributes:
        folder: where they are.
        files: name of the file of each scene that has points.
        lines: what the user should know.
    """

    folder: Path
    files: Mapping[str, str]
    lines: tuple[str, ...]

    def of(self, scene: str) -> Path | None:
        """Return the file of a scene, an array of `STORED`; None where no point lies on it."""
        return self.folder / self.files[scene] if scene in self.files else None


def deal(options: PointOptions, grids: Mapping[str, SceneGrid], parts: Path) -> DealtPoints:
    """Read all files once, a block at a time, and write the points of each scene.

    The folder is renamed into place when it is complete, and taken as it is where it is there.

    Args:
        options: which points, and how they are read.
        grids: of the scenes, by name.
        parts: folder that the folder is made in.

    Raises:
        DataError: a file is missing, damaged, empty or without a column; nothing passes the filter or has a value; no
            point lies on any scene; the disk is full.
    """
    folder = parts / f".points-{_key(options, grids)}"
    if not (folder / COUNTS).is_file():
        made = folder.with_name(f"{folder.name}.partial-points")
        shutil.rmtree(made, ignore_errors=True)
        try:
            with disk_errors(parts, OF_SCENES):
                made.mkdir(parents=True)
                record = _Dealing(options, grids, made).record()
                (made / COUNTS).write_text(json.dumps(record))
                made.rename(folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    record = json.loads((folder / COUNTS).read_bytes())
    return DealtPoints(folder, record["files"], tuple(record["lines"]))


def _key(options: PointOptions, grids: Mapping[str, SceneGrid]) -> str:
    scenes = {name: [grid.size, grid.crs, grid.transform] for name, grid in grids.items()}
    text = json.dumps([VERSION, asdict(options), file_stats([Path(one) for one in options.files]), scenes], default=str)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def open_points(path: Path, wanted: Wanted) -> PointFile:
    """Return a file of points by the ending of its name; only its header is read.

    Raises:
        DataError: it is missing, damaged, or lacks a column.
    """
    suffix = path.suffix.lower()
    if suffix in HDF5:
        return Hdf5Points(path, wanted)
    if suffix in (".csv", ".tsv", ".txt"):
        return CsvPoints(path, wanted)
    return ParquetPoints(path, wanted) if suffix in (".parquet", ".geoparquet") else VectorPoints(path, wanted)


@dataclass
class _Same:
    """Scenes of one coordinate system.

    Attributes:
        names: of the scenes.
        boxes: [S,4] low x, low y, high x, high y, as wide as points count that lie beside the scene.
        tree: of the boxes.
    """

    names: list[str] = field(default_factory=list)
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    tree: Any = None


class _Dealing:
    """One look at all files.

    Args:
        options: which points.
        grids: of the scenes.
        folder: to write to.
    """

    def __init__(self, options: PointOptions, grids: Mapping[str, SceneGrid], folder: Path) -> None:
        shapely, _ = packages()
        self.options, self.grids, self.folder = options, grids, folder
        self.value = Expression.read(options.value, "points_value")
        self.filter = None if options.filter is None else Expression.read(options.filter, "points_filter")
        self.counts: Counter[str] = Counter()
        self.found: Counter[str] = Counter()
        self.span: NDArray[np.float64] | None = None
        self.beyond = {name: beside(grid, options.diameter) for name, grid in grids.items()}
        self.numbers = {name: number for number, name in enumerate(grids)}
        self.systems: dict[str, _Same] = {}
        self._projections: dict[tuple[str, str], Any] = {}
        for name, grid in grids.items():
            same = self.systems.setdefault(grid.crs or "", _Same())
            same.names.append(name)
            same.boxes.append(_box(grid, self.beyond[name]))
        for same in self.systems.values():
            same.tree = shapely.STRtree(shapely.box(*np.array(same.boxes).T))

    def record(self) -> dict[str, Any]:
        """Deal out all points, and return what `DealtPoints` holds."""
        needs = dict.fromkeys((*self.value.needs, *(() if self.filter is None else self.filter.needs)))
        wanted = Wanted(tuple(needs), self.options.xy, self.options.crs)
        files = [open_points(Path(one), wanted) for one in self.options.files]  # all headers before any content
        for file in files:
            for block in file.blocks():
                self._block(block, file.crs)
        self._expect_some()
        where = {name: self._file(name).name for name in self.grids if self.found[name]}
        return {"files": where, "lines": self._lines()}

    def _file(self, name: str) -> Path:
        return self.folder / f"{self.numbers[name]:06}.bin"

    def _block(self, block: Block, crs: Any) -> None:
        """Deal out some points."""
        self.counts["read"] += len(block.x)
        if not len(block.x):
            return
        taken = np.isfinite(block.x) & np.isfinite(block.y)
        if self.filter is not None:
            taken &= self.filter.holds(block.columns)
        self.counts["filtered"] += int(taken.sum())
        value = self.value.compute(block.columns)
        try:
            value = value.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"a label is no number: {error}",
                where=f"points_value={self.value.text}",
                fix="name a column of numbers",
            ) from error
        with np.errstate(over="ignore"):
            stored = value.astype(np.float32)
        taken &= np.isfinite(stored) & ~np.isin(value, list(self.options.ignored))
        self.counts["measured"] += int(taken.sum())
        x, y, stored = block.x[taken], block.y[taken], stored[taken]
        if not len(x):
            return
        span = np.array([[x.min(), y.min()], [x.max(), y.max()]])
        both = span if self.span is None else np.stack([self.span, span])
        self.span = span if self.span is None else np.stack([both[:, 0].min(0), both[:, 1].max(0)])
        on_some = np.zeros(len(x), dtype=bool)
        for system, same in self.systems.items():
            self._deal(x, y, stored, crs, system, same, on_some)
        self.counts["on scenes"] += int(on_some.sum())

    def _deal(
        self,
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        value: NDArray[np.float32],
        crs: Any,
        system: str,
        same: _Same,
        on_some: NDArray[np.bool_],
    ) -> None:
        """Write the points that lie on, or reach into, the scenes of one coordinate system; note which lie on one."""
        shapely, _ = packages()
        project = self._projection(crs, system)
        east, north = (np.asarray(one) for one in project.transform(x, y))
        boxes = np.array(same.boxes)
        low, high = boxes[:, :2].min(0), boxes[:, 2:].max(0)
        if project.target_crs.is_geographic:  # as many turns east as the scenes are
            east = np.where((east < low[0]) | (east > high[0]), low[0] + (east - low[0]) % 360, east)
        near = np.flatnonzero((east >= low[0]) & (east <= high[0]) & (north >= low[1]) & (north <= high[1]))
        points = shapely.points(east[near], north[near])
        pairs = same.tree.query(points, predicate="intersects")
        order = np.lexsort((pairs[0], pairs[1]))
        scenes, rows = pairs[1][order], near[pairs[0][order]]
        for number in np.unique(scenes).tolist():
            name = same.names[number]
            mine = rows[slice(*np.searchsorted(scenes, [number, number + 1]))]
            column, row = apply(inverse(self.grids[name].transform), east[mine], north[mine])
            height, width = self.grids[name].size
            down, across = self.beyond[name]
            reach = (column >= -across) & (column < width + across) & (row >= -down) & (row < height + down)
            held = np.empty(int(reach.sum()), STORED)
            held["x"], held["y"], held["value"] = column[reach], row[reach], value[mine[reach]]
            on_some[mine[(column >= 0) & (column < width) & (row >= 0) & (row < height)]] = True
            if len(held):
                self.found[name] += len(held)
                with self._file(name).open("ab") as file:
                    file.write(held.tobytes())

    def _projection(self, crs: Any, system: str) -> Any:
        """Return the projection from the points' coordinate system to that of scenes."""
        _, pyproj = packages()
        if (str(crs), system) not in self._projections:
            try:
                found = pyproj.Transformer.from_crs(crs, system, always_xy=True)
            except pyproj.exceptions.ProjError as error:
                raise DataError(
                    f"the points' coordinate system is none: {said(error)}",
                    where=f"points_crs={crs}",
                    fix="write it as EPSG:4326",
                ) from error
            self._projections[str(crs), system] = found
        return self._projections[str(crs), system]

    def _expect_some(self) -> None:
        """Raise where nothing is left."""
        where = ", ".join(self.options.files[:3]) + (", ..." if len(self.options.files) > 3 else "")
        count = self.counts
        if not count["read"]:
            raise DataError("there is no point in it", where=where, fix="name a file with points")
        if not count["filtered"]:
            raise DataError(
                f"the filter leaves none of {count['read']} points",
                where=f"points_filter={self.options.filter}" if self.options.filter else where,
                fix="look at the columns' values, and correct it"
                if self.options.filter
                else "their places are missing: name others with points-xy",
            )
        if not count["measured"]:
            raise DataError(
                f"none of {count['filtered']} points has a value",
                where=f"{where}, points_value={self.options.value}",
                fix="name another column; NaN and those in ignored mean 'not measured'",
            )
        if not count["on scenes"] and self.span is not None:
            name, grid = next(iter(self.grids.items()))
            (west, south), (east, north) = self.span
            raise DataError(
                f"none of {count['measured']} points lies on any of {len(self.grids)} scenes: they are from "
                f"({west:.6g}, {south:.6g}) to ({east:.6g}, {north:.6g}); {name} is {_place(grid)}",
                where=where,
                fix="see points-xy, which is x before y, points-crs, and whether these are the points of these scenes",
            )

    def _lines(self) -> list[str]:
        count = self.counts
        parts = [f"{count['read']} points read"]
        if self.filter is not None:
            parts.append(f"{count['filtered']} pass the filter")
        if count["measured"] < count["filtered"]:
            parts.append(f"{count['filtered'] - count['measured']} of them have no value")
        return [", ".join([*parts, f"{count['on scenes']} lie on scenes"])]


def beside(grid: SceneGrid, diameter: float) -> tuple[float, float]:
    """Return how many rows and columns beside a scene a point may lie and still reach into it."""
    if diameter <= 0:
        return 0.0, 0.0
    down, across = ground_size(grid)
    return diameter / 2 / down, diameter / 2 / across


def _box(grid: SceneGrid, wider: tuple[float, float]) -> tuple[float, float, float, float]:
    """Return the box around a grid in its coordinate system."""
    rows: Sequence[float] = (-wider[0], grid.size[0] + wider[0])
    columns: Sequence[float] = (-wider[1], grid.size[1] + wider[1])
    x, y = apply(grid.transform, np.repeat(columns, 2), np.tile(rows, 2))
    return float(x.min()), float(y.min()), float(x.max()), float(y.max())


def _place(grid: SceneGrid) -> str:
    _, pyproj = packages()
    west, south, east, north = _box(grid, (0, 0))
    return f"from ({west:.6g}, {south:.6g}) to ({east:.6g}, {north:.6g}) in {pyproj.CRS(grid.crs).name}"
