"""Work on a batch in pieces that stay in a CPU's cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

_FEWEST_BANDS = 4
"""Bands that are worked on together even where they leave the cache: what they share is worked out once."""


def pieces(values: Tensor, at_once: int) -> Iterator[slice]:
    """Yield slices of rows, each of at most ``at_once`` values (but one row) on a CPU.

    One slice on other devices, and for torch.compile, which makes pieces of its own.

    Args:
        values: [B, ...]; an empty batch is one empty slice.
        at_once: how many values.
    """
    count = values.shape[0]
    step = max(1, count)
    if values.device.type == "cpu" and not torch.compiler.is_compiling():
        step = max(1, at_once // max(1, values[:1].numel()))
    for start in range(0, max(1, count), step):
        yield slice(start, min(start + step, count))


def groups(values: Tensor, at_once: int) -> Iterator[slice]:
    """Yield slices of the bands of [b,C,...], each of about ``at_once`` values on a CPU; one slice on other devices."""
    count = values.shape[1]
    step = max(1, count)
    if values.device.type == "cpu":
        step = max(_FEWEST_BANDS, at_once // max(1, values[:, :1].numel()))
    for start in range(0, max(1, count), step):
        yield slice(start, min(start + step, count))


def in_pieces(work: Callable[[slice], tuple[Tensor, ...]], values: Tensor, at_once: int) -> tuple[Tensor, ...]:
    """Return what ``work`` makes of each slice of rows, joined along the rows.

    Args:
        work: from a slice to tensors with that many rows.
        values: as in `pieces`.
        at_once: as in `pieces`.
    """
    count = values.shape[0]
    joined: tuple[Tensor, ...] = ()
    for rows in pieces(values, at_once):
        parts = work(rows)
        if rows == slice(0, count):
            return parts
        joined = joined or tuple(part.new_empty((count, *part.shape[1:])) for part in parts)
        for whole, part in zip(joined, parts, strict=True):
            whole[rows] = part
    return joined
