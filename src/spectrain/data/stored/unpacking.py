"""What unpacking of compressed chunks shares in one process: threads to do it, and a memory of what was unpacked."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

CACHE_BYTES = 128 * 2**20
"""Unpacked chunks kept in one process, all files together."""

T = TypeVar("T")


class ChunkCache:
    """The chunks used last, up to a number of bytes; safe between threads."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self._chunks: OrderedDict[tuple[int, int], NDArray[np.uint8]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[int, int]) -> NDArray[np.uint8] | None:
        """Return a chunk and count it as just used; None where it is not held."""
        with self._lock:
            if (chunk := self._chunks.get(key)) is not None:
                self._chunks.move_to_end(key)
            return chunk

    def put(self, key: tuple[int, int], chunk: NDArray[np.uint8]) -> None:
        """Hold a chunk, letting go of those not used for longest; one larger than the limit is not held."""
        if chunk.nbytes > self.limit:
            return
        with self._lock:
            if (before := self._chunks.pop(key, None)) is not None:
                self.held -= before.nbytes
            self._chunks[key] = chunk
            self.held += chunk.nbytes
            while self.held > self.limit:
                self.held -= self._chunks.popitem(last=False)[1].nbytes

    def forget(self) -> None:
        """Hold nothing, with a new lock: after a fork the old one may be held by a thread that the child lacks."""
        self.held = 0
        self._chunks = OrderedDict()
        self._lock = threading.Lock()


cache = ChunkCache(CACHE_BYTES)
array_numbers = itertools.count()
"""Whose chunks are whose in the cache: every array of this process takes one, whatever kind of file it is in."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=cache.forget)


def in_threads(work: Callable[[T], None], tasks: Sequence[T]) -> None:
    """Do the tasks on all cores and wait; the first error is raised."""

    def some(first: int) -> None:
        for task in tasks[first::pieces]:
            work(task)

    pool = _pool(os.getpid()) if len(tasks) > 1 else None
    # a few pieces a thread, so that none waits long for another, and not one a task, as handing over costs too
    pieces = min(len(tasks), 4 * threads()) if pool else 1
    for _ in map(some, range(pieces)) if pool is None else pool.map(some, range(pieces)):
        pass


def threads() -> int:
    """Return how many threads this process unpacks with.

    A loader's worker has one, as there are about as many workers as cores; processes that train together share.
    """
    if multiprocessing.parent_process() is not None:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(16, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


@lru_cache(maxsize=1)
def _pool(process: int) -> ThreadPoolExecutor | None:
    """Return this process's threads, None for one; a forked child does not have its parent's."""
    return ThreadPoolExecutor(count, thread_name_prefix="unpack") if (count := threads()) > 1 else None
