"""A warp of some samples of a batch; the others stay as they are, to the bit."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.fill import fill_invalid
from .dihedral import DihedralWarp
from .warp import AffineWarp


class Sometimes:
    """An affine warp of the samples that are changed; implements `core.targets.Warp`.

    All are warped and the result chosen from: which samples are changed is not known to the host.

    Args:
        warp: of B images.
        changed: bool [B].
        size: (H, W).

    Attributes:
        makes_holes: as of the warp.
        window: of the warp; it is cut out of unchanged images too.
    """

    def __init__(self, warp: AffineWarp, changed: Tensor, size: tuple[int, int]) -> None:
        self.makes_holes, self.window = warp.makes_holes, warp.window
        self._warp = warp
        self._changed = changed[:, None, None, None]
        nowhere = torch.zeros_like(changed, dtype=torch.int64)
        self._still = None if warp.window is None else DihedralWarp(nowhere, size, warp.window)

    def image(self, values: Tensor) -> Tensor:
        """Warp float32 [B,C,H,W] without a hole, as `AffineWarp.image` does."""
        return torch.where(self._changed, self._warp.image(values), self._unmoved(values))

    def image_with_holes(self, values: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Warp float32 [B,C,H,W] with holes, as `AffineWarp.image_with_holes` does."""
        return self._chosen(*self._warp.image_with_holes(values, valid), values, valid)

    def bilinear(self, values: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Warp labels [B,C,H,W] with holes left out."""
        warped, kept = self._chosen(*self._warp.bilinear(values, valid), values, valid)
        return warped, kept.expand_as(warped)

    def nearest(self, values: Tensor, outside: int) -> Tensor:
        """Warp [B,H,W] integers by the nearest pixel."""
        moved = self._warp.nearest(values, outside)
        return torch.where(self._changed[:, 0], moved, self._unmoved(values[:, None])[:, 0])

    def dihedral(self) -> Tensor:
        """Raise a `DataError`, as `AffineWarp.dihedral` does."""
        return self._warp.dihedral()

    def _chosen(self, warped: Tensor, kept: Tensor, values: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Return values and validity of the changed samples from the warp, of the others as they were."""
        marked = self._unmoved(valid[:, :1] if valid.stride(1) == 0 else valid)
        unmoved = fill_invalid(self._unmoved(values), marked)
        return torch.where(self._changed, warped, unmoved), torch.where(self._changed, kept, marked.to(kept.dtype))

    def _unmoved(self, values: Tensor) -> Tensor:
        """Return the window of images that are not moved."""
        return values if self._still is None else self._still.image(values)
