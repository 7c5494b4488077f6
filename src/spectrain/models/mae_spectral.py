"""A masked autoencoder of space and spectrum, for any bands and any image size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..config.option import option
from ..core.bands import Bands
from ..core.errors import ConfigError, DataError, Problem
from ..core.random import Key
from .any_bands import AnyBands, Spectrum, Tokens
from .banded import ModelConfig
from .masking import Masking, Plan, draw_plan
from .positions import CODE, grid_code
from .tokens import Grid, take
from .transformer import Block, CrossBlock, init_weights, key_mask

Positions = Literal["pixels", "metres", "learned"]
Decoder = Literal["full", "cross"]
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


class MAESpectral(nn.Module):
    """Masked autoencoder (He et al. 2022) whose tokens are blocks of a few bands by a few pixels.

    After SpectralGPT (Hong et al. 2024) and SpectralEye, for any bands and sizes.

    The encoder sees the visible tokens only, and only these are embedded. Where a token is, in the image and in the
    spectrum, is told by functions of numbers: its place in pixels or metres, the centre and width of its bands in nm
    (the name of a band that has no wavelength). So one model takes any bands and any image size, and what was learned
    on 30 bands runs on 12 or on 200. The decoder is ``full`` (visible and hidden tokens all look at each other) or
    ``cross`` (hidden tokens look at the visible ones, after CrossMAE, Fu et al. 2024: less than half the work).

    It works on tokens (`AnyBands` makes them of a batch); `forward` takes plain images of the bands it was made for.

    Args:
        sizes: see `Dimensions`.
        patch: side of a token in px.
        group_size: bands in a token.
        positions: "pixels", "metres" (which needs the bands' resolution), or "learned" (tables of a fixed size, as
            published: one image size, one number of bands).
        decoder: "full" or "cross".
        mask_ratio: share of the tokens that is hidden.
        masking: "random", "tube" or "spectral"; see `models.masking`.
        decode_ratio: share of the hidden tokens that a step predicts.
        mask_channel: tokens carry their validity too.
        class_token: one more token in the encoder, which nothing reads; the published medium and small have it.
        table: (band groups, rows, columns) of the learned tables.
    """

    any_bands = True

    @dataclass(frozen=True)
    class Config(ModelConfig):
        """Keys of ``model=mae_medium`` and its sisters."""

        variant: str = option("custom", "what these sizes are called, for reports")
        img_size: int | list[int] | None = option(
            None,
            "side of the images in px, or [height, width], for learned positions alone; null is what the data have",
            minimum=1,
        )
        in_chans: int | None = option(
            None, "number of bands, for learned positions alone; null is what the data have", minimum=1
        )
        patch_size: list[int] = option([25, 5], "a token: its side in px, and its bands", minimum=1)
        embed_dim: int = option(512, "length of a token in the encoder", minimum=4)
        encoder_depth: int = option(16, "blocks of the encoder", minimum=1)
        encoder_num_heads: int = option(16, "heads of the encoder", minimum=1)
        decoder_embed_dim: int | None = option(
            None, "length of a token in the decoder; null is half the encoder's", minimum=4
        )
        decoder_depth: int = option(8, "blocks of the decoder", minimum=1)
        decoder_num_heads: int = option(16, "heads of the decoder", minimum=1)
        decoder_head_dim: int | None = option(
            None, "length of a decoder's head, which then decides their number; 64 is fastest on GPUs", minimum=1
        )
        mlp_ratio: float = option(4.0, "width of the hidden layer of a block, over its token", above=0)
        mask_ratio: float = option(0.8, "share of the tokens that is hidden", above=0, maximum=0.99)
        masking: Masking = option(
            "random", "what is hidden together: single tokens, all bands of a place (tube), band groups (spectral)"
        )
        decoder: Decoder = option(
            "full", "full attends to all tokens, cross from the hidden to the visible only, in less than half the time"
        )
        decode_ratio: float = option(1.0, "share of the hidden tokens that a step predicts", above=0, maximum=1)
        positions: Positions = option(
            "pixels", "pixels or metres for any image and bands; learned is tables of a fixed size, as published"
        )
        class_token: bool = option(False, "one more token in the encoder, as in the published medium and small")

    def __init__(
        self,
        sizes: Dimensions,
        *,
        patch: int = 25,
        group_size: int = 5,
        positions: Positions = "pixels",
        decoder: Decoder = "full",
        mask_ratio: float = 0.8,
        masking: Masking = "random",
        decode_ratio: float = 1.0,
        mask_channel: bool = False,
        class_token: bool = False,
        table: tuple[int, int, int] = (0, 0, 0),
    ) -> None:
        super().__init__()
        self.patch, self.group_size, self.positions = patch, group_size, positions
        self.mask_ratio, self.masking, self.decode_ratio = mask_ratio, masking, decode_ratio
        self.mask_channel = mask_channel
        values = patch * patch * group_size
        fed = 2 * values if mask_channel else values
        self.encoder = Encoder(sizes, fed, Place(sizes.dim, group_size, positions, table), class_token)
        decoder_place = Place(sizes.decoder_dim, group_size, positions, table)
        self.decoder: FullDecoder | CrossDecoder
        self.decoder = (FullDecoder if decoder == "full" else CrossDecoder)(sizes, values, decoder_place)
        self.apply(init_weights)

    @classmethod
    def from_config(cls, config: Config, *, bands: Bands, image_size: tuple[int, int] | None) -> MAESpectral:
        """Return the model for images like these (but any others will do, unless positions are learned).

        Raises:
            ConfigError: dimensions that do not go together, all of them at once.
        """
        sizes, (patch, group_size) = dimensions(config), config.patch_size
        table = (0, 0, 0)
        if config.positions == "learned":
            grid = _learned_grid(config, bands, image_size)
            table = (grid.groups, grid.rows, grid.columns)
        if config.positions == "metres":
            _require_resolution(bands)
        return cls(
            sizes,
            patch=patch,
            group_size=group_size,
            positions=config.positions,
            decoder=config.decoder,
            mask_ratio=config.mask_ratio,
            masking=config.masking,
            decode_ratio=config.decode_ratio,
            mask_channel=config.mask_channel,
            class_token=config.class_token,
            table=table,
        )

    @property
    def wrapper(self) -> type[AnyBands]:
        """What gives it its bands."""
        return AnyBands

    @property
    def by_wavelength(self) -> bool:
        """Bands are sorted by wavelength before they are grouped."""
        return self.positions != "learned"

    def require(self, bands: Bands) -> None:
        """Raise a `ConfigError` where these bands lack what the network has to know of them."""
        if self.positions == "metres":
            _require_resolution(bands)

    def doubts(self, bands: Bands, image_size: tuple[int, int]) -> list[str]:
        """Return what of these images hardly goes with the network, in words for its user."""
        found, side = [], min(image_size)
        if self.patch > side:
            found.append(
                f"a token of {self.patch} px is wider than images of {image_size[0]} × {image_size[1]} px and mostly "
                f"padding: there is little to learn from; set model.patch_size=[{max(1, side // 4)},{self.group_size}]"
            )
        if self.group_size > len(bands):
            found.append(
                f"a token of {self.group_size} bands is wider than the {len(bands)} bands of the images: set "
                f"model.patch_size=[{self.patch},{max(1, len(bands) // 4)}]"
            )
        lacking = [band.name for band in bands if band.wavelength is None]
        if lacking and self.positions != "learned":
            found.append(
                f"{len(lacking)} of {len(bands)} bands have no wavelength and are known by their names alone "
                f"({', '.join(lacking[:3])}{', ...' if len(lacking) > 3 else ''}), which says nothing of where in the "
                "spectrum they lie: set dataset.wavelengths"
            )
        return found

    def plan(self, tokens: Tokens, key: Key, index: Tensor, *, everything: bool = False) -> Plan:
        """Draw which tokens the samples show and which are to be predicted: all in eval mode, or if asked."""
        return draw_plan(
            tokens.grid,
            key.at(purpose=f"{key.purpose}/mask"),
            index,
            masking=self.masking,
            ratio=self.mask_ratio,
            decode_ratio=self.decode_ratio if self.training and not everything else 1.0,
            valid=tokens.kept,
        )

    def predict(self, tokens: Tokens, plan: Plan, *, everything: bool = False) -> Tensor:
        """Return the values of the tokens asked for, float32 [B,M,V].

        Where ``everything``, of all tokens in the plan, the visible ones first [B,K+M,V].
        """
        seen = self.encoder(take(tokens.fed, plan.visible), plan.visible, tokens.spectrum, tokens.grid, plan.seen)
        values: Tensor = self.decoder(seen, plan, tokens.spectrum, tokens.grid, everything)
        return values.float()

    def feature_map(self, tokens: Tokens) -> Tensor:
        """Return the encoder's map [B,dim,rows,columns] of whole images: tokens averaged over the band groups.

        Tokens that are less than half valid take no part; a place without any other is 0.
        """
        grid = tokens.grid
        every = torch.arange(grid.tokens, device=tokens.fed.device).expand(tokens.fed.shape[0], -1)
        found = self.encoder(tokens.fed, every, tokens.spectrum, grid, tokens.kept)
        by_group = found.float().view(-1, grid.groups, grid.places, found.shape[2])
        if tokens.kept is None:
            pooled = by_group.mean(1)
        else:
            kept = tokens.kept.view(-1, grid.groups, grid.places, 1)
            pooled = torch.where(kept, by_group, 0).sum(1) / kept.sum(1).clamp(min=1)
        made: Tensor = pooled.transpose(1, 2).reshape(-1, found.shape[2], grid.rows, grid.columns)
        return made

    def fsdp_blocks(self) -> Iterator[nn.Module]:
        """Yield the units of FSDP and of recomputation."""
        yield from self.encoder.blocks
        yield from self.decoder.blocks


class Place(nn.Module):
    """The code of a token's place, added to it: of its grid position and of its bands."""

    def __init__(self, dim: int, group_size: int, positions: Positions, table: tuple[int, int, int]) -> None:
        super().__init__()
        self.positions, self.table = positions, table
        if positions == "learned":
            self.spatial = nn.Parameter(nn.init.trunc_normal_(torch.empty(table[1] * table[2], dim), std=0.02))
            self.spectral = nn.Parameter(nn.init.trunc_normal_(torch.empty(table[0], dim), std=0.02))
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
        device = spectrum.codes.device
        y, x = (torch.arange(count, device=device) * step for count in (grid.rows, grid.columns))
        spatial = grid_code(y, x, self.bands.out_features)
        spectral: Tensor = self.bands(spectrum.codes)
        return (spectral[:, None] + spatial).flatten(0, 1)


class Encoder(nn.Module):
    """Embeds tokens, tells them where they are, and lets them look at each other."""

    def __init__(self, sizes: Dimensions, fed: int, place: Place, class_token: bool) -> None:
        super().__init__()
        self.embed = nn.Linear(fed, sizes.dim)
        self.place = place
        self.cls = nn.Parameter(nn.init.normal_(torch.empty(2, sizes.dim), std=0.02)) if class_token else None
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


class FullDecoder(nn.Module):
    """Visible and hidden tokens look at each other; the published form."""

    def __init__(self, sizes: Dimensions, values: int, place: Place) -> None:
        super().__init__()
        dim = sizes.decoder_dim
        self.embed = nn.Linear(sizes.dim, dim)
        self.mask_token = nn.Parameter(nn.init.normal_(torch.empty(dim), std=0.02))
        self.place = place
        self.blocks = nn.ModuleList(
            Block(dim, sizes.decoder_heads, sizes.mlp_ratio) for _ in range(sizes.decoder_depth)
        )
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, values)

    def forward(self, seen: Tensor, plan: Plan, spectrum: Spectrum, grid: Grid, everything: bool) -> Tensor:
        """Return [B,M,V], or [B,K+M,V] where ``everything``."""
        place = self.place(spectrum, grid)
        visible = self.embed(seen) + place[plan.visible]
        hidden = self.mask_token + place[plan.predicted]
        x = torch.cat((visible, hidden.to(visible.dtype)), 1)
        keys = None
        if plan.seen is not None and plan.wanted is not None:
            keys = key_mask(torch.cat((plan.seen, plan.wanted), 1))
        *before, last = self.blocks
        for block in before:
            x = block(x, keys)
        # nobody asks what the last block makes of the visible tokens
        x = last(x, keys, 0 if everything else visible.shape[1])
        out: Tensor = self.head(self.norm(x))
        return out


class CrossDecoder(nn.Module):
    """Tokens asked for look at the visible ones, and not at each other."""

    def __init__(self, sizes: Dimensions, values: int, place: Place) -> None:
        super().__init__()
        dim = sizes.decoder_dim
        self.embed = nn.Linear(sizes.dim, dim)
        self.mask_token = nn.Parameter(nn.init.normal_(torch.empty(dim), std=0.02))
        self.place = place
        self.blocks = nn.ModuleList(
            CrossBlock(dim, sizes.decoder_heads, sizes.mlp_ratio) for _ in range(sizes.decoder_depth)
        )
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, values)

    def forward(self, seen: Tensor, plan: Plan, spectrum: Spectrum, grid: Grid, everything: bool) -> Tensor:
        """Return [B,M,V], or [B,K+M,V] where ``everything``."""
        place = self.place(spectrum, grid)
        context = self.embed(seen) + place[plan.visible]
        asked = torch.cat((plan.visible, plan.predicted), 1) if everything else plan.predicted
        x = (self.mask_token + place[asked]).to(context.dtype)
        keys = key_mask(plan.seen)
        for block in self.blocks:
            x = block(x, context, keys)
        out: Tensor = self.head(self.norm(x))
        return out


def dimensions(config: MAESpectral.Config) -> Dimensions:
    """Return the sizes that a configuration describes.

    Raises:
        ConfigError: what does not go together, all of it at once.
    """
    problems = []

    def wrong(key: str, what: str, fix: str) -> None:
        problems.append(Problem(f"model.{key}", "model", what, fix))

    if len(config.patch_size) != 2:
        wrong(
            "patch_size", f"must be two numbers, not {len(config.patch_size)}", "write [side in px, bands], as [25, 5]"
        )
    decoder_dim = config.decoder_embed_dim or config.embed_dim // 2
    decoder_heads = config.decoder_num_heads
    if config.decoder_head_dim is not None:
        decoder_heads = max(1, decoder_dim // config.decoder_head_dim)
        if decoder_dim % config.decoder_head_dim:
            fix = f"take a divisor of {decoder_dim}, or change model.decoder_embed_dim"
            wrong("decoder_head_dim", f"{config.decoder_head_dim} does not divide the decoder's {decoder_dim}", fix)
    for key, heads, dim in (
        ("encoder_num_heads", config.encoder_num_heads, config.embed_dim),
        ("decoder_num_heads", decoder_heads, decoder_dim),
    ):
        if dim % heads and not (key.startswith("decoder") and config.decoder_head_dim):
            wrong(key, f"{heads} heads do not divide a token of {dim}", f"{_divisors(dim)} do")
        if dim % 4 and config.positions != "learned":
            wrong("embed_dim", f"a token of {dim} numbers cannot hold positions", "take a multiple of 4")
    if problems:
        raise ConfigError(problems)
    return Dimensions(
        config.embed_dim,
        config.encoder_depth,
        config.encoder_num_heads,
        decoder_dim,
        config.decoder_depth,
        decoder_heads,
        config.mlp_ratio,
    )


def _divisors(number: int) -> str:
    return ", ".join(str(one) for one in range(1, 33) if number % one == 0)


def _learned_grid(config: MAESpectral.Config, bands: Bands, image_size: tuple[int, int] | None) -> Grid:
    """Return the grid that the tables are for: of the data, which must be what the configuration says."""
    given = config.img_size
    said = None if given is None else (given, given) if isinstance(given, int) else (given[0], given[-1])
    size = said or image_size
    problems = []
    if said is not None and image_size is not None and said != image_size:
        what = f"learned positions are for {said[0]} x {said[1]} px, the data have {image_size[0]} x {image_size[1]}"
        problems.append(Problem("model.img_size", "model", what, "set it to null, or model.positions=pixels"))
    if config.in_chans is not None and config.in_chans != len(bands):
        what = f"learned positions are for {config.in_chans} bands, the data have {len(bands)}"
        problems.append(Problem("model.in_chans", "model", what, "set it to null, or model.positions=pixels"))
    if size is None:
        problems.append(Problem("model.img_size", "model", "learned positions need the size of the images", None))
    if problems or size is None:
        raise ConfigError(problems)
    return Grid.of(len(bands), *size, config.patch_size[0], config.patch_size[1])


def _require_resolution(bands: Bands) -> None:
    if lacking := [band.name for band in bands if band.resolution is None]:
        what = f"positions in metres need the resolution of each band, and {', '.join(lacking[:5])} have none"
        raise ConfigError([Problem("model.positions", "model", what, "set model.positions=pixels")])
