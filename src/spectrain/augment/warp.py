"""An affine warp of a batch by an own sampling grid, with holes left out and in pieces that stay in the cache."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.errors import DataError
from ..core.pieces import groups, in_pieces, pieces
from ..core.window import Window
from .geometry import Geometry

Part = tuple[slice, slice]
Beyond = Literal["inside", "reflect", "zero"]
_AT_ONCE = 1 << 17
"""Values to interpolate at once on a CPU: with their grid and result, what a second-level cache holds."""


class AffineWarp:
    """Each image moved by its own affine map; implements `core.targets.Warp`.

    The sampling grid is a part along x plus a part along y: one addition a coordinate, where
    `torch.nn.functional.affine_grid` multiplies matrices and takes longer than the interpolation.

    Args:
        geometry: the maps of B images.
        corners: what lies beyond the border: ``reflect`` mirrors the image once at the centres of its outermost pixels
            (farther out the last pixel goes on), ``zero`` has nothing there. ``inside`` is the caller's promise that no
            map reaches beyond.
        corners_count: zero corners of an image (never of its labels) are valid pixels of value 0, as in the published
            form.
        window: what is cut out of each moved image; None for all of it. Only its pixels are interpolated, and to the
            same bits.

    Attributes:
        makes_holes: images that were valid everywhere may no longer be; known on the host.
        window: as given.
    """

    def __init__(
        self, geometry: Geometry, corners: Beyond, *, corners_count: bool = False, window: Window | None = None
    ) -> None:
        height, width = geometry.size
        matrix = geometry.matrix
        self.window = window
        self._size = geometry.size if window is None else window.size
        y, x = (torch.arange(size, device=matrix.device) for size in self._size)
        if window is not None:
            y, x = y + window.top[:, None], x + window.left[:, None]
        y, x = y - (height - 1) / 2, x - (width - 1) / 2
        if geometry.edge is not None:
            x, y = _mirrored(x, geometry.edge[:, :1]), _mirrored(y, geometry.edge[:, 1:])
        # to mirror at the centres of the outermost pixels, -1 to 1 is counted between them; else between the borders
        self._align = corners == "reflect"
        self._corners = corners
        self._corners_count = corners_count
        self.makes_holes = corners == "zero" and not corners_count
        unit = [2 / max(size - self._align, 1) for size in (width, height)]
        from_x = [matrix[:, row, :1] * x * unit[row] for row in (0, 1)]
        from_y = [(matrix[:, row, 1:2] * y + matrix[:, row, 2:]) * unit[row] for row in (0, 1)]
        self._along_x = torch.stack(from_x, 1)[:, :, None, :]
        self._along_y = torch.stack(from_y, 1)[:, :, :, None]

    def image(self, values: Tensor) -> Tensor:
        """Warp float32 [B,C,H,W] without a hole; zero corners become 0."""
        if values.device.type != "cpu":
            return self._sample(values, self._grid(slice(None)))
        warped = values.new_empty((*values.shape[:2], *self._size))
        for rows in pieces(values, _AT_ONCE):
            grid = self._grid(rows)
            part = self._part(grid, values)
            for bands in groups(values[rows], _AT_ONCE):
                warped[rows, bands] = self._sample(_read_ahead(values[rows, bands], part), grid)
        return warped

    def image_with_holes(self, values: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Warp float32 [B,C,H,W] with holes: weighted means of the valid pixels alone.

        Args:
            values: may hold NaN in its holes.
            valid: bool of the same shape; bands that share one mask (a broadcast view) cost one band more, not C.

        Returns:
            The values, 0 in the holes; and 1.0 where at least half of the weight was valid, else 0.0, [B,C,H,W] or,
            for a shared mask, [B,1,H,W].
        """
        return self._weighted(values, valid, self._corners_count)

    def bilinear(self, values: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Warp labels [B,C,H,W] with holes left out; there is none in zero corners."""
        warped, kept = self._weighted(values, valid, False)
        return warped, kept.bool().expand_as(warped)

    def nearest(self, values: Tensor, outside: int) -> Tensor:
        """Warp [B,H,W] integers (below 2**24) by the nearest pixel; ``outside`` in zero corners."""

        def work(rows: slice) -> tuple[Tensor]:
            above = (values[rows, None] - outside).to(torch.float32)
            return (self._sample(above, self._grid(rows), "nearest")[:, 0].to(values.dtype) + outside,)

        return in_pieces(work, values, _AT_ONCE)[0]

    def dihedral(self) -> Tensor:
        """Raise a `DataError`: an affine map has no exact place for a single measured pixel."""
        raise DataError(
            "measurements at single pixels cannot be interpolated, but this augmentation turns, zooms or shifts freely",
            where="augmentation",
            fix="set augmentation.dihedral=true, or leave only flip on",
        )

    def _weighted(self, values: Tensor, valid: Tensor, corners_count: bool) -> tuple[Tensor, Tensor]:
        """Warp values and validity together, then divide."""
        marked = valid[:, :1] if valid.stride(1) == 0 else valid
        warped = values.new_empty((*values.shape[:2], *self._size))
        kept = values.new_empty((*marked.shape[:2], *self._size))
        for rows in pieces(values, _AT_ONCE):
            grid = self._grid(rows)
            part = self._part(grid, values)
            for bands in groups(values[rows], _AT_ONCE):
                masks = bands if marked is valid else slice(0, 1)
                count = bands.stop - bands.start
                # a mask that the bands share is warped with the first of them only
                new = marked is valid or bands.start == 0
                # where corners count, the holes are warped instead: beyond the border there is none
                holes = corners_count if new else None
                sampled = self._sample(_stacked(values[rows, bands], marked[rows, masks], part, holes), grid)
                if new:
                    weight = 1 - sampled[:, count:] if corners_count else sampled[:, count:]
                    torch.ge(weight, 0.5, out=kept[rows, masks])
                    weight.clamp_(min=0.5)
                torch.div(sampled[:, :count], weight, out=warped[rows, bands]).mul_(kept[rows, masks])
        return warped, kept

    def _grid(self, rows: slice) -> Tensor:
        """Return the sampling grid [b,H,W,2] of some images; its memory is one plane for x, then one for y."""
        grid = self._along_x[rows] + self._along_y[rows]
        if self._corners == "reflect":
            inside = grid.clamp(-1, 1)
            grid = torch.lerp(grid, inside, 2.0, out=inside)  # as far inside as it was outside
        return grid.permute(0, 2, 3, 1)

    def _part(self, grid: Tensor, values: Tensor) -> Part:
        """Return rows and columns of [B,C,H,W] that hold all the grid asks for: on a CPU only these are copied."""
        if self.window is None or values.device.type != "cpu" or not grid.numel():
            return slice(None), slice(None)
        rows, columns = (self._reach(grid[..., axis], values.shape[3 - axis]) for axis in (1, 0))
        return rows, columns

    def _reach(self, coordinate: Tensor, size: int) -> slice:
        """Return which pixels along an axis lie next to a coordinate, one more at either end for the roundings."""
        low, high = (((end.item() + 1) * (size - self._align) - (not self._align)) / 2 for end in coordinate.aminmax())
        # beyond the border the last pixel is read, and with weight 0 the one after it
        return slice(min(max(int(low) - 1, 0), size - 1), min(max(int(high) + 3, 2), size))

    def _sample(self, values: Tensor, grid: Tensor, mode: str = "bilinear") -> Tensor:
        """Interpolate [b,C,H,W] at the grid."""
        return F.grid_sample(values, grid, mode, "zeros" if self._corners == "zero" else "border", self._align)


def _read_ahead(values: Tensor, part: Part) -> Tensor:
    """Return a copy: a copy is read in order and fast, an interpolation would wait for each scattered line.

    Memory outside the part is not touched, and holds anything.
    """
    copied = torch.empty_like(values, memory_format=torch.contiguous_format)
    copied[:, :, *part] = values[:, :, *part]
    return copied


def _stacked(values: Tensor, valid: Tensor, part: Part, holes: bool | None) -> Tensor:
    """Return values [b,C,H,W], 0 where not valid, and after them the validity (or the holes) as 1.0 and 0.0.

    It does what `core.fill.fill_invalid` does, by masking bits: no gradient passes here, and on a CPU `torch.where` and
    the conversion of bools take longer than the interpolation of a band.

    Args:
        values: [b,C,H,W].
        valid: bool [b,C,H,W] or [b,1,H,W].
        part: as in `_read_ahead`.
        holes: True for the holes, None for neither.
    """
    bands = values.shape[1]
    more = 0 if holes is None else valid.shape[1]
    stacked = values.new_empty((values.shape[0], bands + more, *values.shape[2:]))
    valid = valid[:, :, *part]
    every_bit = valid.view(torch.int8).to(torch.int32).neg_()
    filled = stacked[:, :bands, *part].view(torch.int32)
    torch.bitwise_and(values[:, :, *part].view(torch.int32), every_bit, out=filled)
    if holes is not None:
        stacked[:, bands:, *part] = (~valid if holes else valid).view(torch.uint8)
    return stacked


def _mirrored(coordinate: Tensor, edge: Tensor) -> Tensor:
    """Return [B,n] coordinates, those of [n] beyond ``+-edge`` [B,1] as far inside."""
    inside = torch.minimum(torch.maximum(coordinate, -edge), edge)
    return torch.lerp(coordinate.expand_as(inside), inside, 2.0)
