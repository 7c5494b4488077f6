"""A folder of multi-band GeoTIFFs, with rasters of labels beside them or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...config.schema import DatasetOptions
from ...core.bands import Bands
from ...core.errors import DataError
from ..alike import require_alike
from ..band_table import read_band_table
from ..csv_table import read_csv_table
from ..ground import footprints, refuse_shared
from ..group_splits import drawn_splits, refuse_folder_of_split, rows_of
from ..patches import Patches
from ..reader import ALL
from ..window_grid import cut_images
from ..windows import LabelMaps, WindowPatches
from .ground import RasterGround, file_polygons, joined_by_ground
from .rasters import Raster, RasterImages, read_raster, resolution

if TYPE_CHECKING:
    from ..splits import RowNumbers

SUFFIXES = frozenset((".tif", ".tiff"))
IMAGES, LABELS, BANDS = "images", ("labels", "masks"), "bands.csv"
TILES, FILE = "tiles.csv", ("file", "path", "name", "tile", "id")
GIVEN = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": "test"}
"""Subfolders that are splits, and what we call them."""
LISTED = 5
COARSER = 1.1
"""How many times as large pixels may be for rasters to be of one grid: degrees are wider in the south."""


@dataclass(frozen=True, slots=True)
class _Image:
    """A file, its label raster if it has one, its name in the folder, and its split if a subfolder is one."""

    path: Path
    label: Path | None
    name: str
    split: str


class GeotiffReader:
    """Opens folders of GeoTIFFs of the same bands: the folder itself, or ``images/`` in it.

    Labels are rasters of the same names in ``labels/`` or ``masks/``, or in another folder (`dataset.labels_path`) with
    the same folders in it. Subfolders ``train valid test`` that are such
    folders are splits; else whole files are drawn, those that share ground together. ``bands.csv`` in the folder
    gives wavelengths, and ``tiles.csv`` the column that `dataset.group` names.
    """

    @dataclass
    class Config:
        """Nothing to set: what concerns reading is in the group ``dataset``."""

    description = "folder of GeoTIFFs of the same bands, with labels/ or masks/ beside images/, or in train/ and valid/"
    pool: str | None = ALL
    second_root = True

    @staticmethod
    def recognises(path: Path) -> bool:
        """Return whether there is a GeoTIFF in the folder, in ``images``, or in such a folder of a split."""
        if not path.is_dir():
            return False
        places = [path, path / IMAGES, *(path / name / part for name in GIVEN for part in ("", IMAGES))]
        return any(_is_tiff(file) for place in places if place.is_dir() for file in place.iterdir())

    @staticmethod
    def splits(path: Path) -> list[str]:
        """Return the names of the splits; `ALL` where there are too few files to draw any."""
        options = DatasetOptions()
        images = _images(path, options)
        if any(image.split for image in images):
            return list(dict.fromkeys(image.split for image in images))
        groups = _groups(path, images, [read_raster(image.path) for image in images], None)
        return list(_splits(path, images, options)) if len(set(groups)) > 1 else [ALL]

    @staticmethod
    def open(path: Path, split_key: str, options: DatasetOptions) -> Patches:
        """Return the rasters of one split, or their windows; only headers are read.

        Raises:
            DataError: rasterio is not installed; a file is damaged, or of other bands than the first; a label raster
                is missing or not on the grid of its image; two splits share ground, or there is no such split.
        """
        images = _images(path, options)
        rasters = [read_raster(image.path) for image in images]
        require_alike((raster.path, raster.bands, raster.dtype) for raster in rasters)
        labels = _labels(images, rasters, values=options.label_kind == "values")
        drawn = {} if split_key == ALL else _splits(path, images, options)
        rows = rows_of(drawn, split_key, len(images), str(path))
        sides = np.array([raster.shape[1:] for raster in rasters], dtype=np.int64)
        return WindowPatches(
            path,
            split_key,
            _bands(path, images, rasters),
            RasterImages(rasters),
            cut_images(sides, [str(image.path) for image in images], options, rows),
            mask=RasterImages(rasters, masks=True) if any(raster.masked for raster in rasters) else None,
            labels=labels,
            table={"file": [image.name for image in images]},
            ground=RasterGround.of(rasters),
        )


def _is_tiff(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES


def _images(path: Path, options: DatasetOptions) -> list[_Image]:
    """Return the files in the order of their names, those of one split after the other.

    Raises:
        DataError: images without labels where others have some, or labels without image.
    """
    root = None if options.labels_path is None else Path(options.labels_path).expanduser()
    if root is not None and not root.is_dir():
        raise DataError("there is no such folder", where=str(root), fix="correct dataset.labels_path")
    given = [(name, split) for name, split in GIVEN.items() if GeotiffReader.recognises(path / name)]
    found = []
    for name, split in given:
        labels = None if root is None else _labels_folder(root, split)
        found += _in_folder(path / name, f"{name}/", split, labels)
    return found or _in_folder(path, "", "", None if root is None else _with_labels(root))


def _labels_folder(root: Path, split: str) -> Path:
    """Return where another folder keeps the labels of a split.

    Raises:
        DataError: it has no folder for it.
    """
    names = [name for name, ours in GIVEN.items() if ours == split]
    for inner in ("", *LABELS):
        for name in names:
            if (root / inner / name).is_dir():
                return _with_labels(root / inner / name)
    refuse_folder_of_split(root, split, GIVEN)
    there = [one.name for one in sorted(root.iterdir()) if one.is_dir()]
    raise DataError(
        f"there are no labels of the split {split}" + (f", but of {', '.join(there)}" if there else ""),
        where=str(root),
        fix=f"give it a folder {' or '.join(names)} as the images have, or name another folder (dataset.labels_path)",
    )


def _with_labels(folder: Path) -> Path:
    """Return the folder of label rasters in a folder, or itself."""
    inner = (folder / name for name in (*LABELS, IMAGES))
    return next((one for one in inner if one.is_dir() and any(_is_tiff(file) for file in one.iterdir())), folder)


def _in_folder(folder: Path, prefix: str, split: str, labels_folder: Path | None) -> list[_Image]:
    inner = folder / IMAGES
    place = inner if inner.is_dir() and any(_is_tiff(file) for file in inner.iterdir()) else folder
    files = sorted(file for file in place.iterdir() if _is_tiff(file))
    beside = labels_folder or next((folder / name for name in LABELS if (folder / name).is_dir()), None)
    if beside is None or (place == folder and labels_folder is None):
        return [_Image(file, None, prefix + file.name, split) for file in files]
    labels = {file.stem: file for file in beside.iterdir() if _is_tiff(file)}
    stems = {file.stem for file in files}
    said = [
        f"{len(lacking)} {kind} of the same name: {', '.join(lacking[:LISTED])}{', ...' * (len(lacking) > LISTED)}"
        for kind, lacking in (
            ("images have no label raster", sorted(stems - labels.keys())),
            ("label rasters have no image", sorted(labels.keys() - stems)),
        )
        if lacking
    ]
    if said:
        raise DataError(
            "; ".join(said),
            where=f"{place} ({len(stems)} files) and {beside} ({len(labels)} files)",
            fix="give each image its label raster, or take the folder of the labels away",
        )
    return [_Image(file, labels[file.stem], prefix + file.name, split) for file in files]


def _bands(path: Path, images: Sequence[_Image], rasters: Sequence[Raster]) -> Bands:
    """Return the bands as the first file has them, with what ``bands.csv`` says, and how large a pixel is."""
    sizes = [resolution(raster) for raster in rasters]
    for image, size in zip(images, sizes, strict=True):
        if size is not None and sizes[0] is not None and not 1 / COARSER < size / sizes[0] < COARSER:
            raise DataError(
                f"the pixels are {size:g} m wide, those of the first file, {images[0].name}, {sizes[0]:g} m",
                where=str(image.path),
                fix="put rasters of one resolution into the folder, or resample this one",
            )
    bands = rasters[0].bands
    folders = dict.fromkeys([path, images[0].path.parent, images[0].path.parent.parent])
    table = next((folder / BANDS for folder in folders if (folder / BANDS).is_file()), None)
    if table is not None:
        bands = read_band_table(table).described(bands, str(table), str(images[0].path))
    return Bands(replace(band, resolution=sizes[0]) for band in bands)


def _labels(images: Sequence[_Image], rasters: Sequence[Raster], *, values: bool) -> LabelMaps | None:
    """Return the label rasters, each on the grid of its image, None where there are none.

    Args:
        images: all files.
        rasters: what their headers say.
        values: whole numbers are values too.
    """
    given = [image.label for image in images if image.label is not None]
    if not given:
        return None
    if len(given) < len(images):
        lacking = next(image for image in images if image.label is None)
        raise DataError(
            f"{len(images) - len(given)} of {len(images)} images have no label raster, others have",
            where=str(lacking.path),
            fix="put the images into images/ and their label rasters into labels/ in each folder",
        )
    labels = [read_raster(label) for label in given]
    first = labels[0]
    for label, raster in zip(labels, rasters, strict=True):
        if (wrong := _other_grid(label, raster)) is not None:
            raise DataError(
                f"the label raster has {wrong}",
                where=str(label.path),
                fix=f"write it on the grid of its image, {raster.path}",
            )
        if (one := _kind(label)) != _kind(first):
            raise DataError(
                f"the label raster has {one}, the first one, {first.path}, {_kind(first)}",
                where=str(label.path),
                fix="write all label rasters alike",
            )
    masked = values and any(label.masked for label in labels)
    return LabelMaps(
        RasterImages(labels),
        layered=first.shape[0] > 1,
        nodata=first.bands[0].nodata,
        values=values,
        scale=[band.scale for band in first.bands],
        offset=[band.offset for band in first.bands],
        measured=RasterImages(labels, masks=True) if masked else None,
    )


def _kind(label: Raster) -> str:
    count, band = label.shape[0], label.bands[0]
    scaled = f", scale {band.scale:g} and offset {band.offset:g}" if (band.scale, band.offset) != (1.0, 0.0) else ""
    return f"{count} band{'s' * (count > 1)} of type {label.dtype} with nodata {band.nodata}{scaled}"


def _other_grid(label: Raster, raster: Raster) -> str | None:
    """Return what is different in the grids of a label raster and its image, in words."""
    if label.shape[1:] != raster.shape[1:]:
        sizes = [f"{one.shape[1]} × {one.shape[2]}" for one in (label, raster)]
        return f"{sizes[0]} pixels, its image {sizes[1]}"
    if label.crs is None or raster.crs is None:
        return None
    if label.crs != raster.crs:
        return "another coordinate system than its image"
    a, _, _, _, e, _ = raster.transform
    pixel = min(abs(a), abs(e)) or 1.0
    if max(abs(x - y) for x, y in zip(label.transform, raster.transform, strict=True)) > 0.01 * pixel:
        return "another place or pixel size than its image"
    return None


def _groups(path: Path, images: Sequence[_Image], rasters: Sequence[Raster], column: str | None) -> list[str]:
    """Return the group of each file: the file itself or what a table says, with those that share its ground."""
    groups = [image.name for image in images] if column is None else _listed_groups(path / TILES, images, column)
    polygons = file_polygons(rasters)
    return groups if polygons is None else joined_by_ground(groups, polygons)


def _listed_groups(path: Path, images: Sequence[_Image], column: str) -> list[str]:
    """Return what a column of the table beside the files says of each."""
    table = read_csv_table(path)
    files = table.named(FILE)
    if files is None or column not in table.columns:
        raise DataError(
            f"the table has no column {column!r}" if files else f"the table has no column {' or '.join(FILE)}",
            where=str(path),
            fix=f"those present are {', '.join(table.columns)}; dataset.group names one of them",
        )
    groups = dict(zip((Path(name).stem for name in table.column(files)), table.column(column), strict=True))
    if lacking := [image.name for image in images if not groups.get(image.path.stem)]:
        raise DataError(
            f"{len(lacking)} of {len(images)} files have no {column!r} in the table, as {lacking[0]}",
            where=str(path),
            fix="add a row for each file",
        )
    return [groups[image.path.stem] for image in images]


def _splits(path: Path, images: Sequence[_Image], options: DatasetOptions) -> Mapping[str, RowNumbers]:
    """Return the rows of each split: of the subfolders, else drawn."""
    import pandas as pd

    rasters = [read_raster(image.path) for image in images]
    polygons = file_polygons(rasters)
    if not images[0].split:
        groups = _groups(path, images, rasters, options.group)
        return drawn_splits(groups, options, str(path), polygons)
    rows: dict[str, list[int]] = {}
    for row, image in enumerate(images):
        rows.setdefault(image.split, []).append(row)
    splits = {name: np.array(members, dtype=np.int64) for name, members in rows.items()}
    if polygons is not None and (places := footprints(pd.DataFrame({"geometry": polygons}))) is not None:
        refuse_shared(splits, places, [image.name for image in images], str(path))
    return splits
