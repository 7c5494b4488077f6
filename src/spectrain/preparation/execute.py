"""Jobs one after the other, in processes, or on the workers of a dask scheduler; the results are the same."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from ..core.errors import DataError, needs
from .job import Job, Outcome, work

log = logging.getLogger("spectrain")


def execute(jobs: Sequence[Job], *, workers: int = 1, scheduler: str | None = None) -> Iterator[Outcome]:
    """Yield what became of each job, as they are done.

    Args:
        jobs: what is to be done.
        workers: processes.
        scheduler: address of a dask scheduler, or None.

    Raises:
        DataError: the scheduler is not there, or a process was killed.
    """
    if scheduler is not None:
        yield from _on_dask(jobs, scheduler)
    elif workers > 1 and len(jobs) > 1:
        yield from _in_processes(jobs, min(workers, len(jobs)))
    else:
        yield from map(work, jobs)


def _in_processes(jobs: Sequence[Job], workers: int) -> Iterator[Outcome]:
    # a forked child would share handles and locks of the raster library
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        for done in as_completed([pool.submit(work, job) for job in jobs]):
            yield done.result()
    except BrokenProcessPool as error:
        raise DataError(
            "a process was killed, most likely for want of memory",
            where="workers",
            fix="give fewer workers, or a smaller patch-size, and the same command again: it goes on where it stood",
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _on_dask(jobs: Sequence[Job], scheduler: str) -> Iterator[Outcome]:
    with needs("cluster", "for a scheduler", otherwise=", or workers=N"):
        import distributed

        library: Any = distributed
    try:
        client = library.Client(scheduler, timeout="10s")
    except (OSError, TimeoutError, ValueError) as error:
        raise DataError(
            f"no dask scheduler answers: {error}",
            where=scheduler,
            fix="start one with dask scheduler, or give workers=N",
        ) from error
    with client:
        log.info("%s workers of %s", len(client.scheduler_info(n_workers=-1)["workers"]), scheduler)
        tasks = client.map(work, list(jobs), pure=False)
        try:
            for done in library.as_completed(tasks):
                yield done.result()
        finally:
            client.cancel(tasks)
