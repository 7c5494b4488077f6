"""The nearest embeddings by cosine, exactly, in bounded memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 22
"""Cosines at once: queries times rows of a block."""


def nearest(
    embeddings: NDArray[np.float32], queries: NDArray[np.int64], top: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the rows most similar to each query, the most similar first.

    A query itself is left out by its number, not by its rank: where another row is its double, that is its nearest.
    Rows with NaN (images without any valid pixel) are near to nothing. Of equal cosines the lower row comes first.

    Args:
        embeddings: [N,D], of any length.
        queries: [Q] row numbers.
        top: how many.

    Returns:
        Rows [Q,top] and cosines [Q,top]; -1 and NaN where there are not so many others.
    """
    count = len(embeddings)
    rows = np.full((len(queries), top), -1, np.int64)
    cosines = np.full((len(queries), top), np.nan, np.float32)
    block = max(1, _BLOCK // max(1, embeddings.shape[1]))
    asked = _unit(embeddings[queries])
    for start in range(0, len(queries), max(1, _BLOCK // block)):
        part = slice(start, start + max(1, _BLOCK // block))
        best_rows = np.full((len(asked[part]), 0), -1, np.int64)
        best = np.full(best_rows.shape, -np.inf, np.float32)
        for first in range(0, count, block):
            unit = _unit(embeddings[first : first + block])
            similar = asked[part] @ unit.T
            similar[np.isnan(similar)] = -np.inf
            numbers = np.arange(first, first + len(unit))
            similar[queries[part][:, None] == numbers] = -np.inf
            # those found so far stand first, and the sort is stable: of equals the lower row wins
            joined = np.concatenate([best, similar], axis=1)
            joined_rows = np.concatenate([best_rows, np.broadcast_to(numbers, similar.shape)], axis=1)
            order = _best(joined, top)
            best = np.take_along_axis(joined, order, axis=1)
            best_rows = np.take_along_axis(joined_rows, order, axis=1)
        found = np.isfinite(best)
        rows[part, : best.shape[1]] = np.where(found, best_rows, -1)
        cosines[part, : best.shape[1]] = np.where(found, best, np.nan)
    return rows, cosines


def _best(values: NDArray[np.float32], top: int) -> NDArray[np.int64]:
    """Return the places of the ``top`` largest of each row, in order; of equals the first."""
    if values.shape[1] > 8 * top:
        # a cheap threshold first: all that could be among the best, ties included, then the exact order of these few
        limit = np.partition(values, -top, axis=1)[:, -top, None]
        kept = int((values >= limit).sum(axis=1).max())
        if kept <= 8 * top:
            places = np.argsort(~(values >= limit), axis=1, kind="stable")[:, :kept]
            inner = np.argsort(-np.take_along_axis(values, places, axis=1), axis=1, kind="stable")[:, :top]
            return np.take_along_axis(places, inner, axis=1)
    return np.argsort(-values, axis=1, kind="stable")[:, :top]


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows of unit length; a row of zeros stays one."""
    rows = np.asarray(rows, np.float32)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (rows / np.where(length > 0, length, 1)).astype(np.float32)
    return unit
