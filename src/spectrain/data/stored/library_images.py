"""Images that only a library can read, a window at a time: HDF5 in chunks, rasters."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..window_grid import Places
from .mapped import MappedFiles
from .rows import StoredValues, native_order

OPEN = 16
"""Files that a process holds open at once; more would take the room of their caches."""

H = TypeVar("H")


class _Opened(Generic[H]):
    """The files that one process has open, the last used at the end; a library's handle is for one thread at a time."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.handles: OrderedDict[int, H] = OrderedDict()


class LibraryImages(ABC, Generic[H]):
    """Images [C,H,W], one a file, each read through a library's handle of its file.

    Handles are opened in each process when they are needed, and are not pickled.

    Args:
        files: one an image, with the sizes that they must keep.
        dtype: of the images.
        shapes: [M,3] channels, height and width of each.
    """

    def __init__(self, files: MappedFiles, dtype: np.dtype[Any], shapes: NDArray[np.int64]) -> None:
        self.shapes = shapes
        self.dtype = native_order(dtype)
        self._files = files
        self._opened: dict[int, _Opened[H]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": {}}

    @abstractmethod
    def _open(self, image: int) -> H:
        """Open the file of an image; raise a `DataError` where that fails."""

    @abstractmethod
    def _close(self, handle: H) -> None:
        """Close a file."""

    @abstractmethod
    def _window(self, handle: H, image: int, row: int, column: int, size: tuple[int, int]) -> StoredValues:
        """Read one window [C,h,w]; raise a `DataError` where that fails."""

    def take(self, places: Places, size: tuple[int, int]) -> StoredValues:
        """Return the windows at ``places`` [B,3] as [B,C,h,w]; those of a file are read one after the other.

        Raises:
            DataError: a file is gone, damaged, or shorter than it was.
        """
        out = np.empty((len(places), int(self.shapes[0, 0]), *size), dtype=self.dtype)
        self._files.check(np.unique(places[:, 0]).tolist())  # a library's cache would hide that a file was cut
        order = np.lexsort(places.T[::-1])
        before: int | None = None
        for place in order.tolist():
            if before is not None and (places[place] == places[before]).all():
                out[place] = out[before]
            else:
                image, row, column = places[place].tolist()
                with self._handle(image) as handle:
                    out[place] = self._window(handle, image, row, column, size)
            before = place
        return out

    @property
    def files(self) -> Sequence[Path]:
        """The files, one an image."""
        return self._files.paths

    def check(self) -> None:
        """Raise a `DataError` where a file is gone or shorter than it must be."""
        self._files.check()

    @contextmanager
    def _handle(self, image: int) -> Iterator[H]:
        opened = self._opened.setdefault(os.getpid(), _Opened())  # a forked child must not use its parent's
        with opened.lock:
            handle = opened.handles.pop(image, None)
            if handle is None:
                handle = self._open(image)
                if len(opened.handles) >= OPEN:
                    self._close(opened.handles.popitem(last=False)[1])
            opened.handles[image] = handle
            yield handle
