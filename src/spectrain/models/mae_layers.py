"""The layers of the spectral masked autoencoder: where tokens are, the encoder, two decoders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..core.errors import DataError
from .any_bands import Spectrum
from .masking import Plan
from .positions import CODE, grid_code
from .tokens import Grid
from .transformer import Block, CrossBlock, key_mask

Positions = Literal["pixels", "metres", "learned"]
METRES_PER_UNIT = 10.0
"""In ``positions="metres"`` a step of one position is this long on the ground, times the patch size in px."""


@dataclass(frozen=True)
class Dimensions:
    """Sizes of a `MAESpectral`.

    Attributes:
        dim: length of a token in the encoder; a multiple of 4 and of ``heads``.
        depth: blocks of the encoder.
        heads: of each.
        decoder_dim: length of a token in the decoder; likewise.
        decoder_depth: blocks of the decoder.
        decoder_heads: of each.
        mlp_ratio: width of the hidden layer of a block's MLP, over its dim.
    """

    dim: int
    depth: int
    heads: int
    decoder_dim: int
    decoder_depth: int
    decoder_heads: int
    mlp_ratio: float = 4.0


class Place(nn.Module):
    """The code of a token's place, added to it: of its grid position and of its bands."""

    def __init__(self, dim: int, group_size: int, positions: Positions, table: tuple[int, int, int]) -> None:
        super().__init__()
        self.positions, self.table = positions, table
        self._last: tuple[tuple[int, int, float, torch.device], Tensor] | None = None
        if positions == "learned":
            self.spatial = nn.init.trunc_normal_(nn.Parameter(torch.empty(table[1] * table[2], dim)), std=0.02)
            self.spectral = nn.init.trunc_normal_(nn.Parameter(torch.empty(table[0], dim)), std=0.02)
        else:
            self.bands = nn.Linear(group_size * CODE, dim)

    def forward(self, spectrum: Spectrum, grid: Grid) -> Tensor:
        """Return [L,dim].

        Raises:
            DataError: positions are learned, and were so for another grid.
        """
        if self.positions == "learned":
            groups, rows, columns = self.table
            if self.table != (grid.groups, grid.rows, grid.columns):
                raise DataError(
                    f"learned positions are for {rows} x {columns} tokens of {groups} band groups, "
                    f"these images have {grid.rows} x {grid.columns} of {grid.groups}",
                    fix="give images of the size and the bands of the training, or train with model.positions=pixels",
                )
            return (self.spectral[:, None] + self.spatial).flatten(0, 1)
        step = 1.0 if self.positions == "pixels" else spectrum.resolution / METRES_PER_UNIT
        spectral: Tensor = self.bands(spectrum.codes)
        return (spectral[:, None] + self._of_grid(grid, step, spectrum.codes.device)).flatten(0, 1)

    def _of_grid(self, grid: Grid, step: float, device: torch.device) -> Tensor:
        """Return the code of the grid's places [rows*columns,dim], the one of the last call where it is the same.

        Compiled and exported code works it out itself, and what was made in inference mode no training may use.
        """
        key = (grid.rows, grid.columns, step, device)
        compiling = torch.compiler.is_compiling()
        if self._last is not None and self._last[0] == key and not compiling:
            return self._last[1]
        y, x = (torch.arange(count, device=device) * step for count in (grid.rows, grid.columns))
        code = grid_code(y, x, self.bands.out_features)
        if not compiling and type(code) is Tensor and not code.is_inference():
            self._last = key, code
        return code


class Encoder(nn.Module):
    """Embeds tokens, tells them where they are, and lets them look at each other."""

    def __init__(self, sizes: Dimensions, fed: int, place: Place, class_token: bool) -> None:
        super().__init__()
        self.embed = nn.Linear(fed, sizes.dim)
        self.place = place
        self.cls = nn.init.normal_(nn.Parameter(torch.empty(2, sizes.dim)), std=0.02) if class_token else None
        self.blocks = nn.ModuleList(Block(sizes.dim, sizes.heads, sizes.mlp_ratio) for _ in range(sizes.depth))
        self.norm = nn.LayerNorm(sizes.dim)

    def forward(
        self, values: Tensor, index: Tensor, spectrum: Spectrum, grid: Grid, seen: Tensor | None = None
    ) -> Tensor:
        """Return [B,K,dim] for the values [B,K,V] of the tokens ``index`` [B,K]."""
        place = self.place(spectrum, grid)
        x = self.embed(values) + place[index]
        if self.cls is not None:
            x = torch.cat((self.cls.sum(0).expand(x.shape[0], 1, -1), x), 1)
            if seen is not None:
                seen = torch.cat((seen.new_ones(seen.shape[0], 1), seen), 1)
        keys = key_mask(seen)
        for block in self.blocks:
            x = block(x, keys)
        x = self.norm(x)
        found: Tensor = x if self.cls is None else x[:, 1:]
        return found


class Decoder(nn.Module, ABC):
    """From what the encoder saw to the values of the tokens asked for.

    Attributes:
        block: what its blocks are.
    """

    block: type[Block] | type[CrossBlock]

    def __init__(self, sizes: Dimensions, values: int, place: Place) -> None:
        super().__init__()
        dim = sizes.decoder_dim
        self.embed = nn.Linear(sizes.dim, dim)
        self.mask_token = nn.init.normal_(nn.Parameter(torch.empty(dim)), std=0.02)
        self.place = place
        self.blocks = nn.ModuleList(
            self.block(dim, sizes.decoder_heads, sizes.mlp_ratio) for _ in range(sizes.decoder_depth)
        )
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, values)

    def forward(self, seen: Tensor, plan: Plan, spectrum: Spectrum, grid: Grid, everything: bool) -> Tensor:
        """Return [B,M,V], or [B,K+M,V] where ``everything``."""
        place = self.place(spectrum, grid)
        out: Tensor = self.head(
            self.norm(self.decoded(self.embed(seen) + place[plan.visible], place, plan, everything))
        )
        return out

    @abstractmethod
    def decoded(self, visible: Tensor, place: Tensor, plan: Plan, everything: bool) -> Tensor:
        """Return the tokens asked for [B,M or K+M,dim], from the visible ones [B,K,dim] and all places [L,dim]."""


class FullDecoder(Decoder):
    """Visible and hidden tokens look at each other; the published form."""

    block = Block

    def decoded(self, visible: Tensor, place: Tensor, plan: Plan, everything: bool) -> Tensor:
        """See `Decoder.decoded`."""
        hidden = self.mask_token + place[plan.predicted]
        x = torch.cat((visible, hidden.to(visible.dtype)), 1)
        keys = None
        if plan.seen is not None and plan.wanted is not None:
            keys = key_mask(torch.cat((plan.seen, plan.wanted), 1))
        *before, last = self.blocks
        for block in before:
            x = block(x, keys)
        # nobody asks what the last block makes of the visible tokens
        out: Tensor = last(x, keys, 0 if everything else visible.shape[1])
        return out


class CrossDecoder(Decoder):
    """Tokens asked for look at the visible ones, and not at each other."""

    block = CrossBlock

    def decoded(self, visible: Tensor, place: Tensor, plan: Plan, everything: bool) -> Tensor:
        """See `Decoder.decoded`."""
        asked = torch.cat((plan.visible, plan.predicted), 1) if everything else plan.predicted
        x = (self.mask_token + place[asked]).to(visible.dtype)
        keys = key_mask(plan.seen)
        for block in self.blocks:
            x = block(x, visible, keys)
        return x
