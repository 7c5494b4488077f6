"""Splits of images that name none: whole groups (participants, places, files) are drawn, or those of a table taken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..config.schema import DatasetOptions
from ..core.errors import DataError, perhaps
from .reader import ALL

if TYPE_CHECKING:
    from .splits import RowNumbers

_NAMES = {"training": "train", "val": "valid", "validation": "valid", "testing": "test"}


def split_name(text: str) -> str:
    """Return the name of a split as we write it: "val" and "Validation" are "valid"; other names stay."""
    return _NAMES.get(text.lower(), text.lower() if text.lower() in ("train", "valid", "test") else text)


def shares(options: DatasetOptions) -> dict[str, float]:
    """Return the share of each split that is drawn, training first; those with a share of 0 are not there.

    Raises:
        DataError: nothing is left for training.
    """
    rest = 1.0 - options.valid_fraction - options.test_fraction
    if rest <= 1e-9:
        raise DataError(
            f"valid_fraction {options.valid_fraction:g} and test_fraction {options.test_fraction:g} leave nothing "
            "for training",
            where="dataset",
            fix="give less to them",
        )
    given = {"train": rest, "valid": options.valid_fraction, "test": options.test_fraction}
    return {name: share for name, share in given.items() if share > 0}


def drawn_splits(
    groups: Sequence[str], options: DatasetOptions, where: str, geometry: Sequence[Any] | None = None
) -> dict[str, RowNumbers]:
    """Return the rows of each split, whole groups drawn with `split_seed`, by shares of the images.

    Where there are so few groups that a split would come out empty, shares are of the groups, at least one a split.

    Args:
        groups: of each image.
        options: shares and seed.
        where: the data, for error messages.
        geometry: polygon of each image in longitude and latitude, to be tested for shared ground; or None.

    Raises:
        DataError: fewer groups than splits, or two splits share ground.
    """
    import pandas as pd

    from .splits import EmptySplitError, SplitPlan, make_splits

    wanted = shares(options)
    names = sorted(set(groups))
    if len(names) < len(wanted):
        raise DataError(
            f"there {'is 1 group' if len(names) == 1 else f'are {len(names)} groups'} for {len(wanted)} splits "
            f"({', '.join(wanted)}), and none may be torn apart",
            where=where,
            fix="add images of other groups, name the column of the groups with dataset.group, or train on everything: "
            f"dataset.train_key={ALL} dataset.valid_key=null",
        )
    table = pd.DataFrame({"patch_id": [str(row) for row in range(len(groups))], "group": list(groups)})
    if geometry is not None:
        table["geometry"] = list(geometry)
    plan = SplitPlan(method="group", group="group", fractions=wanted, seed=options.split_seed)
    try:
        drawn = make_splits(table, plan)["splits"]
        return {name: np.array(rows, dtype=np.int64) for name, rows in drawn.items()}
    except EmptySplitError:
        pass
    counts = {name: float(count) for name, count in _counts(wanted, len(names)).items()}
    one_each = pd.DataFrame({"patch_id": names, "group": names})
    plan = SplitPlan(method="group", group="group", fractions=counts, seed=options.split_seed)
    of = {group: name for name, members in make_splits(one_each, plan)["splits"].items() for group in members}
    return {
        name: np.array([row for row, group in enumerate(groups) if of[group] == name], dtype=np.int64)
        for name in wanted
    }


def listed_splits(splits: Sequence[str], groups: Sequence[str] | None, where: str) -> dict[str, RowNumbers]:
    """Return the rows of each split that a table names; rows without a name are in none.

    Raises:
        DataError: a group is in two splits.
    """
    rows: dict[str, list[int]] = {}
    seen: dict[str, set[str]] = {}
    for row, name in enumerate(splits):
        if name:
            rows.setdefault(name, []).append(row)
            if groups is not None:
                seen.setdefault(groups[row], set()).add(name)
    torn = [(group, sorted(names)) for group, names in seen.items() if len(names) > 1]
    if torn:
        some = "; ".join(f"{group!r} in {' and '.join(names)}" for group, names in torn[:3])
        raise DataError(
            f"{len(torn)} of {len(seen)} groups are in two splits: {some}",
            where=where,
            fix="give all images of a group the same split",
        )
    return {name: np.array(members, dtype=np.int64) for name, members in rows.items()}


def rows_of(splits: Mapping[str, RowNumbers], name: str, count: int, where: str) -> RowNumbers:
    """Return the rows of a split, or all of them.

    Raises:
        DataError: there is no such split; those present are listed.
    """
    if name == ALL and ALL not in splits:
        return np.arange(count, dtype=np.int64)
    if (rows := splits.get(name, splits.get(split_name(name)))) is not None:
        return rows
    raise no_split(name, [f"{one} ({len(rows)} images)" for one, rows in splits.items()], where, list(splits))


def refuse_folder_of_split(root: Path, split: str, given: Mapping[str, str]) -> None:
    """Raise where labels are named by the folder of another split: files of the same names would be taken for all.

    Args:
        root: folder of labels.
        split: whose labels are wanted.
        given: folders that are splits, and what we call them.
    """
    own = given.get(root.name)
    beside = [name for name, one in given.items() if one == split and (root.parent / name).is_dir()]
    if own is not None and own != split and beside:
        raise DataError(
            f"this is the folder of the split {own}, and labels of {split} are wanted",
            where=str(root),
            fix=f"name the folder that the splits are in: dataset.labels_path={root.parent}",
        )


def no_split(name: str, listed: Iterable[str], where: str, names: Iterable[str]) -> DataError:
    """Return the error for a split that is not there."""
    return DataError(
        f"there is no split {name!r}" + perhaps(name, names),
        where=where,
        fix=f"those present are {', '.join(listed) or 'none'}; {ALL!r} is everything",
    )


def _counts(wanted: Mapping[str, float], groups: int) -> dict[str, int]:
    """Return how many groups each split gets, at least one, by their shares."""
    counts = {name: max(1, round(share * groups)) for name, share in wanted.items()}
    while sum(counts.values()) > groups:
        counts[max(counts, key=lambda name: counts[name])] -= 1
    counts["train"] += groups - sum(counts.values())
    return counts
