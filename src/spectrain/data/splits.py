"""Splits and folds: decided once, seeded, written to a file that a person can read; never two that share a pixel."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError, perhaps
from ..core.keys import Key, shuffled
from .ground import Polygons, footprints, joined, refuse_shared, sharing
from .splits_file import FORMAT, VERSION

if TYPE_CHECKING:
    import pandas as pd

Method = Literal["random", "group", "block"]
RowNumbers = NDArray[np.int64]


def patch_id(scene: str, row: int, column: int, height: int, width: int) -> str:
    """Return the id of a window of a scene: the same wherever and whenever it is cut."""
    text = f"{scene}\n{row} {column} {height} {width}".encode()
    return hashlib.blake2b(text, digest_size=8).hexdigest()


@dataclass(frozen=True)
class SplitPlan:
    """How to split.

    Attributes:
        method: "random" by patch, "group" by a column of the metadata (scene, patient), "block" by squares on the
            ground.
        fractions: share of the patches each split is to have, by name, e.g. {"train": 0.8, "valid": 0.2}.
        folds: number of cross-validation folds over the first split named; 0 makes none.
        seed: of the draw.
        group: column of the metadata, for "group".
        block_m: side of a square in metres, for "block".
        buffer_m: patches of a split nearer than this to one of a later split are left out of it.
        drop_shared: leave out of a split also what shares ground with a later one, which else is an error.
        stratify: column of the metadata whose values each split is to have in equal shares.
    """

    method: Method = "random"
    fractions: Mapping[str, float] | None = None
    folds: int = 0
    seed: int = 0
    group: str | None = None
    block_m: float | None = None
    buffer_m: float = 0.0
    drop_shared: bool = False
    stratify: str | None = None

    @property
    def shares(self) -> dict[str, float]:
        """The fractions, 0.8 and 0.2 for train and valid where none were given."""
        return dict(self.fractions or {"train": 0.8, "valid": 0.2})


class EmptySplitError(DataError):
    """A split or a side of a fold comes out empty."""


def make_splits(metadata: pd.DataFrame, plan: SplitPlan, content: Sequence[str] | None = None) -> dict[str, Any]:
    """Return the content of a splits file.

    Whole units (patches, groups, blocks) go to one split; with georeference no two splits, and no two sides of a fold,
    share ground, whatever scenes and dates the patches are of. Without, patches of equal ``content`` and of one group
    stay together, and ``checked`` in the file says that this is all that was looked at.

    Args:
        metadata: one row a patch with ``patch_id``; see `ground.footprints` for the georeference.
        plan: how to split.
        content: a hash of each patch's pixels, for data without georeference.

    Raises:
        EmptySplitError: a split comes out empty.
        SharedGroundError: two share pixels.
        DataError: the plan does not fit the data.
    """
    ids = [str(one) for one in metadata["patch_id"]]
    places = footprints(metadata)
    units = _units(metadata, plan, places)
    if places is None and content is not None:
        units = joined(units, _pairs_of(content))
    strata = None if plan.stratify is None else _column(metadata, plan.stratify)
    everything = np.arange(len(metadata), dtype=np.int64)
    parts = _buffered(_dealt(units, everything, plan.shares, strata, Key(plan.seed, "splits")), places, plan)
    for name, rows in parts.items():
        if not len(rows):
            raise EmptySplitError(f"the split {name!r} comes out empty", fix="give it a larger share, or smaller units")
    if places is not None:
        refuse_shared(parts, places, ids, f"method {plan.method}")
    first = next(iter(plan.shares))
    folds = _folds(units, parts[first], plan, strata, places, ids)
    return {
        "format": {"name": FORMAT, "version": VERSION},
        "fingerprint": None,
        "method": plan.method,
        "seed": plan.seed,
        "buffer_m": plan.buffer_m,
        "checked": _checked(plan, places, content),
        "splits": {name: [ids[row] for row in rows] for name, rows in parts.items()},
        "folds": [{side: [ids[row] for row in rows] for side, rows in fold.items()} for fold in folds],
    }


def _checked(plan: SplitPlan, places: Polygons | None, content: Sequence[str] | None) -> str:
    """Return what was looked at so that no two parts share pixels."""
    if places is not None:
        return "ground polygons"
    said = [*(["groups"] if plan.method == "group" else []), *(["content"] if content is not None else [])]
    return f"{' and '.join(said) or 'nothing'}: the data have no georeference"


def refuse_without_positives(
    folds: Sequence[Mapping[str, RowNumbers]], positive: NDArray[np.bool_], first: int = 0
) -> None:
    """Raise a `DataError` where a side of a fold has no patch with a positive label.

    Args:
        folds: rows of each side.
        positive: for each row, whether its label holds anything to find.
        first: number of the first of these folds.
    """
    for number, fold in enumerate(folds, start=first):
        for side, rows in fold.items():
            if not positive[rows].any():
                raise DataError(
                    f"fold {number} has no positive label in {side!r}",
                    fix="stratify by a column that says which patches are positive, or make fewer folds",
                )


def _units(metadata: pd.DataFrame, plan: SplitPlan, places: Polygons | None) -> list[str]:
    """Return the name of the unit of each patch: what must not be torn apart."""
    if plan.method == "group":
        if plan.group is None:
            raise DataError("splitting by group needs the column", fix="name it, e.g. scene or patient")
        return _column(metadata, plan.group)
    if plan.method == "block":
        if places is None:
            raise DataError(
                "splitting by blocks needs places on the ground, and the metadata have none",
                fix="add lon_w lat_s lon_e lat_n or a geometry, or split by group",
            )
        if not plan.block_m or plan.block_m <= 0:
            raise DataError("splitting by blocks needs the side of a block in metres", fix="set block_m")
        return block_of(places, plan.block_m)
    return [str(number) for number in range(len(metadata))]


def block_of(places: Polygons, side_m: float) -> list[str]:
    """Return the name of the square on the ground, of a side in metres, that the centre of each place lies in."""
    centres = np.array([(place.centroid.x, place.centroid.y) for place in places])
    return [f"{x} {y}" for x, y in np.floor(centres / side_m).astype(int)]


def _pairs_of(content: Sequence[str]) -> list[tuple[int, int]]:
    """Return each row with the first of the same content."""
    first: dict[str, int] = {}
    return [(first.setdefault(one, row), row) for row, one in enumerate(content)]


def _column(metadata: pd.DataFrame, name: str) -> list[str]:
    if name not in metadata:
        raise DataError(
            f"the metadata have no column {name!r}" + perhaps(name, [str(column) for column in metadata.columns]),
            fix=f"the columns are {', '.join(map(str, metadata.columns))}",
        )
    return [str(value) for value in metadata[name]]


def _dealt(
    units: Sequence[str], rows: RowNumbers, shares: Mapping[str, float], strata: Sequence[str] | None, key: Key
) -> dict[str, RowNumbers]:
    """Deal whole units to splits: each, in random order, to the split that lacks most of its share.

    With strata this happens within each stratum; a unit belongs to the stratum that most of its patches have.
    """
    if not shares or min(shares.values()) <= 0:
        raise DataError("each split needs a share of more than 0", fix=f"correct {dict(shares)}")
    members: dict[str, list[int]] = defaultdict(list)
    for row in rows.tolist():
        members[units[row]].append(row)
    by_stratum: dict[str, list[str]] = defaultdict(list)
    for unit, held in members.items():
        stratum = "" if strata is None else Counter(strata[row] for row in held).most_common(1)[0][0]
        by_stratum[stratum].append(unit)
    total = sum(shares.values())
    parts: dict[str, list[int]] = {name: [] for name in shares}
    for stratum, names in sorted(by_stratum.items()):
        size = sum(len(members[unit]) for unit in names)
        filled = dict.fromkeys(shares, 0)
        for number in shuffled(key.at(purpose=f"splits/{stratum}"), len(names)):
            held = members[sorted(names)[number]]
            lacking = {name: share / total * size - filled[name] for name, share in shares.items()}
            name = max(lacking, key=lambda one: lacking[one])
            filled[name] += len(held)
            parts[name] += held
    return {name: np.array(sorted(held), dtype=np.int64) for name, held in parts.items()}


def _buffered(parts: dict[str, RowNumbers], places: Polygons | None, plan: SplitPlan) -> dict[str, RowNumbers]:
    """Leave out of each split what is nearer than the buffer to a later one, or shares ground with it."""
    if places is None or (plan.buffer_m <= 0 and not plan.drop_shared):
        return parts
    names = list(parts)
    result = dict(parts)
    for number, name in enumerate(names):
        later = np.concatenate([parts[other] for other in names[number + 1 :]] or [np.empty(0, np.int64)])
        near = [sharing(places[parts[name]], places[later], within) for within in {0.0, plan.buffer_m}]
        result[name] = np.delete(parts[name], np.unique(np.concatenate(near)))
    return result


def _folds(
    units: Sequence[str],
    rows: RowNumbers,
    plan: SplitPlan,
    strata: Sequence[str] | None,
    places: Polygons | None,
    ids: Sequence[str],
) -> list[dict[str, RowNumbers]]:
    """Return the two sides of each fold over ``rows``."""
    if plan.folds == 0:
        return []
    if plan.folds < 2:
        raise DataError("cross-validation needs at least two folds", fix="set folds to 0 or to 2 and more")
    shares = {str(number): 1.0 for number in range(plan.folds)}
    held_out = _dealt(units, rows, shares, strata, Key(plan.seed, "folds"))
    folds = []
    for number, valid in enumerate(held_out.values()):
        if not len(valid) or len(valid) == len(rows):
            raise EmptySplitError(
                f"fold {number} comes out empty: there are fewer units than folds",
                fix="make fewer folds, or smaller units",
            )
        sides = _buffered({"train": np.setdiff1d(rows, valid), "valid": valid}, places, plan)
        if not len(sides["train"]):
            raise EmptySplitError(
                f"fold {number} comes out empty: all that is not held out is too near to what is",
                fix="make smaller units, a smaller buffer, or fewer folds",
            )
        if places is not None:
            refuse_shared(sides, places, ids, f"fold {number}")
        folds.append(sides)
    return folds
