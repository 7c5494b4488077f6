"""The five kinds of target. Each moves to a device, knows which of its labels count, and follows a warp of the image.

Interpolating a class or a sparse measurement would invent labels: class maps follow the nearest pixel, sparse values
move only by the eight dihedral steps, dense values are interpolated with their holes left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from .fill import fill_invalid
from .window import Window

IGNORED = 255
"""The class of a pixel that does not count, in a `ClassMap`."""


class Warp(Protocol):
    """A geometric change of a batch of images, as the augmentation made it.

    One whose views are windows of the changed images returns [..., h, w] of the window, and says in an attribute
    ``window`` (a `Window`, or None) where it lies.
    """

    def bilinear(self, values: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Warp [B,C,H,W] with holes left out; valid where at least half of the weight was."""
        ...

    def nearest(self, values: Tensor, outside: int) -> Tensor:
        """Warp [B,H,W] integers by the nearest pixel; ``outside`` beyond the border."""
        ...

    def dihedral(self) -> Tensor:
        """Return the step [B] in 0..7 of each sample; raise where the warp is not one of the eight."""
        ...


class Target(Protocol):
    """What a batch is to be compared with."""

    @property
    def valid(self) -> Tensor:
        """Bool tensor, True where a label counts."""
        ...

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Target:
        """Return the target on ``device``."""
        ...

    def warp(self, warp: Warp) -> Target:
        """Return the target as it lies after the image was warped."""
        ...

    def repeat(self, times: int) -> Target:
        """Return the target ``times`` over, as the rows of a batch with so many views lie (view-major)."""
        ...


@dataclass(frozen=True, slots=True)
class NoTarget:
    """Nothing to compare with: the image is its own teacher."""

    @property
    def valid(self) -> Tensor:
        """An empty tensor: there are no labels."""
        return torch.zeros(0, dtype=torch.bool)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> NoTarget:
        """Return itself."""
        return self

    def warp(self, warp: Warp) -> NoTarget:
        """Return itself."""
        return self

    def repeat(self, times: int) -> NoTarget:
        """Return itself."""
        return self


@dataclass(frozen=True, slots=True)
class ClassLabel:
    """One class an image: ``y`` int64 [B]; a negative label means "not labelled"."""

    y: Tensor

    @property
    def valid(self) -> Tensor:
        """Bool [B]."""
        return self.y >= 0

    def to(self, device: torch.device | str, non_blocking: bool = False) -> ClassLabel:
        """Return the labels on ``device``."""
        return ClassLabel(self.y.to(device, non_blocking=non_blocking))

    def warp(self, warp: Warp) -> ClassLabel:
        """Return itself: the class of an image does not depend on where things lie in it."""
        return self

    def repeat(self, times: int) -> ClassLabel:
        """Return the labels ``times`` over."""
        return ClassLabel(self.y.repeat(times))


@dataclass(frozen=True, slots=True)
class ClassMap:
    """One class a pixel: ``y`` int16 [B,H,W]; 255 does not count."""

    y: Tensor

    @property
    def valid(self) -> Tensor:
        """Bool [B,H,W]."""
        return self.y != IGNORED

    def to(self, device: torch.device | str, non_blocking: bool = False) -> ClassMap:
        """Return the map on ``device``."""
        return ClassMap(self.y.to(device, non_blocking=non_blocking))

    def warp(self, warp: Warp) -> ClassMap:
        """Follow the nearest pixel; what comes from beyond the border does not count."""
        return ClassMap(warp.nearest(self.y, IGNORED))

    def repeat(self, times: int) -> ClassMap:
        """Return the map ``times`` over."""
        return ClassMap(self.y.repeat(times, 1, 1))


@dataclass(frozen=True, slots=True)
class DenseValues:
    """Measurements for each pixel: ``value`` float32 [B,T,H,W] of T quantities, ``valid`` bool of the same shape."""

    value: Tensor
    valid: Tensor

    @classmethod
    def from_nan(cls, value: Tensor) -> DenseValues:
        """Take NaN and infinity for "not measured", and put 0 in their place."""
        valid = torch.isfinite(value)
        return cls(fill_invalid(value.to(torch.float32), valid), valid)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> DenseValues:
        """Return the values on ``device``."""
        return DenseValues(
            self.value.to(device, non_blocking=non_blocking), self.valid.to(device, non_blocking=non_blocking)
        )

    def warp(self, warp: Warp) -> DenseValues:
        """Interpolate with the holes left out."""
        return DenseValues(*warp.bilinear(self.value, self.valid))

    def repeat(self, times: int) -> DenseValues:
        """Return the values ``times`` over."""
        return DenseValues(self.value.repeat(times, 1, 1, 1), self.valid.repeat(times, 1, 1, 1))


@dataclass(frozen=True, slots=True)
class SparseValues:
    """Measurements at M pixels of the batch.

    Attributes:
        index: int64 [M], ``y * width + x`` within the image.
        value: float32 [M].
        row: int64 [M], the image's place in the batch.
        shape: (B, H, W) of the batch.
    """

    index: Tensor
    value: Tensor
    row: Tensor
    shape: tuple[int, int, int]

    @classmethod
    def from_dense(cls, value: Tensor) -> SparseValues:
        """Take [B,H,W] with NaN where nothing was measured; an image may have no measurement at all."""
        row, y, x = torch.nonzero(torch.isfinite(value), as_tuple=True)
        batch, height, width = value.shape
        return cls(y * width + x, value[row, y, x].to(torch.float32), row, (batch, height, width))

    @property
    def valid(self) -> Tensor:
        """Bool [M]; a measurement that is not finite does not count."""
        return torch.isfinite(self.value)

    def at(self, dense: Tensor) -> Tensor:
        """Return what [B,T,H,W] holds at the measured pixels, as [M,T]."""
        return dense.flatten(2)[self.row, :, self.index]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> SparseValues:
        """Return the measurements on ``device``."""
        index, value, row = (x.to(device, non_blocking=non_blocking) for x in (self.index, self.value, self.row))
        return SparseValues(index, value, row, self.shape)

    def warp(self, warp: Warp) -> SparseValues:
        """Move each measurement by its image's dihedral step (see :func:`dihedral_position`), then cut the window out.

        A measurement outside the window is dropped: NaN at pixel 0, as how many there are is not known to the host.
        """
        batch, height, width = self.shape
        step = warp.dihedral()[self.row]
        y, x = dihedral_position(step, self.index // width, self.index % width, height, width)
        window: Window | None = getattr(warp, "window", None)
        if window is None:
            return SparseValues(y * width + x, self.value, self.row, self.shape)
        y, x, (height, width) = y - window.top[self.row], x - window.left[self.row], window.size
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        index = (y * width + x) * inside
        return SparseValues(index, fill_invalid(self.value, inside, torch.nan), self.row, (batch, height, width))

    def repeat(self, times: int) -> SparseValues:
        """Return the measurements ``times`` over, their rows counted on."""
        batch, height, width = self.shape
        row = torch.cat([self.row + batch * view for view in range(times)])
        return SparseValues(self.index.repeat(times), self.value.repeat(times), row, (batch * times, height, width))


def dihedral_position(step: Tensor, y: Tensor, x: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return where pixel (y, x) lies after a dihedral step.

    A step is a number 0 to 7: ``step % 4`` quarter turns counter-clockwise (as `numpy.rot90`), then, for steps 4 to
    7, a flip left-right. Quarter turns by an odd number need a square image.

    Args:
        step: int64, broadcastable to ``y``.
        y: int64 row before the step.
        x: int64 column before the step.
        height: rows of the image.
        width: columns of the image.
    """
    turns = step % 4
    new_y = torch.where(
        turns == 0, y, torch.where(turns == 1, width - 1 - x, torch.where(turns == 2, height - 1 - y, x))
    )
    new_x = torch.where(
        turns == 0, x, torch.where(turns == 1, y, torch.where(turns == 2, width - 1 - x, height - 1 - y))
    )
    return new_y, torch.where(step >= 4, width - 1 - new_x, new_x)
