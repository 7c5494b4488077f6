"""What is in a folder of one's own files, and how to go on from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from ..preparation.patterns import SUFFIXES
from ..preparation.vectors import SUFFIXES as VECTORS
from . import doubts
from .commands import Way, preset_way, ways
from .families import Facts, Family, families
from .guard import SECONDS as SECONDS_A_FILE
from .guard import Guard, UnreadError
from .listing import Listing, listed
from .projects import Label, Project, projects

SECONDS = 60.0
"""That looking into files may take; what is left over is said."""
A_FOLDER, RASTERS = 24, 240
"""Rasters that are looked at in a folder, and in all."""
OTHERS = 12
"""Vector files, tables and data sets that are looked at, of each kind."""
PLACES = 400
"""Scenes whose ground is compared."""
FEW = 8
"""Images that are too few to train on."""
DATA = (".h5", ".hdf5", ".he5", ".nc", ".nc4")
INNER = {"images", "image", "labels", "label", "masks", "mask", "x", "y", "inputs", "targets"} | {
    "train",
    "val",
    "valid",
    "validation",
    "test",
}
"""Folders that are a kind or a split in a data set."""
_MARKS = ("*_udm2.tif", "*_udm2_clip.tif", "*_SR.tif", "*_SR_clip.tif", "*/*_SCL*.tif", "*/*_SR*.tif", "*/*.shp")
"""Files by which the layouts are told that `prepare` knows."""
READABLE = (
    "rasters (.tif .jp2 .vrt .img) with labels as rasters, polygons (.gpkg .shp .geojson .fgb .parquet) or tables of "
    "points (.csv with lon and lat); HDF5 (a dataset a split, or one cube), Zarr with x and y, .npy images"
)


@dataclass
class Survey:
    """What is in a folder.

    Attributes:
        listing: of its files.
        projects: scenes with labels.
        places: on the ground, of each project.
        sets: what a reader opens in it: what `Inspection.to_json` says, by path.
        lonely: labels that no image is there for.
        tables: tables and vector files that are no labels, by path.
        unread: files that could not be looked at, and why.
        looked_at: how many files were opened.
        ways: to go on.
        doubts: a line each.
    """

    listing: Listing
    projects: list[Project] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    sets: dict[str, dict[str, Any]] = field(default_factory=dict)
    lonely: list[Label] = field(default_factory=list)
    tables: dict[str, Facts] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    looked_at: int = 0
    ways: list[Way] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """There is a way to go on."""
        return bool(self.ways)


def survey(root: Path, guard: Guard, seconds: float = SECONDS) -> Survey:
    """Look into a folder, or a file that is no data set by itself.

    Args:
        root: the folder.
        guard: opens the files.
        seconds: that it may take, about.
    """
    found = Survey(listed(root))
    look = _Looking(found, guard, time.monotonic() + seconds)
    base = found.listing.root
    rasters = look.each("raster", _spread([one for one in found.listing.files if _ending(one) in SUFFIXES]))
    vectors = look.each("vector", _first(found.listing.files, VECTORS))
    tables = look.each("table", _first(found.listing.files, (".csv",)))
    readable = [one for one in found.listing.files if _ending(one) in SUFFIXES and one not in found.unread]
    of_rasters = families(readable, rasters)
    found.projects, found.lonely = projects(of_rasters, vectors, tables)
    found.tables = {**vectors, **tables}
    found.sets = look.each("data_set", _sets(found.listing, tables), 60.0, lambda answer: answer["json"])
    if found.sets:  # tables beside them describe their images
        found.lonely = [one for one in found.lonely if not one.text.endswith(".csv")]
    largest = {path: max(split["shape"][0] for split in record["splits"]) for path, record in found.sets.items()}
    enough = any(count >= FEW for count in largest.values())
    for path, record in sorted(found.sets.items(), key=lambda one: -largest[one[0]]):
        first = record["splits"][0]["shape"]
        if first[0] < FEW:
            found.doubts.append(f"{path}: {first[0]} images of {first[2]} × {first[3]} are few to train on")
        if record["command"] and (first[0] >= FEW or not enough):  # beside sets that can be trained on
            found.ways.append(Way(f"{path}: {record['kind']}", (tuple(record["words"]),)))
    if (preset := _preset(base, found)) and _planned(found, preset, look):
        found.ways.insert(0, preset)
        for project in found.projects:  # what is a label or a mask there, and of which scene, the layout says
            found.places.append(_places(project, base, look))
            images = replace(project, labels=[], quality=[])
            found.doubts += doubts.of_project(images, found.places[-1])
    else:
        for project in found.projects:
            _go_on(found, project, base, look)
    found.doubts[:0] = doubts.of_listing(found.listing)
    return found


def _places(project: Project, base: Path, look: _Looking) -> int:
    """Return how many places on the ground the scenes of a project are of."""
    first = [str(base / project.images[0].scenes[name][0]) for name in project.scenes[:PLACES]]
    return look.ask("places", 20.0, paths=first) or 0


def _go_on(found: Survey, project: Project, base: Path, look: _Looking) -> None:
    """Add the places, the doubts and the ways of a project; ways that `prepare` would refuse are doubts."""
    places = _places(project, base, look)
    found.places.append(places)
    found.doubts += doubts.of_project(project, places)
    if not project.scenes:
        return
    some = ways(base, project, places, apart=len(found.projects) > 1)
    found.ways += [way for way in some if _planned(found, way, look)]


def _planned(found: Survey, way: Way, look: _Looking) -> bool:
    """Say whether `prepare` would do it; what it would not is a doubt."""
    kind, *words = way.commands[0][2:-2]
    try:
        planned = look.guard.ask("plan", 30.0, kind=kind, words=words)
    except UnreadError as error:
        if not error.late:  # of many scenes it is not known whether all can be prepared
            found.doubts.append(f"{way.title}: `prepare` would refuse it: {error.what}")
        return error.late
    if planned["failures"]:
        name, why = next(iter(planned["failed"].items()))
        found.doubts.append(f"{way.title}: {planned['failures']} scenes cannot be prepared, as {name}: {why}")
    return True


class _Looking:
    """Asks of files one after the other until the time is up.

    Args:
        found: what cannot be read, and how many files were looked at, is noted here.
        guard: opens the files.
        until: when the time is up.
    """

    def __init__(self, found: Survey, guard: Guard, until: float) -> None:
        self.found, self.guard, self.until = found, guard, until

    def each(
        self,
        what: str,
        paths: Sequence[str],
        seconds: float = SECONDS_A_FILE,
        of: Callable[[Any], Any] = lambda answer: answer,
    ) -> dict[str, Any]:
        """Return what is known of each file that can be read."""
        known = {}
        for number, path in enumerate(paths):
            if time.monotonic() > self.until:
                self.found.doubts.append(f"{len(paths) - number} files were not looked at: it would take too long")
                break
            self.found.looked_at += 1
            try:
                known[path] = of(self.guard.ask(what, seconds, path=str(self.found.listing.root / path)))
            except UnreadError as error:
                if not error.nothing:
                    self.found.unread[path] = error.what
        return known

    def ask(self, what: str, seconds: float, **about: Any) -> Any:
        """Return an answer, None where there is none."""
        try:
            return self.guard.ask(what, seconds, **about)
        except UnreadError:
            return None


def _ending(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def _first(files: Sequence[str], endings: Sequence[str]) -> list[str]:
    return [one for one in files if _ending(one) in endings][:OTHERS]


def _spread(files: Sequence[str]) -> list[str]:
    """Return files at even distances in each folder, so that no folder is left out."""
    folders: dict[str, list[str]] = {}
    for path in files:
        folders.setdefault(path.rpartition("/")[0], []).append(path)
    each = max(2, min(A_FOLDER, RASTERS // max(1, len(folders))))
    chosen = []
    for paths in list(folders.values())[: RASTERS // 2]:
        step = max(1, -(-len(paths) // each))
        chosen += paths[::step]
    return chosen


def _sets(found: Listing, tables: Mapping[str, Facts]) -> list[str]:
    """Return what may be data sets by themselves: HDF5 files, Zarr groups, folders of .npy files, runs are none."""
    inner = {path.rpartition("/")[0] for path in found.files if _ending(path) == ".npy"}
    folders = dict.fromkeys(_outer(path) for path in sorted(inner))
    zarrs = dict.fromkeys(
        path.rpartition("/")[0]
        if path.endswith(("cross-val.zarr", "val-test.zarr", "test.zarr", "data.zarr"))
        else path
        for path in found.zarrs
    )
    lists = _lists(tables) if tables else []
    chosen = [*_first(found.files, DATA), *list(zarrs)[:OTHERS], *list(folders)[:OTHERS], *lists]
    return [path for path in chosen if path]


def _lists(tables: Mapping[str, Facts]) -> list[str]:
    """Return the tables that list files of images."""
    from ..data.hdf5.listed_cubes import FILE

    return [path for path, facts in tables.items() if any(name.lower() in FILE for name in facts["columns"])]


def _outer(folder: str) -> str:
    """Return the folder of a data set, from one that is a kind or a split in it."""
    parts = folder.split("/")
    while parts and parts[-1].lower() in INNER:
        parts.pop()
    return "/".join(parts)


def _preset(base: Path, found: Survey) -> Way | None:
    """Return the way of a layout that `prepare` knows by its files' names."""
    names = [PurePosixPath(path) for path in found.listing.files]
    there = {pattern for pattern in _MARKS if any(one.match(pattern) for one in names)}
    if there & {"*_udm2.tif", "*_udm2_clip.tif"} and there & {"*_SR.tif", "*_SR_clip.tif"}:
        labels = next((one for one in names if one.match("*/TrainingLabel*.gpkg")), None)
        return preset_way(base, "planet", None if labels is None else labels.parent.parent.as_posix(), found.projects)
    return preset_way(base, "s2", None, found.projects) if there >= {"*/*_SCL*.tif", "*/*_SR*.tif", "*/*.shp"} else None


def facts_of(family: Family) -> Mapping[str, Any]:
    """Return what the files of a family that were looked at have in common, for a row of a table."""
    facts = list(family.facts.values())

    def one(name: str) -> str:
        found = list(dict.fromkeys(str(each[name]) for each in facts))
        return found[0] if len(found) == 1 else f"{len(found)} different"

    heights, widths = [each["size"][0] for each in facts], [each["size"][1] for each in facts]
    low, high = (min(heights), min(widths)), (max(heights), max(widths))
    sides = sorted({round(each["resolution"], 3) for each in facts if each["resolution"]})
    return {
        "bands": one("bands"),
        "dtype": one("dtype"),
        "size": f"{low[0]} × {low[1]}" + ("" if low == high else f" to {high[0]} × {high[1]}"),
        "crs": one("crs").replace("None", "none"),
        "resolution": "" if not sides else f"{sides[0]:.4g} m" + (f" to {sides[-1]:.4g} m" if len(sides) > 1 else ""),
    }
