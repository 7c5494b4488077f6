"""A small decoder on the feature maps of any encoder: from coarse to fine, and at last beside the image itself."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GROUPS = 8


class Pyramid(nn.Module):
    """A feature pyramid (Lin et al. 2017) that ends at the resolution of the image.

    Each map is brought to one width; from the coarsest on, maps are made larger and added to the next finer one. At the
    end stands a layer of the image itself, which is what edges are taken from where the finest map is coarse. Layers
    are normalised by groups of channels, so that an image does not depend on its batch.

    Args:
        depths: channels of the maps, from fine to coarse.
        in_channels: of the image.
        channels: numbers a pixel that come out.
        width: channels of the pyramid; a multiple of 32, as a quarter of them falls into 8 groups.
    """

    def __init__(self, depths: Sequence[int], in_channels: int, channels: int, width: int = 128) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(depth, width, 1) for depth in depths)
        self.smooth = nn.ModuleList(_layer(width, width) for _ in depths)
        self.detail = _layer(in_channels, width // 4)
        self.last = _layer(width + width // 4, width // 2)
        self.out = nn.Conv2d(width // 2, channels, 1)

    def forward(self, maps: Sequence[Tensor], image: Tensor) -> Tensor:
        """Return [B,channels,H,W] for maps from fine to coarse and the image [B,C,H,W] that they are of."""
        found: Tensor | None = None
        for lateral, smooth, one in reversed(list(zip(self.lateral, self.smooth, maps, strict=True))):
            level = lateral(one)
            found = smooth(level if found is None else level + _resized(found, level))
        assert found is not None
        joined = torch.cat((_resized(found, image), self.detail(image)), 1)
        out: Tensor = self.out(self.last(joined))
        return out


def _layer(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, padding=1, bias=False), nn.GroupNorm(GROUPS, outside), nn.ReLU(inplace=True)
    )


def _resized(values: Tensor, like: Tensor) -> Tensor:
    if values.shape[2:] == like.shape[2:]:
        return values
    return F.interpolate(values, like.shape[2:], mode="bilinear", align_corners=False)
