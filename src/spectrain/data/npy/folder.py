"""Which .npy files of a folder are images, labels and masks, and which belong together: by their names."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ...core.errors import DataError
from ..group_splits import no_split, refuse_folder_of_split
from ..native.format import PREPARATION, TABLE
from ..reader import ALL

log = logging.getLogger("spectrain")

SUFFIX = ".npy"
GIVEN = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": "test"}
"""Folders that are splits, and what we call them."""
FOLDERS = {"image": ("images", "image", "x"), "labels": ("labels", "label", "y", "masks"), "mask": ("mask",)}
"""Folders of a kind."""
ENDINGS = {"image": "_x", "labels": "_y", "mask": "_mask"}
LISTED = 5
BANDS = "bands.json"
OURS = (BANDS, PREPARATION, TABLE, "splits.json")
"""Files beside the arrays that are read, though not as arrays."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """The files of one split, in the order of their names.

    Attributes:
        names: of the images, without ending, the same wherever the data lie.
        images: one a name.
        labels: one a name; empty where there are none.
        masks: likewise.
    """

    names: list[str]
    images: list[Path]
    labels: list[Path]
    masks: list[Path]


def split_folders(root: Path) -> dict[str, dict[str, Path]]:
    """Return for each split the folder of each kind: ``image``, and ``labels`` and ``mask`` if there are any.

    Splits are folders with folders of kinds in them, or the other way round. A split whose images lie in its folder
    beside nothing else has no folder but that. Without folders of splits there is one, `ALL`.
    """
    found: dict[str, dict[str, Path]] = {}
    for name, split in GIVEN.items():
        if (root / name).is_dir():
            found.setdefault(split, _kinds(root / name))
    if any(found.values()):
        return {split: kinds for split, kinds in found.items() if kinds}
    for kind, folder in _kinds(root).items():
        for name, split in GIVEN.items():
            if (folder / name).is_dir():
                found.setdefault(split, {}).setdefault(kind, folder / name)
    found = {split: kinds for split, kinds in found.items() if "image" in kinds}
    if found:
        return found
    kinds = _kinds(root)
    return {ALL: kinds} if kinds else {}


def pairs(root: Path, split: str, labels_root: Path | None) -> Pairs:
    """Return the files of a split.

    Args:
        root: the folder that was named.
        split: its name as we write it.
        labels_root: another folder with the labels, of the same names; or None.

    Raises:
        DataError: there is no such split, or names do not match: the first of them are listed, and how many there are.
    """
    folders = split_folders(root)
    if split not in folders:
        raise no_split(split, folders, str(root), folders)
    kinds = dict(folders[split])
    ended = kinds.get("mask") == kinds["image"]
    if labels_root is not None:
        kinds["labels"] = _labels_folder(labels_root, split)
    files = {kind: _files(folder, kind, ended) for kind, folder in kinds.items()}
    inner = [folder for folder in kinds.values() if kinds["image"] in folder.parents]
    images = {name: file for name, file in files["image"].items() if not set(inner) & set(file.parents)}
    if not images:
        raise DataError("the split has no .npy file", where=str(kinds["image"]), fix="give another split")
    for kind in ("labels", "mask"):
        if others := files.get(kind):
            _expect_same(images, others, kinds["image"], kinds[kind], kind)
        elif kind == "labels" and labels_root is not None:
            raise DataError("there is no .npy file of labels", where=str(kinds[kind]), fix="name another folder")
    names = sorted(images)
    lists = {kind: [held[name] for name in names] if held else [] for kind, held in files.items()}
    return Pairs(names, lists["image"], lists.get("labels", []), lists.get("mask", []))


def _kinds(folder: Path) -> dict[str, Path]:
    """Return the folder of each kind in a folder; itself where its files are the images."""
    found = {
        kind: folder / name for kind, names in FOLDERS.items() for name in reversed(names) if (folder / name).is_dir()
    }
    if "image" in found:
        return found
    if not any(folder.glob(f"*{SUFFIX}")):
        return {}
    ended = any(folder.glob(f"*{ENDINGS['image']}{SUFFIX}"))
    return dict.fromkeys(FOLDERS, folder) if ended else {**found, "image": folder}


def _labels_folder(root: Path, split: str) -> Path:
    """Return where another folder keeps the labels of a split."""
    names = [name for name, ours in GIVEN.items() if ours == split]
    if not root.is_dir():
        raise DataError("there is no such folder", where=str(root), fix="correct dataset.labels_path")
    there = split_folders(root)
    if split != ALL and ALL not in there and there and split not in there:
        raise DataError(
            f"there are labels of {', '.join(there)}, and none of the split {split}",
            where=str(root),
            fix=f"give it a folder {' or '.join(names)} as the images have, or name another folder "
            "(dataset.labels_path)",
        )
    if split not in there:
        refuse_folder_of_split(root, split, GIVEN)
    outer = next((root / name for name in names if (root / name).is_dir()), root)
    inner = [outer / kind for kind in FOLDERS["labels"]]
    place = next((one for one in inner if one.is_dir()), outer)
    below = next((place / name for name in names if (place / name).is_dir()), place)
    return below


def _files(folder: Path, kind: str, ended: bool) -> dict[str, Path]:
    """Return the files of a kind by name; those in folders below have the folder in their name.

    Where kinds are told apart by how names end (``ended``), the ending is no part of the name. Hidden files and
    folders, and files of another kind, are left alone and named once.
    """
    ending = f"{ENDINGS[kind]}{SUFFIX}" if ended else SUFFIX
    found: dict[str, Path] = {}
    others: list[str] = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if name.startswith(".") or not name.endswith(SUFFIX):
                others += [name] if name not in OURS else []
            elif name.endswith(ending):
                file = Path(place) / name
                found[file.relative_to(folder).as_posix().removesuffix(ending)] = file
    if others:
        _left_alone(folder, len(others), tuple(sorted(others)[:LISTED]))
    return found


@lru_cache(maxsize=1024)
def _left_alone(folder: Path, count: int, names: tuple[str, ...]) -> None:
    """Say once what else lies in a folder."""
    more = ", ..." * (count > len(names))
    log.info("%s: %d other files are left alone: %s%s", folder, count, ", ".join(names), more)


def _expect_same(images: Mapping[str, Path], others: Mapping[str, Path], of: Path, beside: Path, kind: str) -> None:
    """Raise a `DataError` that lists the names of images without a partner, and of partners without an image."""
    what = "label" if kind == "labels" else "mask"
    lacking = [
        (f"images without {what}", sorted(images.keys() - others.keys())),
        (f"{what}s without image", sorted(others.keys() - images.keys())),
    ]
    if any(names for _, names in lacking):
        said = "; ".join(
            f"{len(names)} {words}: {', '.join(names[:LISTED])}{', ...' * (len(names) > LISTED)}"
            for words, names in lacking
            if names
        )
        raise DataError(
            f"the names do not match: {said}",
            where=f"{of} ({len(images)} files) and {beside} ({len(others)} files)",
            fix="give each image a file of the same name, or take those away that have none",
        )
