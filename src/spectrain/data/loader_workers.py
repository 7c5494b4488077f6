"""Worker processes that read batches: one pipe and a little shared memory each, nothing in common between them.

torch's DataLoader sends every tensor as a file descriptor through a socket of its own, and its workers share one queue
whose lock dies with them. Here a batch is pickled with its tensors' bytes laid beside it in memory that was shared
before the fork, and a worker may be killed at any moment without harm to the others.
"""

from __future__ import annotations

import io
import mmap
import multiprocessing
import os
import pickle
import signal
import sys
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.batch import RawBatch
from ..core.errors import RunError, SpectrainError

Read = Callable[[NDArray[np.int64]], RawBatch]

_ORPHAN_CHECK_S = 1.0


class Workers:
    """Processes that read batches, answered in the order they were asked for.

    Args:
        start: makes the function that reads, within the worker; pickled or forked into it.
        count: processes.
        depth: batches that may be asked of a worker and not yet answered.
        capacity: bytes of shared memory a batch; what does not fit goes through the pipe, at half the speed.
            Untouched bytes take no memory.
        pin: answer in page-locked memory.
    """

    def __init__(self, start: Callable[[], Read], count: int, depth: int, capacity: int, pin: bool) -> None:
        # a fork is there at once, where a fresh interpreter imports torch first; workers touch no accelerator
        forks = sys.platform == "linux" and "fork" in multiprocessing.get_all_start_methods()
        context: Any = multiprocessing.get_context("fork" if forks else "spawn")
        self._depth, self._capacity, self._pin = depth, capacity if forks else 0, pin
        self._asked: deque[tuple[int, int]] = deque()
        self._sent = 0
        self._death: RunError | None = None
        self._pipes: list[Connection] = []
        self._slots: list[mmap.mmap | None] = []
        self._processes: list[Any] = []
        for number in range(count):
            mine, its = context.Pipe()
            # anonymous, hence not bounded by the size of /dev/shm
            slots = mmap.mmap(-1, max(1, depth * self._capacity)) if forks else None
            arguments = (start, its, slots, depth, self._capacity)
            process = context.Process(target=_work, args=arguments, name=f"spectrain-{number}", daemon=True)
            process.start()
            its.close()
            self._pipes.append(mine)
            self._slots.append(slots)
            self._processes.append(process)
        self._end = weakref.finalize(self, _kill, self._processes, self._pipes)

    def ask(self, index: NDArray[np.int64]) -> None:
        """Ask the next worker in turn for a batch."""
        worker, task = self._sent % len(self._pipes), self._sent // len(self._pipes)
        self._sent += 1
        self._asked.append((worker, task))
        try:
            self._pipes[worker].send(index)
        except OSError:
            # it died; whoever waits for the answer learns of it
            return

    def answer(self) -> RawBatch:
        """Wait for the oldest batch asked for, and return it in memory of its own.

        Raises:
            RunError: a worker died; from then on every answer is this error.
            Exception: what reading raised in the worker.
        """
        header, buffers = self._receive()
        answer: RawBatch | BaseException = pickle.loads(header, buffers=buffers)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def forget(self, count: int) -> None:
        """Throw away the next answers, as nobody waits for them any more."""
        for _ in range(count):
            self._receive()

    def close(self) -> None:
        """End the processes, at once: they only read, and nothing is shared between them."""
        self._end()

    def _receive(self) -> tuple[bytes, list[Tensor]]:
        """Return the oldest batch as a pickle and the bytes of its tensors."""
        if self._death is not None:
            raise self._death
        worker, task = self._asked.popleft()
        process, pipe, slots = self._processes[worker], self._pipes[worker], self._slots[worker]
        try:
            if pipe not in wait([pipe, process.sentinel]):
                raise EOFError
            header = pipe.recv_bytes()
            offset = task % self._depth * self._capacity
            buffers = []
            for size in pipe.recv():
                buffer = torch.empty(abs(size), dtype=torch.uint8, pin_memory=self._pin)
                if size < 0 or slots is None:
                    pipe.recv_bytes_into(buffer.numpy().data)
                else:
                    buffer.copy_(torch.frombuffer(slots, dtype=torch.uint8, count=size, offset=offset))
                    offset += _aligned(size)
                buffers.append(buffer)
        except (EOFError, OSError):
            process.join(_ORPHAN_CHECK_S)
            # kept, as the answers that are still due no longer match what was asked
            self._death = _death(process.exitcode)
            raise self._death from None
        return header, buffers


def _work(start: Callable[[], Read], pipe: Connection, slots: mmap.mmap | None, depth: int, capacity: int) -> None:
    """Answer until the pipe closes."""
    # Ctrl-C and a request to end are for the main process, which may still want batches while it saves
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    parent = os.getppid()
    read: Read | None = None
    task = 0
    while True:
        # the fork copied the other end of the pipe as well, so it does not close with who asked
        while not pipe.poll(_ORPHAN_CHECK_S):
            if os.getppid() != parent:
                return
        try:
            index = pipe.recv()
        except (EOFError, OSError):
            return
        answer: RawBatch | BaseException
        try:
            read = read or start()
            answer = read(index)
        except Exception as error:
            if not isinstance(error, SpectrainError):
                error.add_note(f"in a process that reads data:\n{traceback.format_exc()}")
            answer = error
        try:
            _send(pipe, answer, slots, task % depth * capacity, capacity)
        except OSError:
            return
        task += 1


def _send(pipe: Connection, answer: Any, slots: mmap.mmap | None, offset: int, capacity: int) -> None:
    """Send an answer: header and sizes, its tensors in the slot as far as they fit, the others after them."""
    header, buffers = _pickled(answer)
    sizes, late, free = [], [], capacity
    for buffer in buffers:
        size = len(buffer)
        if slots is not None and _aligned(size) <= free:
            torch.frombuffer(slots, dtype=torch.uint8, count=size, offset=offset).copy_(buffer)
            offset, free = offset + _aligned(size), free - _aligned(size)
            sizes.append(size)
        else:
            sizes.append(-size)
            late.append(buffer)
    pipe.send_bytes(header)
    pipe.send(sizes)
    for buffer in late:
        pipe.send_bytes(buffer.numpy().data)


class _Pickler(pickle.Pickler):
    """Pickles with the bytes of tensors left out and collected in ``buffers``."""

    def __init__(self, file: io.BytesIO) -> None:
        self.buffers: list[Tensor] = []
        super().__init__(file, protocol=5, buffer_callback=lambda buffer: None)

    def reducer_override(self, thing: Any) -> Any:
        if not isinstance(thing, Tensor) or thing.numel() == 0:
            return NotImplemented
        flat = thing.detach().contiguous().reshape(-1).view(torch.uint8)
        self.buffers.append(flat)
        return _tensor, (pickle.PickleBuffer(flat.numpy().data), thing.dtype, tuple(thing.shape))


def _pickled(thing: Any) -> tuple[bytes, Sequence[Tensor]]:
    """Return the pickle without tensors, and the tensors as bytes."""
    file = io.BytesIO()
    pickler = _Pickler(file)
    try:
        pickler.dump(thing)
    except Exception:  # an exception that holds what cannot be pickled
        return pickle.dumps(RuntimeError(f"{type(thing).__name__}: {thing}")), ()
    return file.getvalue(), pickler.buffers


def _tensor(flat: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    """Make a tensor of its bytes again."""
    return flat.view(dtype).reshape(shape)


def _aligned(size: int) -> int:
    """Return the size rounded up to a cache line."""
    return -(-size // 64) * 64


def _kill(processes: list[Any], pipes: list[Connection]) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.join()
    for pipe in pipes:
        pipe.close()


def _death(exitcode: int | None) -> RunError:
    """Return the error for a worker that ended with this exit code, with the likely cause."""
    if exitcode is None or exitcode >= 0:
        how, fix = f"exit code {exitcode}", "general.num_workers=0 reads without processes, and shows the error"
    else:
        how = signal.Signals(-exitcode).name
        fix = {
            "SIGKILL": "memory ran out, most likely: lower general.num_workers or hparams.batch_size",
            "SIGBUS": "the data file was cut while it was read, or memory for files ran out: check the file",
        }.get(how, "general.num_workers=0 reads without processes")
    return RunError(f"a process that reads data died ({how})", fix=fix)
