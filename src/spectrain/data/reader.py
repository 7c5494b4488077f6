"""What a reader is.

A new kind of file needs one class with the two functions of `Reader`, known to the registry as a ``reader``; its test
inherits the contract in ``tests/data/reader_contract.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ..config.schema import DatasetOptions
from .patches import Patches

ALL = "all"
"""The split that holds every patch, in data whose splits are drawn or listed."""


class Reader(Protocol):
    """Opens one kind of file or folder.

    A reader returns all channels as stored; :mod:`~spectrain.data.band_choice` then does what the options say of
    bands, scale, offset and nodata, for every reader alike.

    Attributes:
        description: what it recognises, for error messages: "HDF5 file with one dataset per split".
        pool: the split under which all patches are found that a splits file may choose from; None where that is the
            split that is trained on.

    More may be there. ``folded`` names the split that drawn folds are of, where it is not the one that is trained on;
    with ``always_folded`` the splits ``train`` and ``valid`` are parts of a fold whether one is chosen or not.
    ``own_splits`` is True where what a reader opens as a split is what the splits file of the data says already.
    ``splits_file(path)`` returns where folds are kept, if that is not splits.json in or beside the data.
    ``second_root`` is True where `dataset.labels_path` is understood.
    """

    description: str
    pool: str | None

    @staticmethod
    def recognises(path: Path) -> bool:
        """Return whether the content of ``path`` (it exists) is of this kind, quickly; raise nothing but `OSError`."""
        ...

    @staticmethod
    def splits(path: Path) -> list[str]:
        """Return the names of the splits in a file or folder that it recognises."""
        ...

    @staticmethod
    def open(path: Path, split_key: str, options: DatasetOptions) -> Patches:
        """Return one split.

        Raises:
            DataError: no such split, or damaged, or not of a shape that images have.
        """
        ...
