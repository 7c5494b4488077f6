"""A window of an image: the part of it that a view is."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Window:
    """Where the window of each of B images lies; all are of one size, and none reaches beyond its image.

    Attributes:
        top: int64 [B], the first row.
        left: int64 [B], the first column.
        size: (height, width) in px.
    """

    top: Tensor
    left: Tensor
    size: tuple[int, int]
