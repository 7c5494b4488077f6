"""The patches of one scene on disk until all scenes are there: a folder, renamed into place when complete.

A part is named by what it was made from and how (options, and size and date of each file), so one that is there is
right.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.atomic import Mending, disk_errors, sync_file
from ..core.bands import Bands
from ..core.errors import DataError
from ..data.patches import Rows
from .resampling import Valid

if TYPE_CHECKING:
    import pandas as pd

    from .cutting import Patch


class DiskError(DataError):
    """Nothing can be written: no other scene can be either."""


OF_SCENES = Mending(
    DiskError,
    "free space and give the same command again: it goes on where it stood",
    "see that the folder may be written, or choose another",
)

DONE, TABLE = "part.json", "table.json"
VERSION = 3
"""Of what is in a part; a change makes all anew."""


def part_key(record: Mapping[str, Any], files: Sequence[Path]) -> str:
    """Return the name of the part made of some files under some options.

    Raises:
        DataError: a file is gone.
    """
    stats = file_stats(files)
    text = json.dumps([VERSION, record, stats], sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def file_stats(files: Sequence[Path]) -> list[list[str | int]]:
    """Return place, size and date of each file.

    Raises:
        DataError: a file is gone.
    """
    stats: list[list[str | int]] = []
    for path in files:
        try:
            stat = path.stat()
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", where=str(path), fix="put it back") from error
        stats.append([str(path.absolute()), stat.st_size, stat.st_mtime_ns])
    return stats


@dataclass(frozen=True)
class Part:
    """A complete part.

    Attributes:
        folder: where it is.
        about: its part.json.
    """

    folder: Path
    about: dict[str, Any]

    @classmethod
    def find(cls, folder: Path) -> Part | None:
        """Return the part of a folder; None where there is none that is whole."""
        try:
            about = json.loads((folder / DONE).read_bytes())
            sizes = about["files"]
        except (OSError, ValueError, LookupError, TypeError):
            return None
        whole = all(
            (folder / name).is_file() and (folder / name).stat().st_size == size for name, size in sizes.items()
        )
        return cls(folder, about) if whole else None

    def __len__(self) -> int:
        return int(self.about["count"])

    @property
    def bands(self) -> Bands:
        """Of its images."""
        return Bands.from_json(self.about["bands"])

    def table(self) -> pd.DataFrame:
        """Return one row a patch; the geometry as WKB."""
        import pandas as pd

        columns = json.loads((self.folder / TABLE).read_bytes())
        if "geometry" in columns:
            columns["geometry"] = [bytes.fromhex(one) for one in columns["geometry"]]
        return pd.DataFrame(columns)

    def rows(self, index: NDArray[np.int64], *, masked: bool) -> Rows:
        """Return some patches.

        Args:
            index: [B].
            masked: give a mask, everything observed, where there is none.
        """
        image, mask, labels = (self._array(name) for name in ("x", "mask", "y"))
        assert image is not None
        shape = (len(index), 1, *image.shape[2:])
        held: Valid | None = np.ones(shape, dtype=bool) if masked else None
        return Rows(
            np.ascontiguousarray(image[index]),
            np.ascontiguousarray(mask[index]).astype(bool) if mask is not None else held,
            None if labels is None else np.ascontiguousarray(labels[index]),
        )

    def _array(self, name: str) -> NDArray[Any] | None:
        said = self.about["arrays"].get(name)
        if said is None:
            return None
        found: NDArray[Any] = np.memmap(self.folder / name, np.dtype(said["dtype"]), "r", shape=tuple(said["shape"]))
        return found


def write_part(
    folder: Path,
    patches: Iterator[Patch],
    table: Any,
    about: Mapping[str, Any],
    dropped: Counter[str],
) -> Part:
    """Write the patches of a scene, one at a time, and rename the folder into place.

    Args:
        folder: to be.
        patches: of the scene.
        table: makes the columns of the table: (places, shares) -> columns.
        about: what part.json says besides.
        dropped: counted while the patches are made.

    Raises:
        DataError: the disk is full; nothing is left behind.
    """
    made = folder.with_name(f".{folder.name}.partial-{os.getpid()}-{os.urandom(4).hex()}")
    places: list[tuple[int, int]] = []
    shares: list[tuple[float, float, float]] = []
    shapes: dict[str, dict[str, Any]] = {}
    padded = 0
    try:
        with disk_errors(folder, OF_SCENES):
            made.mkdir(parents=True)
            with (made / "x").open("wb") as x, (made / "mask").open("wb") as mask, (made / "y").open("wb") as y:
                for patch in patches:
                    for name, file, part in (("x", x, patch.image), ("mask", mask, patch.mask), ("y", y, patch.labels)):
                        if part is not None:
                            shapes.setdefault(name, {"dtype": part.dtype.str, "shape": [0, *part.shape]})
                            file.write(np.ascontiguousarray(part).data)
                            shapes[name]["shape"][0] = len(places) + 1
                    places.append(patch.place)
                    shares.append((patch.positive, patch.labelled, patch.valid))
                    padded += patch.padded
                for name, file in (("x", x), ("mask", mask), ("y", y)):
                    if name in shapes:
                        sync_file(file)
            for name in ("x", "mask", "y"):
                if name not in shapes:
                    (made / name).unlink()
            (made / TABLE).write_text(json.dumps(table(places, shares)))
            sizes = {name: (made / name).stat().st_size for name in (*shapes, TABLE)}
            record = {
                **about,
                "count": len(places),
                "padded": padded,
                "dropped": dict(sorted(dropped.items())),
                "arrays": shapes,
                "files": sizes,
            }
            (made / DONE).write_text(json.dumps(record))  # what a power cut makes of it is no JSON
            shutil.rmtree(folder, ignore_errors=True)
            made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    found = Part.find(folder)
    assert found is not None
    return found
