"""Files that are written whole or not at all, also when the disk is full or the process is killed."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

from .errors import RunError, SpectrainError

FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True)
class Mending:
    """What a failure to write is, and what the user can do about it.

    Attributes:
        kind: the error to raise.
        full: what to do where the disk is full.
        other: what to do where the place cannot be written.
    """

    kind: type[SpectrainError]
    full: str
    other: str


OF_RUN = Mending(
    RunError,
    "free space there, then go on with --resume and the run folder; nothing was half written",
    "choose another place with artifact_dir, or mend the rights of the folder",
)


OF_OUTPUT = Mending(
    RunError,
    "free space there and give the same command again; nothing was half written",
    "name another output, or mend the rights of the folder",
)


def atomic_write(
    path: Path | str,
    content: bytes | memoryview | str | Callable[[BinaryIO], None],
    mending: Mending = OF_RUN,
) -> None:
    """Write a file so that a reader sees either what was there before or all of the new content.

    Writes beside the target, flushes to the disk, renames and flushes the folder, so that it survives a power cut too.

    Args:
        path: the file; its folder must exist.
        content: bytes, text (UTF-8), or a function that writes to an open binary file.
        mending: what is said where it cannot be written.

    Raises:
        RunError: (or what ``mending`` names) the disk is full or the folder cannot be written; what was there before is
            untouched.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}.tmp")
    with disk_errors(path, mending):
        file = _Watched(io.FileIO(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), "r+"))
        try:
            with file:
                if callable(content):
                    content(file)
                else:
                    file.write(content.encode() if isinstance(content, str) else content)
                sync_file(file)
            os.replace(temporary, path)  # noqa: PTH105 - the call that a test makes fail
        except BaseException:
            temporary.unlink(missing_ok=True)
            if file.error is not None:  # a library may have turned it into an error of its own
                raise file.error from None
            raise
        sync_folder(path.parent)


def atomic_link(path: Path | str, other: Path | str) -> bool:
    """Give the file ``other`` the second name ``path``, which costs no space; what was there before is replaced.

    For files that are only ever written whole: who replaces one of the names leaves the other as it is.

    Returns:
        False where the file system has no links, or the names lie on two; nothing has changed then.

    Raises:
        RunError: the folder cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}.tmp")
    try:
        os.link(other, temporary)
    except OSError:
        return False
    with disk_errors(path):
        try:
            os.replace(temporary, path)  # noqa: PTH105 - the call that a test makes fail
        finally:
            temporary.unlink(missing_ok=True)  # still there where both names were one file's already
        sync_folder(path.parent)
    return True


def append(path: Path | str, text: str, *, sync: bool = False) -> None:
    """Add text to the end of a file, all of it or nothing.

    Args:
        path: the file; made where it is missing.
        text: whole lines, each with its line break.
        sync: wait until it is on the disk.

    Raises:
        RunError: the disk is full or the file cannot be written; it has the length it had before.
    """
    path = Path(path)
    with disk_errors(path), path.open("ab", buffering=0) as file:
        before = file.tell()
        data = memoryview(text.encode())
        try:
            while data:
                data = data[file.write(data) :]
            if sync:
                os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                file.truncate(before)
            raise


def sync_file(file: IO[Any]) -> None:
    """Wait until what was written to an open file is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of names to the disk; file systems that cannot are left alone."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def remove_leftovers(folder: Path) -> None:
    """Remove the half-written files that a killed process left in a folder."""
    for temporary in folder.glob(".*.tmp"):
        temporary.unlink(missing_ok=True)


@contextmanager
def disk_errors(path: Path, mending: Mending = OF_RUN) -> Iterator[None]:
    """Turn a failure to write ``path`` into a `RunError`, or what ``mending`` names, that says how to mend it."""
    try:
        yield
    except OSError as error:
        full = error.errno in FULL
        raise mending.kind(
            "the disk is full" if full else f"cannot be written: {error.strerror or error}",
            where=str(path),
            fix=mending.full if full else mending.other,
        ) from error


class _Watched(io.BufferedRandom):
    """A file that remembers why a write failed, whatever the library that wrote makes of it."""

    error: OSError | None = None

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self.error = error
            raise
