"""Short hashes: of what patches are, so that a run can tell whether it goes on with the same data, and of files.

The fingerprint looks at content, of 64 patches at most: it is that of any copy, and does not see an edit in place of
other patches. The stamp looks at the files' names, sizes and dates: it sees every edit that sets them, and no copy has
the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from .patches import Patches

SAMPLED = 64
_READ_BYTES = 32 * 2**20


def content_fingerprint(patches: Patches, also: str = "") -> str:
    """Return 32 hexadecimal digits that depend on bands, type, shape and the content of up to 64 patches.

    Where a patch is stored, how it is packed, the split's name and the file's date do not matter: a copy has the same
    fingerprint. The patches looked at are spread evenly, the first and the last among them. So where a file of more
    than 64 patches is edited in place and none of those looked at changes, the fingerprint stays: a resumed run then
    goes on without a word, with the statistics and the promise of completeness that were taken of the old content.
    What is kept between runs asks :func:`files_stamp` besides.

    Args:
        patches: to be described; their images, masks and labels are read.
        also: something else that it shall depend on, such as the hash of a manifest.
    """
    chosen = np.unique(np.linspace(0, len(patches) - 1, SAMPLED).round().astype(np.int64))
    facts: dict[str, Any] = {
        "bands": patches.bands.to_json(),
        "dtype": patches.dtype.name,
        "shape": list(patches.shape),
        "also": also,
    }
    row_bytes = int(np.prod(patches.shape[1:], dtype=np.int64)) * patches.dtype.itemsize
    step = max(1, _READ_BYTES // row_bytes)
    crc: dict[str, int] = {}
    for start in range(0, len(chosen), step):
        rows = patches.read(chosen[start : start + step])
        for name, values in (("image", rows.image), ("mask", rows.mask), ("labels", rows.labels)):
            if values is not None:
                stored = _little_bytes(np.asarray(values))
                facts[name] = crc[name] = google_crc32c.extend(crc.get(name, 0), stored)
    text = json.dumps(facts, sort_keys=True).encode()
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def files_stamp(files: Iterable[Path], also: bytes = b"") -> str | None:
    """Return 32 hexadecimal digits that depend on each file's place, size and time of change; None where one is gone.

    An edit that keeps size and time (``touch -r``; two within the clock tick of the file system) is not seen, nor one
    of a file that these only point to, such as an external dataset of HDF5.

    Args:
        files: in order.
        also: something else that it shall depend on, such as which windows are cut from them.
    """
    whole = hashlib.blake2b(also, digest_size=16)
    try:
        for file in files:
            stat = file.stat()
            whole.update(f"\n{file.absolute()} {stat.st_size} {stat.st_mtime_ns}".encode(errors="surrogateescape"))
    except OSError:
        return None
    return whole.hexdigest()


def _little_bytes(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return the values' bytes, the same on every machine."""
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return np.ascontiguousarray(little).reshape(-1).view(np.uint8)
