"""Zip archives as `torch.save` writes them: every entry as it is, none compressed."""

from __future__ import annotations

import zipfile
from pathlib import Path

from .damage import reading
from .errors import DataError, SpectrainError


def expect_stored(path: Path, kind: type[SpectrainError] = DataError) -> None:
    """Raise where reading an archive would take more memory than the file is large; what is no archive is left alone.

    `torch.load` unpacks compressed entries, of which a megabyte may hold a gigabyte, and entries may share bytes.

    Args:
        path: the file.
        kind: the error to raise.

    Raises:
        SpectrainError: of that kind: an entry is compressed, entries overlap, or the archive is damaged.
    """
    if not zipfile.is_zipfile(path):
        return
    with reading(path, kind), zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    packed = [one.filename for one in entries if one.compress_type != zipfile.ZIP_STORED]
    if packed or sum(one.file_size for one in entries) > path.stat().st_size:
        what = f"holds a compressed entry, {packed[0]!r}" if packed else "holds entries that overlap"
        raise kind(
            f"the archive {what}, which torch.save does not write",
            where=str(path),
            fix="save the weights anew with torch.save",
        )
