"""Which chunks of an array hold which rows, and where these go in a batch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

ChunkSlices = tuple[slice, ...]
Stretches = tuple[tuple[slice, slice], ...]


def chunk_windows(shape: tuple[int, ...], chunk: tuple[int, ...]) -> Iterator[tuple[ChunkSlices, ChunkSlices]]:
    """Yield, for each chunk across a row, where it lies in the row and which part of it lies inside."""
    grid = (range(0, length, step) for length, step in zip(shape, chunk, strict=True))
    for corner in itertools.product(*grid):
        ends = [min(at + step, length) for at, step, length in zip(corner, chunk, shape, strict=True)]
        yield (
            tuple(slice(at, end) for at, end in zip(corner, ends, strict=True)),
            tuple(slice(0, end - at) for at, end in zip(corner, ends, strict=True)),
        )


def rows_by_block(index: NDArray[np.int64], rows: int) -> Iterator[tuple[int, Stretches]]:
    """Yield, for each block of ``rows`` rows that the index touches, slices from its rows to places of the batch."""
    order = np.argsort(index, kind="stable")
    blocks: dict[int, list[list[int]]] = {}
    for place, row in zip(order.tolist(), index[order].tolist(), strict=True):
        block, within = divmod(row, rows)
        runs = blocks.setdefault(block, [])
        if runs and (within, place) == (runs[-1][0] + runs[-1][2], runs[-1][1] + runs[-1][2]):
            runs[-1][2] += 1  # the neighbour of the row before, and goes beside it
        else:
            runs.append([within, place, 1])
    for block, runs in blocks.items():
        yield block, tuple((slice(a, a + length), slice(b, b + length)) for a, b, length in runs)
