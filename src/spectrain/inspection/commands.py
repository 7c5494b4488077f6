"""The commands that go on from what was found, as words, and as a shell takes them."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..config.yaml_file import dumped, scalar
from ..preparation.options import PRESETS, Kind
from .families import Facts, Family
from .projects import Label, Project

SIDES = (256, 128, 64, 32)
"""Of patches, in px."""
PATCHES_A_SIDE, PATCHES_A_BLOCK = 8, 1.5
"""Patches along a side that one scene should give; width of a square of the splits in patches."""
SCENES = 10
"""Places on the ground that are split as wholes; fewer are split by squares."""
MOST_LABELS = 3
PLANET_BANDS = 4
"""That `prepare planet` writes unless more are asked for."""
MANY_BANDS = 8
"""From which on hidden bands can be told from the others, which is what a masked autoencoder learns."""
EMPTY = 0.01
"""Share of pixels that are 0 in all bands from which on 0 is taken for missing."""
FILLS = (-9999.0, -32768.0, -999.0)
"""Values that stand for none."""
REFLECTANCE = re.compile(r"(?i)b0?\d{1,2}a?|red|green|blue|nir|swir\d?|coastal")


@dataclass(frozen=True)
class Way:
    """A way to go on.

    Attributes:
        title: what is learned, from which labels.
        commands: words of each command, in their order.
        note: what to think of, or "".
    """

    title: str
    commands: tuple[tuple[str, ...], ...]
    note: str = ""

    def lines(self) -> list[str]:
        """Return the commands for a shell."""
        return [shell(words) for words in self.commands]


def shell(words: Sequence[str]) -> str:
    """Return words on one line as bash and zsh read them back; nothing in them can move the terminal's cursor."""
    return " ".join(shlex.quote(word) if word.isprintable() else f"$'{_escaped(word)}'" for word in words)


def _escaped(word: str) -> str:
    """Return a word with what cannot be printed as bytes."""
    return "".join(
        f"\\{sign}"
        if sign in "\\'"
        else sign
        if sign.isprintable()
        else "".join(f"\\x{one:02x}" for one in sign.encode("utf-8", "surrogateescape"))
        for sign in word
    )


def option(name: str, value: str | float | Sequence[str]) -> str:
    """Return ``name=value`` such that it is read back as the same value, whatever signs it holds."""
    if isinstance(value, str):
        return f"{name}={value if scalar(value) == value else dumped(value)}"
    if isinstance(value, int | float):
        return f"{name}={value:g}"
    if len(value) == 1 and scalar(value[0]) == value[0]:
        return f"{name}={value[0]}"
    for quoted in (lambda one: one, lambda one: one if re.match(r"[\w.]", one) else _quoted(one), _quoted):
        text = "[" + ",".join(map(quoted, value)) + "]"
        if scalar(text) == list(value):
            return f"{name}={text}"
    return f"{name}={dumped(list(value))}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def ways(root: Path, project: Project, places: int, *, apart: bool = False) -> list[Way]:
    """Return the ways to go on from a project, the likeliest first.

    Args:
        root: the folder that was looked at.
        project: scenes and labels.
        places: on the ground that the scenes are of; 0 where they have none.
        apart: there are other projects in the folder, which are written elsewhere.
    """
    labels: list[Label | None] = [*project.labels[:MOST_LABELS]]
    return [_way(root, project, places, label, apart) for label in (labels or [None])]


def without_labels(bands: int) -> tuple[str, ...]:
    """Return the recipes that learn without labels, the likeliest first; of few bands none is learned from others."""
    return ("mae", "contrastive") if bands >= MANY_BANDS else ("contrastive",)


def preset_way(root: Path, kind: Kind, labels_dir: str | None, projects: Sequence[Project]) -> Way:
    """Return the way of a layout that `spectrain prepare` knows: planet or s2.

    Its published patches are large; where the images are smaller, patches of a size that fits them are asked for.
    """
    out = f"{slug(root)}-patches"
    words = ["spectrain", "prepare", kind, option("data-dir", str(root))]
    words += [] if labels_dir is None else [option("labels-dir", str(root / labels_dir))]
    sides = [min(facts["size"]) for project in projects for facts in project.facts]
    if sides and min(sides) < PRESETS[kind]["patch_size"]:
        side = min(patch_size(project) for project in projects)
        words += [f"patch-size={side}", *([f"overlap={side // 8}"] if PRESETS[kind]["overlap"] >= side else [])]
    learned = "segmentation" if labels_dir is not None or kind == "s2" else without_labels(PLANET_BANDS)[0]
    trains = ("spectrain", "train", learned, option("dataset.path", out))
    return Way(f"{learned}: the layout of `prepare {kind}`", ((*words, "-o", out), trains))


def slug(root: Path) -> str:
    """Return a plain name for a folder to write."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", root.absolute().name).strip("-.") or "data"


def _way(root: Path, project: Project, places: int, label: Label | None, apart: bool) -> Way:
    several = label is not None and len(project.labels) > 1
    start = slug(root) + (f"-{slug(Path(project.images[0].name))}" if apart else "")
    out = f"{start}-patches"
    if label is not None and several:
        alike = sum(one.name == label.name for one in project.labels) > 1
        out = f"{start}-{slug(Path(label.name))}" + (f"-{label.kind}" if alike else "")
    side = patch_size(project)
    words = ["spectrain", "prepare", "scenes", option("data-dir", str(root)), option("images", _patterns(project))]
    words += _of_values(project)
    words += [] if label is None else _of_labels(root, label)
    words += _of_splits(root, project, places, side)
    words += [f"patch-size={side}", "-o", out]
    path = option("dataset.path", out)
    if label is None:
        recipes = without_labels(project.bands)
        trained = [("spectrain", "train", one, path) for one in recipes]
        return Way(f"without labels: {' or '.join(recipes)}", (tuple(words), *trained))
    recipe = "segmentation" if label.kind in ("classes", "polygons") else "regression"
    title = f"{recipe}: {label.kind} of {label.text}" + (f", column {label.column}" if label.column else "")
    note = "one of several labels: choose" if several else ""
    return Way(title, (tuple(words), ("spectrain", "train", recipe, path)), note)


def patch_size(project: Project) -> int:
    """Return a side of patches in px: several fit along a side where scenes are few, one where they are many."""
    finest: dict[str, int] = {}
    for facts in project.facts:
        key = str(facts["bounds"])
        finest[key] = max(finest.get(key, 0), min(facts["size"]))
    sides = sorted(finest.values()) or [SIDES[-1]]
    fitting = 1 if len(project.scenes) >= SCENES else PATCHES_A_SIDE
    middle = sides[len(sides) // 2]
    return next((side for side in SIDES if fitting * side <= middle), SIDES[-1])


def _patterns(project: Project) -> list[str]:
    """Return the patterns of the images; where two have a band of one name, with prefixes."""
    names = [name for one in project.images for name in dict.fromkeys(_names(one))]
    if len(set(names)) == len(names):
        return [text for one in project.images for text in one.texts]
    prefixes = [re.sub(r"\W", "_", one.name) for one in project.images]
    prefixes = [text if re.match(r"[A-Za-z_]", text) else f"y{text}" for text in prefixes]
    if len(set(prefixes)) < len(prefixes):
        prefixes = [f"p{number}" for number in range(1, len(prefixes) + 1)]
    return [f"{a}={text}" for a, one in zip(prefixes, project.images, strict=True) for text in one.texts]


def _names(family: Family) -> list[str]:
    if "*" in family.texts[0]:  # files of one band each are called as their files where they do not say
        return []
    return [str(name) for facts in list(family.facts.values())[:1] for name in facts["names"]]


def _of_values(project: Project) -> list[str]:
    """Return what files of whole numbers leave unsaid and their values give away."""
    words = ["scale=1e-4"] if is_reflectance(project.facts) else []
    if (missing := undeclared(project.facts)) is not None:
        words.append(option("nodata", missing))
    dead = dead_bands(project)
    if dead and len(project.images) == 1:
        words.append(option("bands", [name for name in _names(project.images[0]) if name not in dead]))
    return words


def dead_bands(project: Project) -> set[str]:
    """Return the bands that have no value, or one alone, in all files that were looked at."""
    found: dict[str, bool] = {}
    for one in project.facts:
        for name, low, high in zip(one["names"], one["low"], one["high"], strict=True):
            found[name] = found.get(name, True) and (low is None or low == high)
    return {name for name, dead in found.items() if dead} if not all(found.values()) else set()


def whole_numbers(facts: Sequence[Facts]) -> list[Facts]:
    """Return the files of whole numbers that say no scale."""
    return [one for one in facts if one["dtype"][0] in "ui" and not one["scaled"]]


def is_reflectance(facts: Sequence[Facts]) -> bool:
    """Say whether whole numbers look like reflectance times 10,000: by the bands' names and the range."""
    whole = whole_numbers(facts)
    named = [REFLECTANCE.fullmatch(str(name)) is not None for one in whole for name in one["names"]]
    highs = [high for one in whole for high in one["high"] if high is not None]
    return bool(named) and all(named) and bool(highs) and 1000 < max(highs) <= 32767


def undeclared(facts: Sequence[Facts]) -> float | None:
    """Return a value that stands for missing and is not declared: 0 in all bands, or -9999 and the like."""
    silent = [one for one in whole_numbers(facts) if one["nodata"] is None and not one["masked"]]
    lows = [low for one in silent for low in one["low"] if low is not None]
    if lows and min(lows) in FILLS:
        return float(min(lows))
    return 0.0 if any(one["zeros"] > EMPTY for one in silent if one["bands"] > 1) else None


def _of_labels(root: Path, label: Label) -> list[str]:
    if label.kind == "points":
        found = [option("labels", "points"), option("points", [str(root / label.text)])]
        column = label.column or ""
        return [*found, option("points-value", column if column.isidentifier() else f"`{column}`")]
    words = [option("labels", label.text if label.family else str(root / label.text))]
    if label.column:
        words.append(option("label-column", label.column))
    if label.scene_column:
        words.append(option("scene-column", label.scene_column))
    if label.kind == "polygons":
        words.append("extent=hull" if label.column is None else "ignored=[0]")
    if label.kind == "classes" and label.family is not None:
        facts = list(label.family.facts.values())
        if any(one["dtype"].startswith("f") for one in facts):
            words.append("label-kind=classes")
        below = {name for one in facts for name in one["classes"] or {} if float(name) < 0 or float(name) > 254}
        if wrong := sorted(below - {"255"}, key=float):
            words.append(option("ignored", wrong))
    if label.kind == "values" and label.family is not None:
        if any(not one["dtype"].startswith("f") for one in label.family.facts.values()):
            words.append("label-kind=values")
        words.append("min-labelled=0") if _sparse(label.family) else None
    return words


def _sparse(family: Family) -> bool:
    return any(one["missing"][0] > 0.5 for one in family.facts.values())


def _of_splits(root: Path, project: Project, places: int, side: int) -> list[str]:
    if project.table is not None:
        path, column = project.table
        words = [option("split-table", str(root / path))]
        return words if column == "split" else [*words, option("split-column", column)]
    finest = [one["resolution"] for one in project.facts if one["resolution"]]
    if places >= SCENES or not finest:
        return [] if places >= 4 * SCENES else ["test-val-split=0.2"]
    return [f"blocks={_round(PATCHES_A_BLOCK * side * min(finest)):g}", "test-val-split=0.2"]


def _round(metres: float) -> float:
    """Return the next number above of one digit, or of two for 15 and 25."""
    unit: float = 10 ** math.floor(math.log10(metres))
    return next(one * unit for one in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if one * unit >= metres * 0.99)
