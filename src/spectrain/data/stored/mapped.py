"""The bytes of one file or of thousands, read at many places at once without a copy too many."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError
from .filesystems import is_network

resource: ModuleType | None
try:
    import resource
except ImportError:  # Windows has none
    resource = None

Bytes = NDArray[np.void]

MOST = 1 << 62
"""Bytes that no file has; whole numbers up to here do not overflow when one is taken from another."""
_ADVISES = hasattr(mmap.mmap, "madvise")
_ANNOUNCED = 256
"""Gathers that announce their places after one that had to wait; the next one then finds out anew."""
_WHO = getattr(resource, "RUSAGE_THREAD", getattr(resource, "RUSAGE_SELF", 0))


class MappedFiles:
    """Files whose bytes are gathered a batch at a time.

    Local files are mapped into memory. To numpy the maps are one stretch of address space, so a batch is one C loop
    over addresses, whichever files it touches. Files on a network are read by ``preadv`` instead: there a page that
    cannot be fetched kills the process, a read that fails is an error. The same holds for file systems that cannot map.

    It pickles to paths and sizes, and opens on first use in each process. A forked child goes on with its parent's
    maps and descriptors, which is safe because nothing moves a file position.

    A mapped file that is cut kills whoever touches the lost pages (SIGBUS). So :meth:`check` looks at every file, and
    each read looks at the length of the files that it is about to touch; only a cut within that very read remains.

    Args:
        paths: the files.
        sizes: bytes that each must have; more is no error.
        mapped: False reads by ``preadv`` in any case; None decides by the file system.
    """

    def __init__(self, paths: Sequence[Path], sizes: Sequence[int], *, mapped: bool | None = None) -> None:
        self.paths = tuple(paths)
        self.sizes = tuple(sizes)
        self._mapped = mapped
        self._opened: _Maps | _Descriptors | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def gather(self, file: NDArray[np.int64], offset: NDArray[np.int64], length: int) -> Bytes:
        """Return ``length`` bytes each from many places, as an array [B] of ``length``-byte items.

        Args:
            file: [B], which file; or [1] where it is the same for all.
            offset: [B], where in the file; the caller sees to it that places lie within the file's stated size.
            length: bytes a place, at least 1.

        Raises:
            DataError: a file is shorter than it was, or cannot be read.
        """
        opened = self._open()
        self._expect_whole(set(file.tolist()), opened)
        if isinstance(opened, _Maps) and (view := opened.view(length)) is not None:
            return opened.gather(view, file, offset)
        out = np.empty(len(offset), dtype=np.dtype((np.void, length)))
        places = np.broadcast_to(file, offset.shape).tolist()
        with self._reading(places):
            for one, start in zip(places, offset.tolist(), strict=True):
                opened.announce(one, start, length)
            for row, (one, start) in enumerate(zip(places, offset.tolist(), strict=True)):
                opened.read_into(one, start, out[row : row + 1].view(np.uint8).data)
        return out

    def bytes_at(self, file: int, offset: int, length: int) -> memoryview | bytearray:
        """Return ``length`` bytes from one place; of a mapped file without copying them.

        Raises:
            DataError: the file is shorter than it was, or cannot be read.
        """
        opened = self._open()
        self._expect_whole((file,), opened)
        if isinstance(opened, _Maps):
            opened.announce(file, offset, length)
            return memoryview(opened.maps[file])[offset : offset + length]
        out = bytearray(length)
        with self._reading((file,)):
            opened.read_into(file, offset, memoryview(out))
        return out

    def check(self, files: Iterable[int] | None = None) -> None:
        """Raise a `DataError` where a file (one of ``files``, or any) is gone or shorter than it must be."""
        for file in range(len(self.paths)) if files is None else files:
            path, size = self.paths[file], self.sizes[file]
            try:
                found = path.stat().st_size
            except OSError as error:
                raise DataError(
                    f"a file of the data cannot be found any more: {error.strerror}",
                    where=str(path),
                    fix="put it back, then resume the run",
                ) from error
            if found < size:
                raise cut_short(path, found, size)

    def _open(self) -> _Maps | _Descriptors:
        """Return what this process reads by, opening it on first use."""
        if self._opened is None:
            self.check()
            mapped = not is_network(self.paths[0]) if self._mapped is None else self._mapped
            with self._reading(range(len(self.paths))):
                try:
                    self._opened = self._open_as(mapped)
                except OSError as error:
                    if error.errno != errno.EMFILE or not _raise_descriptor_limit():
                        raise
                    self._opened = self._open_as(mapped)
        return self._opened

    def _open_as(self, mapped: bool) -> _Maps | _Descriptors:
        if mapped:
            with contextlib.suppress(_CannotMapError):
                return _Maps(self.paths, self.sizes)
        return _Descriptors(self.paths)

    def _expect_whole(self, touched: Iterable[int], opened: _Maps | _Descriptors) -> None:
        """Raise unless the files that a read will touch are as long as they must be."""
        for file in touched:
            if (found := opened.size(file)) < self.sizes[file]:
                raise cut_short(self.paths[file], found, self.sizes[file])

    @contextlib.contextmanager
    def _reading(self, files: Sequence[int]) -> Iterator[None]:
        """Turn a failure of the system into a `DataError`."""
        try:
            yield
        except OSError as error:
            folder = self.paths[files[0]] if len(set(files)) == 1 else self.paths[0].parent
            many = error.errno == errno.EMFILE
            raise DataError(
                f"cannot read the data: {error.strerror or error}",
                where=str(folder),
                fix="allow more open files (ulimit -n), or write larger shards"
                if many
                else "see that the disk or network share answers, then resume the run",
            ) from error


class _CannotMapError(Exception):
    """The file system has no memory maps."""


class _Maps:
    """Files mapped into memory, seen as one stretch of address space.

    Left to itself, the system answers each touch of a page that it does not hold by reading megabytes around it, one
    touch after the other: at random places that is slow and pushes useful pages out. So it is told that places are
    random, and where pages prove to be missing, what will be touched is announced, so that all of it is fetched at
    once. Where all pages are held, which is seen from the count of page faults that had to wait, nothing is announced.
    """

    def __init__(self, paths: Sequence[Path], sizes: Sequence[int]) -> None:
        self.maps = [_map(path, size) for path, size in zip(paths, sizes, strict=True)]
        start = np.array([np.frombuffer(one, np.uint8).ctypes.data for one in self.maps], dtype=np.int64)
        self._lowest = int(start.min())
        self._span = int((start + np.asarray(sizes, dtype=np.int64)).max()) - self._lowest
        self.address = start - self._lowest
        self._views: dict[int, Bytes | None] = {}
        self._announced = 0

    def gather(self, view: Bytes, file: NDArray[np.int64], offset: NDArray[np.int64]) -> Bytes:
        """Return the items of a view at places of the files."""
        if self._announced:
            self._announced -= 1
            for one, start in zip(np.broadcast_to(file, offset.shape).tolist(), offset.tolist(), strict=True):
                self.announce(one, start, view.itemsize)
        faults = _waiting_faults()
        gathered: Bytes = view[self.address[file] + offset]
        if _waiting_faults() > faults:
            self._announced = _ANNOUNCED
        return gathered

    def size(self, file: int) -> int:
        return self.maps[file].size()

    def view(self, length: int) -> Bytes | None:
        """Return the stretch as items of ``length`` bytes, one beginning at each byte; None if numpy cannot count it.

        Only addresses inside a map may be used. The maps lie beside each other, but if something huge lies between
        them, the number of bytes that the overlapping items would take exceeds what numpy allows (2**63).
        """
        if length not in self._views:
            countable = self._span * length < 2**63
            self._views[length] = np.asarray(_Stretch(self, self._lowest, self._span, length)) if countable else None
        return self._views[length]

    def announce(self, file: int, offset: int, length: int) -> None:
        """Let the system fetch what will be read."""
        if _ADVISES:
            page = offset // mmap.PAGESIZE * mmap.PAGESIZE
            self.maps[file].madvise(mmap.MADV_WILLNEED, page, offset + length - page)

    def read_into(self, file: int, offset: int, out: memoryview) -> None:
        out[:] = memoryview(self.maps[file])[offset : offset + len(out)]


class _Stretch:
    """Tells numpy of a stretch of address space (the array interface protocol, version 3); keeps the maps alive."""

    def __init__(self, maps: _Maps, lowest: int, span: int, length: int) -> None:
        self._maps = maps.maps
        self.__array_interface__ = {
            "version": 3,
            "data": (lowest, True),
            "shape": (max(span - length + 1, 0),),
            "strides": (1,),
            "typestr": f"|V{length}",
        }


def _map(path: Path, size: int) -> mmap.mmap:
    """Map the first ``size`` bytes of a file for reading."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        made = mmap.mmap(descriptor, size, access=mmap.ACCESS_READ)
        if _ADVISES:
            made.madvise(mmap.MADV_RANDOM)
        return made
    except OSError as error:
        if error.errno in (errno.ENODEV, errno.EINVAL, errno.EACCES):
            raise _CannotMapError from error
        raise
    except ValueError as error:  # mmap's own word for a file that is too short
        raise cut_short(path, os.fstat(descriptor).st_size, size) from error
    finally:
        os.close(descriptor)


class _Descriptors:
    """Open files, read by position."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._descriptors: list[int] = []
        try:
            for path in paths:
                self._descriptors.append(os.open(path, os.O_RDONLY))
        except OSError:
            self.__del__()
            raise

    def __del__(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())

    def size(self, file: int) -> int:
        return os.fstat(self._descriptors[file]).st_size

    def announce(self, file: int, offset: int, length: int) -> None:
        """Let the system fetch what will be read, so that a batch waits for the network once, not once a row."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._descriptors[file], offset, length, os.POSIX_FADV_WILLNEED)

    def read_into(self, file: int, offset: int, out: memoryview) -> None:
        done = 0
        while done < len(out):
            count = os.preadv(self._descriptors[file], [out[done:]], offset + done)
            if count == 0:
                raise cut_short(self._paths[file], offset + done, offset + len(out))
            done += count


def cut_short(path: Path, found: int, size: int) -> DataError:
    """Return the error for a file that ends too early."""
    return DataError(
        f"the file is cut short: it has {found} bytes and must have {size}",
        where=str(path),
        fix="copy or write it again, whole; a run that was training from it can then be resumed",
    )


def expect_within(
    files: MappedFiles, file: NDArray[np.int64], offset: NDArray[np.int64], size: NDArray[np.int64]
) -> None:
    """Raise a `DataError` where a place ends beyond its file: reading there would read other memory, or die.

    No sum is compared: of the numbers that a damaged index may hold it overflows.

    Args:
        files: the files.
        file: [places], which file each place is in.
        offset: [places], where it begins; below 0 where nothing is stored.
        size: [places], its bytes, at most `MOST`.
    """
    length = np.asarray([*files.sizes, 0], dtype=np.int64)[file]
    late = (offset >= 0) & ((size < 0) | (size > length) | (offset > length - np.maximum(size, 0)))
    if late.any():
        place = int(np.flatnonzero(late)[0])
        end = int(offset[place]) + int(size[place])
        raise DataError(
            f"the file is damaged: its index places data up to byte {end}, it has {length[place]}",
            where=str(files.paths[int(file[place])]),
            fix="copy or write it again",
        )


def _waiting_faults() -> int:
    """Return how many page faults of this thread had to wait for a disk; 0 where the system does not count them."""
    return resource.getrusage(_WHO).ru_majflt if resource else 0


def _raise_descriptor_limit() -> bool:
    """Raise this process's soft limit of open files to the hard one; return whether that changed anything."""
    if resource is None:
        return False
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return False
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return True
