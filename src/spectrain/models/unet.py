"""The U-Net of the regression with sparse labels: a mean and a log-variance for each pixel."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config.option import option
from ..core.bands import Bands
from ..core.errors import DataError
from .banded import ModelConfig

WIDTH = 64
"""Channels of the first map; each level below has twice as many."""
MOMENTS = 2
"""Numbers a pixel that are a mean and a log-variance."""


class UNet(nn.Module):
    """A U-Net (Ronneberger et al. 2015) from images [B,num_ch,H,W] to [B,channels,H,W].

    Encoder maps have 64, 128, 256, 512 and 512 channels at strides 1 to 16; the decoder's have 256, 128, 64 and 32.
    With ``channels=2`` a pixel's two numbers are its mean and one without bounds, of which the loss makes the
    log-variance: bounded, or by a softplus as published, where weights of the published trainer are meant to be read
    so. Weights have the names of that trainer's, and with 14 bands and bilinear upsampling there are 17,250,818 of
    them, as there.

    Images may have any height and width. A side that is no multiple of 16 loses its last pixel where a map is halved,
    as published, and gets it back by zeros beside the larger map; a side of one pixel is halved no further.

    With ``bilinear=False`` (maps are made larger by transposed convolutions) the deepest map has 1024 channels and
    the decoder's have 512, 256, 128 and 64. The published network expects 32 channels in its heads there and fails;
    here the heads take the 64 that come. So it has 31,044,034 parameters with 14 bands, 64 above the published count
    of 31,043,970, which is of heads that do not fit.

    Args:
        num_ch: bands of the images, and their mask channels where they have some.
        bilinear: make maps larger by interpolation.
        channels: numbers a pixel; 2 are a mean and a log-variance. Any other number comes from one head.
    """

    head_names = ("meanlayer.", "stdlayer.")

    @dataclass(frozen=True)
    class Config(ModelConfig):
        """Keys of ``model=unet``."""

        num_ch: int | None = option(None, "number of bands; null is what the data have", minimum=1)
        bilinear: bool = option(True, "interpolate in the decoder; false learns transposed convolutions")

    def __init__(self, num_ch: int = 14, bilinear: bool = True, channels: int = MOMENTS) -> None:
        super().__init__()
        self.num_ch, self.bilinear, self.channels = num_ch, bilinear, channels
        half = 2 if bilinear else 1  # interpolation keeps channels, a transposed convolution halves them
        w = WIDTH
        self.inc = DoubleConv(num_ch, w)
        self.down1 = Down(w, 2 * w)
        self.down2 = Down(2 * w, 4 * w)
        self.down3 = Down(4 * w, 8 * w)
        self.down4 = Down(8 * w, 16 * w // half)
        self.up1 = Up(16 * w // half, 8 * w, 8 * w // half, bilinear)
        self.up2 = Up(8 * w // half, 4 * w, 4 * w // half, bilinear)
        self.up3 = Up(4 * w // half, 2 * w, 2 * w // half, bilinear)
        self.up4 = Up(2 * w // half, w, w // half, bilinear)
        self.meanlayer = MeanHead(w // half, 1 if channels == MOMENTS else channels)
        self.stdlayer = SpreadHead(w // half) if channels == MOMENTS else None

    @classmethod
    def from_config(
        cls, config: Config, *, bands: Bands, image_size: tuple[int, int] | None, channels: int = MOMENTS
    ) -> UNet:
        """Return the network for ``bands``; any image size will do.

        Raises:
            DataError: ``num_ch`` is another number of bands.
        """
        if config.num_ch not in (None, len(bands)):
            raise DataError(
                f"the model is for {config.num_ch} bands, the data have {len(bands)}",
                where="model.num_ch",
                fix=f"set model.num_ch={len(bands)} (--num_ch {len(bands)}), or choose bands with dataset.bands",
            )
        return cls(config.in_channels(bands), config.bilinear, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B,channels,H,W]; with two, the mean and the second head without bounds."""
        first, second, third, fourth, deepest = self.encoded(x)
        found = self.up1(deepest, fourth)
        found = self.up2(found, third)
        found = self.up3(found, second)
        found = self.up4(found, first)
        mean: Tensor = self.meanlayer(found)
        return mean if self.stdlayer is None else torch.cat((mean, self.stdlayer(found)), 1)

    def encoded(self, x: Tensor) -> list[Tensor]:
        """Return the five maps of the encoder, from fine to coarse; each side is half the finer one's, rounded down."""
        maps = [self.inc(x)]
        for down in (self.down1, self.down2, self.down3, self.down4):
            maps.append(down(maps[-1]))
        return maps

    def features(self, x: Tensor) -> list[tuple[int, Tensor]]:
        """Return the encoder's maps with their strides 1 to 16; a row or column that halving lost is the last again."""
        height, width = x.shape[2:]
        found = []
        for level, one in enumerate(self.encoded(x)):
            below = math.ceil(height / 2**level) - one.shape[2]
            right = math.ceil(width / 2**level) - one.shape[3]
            one = F.pad(one, (0, right, 0, below), mode="replicate") if below or right else one
            found.append((2**level, one))
        return found

    def fsdp_blocks(self) -> Iterator[nn.Module]:
        """Yield the units of FSDP and of recomputation."""
        yield self.inc
        yield from (self.down1, self.down2, self.down3, self.down4)
        for up in (self.up1, self.up2, self.up3, self.up4):
            yield up.conv


class DoubleConv(nn.Module):
    """Two convolutions 3 x 3, each with batch norm and a ReLU; ``middle`` channels between them."""

    def __init__(self, inside: int, outside: int, middle: int | None = None) -> None:
        super().__init__()
        middle = outside if middle is None else middle
        self.double_conv = nn.Sequential(
            nn.Conv2d(inside, middle, 3, padding=1, bias=False),
            nn.BatchNorm2d(middle),
            nn.ReLU(inplace=True),
            nn.Conv2d(middle, outside, 3, padding=1, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return [B,outside,H,W]."""
        out: Tensor = self.double_conv(x)
        return out


class Halve(nn.Module):
    """The largest of each 2 x 2 pixels; a side of one pixel stays."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the map at half its sides, rounded down, but one pixel at least."""
        height, width = x.shape[2:]
        return F.max_pool2d(x, (min(2, height), min(2, width)))


class Down(nn.Module):
    """One level down: halved, then two convolutions."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.maxpool_conv = nn.Sequential(Halve(), DoubleConv(inside, outside))

    def forward(self, x: Tensor) -> Tensor:
        """Return [B,outside,H//2,W//2]."""
        out: Tensor = self.maxpool_conv(x)
        return out


class Up(nn.Module):
    """One level up: the coarser map made twice as large, beside the encoder's, then two convolutions.

    Args:
        inside: channels of the coarser map.
        skip: channels of the encoder's map.
        outside: channels that come out.
        bilinear: interpolate, corner pixel to corner pixel; else a transposed convolution, which halves ``inside``.
    """

    def __init__(self, inside: int, skip: int, outside: int, bilinear: bool) -> None:
        super().__init__()
        self.up: nn.Module
        if bilinear:
            self.up, joined = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), inside + skip
        else:
            self.up, joined = nn.ConvTranspose2d(inside, inside // 2, 2, stride=2), inside // 2 + skip
        self.conv = DoubleConv(joined, outside, joined // 2)

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        """Return [B,outside,H,W] of the size of ``skip``; what is not covered is 0, half of it on each side."""
        large = self.up(coarse)
        below, right = skip.shape[2] - large.shape[2], skip.shape[3] - large.shape[3]
        if below or right:  # negative, which cuts off, where a side of one pixel was not halved
            large = F.pad(large, (right // 2, right - right // 2, below // 2, below - below // 2))
        out: Tensor = self.conv(torch.cat((skip, large), 1))
        return out


class MeanHead(nn.Module):
    """A linear layer of each pixel."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B,outside,H,W]."""
        out: Tensor = self.conv(x)
        return out


class SpreadHead(nn.Module):
    """A linear layer of each pixel, without the softplus that the published one ends in."""

    def __init__(self, inside: int) -> None:
        super().__init__()
        self.out = nn.Sequential(nn.Conv2d(inside, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return [B,1,H,W]."""
        out: Tensor = self.out(x)
        return out
