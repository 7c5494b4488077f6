"""Families that belong together: images of the same scenes, and what may be their labels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .families import Facts, Family

Role = Literal["image", "classes", "values", "quality"]
SURELY = frozenset(
    ["label", "labels", "mask", "masks", "gt", "truth", "groundtruth", "annotation", "annotations", "target", "targets"]
)
LABELS = SURELY | {"class", "classes", "lulc", "landcover", "landuse", "y", "damage", "forest"}
VALUES = SURELY | {
    *("chm", "height", "heights", "agb", "agbd", "biomass", "srtm", "dem", "dsm", "dtm", "elevation", "depth"),
    *("values", "value", "rh98"),
}
IMAGES = frozenset(
    ["image", "images", "img", "scene", "scenes", "rgb", "ms", "sar", "s1", "s2", "s1hand", "s2hand", "sr", "x"]
)
QUALITY = frozenset(["udm", "udm2", "scl", "quality", "qa", "cloud", "clouds", "cloudmask", "fmask"])
"""Words in the names of folders and files that tell what is in them."""
NUMBER = ("agbd", "agb", "biomass", "height", "rh98", "chm", "value", "target", "depth")
"""Names of the columns of points that are labels rather than others."""
NO_NUMBER = re.compile(
    r"(?i)(^|_)(id|index|fid|shot|lon|lat|x|y|row|col|flag|quality|date|number|longitude|latitude|se)"
)
OUTLINES = re.compile(r"(?i)footprint|outline|(^|[_-])(aoi|tiles?|extents?)($|[_-])")
"""Names of files that say where something lies, and are no labels."""
CLASS = re.compile(r"(?i)class|label|lulc|type|name|category|code")


@dataclass(frozen=True)
class Label:
    """What may be the labels of a project.

    Attributes:
        kind: "classes" and "values" are rasters, "polygons" and "points" files of all scenes.
        text: pattern of the rasters, or path of the file.
        name: short, for a folder to write.
        family: of the rasters, else None.
        facts: of the file, else empty.
        column: of the class or the value, or None.
        scene_column: of the scene's name, or None.
    """

    kind: Literal["classes", "values", "polygons", "points"]
    text: str
    name: str
    family: Family | None = None
    facts: Facts = field(default_factory=dict)
    column: str | None = None
    scene_column: str | None = None


@dataclass
class Project:
    """Scenes with what may be their labels.

    Attributes:
        images: families, each of which has a file of a scene.
        labels: the likeliest first.
        quality: masks that say what may be used.
        odd: families that belong here but cannot be used.
        table: path of a table that says each scene's split, and the column of it; or None.
    """

    images: list[Family]
    labels: list[Label] = field(default_factory=list)
    quality: list[Family] = field(default_factory=list)
    odd: list[Family] = field(default_factory=list)
    table: tuple[str, str] | None = None

    @property
    def scenes(self) -> list[str]:
        """Names of the scenes that all images are there of."""
        names = [set(one.scenes) for one in self.images]
        return sorted(set.intersection(*names)) if names else []

    @property
    def bands(self) -> int:
        """Bands of a scene, over all its images."""
        return sum(_bands(one) for one in self.images)

    @property
    def facts(self) -> list[Facts]:
        """Of the images that were looked at."""
        return [facts for one in self.images for facts in one.facts.values()]


def _bands(family: Family) -> int:
    files = len(next(iter(family.scenes.values()))) if "*" in family.texts[0] else 1
    return files * max((facts["bands"] for facts in family.facts.values()), default=0)


def projects(
    found: Sequence[Family], vectors: Mapping[str, Facts], tables: Mapping[str, Facts]
) -> tuple[list[Project], list[Label]]:
    """Return the projects, those of most scenes first, and labels that no image is there for.

    Args:
        found: families of rasters.
        vectors: what is known of vector files, by path.
        tables: what is known of tables, by path.
    """
    made: list[Project] = []
    lonely: list[Label] = []
    for together in _joined(found):
        project = _project(together)
        if project.images:
            made.append(project)
        else:
            lonely += project.labels
    made.sort(key=lambda one: -len(one.scenes))
    for path, facts in [*vectors.items(), *tables.items()]:
        label = _label(path, facts)
        if label is None:
            continue
        on = [one for one in made if _overlap(facts, one)]
        for project in on:
            scene = _scene_column(facts, project)
            project.labels.append(Label(label.kind, path, label.name, None, facts, label.column, scene))
        lonely += [] if on else [label]
    for project in made:
        project.table = next((one for path, facts in tables.items() if (one := _table(path, facts, project))), None)
        of_splits = None if project.table is None else project.table[0]
        project.labels = sorted((one for one in project.labels if one.text != of_splits), key=_likelihood)
    return made, lonely


def role(family: Family) -> Role | None:
    """Return what a family is by its values and its name; None for one band of many values, which may be either."""
    words = set(re.split(r"[^a-z0-9]+", f"{family.folder} {family.name}".lower()))
    facts = list(family.facts.values())
    single = all(one["bands"] == 1 for one in facts)
    few = all(one["different"] is not None for one in facts)
    if words & QUALITY or (not single and few and all(one["different"] <= 3 for one in facts)):
        return "quality"
    if not single or (words & IMAGES and not words & (LABELS | VALUES)):
        return "image"
    if few:
        return "classes"
    return "values" if words & (LABELS | VALUES) else None


def _project(together: Sequence[Family]) -> Project:
    roles = [role(one) for one in together]
    images = [one for one, kind in zip(together, roles, strict=True) if kind == "image"]
    unsure = [one for one, kind in zip(together, roles, strict=True) if kind is None]
    if not images:  # of one band each: those of many values are the images
        images, unsure = (unsure or [one for one, kind in zip(together, roles, strict=True) if kind == "values"]), []
    named = [one for one in images if one.scenes.keys() >= _most(images)]
    project = Project(named, odd=[one for one in images if one not in named])
    for one, kind in zip(together, roles, strict=True):
        if one in images:
            continue
        if kind == "quality":
            project.quality.append(one)
        else:
            sort: Literal["classes", "values"] = "classes" if kind == "classes" else "values"
            project.labels.append(Label(sort, one.texts[0], one.name, one))
    return project


def _most(images: Sequence[Family]) -> set[str]:
    """Return the scenes that most families of images are there of."""
    counts: dict[str, int] = {}
    for one in images:
        for scene in one.scenes:
            counts[scene] = counts.get(scene, 0) + 1
    return {scene for scene, count in counts.items() if count > len(images) / 2}


def _joined(found: Sequence[Family]) -> list[list[Family]]:
    """Return the families that have scenes in common."""
    groups: list[list[Family]] = []
    for family in found:
        if not family.facts:
            continue
        mine = [group for group in groups if any(_together(family, other) for other in group)]
        groups = [group for group in groups if group not in mine]
        groups.append([one for group in mine for one in group] + [family])
    return groups


def _together(one: Family, other: Family) -> bool:
    shared = len(one.scenes.keys() & other.scenes.keys())
    if shared < 0.5 * min(len(one.scenes), len(other.scenes)) or one.named != other.named:
        return False
    if one.named:
        return _near(one, other)
    first, second = next(iter(one.facts.values())), next(iter(other.facts.values()))
    if None in (first["bounds"], second["bounds"]):
        return bool(first["size"] == second["size"]) and one.folder == other.folder
    return one.folder == other.folder and _crossing(first["bounds"], second["bounds"])


def _near(one: Family, other: Family) -> bool:
    """Say whether any scene that was looked at in both lies on the same ground; True where none was."""
    compared = False
    for scene in one.scenes.keys() & other.scenes.keys():
        mine = [one.facts[path]["bounds"] for path in one.scenes[scene] if path in one.facts]
        yours = [other.facts[path]["bounds"] for path in other.scenes[scene] if path in other.facts]
        if mine and yours and mine[0] and yours[0]:
            compared = True
            if _crossing(mine[0], yours[0]):
                return True
    return not compared


def _label(path: str, facts: Facts) -> Label | None:
    """Return what a vector file or table gives as labels; None where it is neither polygons nor points."""
    name = path.rpartition("/")[2].rpartition(".")[0]
    if facts.get("kind") == "polygons" and not OUTLINES.search(name):
        few = [one for one in facts["values"] if CLASS.search(one) and 1 < len(facts["values"][one]) <= 40]
        few = [one for one in few if all(facts["values"][one])]
        few.sort(key=lambda one: (facts["columns"][one] in "iuf", len(one)))
        return Label("polygons", path, name, None, facts, few[0] if few else None)
    if facts.get("kind") == "points" or (facts.get("place") and facts.get("bounds")):
        column = _value_column(facts)
        return None if column is None else Label("points", path, name, None, facts, column)
    return None


def _value_column(facts: Facts) -> str | None:
    """Return the column of points that is most like a measured value."""
    lower: dict[str, str] = {name.lower(): name for name, kind in facts["columns"].items() if kind in "iuf"}
    for name in NUMBER:
        if name in lower and lower[name] not in facts.get("place", ()):
            return lower[name]
    rest: list[str] = [name for name, kind in facts["columns"].items() if kind == "f" and not NO_NUMBER.search(name)]
    return rest[0] if rest else None


def _overlap(facts: Facts, project: Project) -> bool:
    bounds = facts.get("bounds")
    return bounds is not None and any(one["bounds"] and _crossing(bounds, one["bounds"]) for one in project.facts)


def _crossing(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _scene_column(facts: Facts, project: Project) -> str | None:
    """Return the column of a vector file whose few words are names of scenes."""
    names = set(project.scenes)
    return next((column for column, few in facts.get("values", {}).items() if few and names & set(few)), None)


def _table(path: str, facts: Facts, project: Project) -> tuple[str, str] | None:
    """Return a table that gives scenes their split, and the column of it."""
    from ..preparation.assign import GIVEN, SCENE_COLUMNS

    texts: Mapping[str, Sequence[Any]] = facts.get("texts", {})
    named = next((name for name in texts if name.lower() in SCENE_COLUMNS), None)
    if named is None or not {text.rpartition(".")[0] or text for text in texts[named]} & set(project.scenes):
        return None
    for column in sorted(texts, key=lambda one: one != "split"):
        if "split" in column.lower() and len(set(texts[column]) & GIVEN.keys()) == len(set(texts[column])) > 1:
            return path, column
    return None


def _likelihood(label: Label) -> tuple[int, int]:
    words = set(re.split(r"[^a-z0-9]+", label.text.lower()))
    order = ("classes", "polygons", "values", "points")
    return (0 if label.family and words & SURELY else 1, order.index(label.kind))
