"""Where each pixel of a view comes from: random parameters a sample, and the one affine map they compose to.

Coordinates are in pixels, measured from the centre of the image: pixel (row, column) has its centre at
``(row - (H - 1) / 2, column - (W - 1) / 2)``. A map sends output to input coordinates; rows and columns of its matrix
are in the order x, y, 1. As in the published chain, an image is flipped, turned counter-clockwise, scaled, shifted,
cropped around a jittered centre and zoomed back to its own size; one interpolation does it all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..core.errors import DataError
from ..core.random import Key, uniform


@dataclass(frozen=True, slots=True)
class Ranges:
    """What the geometry of a view is drawn from.

    Attributes:
        flip: flip each axis with probability one half.
        rotate: largest angle in degrees, to either side; 0 for none, 360 (or more) for the whole circle.
        crop: side of the window in px that is zoomed back to the image, along the shorter side; None for the whole.
        jitter: the window's centre moves by -jitter..jitter whole px along each axis; the window is cut at the border.
        shift: the image moves by up to this many px (y, x), either way; see `in_px` for shares.
        scale: the image is magnified by a factor from 1 - scale to 1 + scale.
    """

    flip: bool = True
    rotate: float = 360.0
    crop: int | None = None
    jitter: int = 0
    shift: tuple[float, float] = (0.0, 0.0)
    scale: float = 0.0

    @property
    def only_flips(self) -> bool:
        """Nothing but flips is drawn: pixels move, none is interpolated."""
        return not self.rotate and self.crop is None and not any(self.shift) and not self.scale

    def in_px(self, height: int, width: int) -> Ranges:
        """Return the ranges with shifts in px, for images of this size, where those below 1 are shares of the side."""
        shift_y, shift_x = (by * side if by < 1 else by for by, side in zip(self.shift, (height, width), strict=True))
        return replace(self, shift=(shift_y, shift_x))

    def check(self, height: int, width: int) -> None:
        """Raise a `DataError` where a window would be larger than the image, or could lie beyond its border."""
        side = min(height, width)
        if self.crop is not None and self.crop > side:
            raise DataError(
                f"a crop of {self.crop} px does not fit into images of {height} x {width} px",
                where="augmentation.crop",
                fix=f"set it to {side} or less",
            )
        if self.jitter > side // 2:
            raise DataError(
                f"a crop centre that moves by {self.jitter} px can leave images of {height} x {width} px",
                where="augmentation.jitter",
                fix=f"set it to {side // 2} or less",
            )

    def stays_inside(self, height: int, width: int) -> bool:
        """Return True where no view can reach beyond the border of its image: known on the host, never looked up."""
        half = [(size - 1) / 2 for size in (height, width)]
        if self.crop is not None:
            # an odd size has its pixel of the centre half a pixel below the middle, hence the half
            window = [self.crop // 2 * size / min(height, width) + self.jitter + 0.5 for size in (height, width)]
            half = [min(reach, size / 2) for reach, size in zip(window, (height, width), strict=True)]
        half = [(reach + shift) / (1 - self.scale) for reach, shift in zip(half, self.shift, strict=True)]
        if self.rotate:
            half = [math.hypot(*half)] * 2
        return half[0] <= height / 2 and half[1] <= width / 2


@dataclass(frozen=True, slots=True)
class Parameters:
    """The random choices for B samples, each a tensor [B]; columns of one draw, so a range never changes another's.

    Attributes:
        flip_y: bool, the rows are reversed.
        flip_x: bool, the columns are reversed.
        angle: degrees counter-clockwise.
        jitter_y: whole px that the window's centre moves down.
        jitter_x: whole px that it moves to the right.
        shift_y: px that the image moves down.
        shift_x: px that it moves to the right.
        scale: magnification.
    """

    flip_y: Tensor
    flip_x: Tensor
    angle: Tensor
    jitter_y: Tensor
    jitter_x: Tensor
    shift_y: Tensor
    shift_x: Tensor
    scale: Tensor

    @classmethod
    def draw(cls, ranges: Ranges, key: Key, index: Tensor) -> Parameters:
        """Return the parameters of the samples ``index`` [B] in the stream ``key``."""
        flip_y, flip_x, angle, jitter_y, jitter_x, shift_y, shift_x, scale = uniform(key, index, 8).unbind(1)
        full_circle = ranges.rotate >= 360
        return cls(
            flip_y=(flip_y < 0.5) & ranges.flip,
            flip_x=(flip_x < 0.5) & ranges.flip,
            angle=angle * 360 if full_circle else (2 * angle - 1) * ranges.rotate,
            jitter_y=(jitter_y * (2 * ranges.jitter + 1)).floor() - ranges.jitter,
            jitter_x=(jitter_x * (2 * ranges.jitter + 1)).floor() - ranges.jitter,
            shift_y=(2 * shift_y - 1) * ranges.shift[0],
            shift_x=(2 * shift_x - 1) * ranges.shift[1],
            scale=1 + (2 * scale - 1) * ranges.scale,
        )

    @classmethod
    def still(cls, index: Tensor) -> Parameters:
        """Return parameters that move nothing, for the samples ``index`` [B]."""
        no, none = torch.zeros_like(index, dtype=torch.bool), torch.zeros_like(index, dtype=torch.float32)
        return cls(no, no, none, none, none, none, none, torch.ones_like(none))

    def dihedral_step(self, height: int, width: int) -> Tensor:
        """Return int64 [B], the step 0 to 7 nearest below (see `core.targets.dihedral_position`).

        An angle in [0, 360) becomes the quarter turn (the half turn of images that are not square) of its sector, so
        that every step is equally likely.
        """
        sector = 90 if height == width else 180
        turns = (self.angle / sector).to(torch.int64) * (sector // 90)
        flips = self.flip_y.to(torch.int64)
        mirrored = self.flip_y ^ self.flip_x  # both flips are a half turn
        return torch.where(mirrored, 4 + (2 * flips - turns) % 4, (2 * flips + turns) % 4)


@dataclass(frozen=True, slots=True)
class Geometry:
    """One affine map a sample, from output to input coordinates.

    Attributes:
        matrix: float32 [B,2,3].
        size: (H, W) of the images, in and out.
        edge: float32 [B,2] (x, y), or None. Output coordinates beyond ``+-edge`` are mirrored there before they are
            mapped, as `skimage.transform.resize` mirrors at the centre of a window's outermost pixel.
    """

    matrix: Tensor
    size: tuple[int, int]
    edge: Tensor | None = None


def compose(parameters: Parameters, crop: int | None, size: tuple[int, int], *, mirror_edge: bool = False) -> Geometry:
    """Return the one affine map that flips, turns, scales, shifts, crops and zooms back.

    Args:
        parameters: of B samples.
        crop: side of the window in px along the shorter side, None for no window; the longer side is in proportion, so
            that the zoom does not distort. An odd side loses a pixel, as published.
        size: (H, W).
        mirror_edge: treat the window as an image of its own when zooming (the published form), instead of
            interpolating with its neighbours in the image.
    """
    height, width = size
    zoom_y, centre_y = _window(parameters.jitter_y, crop, height, min(size))
    zoom_x, centre_x = _window(parameters.jitter_x, crop, width, min(size))
    from_y, from_x = centre_y - parameters.shift_y, centre_x - parameters.shift_x
    angle = torch.deg2rad(parameters.angle)
    cos, sin = angle.cos() / parameters.scale, angle.sin() / parameters.scale
    sign_y, sign_x = 1 - 2 * parameters.flip_y.to(cos), 1 - 2 * parameters.flip_x.to(cos)
    rows = (
        sign_x * cos * zoom_x,
        -sign_x * sin * zoom_y,
        sign_x * (cos * from_x - sin * from_y),
        sign_y * sin * zoom_x,
        sign_y * cos * zoom_y,
        sign_y * (sin * from_x + cos * from_y),
    )
    edge = torch.stack(((width - 1 / zoom_x) / 2, (height - 1 / zoom_y) / 2), 1) if mirror_edge else None
    return Geometry(torch.stack(rows, 1).view(-1, 2, 3), size, edge)


def _window(jitter: Tensor, crop: int | None, size: int, shorter: int) -> tuple[Tensor, Tensor]:
    """Return each window's extent as a share of the axis, and its centre in px from the image's centre, both [B]."""
    if crop is None:
        return torch.ones_like(jitter), torch.zeros_like(jitter)
    half = crop // 2 * size / shorter
    middle = size // 2 + jitter
    low, high = (middle - half).clamp(min=0), (middle + half).clamp(max=size)
    return (high - low) / size, (low + high - size) / 2
