"""What is doubtful in rasters and labels that were found, a line each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from .commands import FILLS, is_reflectance, undeclared
from .families import Facts, Family
from .label_facts import class_counts, class_shares, lowest, some, zero_doubt
from .listing import Listing
from .projects import Label, Project

RARE, GAPS, COARSER = 0.01, 0.05, 1.1
SPREAD = 50.0
"""Times that the values of one file may be larger than those of another before they are of another scale."""


def of_listing(found: Listing) -> list[str]:
    """Return what could not be listed."""
    lines = []
    for names, what in (
        (found.closed, "folders that may not be read"),
        (found.broken, "links that lead nowhere or round"),
        (found.special, "pipes, sockets or devices, which were left alone"),
        (found.empty, "empty files"),
    ):
        if names:
            lines.append(f"{what} ({len(names)}): {some(names)}")
    if not found.whole:
        lines.append(f"there is more below it than was listed: the first {len(found.files)} files count here")
    return lines


def of_project(project: Project, places: int) -> list[str]:
    """Return what is doubtful in the images of a project and in its labels."""
    lines: list[str] = []
    for family in project.images:
        lines += [f"{family.texts[0]}: {line}" for line in _of_family(family)]
    lines += _odd_values(project.facts)
    if len(project.scenes) > 1 and 0 < places < len(project.scenes):
        lines.append(
            f"{len(project.scenes)} scenes lie in {places} place{'s' * (places > 1)}: those that share ground may not "
            "be both in training and in validation"
        )
    elif len(project.scenes) == 1:
        lines.append("there is one scene: training and validation are parts of it, so nothing says how other places do")
    for one in project.images:
        if lost := sorted(one.scenes.keys() - set(project.scenes)):
            lines.append(f"{one.texts[0]}: {len(lost)} files have no scene in the other images: {some(lost)}")
    for one in project.odd:
        lines.append(f"{one.texts[0]} is left out: it has {len(one.scenes)} of {len(project.scenes)} scenes")
    for one in project.quality:
        lines.append(
            f"{one.texts[0]} looks like a mask of quality; quality='...' of `prepare scenes` takes one of one band"
        )
    for label in project.labels:
        lines += [f"{label.text}: {line}" for line in _of_label(label, project)]
    return lines


def _of_family(family: Family) -> list[str]:
    facts = list(family.facts.values())
    one_file_a_band = "*" in family.texts[0]
    lines = [] if one_file_a_band else _mixed(facts)
    if not one_file_a_band and len({tuple(one["names"]) for one in facts}) > 1:
        lines += _missing_bands(facts)
    if all(one["crs"] is None for one in facts):
        lines.append("no coordinate system: `prepare` needs one (crs=EPSG:...)")
    dead: Counter[str] = Counter()
    for path, one in family.facts.items():
        own = path.rpartition("/")[2] if one_file_a_band else ""
        for name, low, high in zip(one["names"], one["low"], one["high"], strict=True):
            if low is None:
                dead[f"{own or name} has no valid value"] += 1
            elif low == high:
                dead[f"{own or name} is constant ({low:g})"] += 1
    said = [
        f"{what}" + (f" in {count} of {len(facts)} files" if len(facts) > 1 and not one_file_a_band else "")
        for what, count in dead.items()
    ]
    if said:
        lines.append(f"the band {some(said)}")
    highs = [max(high for high in one["high"] if high is not None) for one in facts if any(one["high"])]
    if highs and min(highs) > 0 and max(highs) / min(highs) > SPREAD:
        lines.append(f"the highest values of files go from {min(highs):g} to {max(highs):g}: of another scale?")
    gaps = [max(one["missing"]) for one in facts]
    if gaps and max(gaps) > GAPS:
        lines.append(
            f"up to {max(gaps):.0%} of the pixels of a band are missing (mean of the files {sum(gaps) / len(gaps):.0%})"
        )
    return lines


def _odd_values(facts: Sequence[Facts]) -> list[str]:
    lines = []
    if is_reflectance(facts):
        lines.append("whole numbers in bands of a spectrum: taken for reflectance × 10,000 (scale)")
    if (value := undeclared(facts)) is not None:
        share = max(one["zeros"] for one in facts)
        what = f"{share:.0%} of a file is 0 in all bands" if value == 0 else f"the lowest value is {value:g}"
        lines.append(f"{what} and no nodata is declared: taken for missing (nodata)")
    lows = [low for one in facts if one["dtype"][0] == "f" for low in one["low"] if low is not None]
    if lows and min(lows) in FILLS:
        lines.append(f"the lowest value is {min(lows):g}: declare it as nodata in the files, or it counts as measured")
    return lines


def _mixed(facts: Sequence[Facts]) -> list[str]:
    """Return in what the files of one pattern differ."""
    lines = []
    kinds: tuple[tuple[str, Callable[[Facts], Any]], ...] = (
        ("coordinate systems", lambda one: one["crs"] or "none"),
        ("counts of bands", lambda one: one["bands"]),
        ("types", lambda one: one["dtype"]),
    )
    for what, of in kinds:
        found = Counter(of(one) for one in facts)
        if len(found) > 1:
            lines.append(f"several {what}: {', '.join(f'{name} ({n} files)' for name, n in found.most_common(4))}")
    sides = [one["resolution"] for one in facts if one["resolution"]]
    if sides and max(sides) > COARSER * min(sides):
        lines.append(f"several resolutions: {min(sides):.3g} to {max(sides):.3g} m a pixel")
    return lines


def _missing_bands(facts: Sequence[Facts]) -> list[str]:
    counts = Counter(name for one in facts for name in one["names"])
    lacking = [
        f"{name} in {len(facts) - count} of {len(facts)} files" for name, count in counts.items() if count < len(facts)
    ]
    return [f"bands are missing: {some(lacking)}"] if lacking else ["the bands stand in another order in some files"]


def _of_label(label: Label, project: Project) -> list[str]:
    if label.kind in ("polygons", "points"):
        return _of_file(label)
    assert label.family is not None
    lines = []
    scenes = set(project.scenes)
    if label.family.named:
        if lonely := sorted(label.family.scenes.keys() - scenes):
            lines.append(f"{len(lonely)} labels match no image: {some(lonely)}")
        if bare := sorted(scenes - label.family.scenes.keys()):
            lines.append(f"{len(bare)} images have no label: {some(bare)}")
    facts = list(label.family.facts.values())
    if any(one["bands"] > 1 for one in facts):
        lines.append("label rasters of several bands cannot be prepared")
    if label.kind == "classes":
        lines += _of_classes(facts)
        if any(one["nodata"] == 0 for one in facts):
            lines.append("0 is declared as nodata, so pixels of class 0 count as not labelled")
        else:
            lines += zero_doubt(class_counts(facts), "ignored=[0] to `prepare`")
    elif (low := lowest(facts)) in FILLS:
        lines.append(f"the lowest value is {low:g}: declare it as nodata in the files, or it counts as measured")
    return lines


def _of_classes(facts: Sequence[Facts]) -> list[str]:
    counts = class_counts(facts)
    if len(counts) < 2:
        return [f"there is one class ({next(iter(counts), 'none')}): there is nothing to tell apart"]
    rare = [f"{name} ({share:.2%})" for name, share in class_shares(counts).items() if share < RARE]
    return [f"rare classes: {some(rare)}"] if rare else []


def _of_file(label: Label) -> list[str]:
    lines = []
    facts = label.facts
    if facts.get("wrong"):
        lines.append(f"{facts['wrong']} polygons are not valid; `prepare` mends them")
    if label.kind == "polygons":
        lies = "what lies in no polygon counts as not labelled (ignored)"
        hull = "what lies outside the hull of the polygons is taken for not labelled (extent)"
        lines.append(hull if label.column is None else lies)
    if label.kind == "points":
        others = [name for name, kind in facts["columns"].items() if kind in "iuf" and name != label.column]
        low, _ = facts["ranges"][label.column] or (None, None)
        if others:
            lines.append(f"column {label.column} was taken for the value; other numbers are {some(others)}")
        flags = [name for name in others if "flag" in name.lower() or "quality" in name.lower()]
        if flags:
            lines.append(f"{some(flags)} say which points are good: give points-filter")
        if low in FILLS:
            lines.append(f"{low:g} stands for no value: give ignored=[{low:g}]")
    return lines
