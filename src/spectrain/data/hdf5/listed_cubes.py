"""A CSV file that lists one HDF5 cube a row."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...config.schema import DatasetOptions
from ...core.errors import DataError, perhaps
from ..alike import require_alike
from ..csv_table import CsvTable, csv_header, read_csv_table, typed
from ..group_splits import drawn_splits, listed_splits, rows_of, split_name
from ..patches import Patches
from ..pictures import Pictures
from ..reader import ALL
from ..window_grid import cut_images
from ..windows import ImageLabels, WindowLabels, WindowPatches
from .cubes import Cube, read_cube
from .images import cube_images, cube_labels, same_parts

logger = logging.getLogger(__name__)

FILE = ("hs_file", "file", "path", "cube", "h5_file")
GROUP = ("participant", "patient", "group", "ID")
RGB = ("rgb_file", "rgb")
SPLIT, LABEL = "split", "label"
_SHOWN = 3


class CsvCubesReader:
    """Opens CSV files with a row a cube: its file ``hs_file``, relative to the CSV, and what is known of it.

    The cubes are ([bands,H,W]) datasets of HDF5 files (:func:`~spectrain.data.hdf5.cubes.read_cube`). A column
    ``label`` gives each image a label, numbers as they are and texts by their place in the alphabet. Splits are those
    of a column ``split``, else whole groups are drawn: the column that `dataset.group` names, or ``participant``,
    ``patient``, ``group`` or ``ID``, else the files' folder. A column ``rgb_file`` names a picture of each image, which
    is read only where a plot shows it.
    """

    @dataclass
    class Config:
        """Nothing to set: what concerns reading is in the group ``dataset``."""

    description = f"CSV file with a column {FILE[0]} that lists one HDF5 cube (bands, H, W) a row"
    pool: str | None = ALL

    @staticmethod
    def recognises(path: Path) -> bool:
        """Return whether it is a CSV file whose header has a column of cube files."""
        if path.suffix.lower() != ".csv" or not path.is_file():
            return False
        return not {name.lower() for name in FILE}.isdisjoint(name.lower() for name in csv_header(path))

    @staticmethod
    def splits(path: Path) -> list[str]:
        """Return the names of the splits; `ALL` where there are too few groups to draw any."""
        table = read_csv_table(path)
        if table.named([SPLIT]) is not None:
            return list(_splits(table, DatasetOptions())) or [ALL]
        return list(_splits(table, DatasetOptions())) if len(set(_groups(table, None))) > 1 else [ALL]

    @staticmethod
    def open(path: Path, split_key: str, options: DatasetOptions) -> Patches:
        """Return the cubes of one split, or their windows; only headers are read.

        Raises:
            DataError: a row without a cube that can be read, cubes of different bands, a group or a file in two splits,
                a file in two groups, or no such split.
        """
        table = read_csv_table(path)
        if not table.rows:
            raise DataError("the table lists no cubes", where=str(path), fix="write a row a cube below its header")
        files = _files(table)
        drawn = {} if split_key == ALL and table.named([SPLIT]) is None else _splits(table, options)
        rows = rows_of(drawn, split_key, len(files), str(path))
        cubes = _cubes(table, files, options)
        require_alike((cube.path, cube.bands, cube.image.dtype) for cube in cubes)
        sides = np.array([cube.image.shape[1:] for cube in cubes], dtype=np.int64)
        masks = same_parts(cubes, "mask")
        return WindowPatches(
            path,
            split_key,
            cubes[0].bands,
            cube_images(cubes, [cube.image for cube in cubes]),
            cut_images(sides, [str(cube.path) for cube in cubes], options, rows),
            mask=None if masks is None else cube_images(cubes, masks),
            labels=_labels(table, cubes, options),
            table=_columns(table),
            pictures=_pictures(table, sides) if options.load_rgb else None,
        )


def _file_column(table: CsvTable) -> str:
    column = table.named(FILE)
    if column is None:
        raise DataError(f"no column {FILE[0]}", where=str(table.path), fix=f"name the column of the cubes {FILE[0]}")
    return column


def _files(table: CsvTable) -> list[Path | None]:
    """Return the file of each row, None where its cell is blank."""
    return [_file(table.path.parent, text) if text else None for text in table.column(_file_column(table))]


def _file(folder: Path, text: str) -> Path:
    """Return where a file is: relative to a folder, or absolute; backslashes of Windows separate too."""
    path = folder / Path(text).expanduser()
    return folder / text.replace("\\", "/") if "\\" in text and not path.exists() else path


def _pictures(table: CsvTable, sides: NDArray[np.int64]) -> Pictures | None:
    """Return the RGB pictures that a column names, relative to the CSV as the cubes are; None without the column."""
    column = table.named(RGB)
    if column is None:
        return None
    return Pictures([_file(table.path.parent, text) if text else None for text in table.column(column)], sides)


def _cubes(table: CsvTable, files: Sequence[Path | None], options: DatasetOptions) -> list[Cube]:
    """Return the header of each row's file; all rows that have none are counted, and the first of them named."""
    cubes: list[Cube] = []
    wrong: list[tuple[int, str]] = []
    for file, line in zip(files, table.lines, strict=True):
        try:
            if file is None:
                wrong.append((line, f"the column {_file_column(table)!r} is blank"))
            else:
                cubes.append(read_cube(file, options.cube_key, options.mask_key, options.labels_key))
        except DataError as error:
            wrong.append((line, f"{error.where}: {error.what}; {error.fix}"))
    if wrong:
        some = "".join(f"\n    line {line}: {what}" for line, what in wrong[:_SHOWN])
        raise DataError(
            f"{len(wrong)} of {len(files)} rows have no cube that can be read:{some}"
            + ("\n    ..." if len(wrong) > _SHOWN else ""),
            where=f"{table.path}, line {wrong[0][0]}",
            fix="correct these rows or take them out; paths are relative to the folder of the CSV file",
        )
    return cubes


def _groups(table: CsvTable, column: str | None) -> list[str]:
    """Return the group of each row: of a column, else the folders of the files, else a group a file.

    Raises:
        DataError: the column is not there, or blank in a row, or a file is in two groups.
    """
    named = column is not None
    if column is not None and column not in table.columns:
        raise DataError(
            f"there is no column {column!r}" + perhaps(column, table.columns),
            where=str(table.path),
            fix=f"set dataset.group to one of those present: {', '.join(table.columns)}",
        )
    column = column or table.named(GROUP)
    if column is not None:
        groups = table.column(column)
        blank = [line for group, line in zip(groups, table.lines, strict=True) if not group]
        if blank:
            raise DataError(
                f"{len(blank)} of {len(groups)} rows have nothing in the column {column!r}, which groups the images",
                where=f"{table.path}, line {blank[0]}",
                fix="fill it in, or name another column with dataset.group",
            )
        _refuse_shared_files(table, column, groups, "give a file one, or take its wrong rows out")
        if not named and len(set(groups)) == len(groups) > 1:
            _warn_once(
                f"{table.path}: the column {column!r} was taken for who the images are of, and each row has its own, "
                "so that images of one participant may come to lie in training and in validation; dataset.group=COLUMN "
                f"names another ({', '.join(name for name in table.columns if name != column)})"
            )
        return groups
    folders = [str(_file(table.path.parent, text).parent) for text in table.column(_file_column(table))]
    if len(set(folders)) > 1:
        return folders
    _warn_once(
        f"{table.path} has no column of groups ({', '.join(GROUP)}): each file is taken for one, so that images of one "
        "participant may come to lie in training and in validation; dataset.group=COLUMN names one"
    )
    first: dict[Path, int] = {}
    return [f"row {first.setdefault(file, number)}" for number, file in enumerate(_real_files(table))]


def _real_files(table: CsvTable) -> list[Path]:
    """Return where each row's file really is, however it is written."""
    return [_file(table.path.parent, text).resolve() for text in table.column(_file_column(table))]


def _refuse_shared_files(table: CsvTable, column: str, texts: Sequence[str], fix: str) -> None:
    """Raise a `DataError` where a file is listed in rows of different ``texts``; rows without text do not count."""
    rows: dict[Path, dict[str, int]] = {}
    for file, text, line in zip(_real_files(table), texts, table.lines, strict=True):
        if text:
            rows.setdefault(file, {}).setdefault(text, line)
    shared = [(file, of) for file, of in rows.items() if len(of) > 1]
    if shared:
        said = "".join(
            f"\n    {file.name}: " + ", ".join(f"{text!r} in line {line}" for text, line in of.items())
            for file, of in shared[:_SHOWN]
        )
        raise DataError(
            f"{len(shared)} of {len(rows)} files are listed with different {column!r}:{said}"
            + ("\n    ..." if len(shared) > _SHOWN else ""),
            where=f"{table.path}, line {max(shared[0][1].values())}",
            fix=fix,
        )


@lru_cache(maxsize=256)
def _warn_once(text: str) -> None:
    """Warn of a list once in a process, not anew for each of its splits."""
    logger.warning("%s", text)


def _splits(table: CsvTable, options: DatasetOptions) -> dict[str, Any]:
    """Return the rows of each split."""
    column = table.named([SPLIT])
    if column is None:
        return dict(drawn_splits(_groups(table, options.group), options, str(table.path)))
    grouped = options.group is not None or table.named(GROUP) is not None
    groups = _groups(table, options.group) if grouped else None
    names = [split_name(name) for name in table.column(column)]
    _refuse_shared_files(table, column, names, "give a file one split, or take its wrong rows out")
    return dict(listed_splits(names, groups, str(table.path)))


def _labels(table: CsvTable, cubes: Sequence[Cube], options: DatasetOptions) -> WindowLabels | None:
    """Return the labels: maps in the files where an option names them, else the column ``label``, else maps."""
    column = table.named([LABEL])
    texts = [] if column is None or options.labels_key is not None else table.column(column)
    if not any(texts):
        return cube_labels(cubes)
    held = typed([text for text in texts if text])
    if isinstance(held[0], str):
        classes = sorted(set(held))
        logger.debug("classes of %s: %s", table.path, ", ".join(f"{n} = {text}" for n, text in enumerate(classes)))
        held = [classes.index(text) for text in held]
    missing = -1 if isinstance(held[0], int) else np.nan
    values = iter(held)
    return ImageLabels(np.array([next(values) if text else missing for text in texts]))


def _columns(table: CsvTable) -> Mapping[str, Sequence[Any]]:
    """Return the columns of the metadata, numbers as numbers; the file is written as relative paths are."""
    columns: dict[str, Sequence[Any]] = {
        name: typed(table.column(name)) for name in table.columns if name and name != "patch_id"
    }
    return {**columns, "file": [text.replace("\\", "/") for text in table.column(_file_column(table))]}
