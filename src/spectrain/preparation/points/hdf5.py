"""Points in HDF5: a dataset a column, in groups of the same layout, one a beam, whose rows are gathered.

Satellite lidars are stored so (GEDI: ``/BEAM0000/agbd``, ``/BEAM0000/geolocation/...``; ICESat-2: ``/gt1l/...``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError
from ...data.hdf5.layout import expect_own
from .columns import BLOCK, Block, Wanted, no_column, numbers, place_columns

SUFFIXES = (".h5", ".hdf5", ".he5", ".hdf", ".nc", ".nc4")
_ITEM = re.compile(r"(.+)\[(\d+)\]")


@dataclass(frozen=True)
class _Beam:
    """Rows of one group: the dataset of each column by name, and how many there are."""

    paths: dict[str, str]
    rows: int


class Hdf5Points:
    """Points in HDF5.

    A column is named by the end of its path, ``agbd`` or ``geolocation/lat_lowestmode``. What is wanted first tells the
    groups: each of the largest groups that holds it once is a beam, and the other columns are looked for in it, those
    nearest to its top first.

    Args:
        path: the file.
        wanted: columns and place.

    Raises:
        DataError: it is no HDF5 file or damaged; a column is not there, is there twice, or is of another length.
    """

    def __init__(self, path: Path, wanted: Wanted) -> None:
        import h5py

        self.path, self._wanted = path, wanted
        if not h5py.is_hdf5(path):
            raise DataError("this is no HDF5 file", where=str(path), fix="see that it is whole, and not of NetCDF 3")
        shapes = _columns(path)
        names = list(dict.fromkeys(one.rpartition("/")[2] for one in shapes))
        said = Wanted((), (), wanted.crs) if not wanted.xy else wanted
        if wanted.xy:
            names = [*names, *wanted.xy]
        self._places, self.crs = place_columns(names, said, path)
        columns = dict.fromkeys((*wanted.columns, *self._places))
        first, *others = columns
        self._beams = []
        for root, place in _beams(first, shapes, names, path):
            found = {first: place}
            for column in others:
                found[column] = _within(root, column, shapes, names, path)
            lengths = {column: shapes[_split(one)[0]][0] for column, one in found.items()}
            if len(set(lengths.values())) > 1:
                raise DataError(
                    "columns differ in length: " + ", ".join(f"{one} {count}" for one, count in lengths.items()),
                    where=f"{path}, /{root}",
                    fix="name columns of one table, by more of their path",
                )
            for column, one in found.items():
                if (len(shapes[_split(one)[0]]) == 2) != (_split(one)[1] is not None):
                    raise DataError(
                        f"the column {column!r} has shape {shapes[_split(one)[0]]}",
                        where=f"{path}, /{one}",
                        fix=f"write {column}[0] for the first of several numbers a row, and none of them of one number",
                    )
            self._beams.append(_Beam(found, lengths[first]))

    def blocks(self) -> Iterator[Block]:
        """See `PointFile.blocks`."""
        import h5py

        try:
            with h5py.File(self.path) as file:
                for beam in self._beams:
                    for start in range(0, beam.rows, BLOCK):
                        rows = slice(start, min(start + BLOCK, beam.rows))
                        held = {column: _read(file, one, rows) for column, one in beam.paths.items()}
                        x, y = (numbers(held[name], name, self.path) for name in self._places)
                        yield Block(x, y, {name: held[name] for name in self._wanted.columns})
        except OSError as error:
            raise _damaged(self.path, error) from error


def _columns(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each dataset of one or two axes, by its path."""
    import h5py

    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, held: Any) -> None:
        if isinstance(held, h5py.Dataset) and held.ndim in (1, 2):
            shapes[name] = held.shape

    try:
        with h5py.File(path) as file:
            file.visititems(note)
    except (OSError, RuntimeError, KeyError) as error:
        raise _damaged(path, error) from error
    return shapes


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"the file is damaged: {error}", where=str(path), fix="copy or download it again")


def _split(name: str) -> tuple[str, int | None]:
    """Return a name without the number in brackets, and that number."""
    found = _ITEM.fullmatch(name)
    return (found[1], int(found[2])) if found else (name, None)


def _matches(name: str, shapes: Sequence[str] | dict[str, Any], root: str = "") -> list[str]:
    """Return the datasets below a group whose path ends with a name, those nearest to the top first."""
    name = name.strip("/")
    below = [one for one in shapes if not root or one.startswith(f"{root}/")]
    return sorted((one for one in below if one == name or one.endswith(f"/{name}")), key=lambda one: one.count("/"))


def _beams(column: str, shapes: dict[str, tuple[int, ...]], names: Sequence[str], path: Path) -> list[tuple[str, str]]:
    """Return the groups that hold a column once, and the dataset that it is there, in the order of the file."""
    name, item = _split(column)
    found = _matches(name, shapes)
    if not found:
        raise no_column(name, names, path)
    name = name.strip("/")
    groups = [one.removesuffix(name).rstrip("/") for one in found]
    # of a column and its like in a group below, the upper one is meant
    tops = [
        one
        for one, group in zip(found, groups, strict=True)
        if not any(other != group and (not other or group.startswith(f"{other}/")) for other in groups)
    ]
    beams = []
    for one in sorted(tops):
        root = one.rpartition("/")[0]
        while root and len(_matches(name, tops, root.rpartition("/")[0])) == 1:
            root = root.rpartition("/")[0]
        beams.append((root, one if item is None else f"{one}[{item}]"))
    return beams


def _within(root: str, column: str, shapes: dict[str, tuple[int, ...]], names: Sequence[str], path: Path) -> str:
    """Return the dataset of a column in a beam."""
    name, item = _split(column)
    found = _matches(name, shapes, root)
    if not found:
        raise no_column(name, names, path, f"/{root}")
    depth = found[0].count("/")
    level = [one for one in found if one.count("/") == depth]
    if len(level) > 1:
        raise DataError(
            f"the column {name!r} is there {len(level)} times: {', '.join(level[:3])}",
            where=f"{path}, /{root}",
            fix="name it by more of its path; in expressions in backticks",
        )
    return level[0] if item is None else f"{level[0]}[{item}]"


def _read(file: Any, name: str, rows: slice) -> NDArray[Any]:
    """Return rows of a dataset; what equals its fill value is NaN."""
    place, item = _split(name)
    held = file[place]
    expect_own(held, Path(file.filename))
    if item is not None and item >= held.shape[1]:
        raise DataError(
            f"there is no number {item} in a row of {held.shape[1]}",
            where=f"{file.filename}, /{place}",
            fix="give less",
        )
    if held.dtype.kind in "OS":
        texts: NDArray[Any] = held.asstr()[rows]
        return texts
    values: NDArray[Any] = held[rows] if item is None else held[rows, item]
    fill = held.attrs.get("_FillValue")
    if fill is None or np.size(fill) != 1 or values.dtype.kind not in "iuf":
        return values
    lost = values == np.asarray(fill).reshape(()).astype(values.dtype)
    return np.where(lost, np.nan, values) if lost.any() else values
