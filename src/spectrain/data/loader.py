"""From lists of indices to batches in memory, read ahead of who consumes them. Draws no random number."""

from __future__ import annotations

import pickle
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.batch import RawBatch
from ..core.closing import Closing
from ..core.errors import RunError
from ..core.targets import NoTarget, Target
from .loader_workers import Read, Workers
from .mixture import Mixture, datasets_of
from .patches import Patches
from .sparse_labels import Labels

DEPTH = 2
"""Batches read ahead, by the thread or by each worker."""

Targets = Callable[[Labels | None], Target]


def no_targets(labels: Labels | None) -> Target:
    """Return `NoTarget`, whatever the labels."""
    return NoTarget()


class Loader(Closing):
    """Reads batches of patches ahead of who consumes them, on a thread.

    With 0 workers the thread itself reads, which is enough where files are mapped and not compressed. Workers are
    processes that live until `close`, with file handles of their own and one thread each; each reads whole batches.

    Args:
        patches: what to read from.
        targets: turns stored labels [B, ...] into a target; called where the batch is read.
        num_workers: processes; 0 for none.
        pin_memory: put batches in page-locked memory; ignored where there is no accelerator.

    Attributes:
        waited_s: seconds that consumers waited for batches, since the loader was made.
    """

    def __init__(
        self,
        patches: Patches,
        targets: Targets = no_targets,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        self.patches = patches
        self.targets = targets
        self.num_workers = num_workers
        self.waited_s = 0.0
        self._unwanted = 0
        self._pin = pin_memory and torch.accelerator.is_available()
        self._thread: ThreadPoolExecutor | None = None
        self._source: _Here | Workers | None = None
        self._current: Generator[RawBatch, None, None] | None = None

    def load(self, batches: Iterable[NDArray[np.int64]]) -> Generator[RawBatch, None, None]:
        """Return an iterator over the batches at these indices, in their order.

        An index of -1 stands for "no sample": the row holds some other and keeps the index -1. A call ends the
        iteration of the call before; closing the iterator early leaves nothing behind.

        Raises:
            DataError: the file is shorter than it was, now or while reading; what the reader or ``targets`` raise.
            RunError: a worker process died.
        """
        self.patches.check()
        if self._current is not None:
            self._current.close()
        self._current = self._load(batches)
        return self._current

    def close(self) -> None:
        """End the thread and the workers; the next `load` starts them again."""
        if self._current is not None:
            self._current.close()
        if self._source is not None:
            self._source.close()
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)
        self._current = self._source = self._thread = None
        self._unwanted = 0

    def _load(self, batches: Iterable[NDArray[np.int64]]) -> Generator[RawBatch, None, None]:
        indices = iter(batches)
        ahead: deque[Future[RawBatch]] = deque()
        first = list(islice(indices, DEPTH * max(1, self.num_workers)))
        source = self._source = self._source or self._begin(max(map(len, first), default=0))
        thread = self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="spectrain-loader")

        if self._unwanted:
            thread.submit(source.forget, self._unwanted)
            self._unwanted = 0

        def ask(index: NDArray[np.int64]) -> None:
            source.ask(index)
            ahead.append(thread.submit(source.answer))

        try:
            for index in first:
                ask(index)
            while ahead:
                start = time.perf_counter()
                batch = ahead.popleft().result()
                self.waited_s += time.perf_counter() - start
                for index in islice(indices, 1):
                    ask(index)
                yield batch
        except RunError:
            source.close()
            self._source = None
            ahead.clear()
            raise
        finally:
            # nothing is started here, as the interpreter may be on its way out
            self._unwanted = sum(future.cancel() for future in ahead)

    def _begin(self, rows: int) -> _Here | Workers:
        if self.num_workers == 0:
            return _Here(_Reader(self.patches, self.targets), self._pin)
        # image, mask and labels in shared memory: the latter guessed, at the cost of addresses only
        row = max(_row_bytes(dataset) for dataset in datasets_of(self.patches))
        start = partial(_reader, pickle.dumps(self.patches), self.targets)
        return Workers(start, self.num_workers, DEPTH, rows * row + (1 << 20), self._pin)


def _row_bytes(patches: Patches) -> int:
    _, bands, height, width = patches.shape
    return height * width * (bands * (patches.dtype.itemsize + patches.has_mask) + 16)


@dataclass(slots=True)
class _Reader:
    """Reads one whole batch."""

    patches: Patches
    targets: Targets

    def __call__(self, index: NDArray[np.int64]) -> RawBatch:
        # what stands in rows that only fill up is one of the batch's own samples, of whatever data set it is
        rows = self.patches.read(np.where(index < 0, max(index.max(initial=0), 0), index))
        return RawBatch(
            image=_tensor(rows.image),
            mask=None if rows.mask is None else _tensor(rows.mask),
            target=self.targets(rows.labels),
            index=_tensor(index),
            dataset=self.patches.dataset_of(index) if isinstance(self.patches, Mixture) else 0,
        )


def _reader(patches: bytes, targets: Targets) -> Read:
    """Begin a worker's reading; unpickled patches have no handles yet, whatever the fork inherited."""
    return _Reader(pickle.loads(patches), targets)


@dataclass(slots=True)
class _Here:
    """Answers like `Workers`, by reading when asked for the answer."""

    read: Read
    pin: bool
    asked: deque[NDArray[np.int64]] = field(default_factory=deque)

    def ask(self, index: NDArray[np.int64]) -> None:
        self.asked.append(index)

    def answer(self) -> RawBatch:
        batch = self.read(self.asked.popleft())
        return batch.pin_memory() if self.pin else batch

    def forget(self, count: int) -> None:
        for _ in range(count):
            self.asked.popleft()

    def close(self) -> None:
        self.asked.clear()


def _tensor(array: NDArray[Any]) -> Tensor:
    """Return the array as a tensor, on the same memory where torch can use it."""
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return torch.from_numpy(np.require(native, requirements=["C", "W"]))
