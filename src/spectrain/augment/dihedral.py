"""Flips and quarter turns of a batch by moving pixels: exact for values, class maps and single labels alike."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..core.fill import fill_invalid
from ..core.targets import dihedral_position
from ..core.window import Window


class DihedralWarp:
    """Each image moved by its own dihedral step; implements `core.targets.Warp`.

    Args:
        step: int64 [B], 0 to 7, as `core.targets.dihedral_position` counts them; only 0, 2, 4 and 6 keep the shape of
            images that are not square.
        size: (H, W).
        window: what is cut out of each moved image; None for all of it. Only its pixels are moved.

    Attributes:
        makes_holes: False; pixels change places only.
        window: as given.
    """

    makes_holes = False

    def __init__(self, step: Tensor, size: tuple[int, int], window: Window | None = None) -> None:
        height, width = size
        self._step, self.window = step, window
        self._size = size if window is None else window.size
        # a pure turn is undone by the opposite turn, a flip (of any turn) by itself
        steps = torch.arange(8, device=step.device)[:, None]
        undo = torch.where(steps < 4, (4 - steps) % 4, steps)
        place = torch.arange(math.prod(self._size), device=step.device)[None]
        y, x = place // self._size[1], place % self._size[1]
        if window is not None:
            undo, y, x = undo[step], y + window.top[:, None], x + window.left[:, None]
        y, x = dihedral_position(undo, y, x, height, width)
        self._source = (y * width + x) if window is not None else (y * width + x)[step]

    def image(self, values: Tensor) -> Tensor:
        """Return [B,C,H,W] of any type with every pixel in its new place."""
        source = self._source[:, None].expand(-1, values.shape[1], -1)
        return values.flatten(2).gather(2, source).view(*values.shape[:2], *self._size)

    def image_with_holes(self, values: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Move [B,C,H,W] values, 0 in their holes, and their validity, as `AffineWarp.image_with_holes` returns it."""
        marked = valid[:, :1] if valid.stride(1) == 0 else valid
        kept = self.image(marked.view(torch.uint8))
        return fill_invalid(self.image(values), kept.view(torch.bool)), kept.to(values.dtype)

    def bilinear(self, values: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Move [B,C,H,W] values and validity: nothing is interpolated."""
        moved, kept = self.image_with_holes(values, valid)
        return moved, kept.bool().expand_as(moved)

    def nearest(self, values: Tensor, outside: int) -> Tensor:
        """Move [B,H,W]; a dihedral step brings nothing from beyond the border."""
        return self.image(values[:, None])[:, 0]

    def dihedral(self) -> Tensor:
        """Return the steps [B]."""
        return self._step
