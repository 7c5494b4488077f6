"""An image cut into tokens: blocks of some bands by some pixels, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..core.bands import Bands


@dataclass(frozen=True, slots=True)
class Grid:
    """How images of one size and band set fall into tokens. Host numbers alone, so it costs nothing to make.

    Tokens are numbered band group by band group, and row by row within one (as published). A token's values are in the
    order band, row, column. Where sides or bands do not divide, the last tokens are padded.

    Attributes:
        groups: band groups.
        rows: tokens from top to bottom.
        columns: tokens from left to right.
        group_size: bands in a group.
        patch: side of a token in px.
        height: of the image in px.
        width: of the image in px.
    """

    groups: int
    rows: int
    columns: int
    group_size: int
    patch: int
    height: int
    width: int

    @classmethod
    def of(cls, channels: int, height: int, width: int, patch: int, group_size: int) -> Grid:
        """Return the grid for images of ``channels`` bands."""
        groups, rows, columns = (-(-a // b) for a, b in ((channels, group_size), (height, patch), (width, patch)))
        return cls(groups, rows, columns, group_size, patch, height, width)

    @property
    def places(self) -> int:
        """Tokens that a band group has."""
        return self.rows * self.columns

    @property
    def tokens(self) -> int:
        """Tokens in all."""
        return self.groups * self.places

    @property
    def values(self) -> int:
        """Values a token."""
        return self.group_size * self.patch * self.patch

    @property
    def fits(self) -> bool:
        """No token holds pixels beyond the border."""
        return self.rows * self.patch == self.height and self.columns * self.patch == self.width


def cut(image: Tensor, grid: Grid) -> Tensor:
    """Return the tokens [B,L,V] of an image [B, groups*group_size, H, W]; what is beyond the border is 0 (False)."""
    if not grid.fits:
        below, right = grid.rows * grid.patch - grid.height, grid.columns * grid.patch - grid.width
        image = F.pad(image, (0, right, 0, below))
    side = grid.patch
    blocks = image.reshape(image.shape[0], grid.groups, grid.group_size, grid.rows, side, grid.columns, side)
    return blocks.permute(0, 1, 3, 5, 2, 4, 6).reshape(image.shape[0], grid.tokens, grid.values)


def join(tokens: Tensor, grid: Grid) -> Tensor:
    """Return the image [B, groups*group_size, H, W] of tokens [B,L,V]: `cut` undone, what is padded left out."""
    side = grid.patch
    blocks = tokens.reshape(tokens.shape[0], grid.groups, grid.rows, grid.columns, grid.group_size, side, side)
    whole = blocks.permute(0, 1, 4, 2, 5, 3, 6).reshape(
        tokens.shape[0], grid.groups * grid.group_size, grid.rows * side, grid.columns * side
    )
    return whole[:, :, : grid.height, : grid.width]


def take(tokens: Tensor, index: Tensor) -> Tensor:
    """Return the rows [B,K,...] of [B,L,...] at ``index`` int64 [B,K], whole rows at a time."""
    batch, count = tokens.shape[:2]
    flat = (index + count * torch.arange(batch, device=index.device)[:, None]).flatten()
    return tokens.flatten(0, 1).index_select(0, flat).view(*index.shape, *tokens.shape[2:])


def put(tokens: Tensor, index: Tensor, rows: Tensor) -> Tensor:
    """Return a copy of [B,L,V] with ``rows`` [B,K,V] at ``index`` int64 [B,K]; differentiable in both."""
    batch, count = tokens.shape[:2]
    flat = (index + count * torch.arange(batch, device=index.device)[:, None]).flatten()
    return tokens.flatten(0, 1).index_copy(0, flat, rows.flatten(0, 1)).view_as(tokens)


def slots_of(bands: Bands, group_size: int, *, by_wavelength: bool) -> list[int]:
    """Return the band of each place in each group, -1 for none, [groups * group_size].

    Bands are sorted by wavelength, those without one last in their own order; or kept as they are. Where the size does
    not divide their number, the groups are as even as can be: 12 bands in groups of 5 are three times 4, not 5, 5, 2.
    """
    order = list(range(len(bands)))
    if by_wavelength:
        far = float("inf")
        order.sort(key=lambda number: far if bands[number].wavelength is None else bands[number].wavelength or 0.0)
    groups = -(-len(bands) // group_size)
    short, longer = divmod(len(bands), groups)
    slots: list[int] = []
    start = 0
    for group in range(groups):
        held: Sequence[int] = order[start : start + short + (group < longer)]
        slots += [*held, *[-1] * (group_size - len(held))]
        start += len(held)
    return slots
