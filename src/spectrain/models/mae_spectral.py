"""A masked autoencoder of space and spectrum, for any bands and any image size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..config.option import option
from ..core.bands import Bands
from ..core.batch import Batch
from ..core.errors import ConfigError, Problem
from ..core.random import Key
from ..core.targets import NoTarget
from .any_bands import AnyBands, Tokens
from .banded import ModelConfig
from .mae_layers import CrossDecoder, Dimensions, Encoder, FullDecoder, Place, Positions
from .masking import Masking, Plan, draw_plan
from .tokens import Grid, take
from .transformer import init_weights

Decoder = Literal["full", "cross"]


class MAESpectral(nn.Module):
    """Masked autoencoder (He et al. 2022) whose tokens are blocks of a few bands by a few pixels.

    After SpectralGPT (Hong et al. 2024) and SpectralEye, for any bands and sizes.

    The encoder sees the visible tokens only, and only these are embedded. Where a token is, in the image and in the
    spectrum, is told by functions of numbers: its place in pixels or metres, the centre and width of its bands in nm
    (the name of a band that has no wavelength). So one model takes any bands and any image size, and what was learned
    on 30 bands runs on 12 or on 200. The decoder is ``full`` (visible and hidden tokens all look at each other) or
    ``cross`` (hidden tokens look at the visible ones, after CrossMAE, Fu et al. 2024: less than half the work).

    In a training it works on tokens, which `AnyBands` makes of a batch; `forward` takes plain images.

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

    @classmethod
    def of(cls, **options: Any) -> MAESpectral:
        """Return the model of the options that ``model=mae_medium`` has, by keyword; for a training of one's own.

        Example:
            >>> model = MAESpectral.of(embed_dim=192, encoder_depth=12, encoder_num_heads=3, decoder_num_heads=3)
            >>> model(torch.rand(2, 4, 100, 100), wavelengths=[490, 560, 665, 842]).shape
            torch.Size([2, 4, 100, 100])

        Raises:
            ConfigError: dimensions that do not go together.
        """
        config = cls.Config(**options)
        size = config.img_size if isinstance(config.img_size, list) else [config.img_size or 500] * 2
        return cls.from_config(config, bands=Bands.unnamed(config.in_chans or 30), image_size=(size[0], size[-1]))

    def forward(self, x: Tensor, wavelengths: Sequence[float] | None = None, valid: Tensor | None = None) -> Tensor:
        """Return the reconstruction [B,C,H,W] of images [B,C,H,W] from the tokens that their place in the batch shows.

        The network is moved to the device of the images.

        Args:
            x: of any number of bands and any size, already scaled.
            wavelengths: of the bands in nm; None tells the bands by their number alone.
            valid: bool [B,C,H,W], what was measured; None is what is finite.

        Raises:
            ValueError: not one wavelength a band.
        """
        names = Bands.unnamed(x.shape[1])
        if wavelengths is not None:
            names = Bands(replace(band, wavelength=nm) for band, nm in zip(names, wavelengths, strict=True))
        statistics = Untouched((0.0,) * len(names), (1.0,) * len(names))
        model = AnyBands(self, names, statistics, "none", self.mask_channel).to(x.device)
        seen = torch.isfinite(x) if valid is None else valid
        index = torch.arange(x.shape[0], device=x.device)
        found: Tensor = model(Batch(x, seen, NoTarget(), index, all_valid=False))
        return found

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


@dataclass(frozen=True)
class Untouched:
    """Statistics of images that are scaled already."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


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
    for side, key, heads, dim in (
        ("embed_dim", "encoder_num_heads", config.encoder_num_heads, config.embed_dim),
        ("decoder_embed_dim", "decoder_num_heads", decoder_heads, decoder_dim),
    ):
        if dim % heads and not (key.startswith("decoder") and config.decoder_head_dim):
            wrong(key, f"{heads} heads do not divide a token of {dim}", f"{_divisors(dim)} do")
        if dim % 4 and config.positions != "learned":
            wrong(side, f"a token of {dim} numbers cannot hold positions", "take a multiple of 4")
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
