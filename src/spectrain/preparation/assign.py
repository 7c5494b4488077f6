"""Which scene is for which split: given by a table, by regions, or drawn; those that share ground stay together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError, perhaps
from ..core.keys import Key, shuffled
from ..data.csv_table import read_csv_table
from ..data.ground import packages
from ..data.raster.ground import joined_by_ground
from .options import PrepareOptions
from .vectors import SUFFIXES, column_of, read_table

CROSS, VAL, TEST = "cross-val", "val-test", "test"
SPLITS = (CROSS, VAL, TEST)
GIVEN = {
    **dict.fromkeys(("cross-val", "cross_val", "train", "training"), CROSS),
    **dict.fromkeys(("val-test", "val_test", "valid", "val", "validation"), VAL),
    **dict.fromkeys(("test", "testing"), TEST),
}
SCENE_COLUMNS = ("scene", "id", "name", "file", "tile", "image_id")


@dataclass(frozen=True)
class Assignment:
    """What belongs where.

    Attributes:
        split_of: split of each scene; scenes that belong to none are not there.
        region: name of the region of each scene, where regions are given.
        lines: what the user should know.
    """

    split_of: Mapping[str, str]
    region: Mapping[str, str]
    lines: tuple[str, ...] = ()


def assign(names: Sequence[str], outlines: Sequence[bytes], options: PrepareOptions) -> Assignment:
    """Return the split of each scene.

    Args:
        names: of the scenes.
        outlines: their outlines as WKB in longitude and latitude.
        options: how to split.

    Raises:
        DataError: an unknown region or split, or a table without a scene in it.
    """
    regions = None if options.admin_dir is None else read_regions(Path(options.admin_dir), options.region_column)
    region = {} if regions is None else regions.of(names, outlines, options.test_regions)
    if options.split_table is not None:
        listed, told = _listed(names, options)
        return Assignment(listed, region, told)
    test = {name for name in names if region.get(name) in options.test_regions}
    lines: list[str] = []
    if options.test_regions and not test:
        lines.append(f"no scene lies in {', '.join(options.test_regions)}: there is no test split by regions")
    split_of = {name: TEST if name in test else CROSS for name in names}
    if options.blocks is None:
        rest = [place for place, name in enumerate(names) if name not in test]
        drawn, said = _drawn([names[one] for one in rest], [outlines[one] for one in rest], options)
        split_of |= drawn
        lines += said
    return Assignment(split_of, region, tuple(lines))


def _drawn(
    names: Sequence[str], outlines: Sequence[bytes], options: PrepareOptions
) -> tuple[dict[str, str], list[str]]:
    """Return which scenes are drawn for val-test and test: whole groups of scenes that share ground."""
    if not names:
        return {}, []
    groups = joined_by_ground(list(names), list(outlines))
    members: dict[str, list[str]] = {}
    for name, group in zip(names, groups, strict=True):
        members.setdefault(group, []).append(name)
    units = sorted(members.values())
    left = [units[place] for place in shuffled(Key(options.seed, "prepare/splits"), len(units))]
    split_of: dict[str, str] = {}
    lines = []
    for split, share in ((VAL, options.test_val_split), (TEST, options.test_split)):
        wanted = max(1, round(share * len(names))) if share > 0 else 0
        taken = 0
        while taken < wanted and len(left) > 1:
            unit = left.pop()
            split_of |= dict.fromkeys(unit, split)
            taken += len(unit)
        if wanted and not taken:
            lines.append(
                f"no scene is left for {split}: {len(names)} scenes in {len(units)} places; "
                "blocks=METRES splits within scenes"
            )
    return split_of, lines


def _listed(names: Sequence[str], options: PrepareOptions) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the splits that a table gives."""
    path = Path(options.split_table or "").expanduser()
    table = read_csv_table(path)
    scene = options.scene_column if options.scene_column in table.columns else table.named(SCENE_COLUMNS)
    for column in (scene, options.split_column):
        if column not in table.columns:
            raise DataError(
                f"the table has no column {column or ' or '.join(SCENE_COLUMNS)!r}"
                + perhaps(str(column), table.columns),
                where=str(path),
                fix=f"those present are {', '.join(table.columns)}",
            )
    assert scene is not None
    said: dict[str, str] = {}
    for name, given in zip(table.column(scene), table.column(options.split_column), strict=True):
        if said.setdefault(name, given) != given:
            raise DataError(
                f"the scene {name!r} is there twice, for {said[name]!r} and for {given!r}",
                where=f"{path}, column {options.split_column}",
                fix="leave one row of it",
            )
    said = {Path(name).stem: split for name, split in said.items()} | said  # a name itself counts before a file's
    split_of: dict[str, str] = {}
    for name in names:
        if split := said.get(name):
            if split.lower() not in GIVEN:
                raise DataError(
                    f"there is no split {split!r}, which the scene {name!r} has",
                    where=f"{path}, column {options.split_column}",
                    fix="write train (or cross-val), valid (or val-test), test",
                )
            split_of[name] = GIVEN[split.lower()]
    if not split_of:
        raise DataError(
            f"the table names none of the {len(names)} scenes, as {names[0]!r}",
            where=f"{path}, column {scene}",
            fix="give the column of the scenes' names with scene-column",
        )
    lacking = [name for name in names if name not in split_of]
    line = f"{len(lacking)} scenes have no split in the table and are left out, as {lacking[0]}" if lacking else ""
    return split_of, (line,) if lacking else ()


@dataclass(frozen=True)
class Regions:
    """Polygons with names.

    Attributes:
        names: of the polygons.
        polygons: shapely, in longitude and latitude.
        where: files they are of.
    """

    names: list[str]
    polygons: NDArray[np.object_]
    where: str

    def of(self, names: Sequence[str], outlines: Sequence[bytes], wanted: Sequence[str]) -> dict[str, str]:
        """Return the region of each scene: one that is wanted if it shares ground with it, else the most of it.

        Raises:
            DataError: a wanted region is not there; the nearest is named.
        """
        if unknown := [name for name in wanted if name not in self.names]:
            raise DataError(
                f"there is no region {unknown[0]!r}" + perhaps(unknown[0], self.names),
                where=self.where,
                fix="correct test-regions, or the column of the names with region-column",
            )
        shapely, _ = packages()
        scenes = shapely.from_wkb(list(outlines))
        pairs = shapely.STRtree(self.polygons).query(scenes, predicate="intersects").T
        found: dict[str, tuple[bool, float, str]] = {}
        for scene, polygon in pairs.tolist():
            area = shapely.area(shapely.intersection(scenes[scene], self.polygons[polygon]))
            if area > 0:
                name, region = names[scene], self.names[polygon]
                found[name] = max(found.get(name, (False, 0.0, "")), (region in wanted, float(area), region))
        return {name: region for name, (_, _, region) in found.items()}


def read_regions(path: Path, column: str) -> Regions:
    """Return the regions of a vector file, or of all vector files of a folder.

    Raises:
        DataError: there is no file, or one has no such column.
    """
    shapely, _ = packages()
    path = path.expanduser()
    files = sorted(one for one in path.rglob("*") if one.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
    if not files:
        raise DataError("there is no vector file in this folder", where=str(path), fix="correct admin-dir")
    names: list[str] = []
    shapes: list[Any] = []
    for file in files:
        table = read_table(file)
        names += [str(name) for name in column_of(table, column, file)]
        shapes += list(shapely.make_valid(np.array(table.geometry.to_crs(4326).to_numpy(), dtype=object)))
    return Regions(names, np.array(shapes, dtype=object), str(path))
