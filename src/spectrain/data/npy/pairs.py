"""A folder of .npy files, an image each, with labels of the same names or none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...config.schema import DatasetOptions
from ...core.bands import Bands
from ...core.errors import DataError
from ..group_splits import split_name
from ..native.format import PREPARATION, TABLE
from ..patches import Patches
from ..window_grid import cut_images
from ..windows import ImageLabels, LabelMaps, WindowLabels, WindowPatches
from .folder import BANDS, FOLDERS, GIVEN, SUFFIX, pairs, split_folders
from .header import NpyFile, read_header
from .images import Axes, channel_axis, npy_images, three

if TYPE_CHECKING:
    import pandas as pd


class NpyPairsReader:
    """Opens folders of .npy images [C,H,W], [H,W,C] or [H,W], mostly in ``train``, ``val`` and ``test``.

    Labels [H,W], [1,H,W] or [T,H,W], or one number an image, have the same names: in ``labels`` beside ``images``, in
    ``y`` beside ``x``, as ``NAME_y.npy`` beside ``NAME_x.npy``, or in another folder (`dataset.labels_path`) with the
    same folders in it. A folder ``mask`` says where images were observed. NaN is missing, in images and labels.
    """

    @dataclass
    class Config:
        """Nothing to set: what concerns reading is in the group ``dataset``."""

    description = "folder of .npy images, with labels of the same names, in train, val and test"
    pool: str | None = None
    second_root = True

    @staticmethod
    def recognises(path: Path) -> bool:
        """Return whether there is a .npy file where images of such a folder are."""
        if not path.is_dir():
            return False
        splits = [path, *(path / name for name in GIVEN)]
        kinds = [one / name for one in splits for name in FOLDERS["image"]]
        found = [*(one.glob(f"*{SUFFIX}") for one in splits), *(one.rglob(f"*{SUFFIX}") for one in kinds)]
        return any(next(iter(files), None) for files in found)

    @staticmethod
    def splits(path: Path) -> list[str]:
        """Return the names of the splits; ``all`` where the folder has none."""
        return list(split_folders(path))

    @staticmethod
    def open(path: Path, split_key: str, options: DatasetOptions) -> Patches:
        """Return the images of one split, or their windows; only headers are read.

        Raises:
            DataError: no such split; names that do not match; a file that is no .npy file, is cut short, or does not
                fit the others; it cannot be told where the channels are.
        """
        split = split_name(split_key)
        found = pairs(path, split, None if options.labels_path is None else Path(options.labels_path).expanduser())
        images, labels, masks = (
            [read_header(file) for file in files] for files in (found.images, found.labels, found.masks)
        )
        for one in images:
            if len(one.shape) not in (2, 3) or 0 in one.shape:
                raise DataError(
                    f"the array has shape {one.shape}", where=str(one.path), fix="images are [C,H,W], [H,W,C] or [H,W]"
                )
        axes = channel_axis(images, labels) if options.npy_axes == "auto" else options.npy_axes
        stored = npy_images(images, axes)
        sides = stored.shapes[:, 1:]
        rows = np.arange(len(images), dtype=np.int64)
        patches = NpyPatches(
            path,
            split,
            _bands(path, int(stored.shapes[0, 0])),
            stored,
            cut_images(sides, [str(one.path) for one in images], options, rows),
            mask=None if not masks else npy_images(_fitting(masks, images, axes, "mask"), axes),
            labels=_labels(labels, images, axes),
            table={"file": found.names},
        )
        patches.preparation = _json(path / PREPARATION)
        return patches


class NpyPatches(WindowPatches):
    """Whole images, or windows, of .npy files; ``patches.parquet`` in the folder knows more of whole ones."""

    def metadata(self) -> pd.DataFrame:
        """Return one row a patch; where a table knows every image by its name, that is its ``patch_id``.

        Raises:
            DataError: the table is damaged.
        """
        own = super().metadata()
        if not (self.path / TABLE).is_file() or own["file"].duplicated().any():
            return own
        from ..patch_table import read_patch_table

        table = read_patch_table(self.path / TABLE)
        names = own["file"].tolist()
        if "patch_id" not in table or not set(names) <= set(table["patch_id"].astype(str)):
            return own
        table = table.set_index(table["patch_id"].astype(str)).loc[names]
        return table.assign(patch_id=names, file=names).reset_index(drop=True)


def _bands(path: Path, channels: int) -> Bands:
    """Return the bands that ``bands.json`` describes, of physical values; without it they are numbered."""
    record = _json(path / BANDS)
    if record is None:
        return Bands.unnamed(channels)
    bands = Bands.from_json(record)
    if len(bands) != channels:
        raise DataError(
            f"the file describes {len(bands)} bands, the images have {channels} channels",
            where=str(path / BANDS),
            fix="correct it, or set dataset.npy_axes",
        )
    return Bands(replace(band, scale=1.0, offset=0.0, nodata=None) for band in bands)


def _json(file: Path) -> Any:
    """Return the content of a file; None where there is none."""
    try:
        return json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"the file cannot be read: {error}", where=str(file), fix="write it again") from error


def _labels(labels: Sequence[NpyFile], images: Sequence[NpyFile], axes: Axes) -> WindowLabels | None:
    """Return the labels: maps, or one number an image; None where there are none."""
    if not labels:
        return None
    if all(one.shape in ((), (1,)) for one in labels):
        return ImageLabels(np.array([np.load(one.path, allow_pickle=False).reshape(()) for one in labels]))
    fitting = _fitting(labels, images, axes, "labels")
    stored = npy_images(fitting, "chw")
    return LabelMaps(stored, layered=int(stored.shapes[0, 0]) > 1)


def _fitting(files: Sequence[NpyFile], images: Sequence[NpyFile], axes: Axes, kind: str) -> list[NpyFile]:
    """Return the files of labels or masks, [H,W,1] as [1,H,W].

    Raises:
        DataError: one is not of the size of its image.
    """
    found = []
    for one, image in zip(files, images, strict=True):
        sides = three(image.shape, axes)[1:]
        shape = one.shape
        if len(shape) == 3 and shape[2] == 1 and shape[:2] == sides:
            shape = (1, *sides)
        if kind == "mask" and len(shape) == 3 and axes == "hwc" and shape[0] == 1:
            shape = sides
        fits = shape == sides or (
            len(shape) == 3 and (shape[1:] if kind == "labels" else three(shape, axes)[1:]) == sides
        )
        if not fits:
            raise DataError(
                f"the {kind} have shape {one.shape}, their image {image.shape}",
                where=str(one.path),
                fix="labels are [H,W], [1,H,W] or [T,H,W], of the height and width of their image",
            )
        found.append(replace(one, shape=shape))
    return found
