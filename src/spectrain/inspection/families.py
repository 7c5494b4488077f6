"""Rasters put into families by their names: the files that one pattern of `spectrain prepare` names."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from ..preparation.patterns import Pattern

Facts = Mapping[str, Any]
"""What `probes.raster` says of a file."""
MOST_TAILS = 24
"""Different ends of names, as _image and _label, that a folder may have."""
_SPLIT = re.compile(r"[_\-. ]")
_BAND = re.compile(
    r"(?i)(?:^|[_\-. ])(b\d{1,2}a?|band[_\-]?\d+|coastal|blue|green|red|nir|nir\d|swir\d?|rededge\d?|vv|vh|hh|hv)"
    r"(?:[_\-. ]\d+m)?$"
)
_UNSAFE = re.compile(r"[*?\[\]|{}]")
FOLDERS = {"image", "images", "img", "imgs", "scene", "scenes", "label", "labels", "mask", "masks", "gt", "truth"} | {
    "annotation",
    "annotations",
    "target",
    "targets",
    "x",
    "y",
}
"""Names of folders that say a kind and not a scene."""


@dataclass
class Family:
    """Files of one pattern, or the single bands of scenes.

    Attributes:
        texts: patterns below the folder that is looked at.
        scenes: files by the name of their scene.
        name: what sets it apart from its neighbours: a folder or a part of the files' names.
        facts: of those files that were looked at.
    """

    texts: tuple[str, ...]
    scenes: dict[str, list[str]]
    name: str
    facts: dict[str, Facts] = field(default_factory=dict)

    @property
    def files(self) -> list[str]:
        """All files."""
        return [path for paths in self.scenes.values() for path in paths]

    @property
    def named(self) -> bool:
        """The pattern says what a scene is called."""
        return any("{scene}" in text for text in self.texts)

    @property
    def folder(self) -> str:
        """The folder that all its files lie below."""
        return self.texts[0].split("{scene}")[0].rpartition("/")[0]


def families(files: Sequence[str], facts: Mapping[str, Facts]) -> list[Family]:
    """Return the families of some rasters.

    Args:
        files: relative paths.
        facts: of those that were looked at and can be read; it may be a few of each folder.
    """
    folders: dict[str, list[str]] = {}
    for path in files:
        folders.setdefault(path.rpartition("/")[0], []).append(path)
    found: list[Family] = []
    for parent, inner in _siblings(folders).items():
        if len(inner) > 1 and (of_scenes := _scene_folders(parent, inner, folders, facts)):
            found += of_scenes
            for folder in inner:
                del folders[folder]
    for folder, paths in folders.items():
        found += _in_folder(folder, paths, facts)
    for one in found:
        one.facts = {path: facts[path] for path in one.files if path in facts}
    return sorted(found, key=lambda one: one.texts)


def _siblings(folders: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for folder in folders:
        if folder:
            found.setdefault(folder.rpartition("/")[0], []).append(folder)
    return found


def _scene_folders(
    parent: str, inner: Sequence[str], folders: Mapping[str, Sequence[str]], facts: Mapping[str, Facts]
) -> list[Family]:
    """Return the families of folders that are a scene each; none where they are a kind each, or anything else."""
    tails: dict[str, dict[str, str]] = {}
    for folder in inner:
        scene = PurePosixPath(folder).name
        if scene.lower() in FOLDERS:
            return []
        for path in folders[folder]:
            tail = PurePosixPath(path).name.replace(scene, "{scene}")
            tails.setdefault(tail, {})[scene] = path
    common = {tail: scenes for tail, scenes in tails.items() if len(scenes) >= max(2, 0.5 * len(inner))}
    if sum(map(len, common.values())) < 0.7 * sum(len(folders[folder]) for folder in inner):
        return []
    start = f"{_plain(parent)}/" if parent else ""
    bands = all(_BAND.search(PurePosixPath(tail).stem) for tail in common)
    if not bands and _same_ground(common, facts):
        return []
    if bands and len(common) > 2:
        paths = {PurePosixPath(folder).name: list(folders[folder]) for folder in inner}
        suffix = PurePosixPath(next(iter(common))).suffix
        return [Family((f"{start}{{scene}}/*{suffix}",), paths, "bands")]
    return [
        Family(
            (f"{start}{{scene}}/" + "{scene}".join(map(_plain, tail.split("{scene}"))),),
            {scene: [path] for scene, path in scenes.items()},
            PurePosixPath(tail.replace("{scene}", "")).stem.strip("_-. ") or "scene",
        )
        for tail, scenes in common.items()
    ]


def _same_ground(tails: Mapping[str, Mapping[str, str]], facts: Mapping[str, Facts]) -> bool:
    """Say whether files of one name lie on the same grid, or are of different kinds: then the folders are kinds."""
    compared = differ = 0
    for scenes in tails.values():
        looked = [facts[path] for path in scenes.values() if path in facts]
        if len(looked) > 1:
            compared += 1
            differ += any(_grid(one) == _grid(looked[0]) or _kind(one) != _kind(looked[0]) for one in looked[1:])
    return (compared == 0 and len(tails) > 2) or differ > compared / 2


def _in_folder(folder: str, paths: Sequence[str], facts: Mapping[str, Facts]) -> list[Family]:
    """Return the families of the files of one folder."""
    start = f"{_plain(folder)}/" if folder else ""
    here = PurePosixPath(folder).name or "scene"
    found = []
    for suffix, stems in _stems(paths).items():
        if (parted := _parted(list(stems))) is not None:
            for (head, tail), scenes in parted.items():
                text = f"{start}{_plain(head)}{{scene}}{_plain(tail)}{suffix}"
                files = {scene: [stems[f"{head}{scene}{tail}"]] for scene in scenes}
                found.append(Family((text,), files, (head or tail).strip("_-. ")))
            continue
        kinds: dict[Hashable, list[str]] = {}
        for stem, path in stems.items():
            kinds.setdefault(_kind(facts[path]) if path in facts else "?", []).append(stem)
        if "?" in kinds and len(kinds) > 1:  # not all were looked at: they count as the most frequent
            rest = kinds.pop("?")
            max(kinds.values(), key=len).extend(rest)
        if len(kinds) == 1 and len(stems) > 2 and all(_BAND.search(stem) for stem in stems):
            found.append(Family((f"{start}*{suffix}",), {here: list(stems.values())}, here))
        elif len(kinds) == 1 and len(stems) > 1:
            named = {stem: [path] for stem, path in stems.items()}
            found.append(Family((f"{start}{{scene}}{suffix}",), named, here))
        else:
            found += [one for same in kinds.values() for one in _of_kind(start, suffix, here, sorted(same), stems)]
    return found


def _of_kind(start: str, suffix: str, here: str, same: list[str], stems: Mapping[str, str]) -> list[Family]:
    """Return the family of files of one kind beside others: by what their names have in common, else each by itself."""
    head, tail = _shared(same)
    if len(same) > 2 and (head or tail):
        mine = {stem for stem in stems if stem.startswith(head) and stem.endswith(tail)}
        if mine == set(same):
            scenes = {stem[len(head) : len(stem) - len(tail)]: [stems[stem]] for stem in same}
            text = f"{start}{_plain(head)}{{scene}}{_plain(tail)}{suffix}"
            return [Family((text,), scenes, (head or tail).strip("_-. "))]
    return [Family((f"{start}{_plain(stem)}{suffix}",), {here: [stems[stem]]}, stem) for stem in same]


def _shared(stems: Sequence[str]) -> tuple[str, str]:
    """Return what all names begin and end with, up to a separator."""
    first, last = min(stems), max(stems)
    count = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    head = re.match(r"(?s)(.*[_\-. ])?", first[:count])
    turned = sorted(stem[::-1] for stem in stems)
    count = next((n for n, (a, b) in enumerate(zip(turned[0], turned[-1], strict=False)) if a != b), 0)
    tail = re.match(r"(?s)(.*[_\-. ])?", turned[0][:count])
    return (head[0] if head else "", tail[0][::-1] if tail else "")


def _stems(paths: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the paths by ending, then by the name without it."""
    found: dict[str, dict[str, str]] = {}
    for path in paths:
        name = PurePosixPath(path).name
        suffix = PurePosixPath(name).suffix
        found.setdefault(suffix, {})[name.removesuffix(suffix)] = path
    return found


def _parted(stems: list[str]) -> dict[tuple[str, str], list[str]] | None:
    """Return scenes by (what stands before, what stands behind) where each scene has several files, else None."""
    found = [one for count in (1, 2, 3) for behind in (True, False) if (one := _parts(stems, count, behind))]
    # words tell kinds rather than numbers do, which may be those of scenes
    return min(found, key=lambda one: any((a + b).strip("_-. ").isdigit() for a, b in one), default=None)


def _parts(stems: list[str], count: int, behind: bool) -> dict[tuple[str, str], list[str]] | None:
    """Return scenes by the first or last ``count`` words of names; None where these are not kinds of all scenes."""
    found: dict[tuple[str, str], list[str]] = {}
    for stem in stems:
        places = [match.start() for match in _SPLIT.finditer(stem)]
        if len(places) < count:
            return None
        place = places[-count] if behind else places[count - 1] + 1
        part = ("", stem[place:]) if behind else (stem[:place], "")
        found.setdefault(part, []).append(stem[:place] if behind else stem[place:])
    sizes = [len(scenes) for scenes in found.values()]
    whole = set().union(*found.values())
    several = 1 < len(found) <= MOST_TAILS and len(whole) > 1
    return found if several and min(sizes) >= max(2, 0.5 * max(sizes)) and max(sizes) >= 0.7 * len(whole) else None


def _kind(facts: Facts) -> Hashable:
    return facts["bands"], facts["dtype"]


def _grid(facts: Facts) -> Hashable:
    return facts["crs"], tuple(facts["size"]), tuple(round(one, 6) for one in facts["transform"])


def _plain(text: str) -> str:
    """Return a part of a name as a pattern that matches it: signs that mean something there become ``?``."""
    safe = _UNSAFE.sub("?", text)
    prefix = Pattern.read(safe).prefix
    return f"{prefix}?{safe[len(prefix) + 1 :]}" if prefix else safe
