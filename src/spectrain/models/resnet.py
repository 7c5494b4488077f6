"""Residual networks (He, Zhang, Ren and Sun, CVPR 2016) for any number of bands and any image size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

from torch import Tensor, nn
from torch.nn import functional as F

WIDTH = 64
"""Channels of the stem and of the first stage; each stage after it is twice as wide."""

ResNetName = Literal["resnet18", "resnet34", "resnet50", "resnet101"]
Stem = Literal["small", "large"]

# depth of each stage, and whether its blocks have a bottleneck
_DEPTHS: dict[ResNetName, tuple[tuple[int, int, int, int], bool]] = {
    "resnet18": ((2, 2, 2, 2), False),
    "resnet34": ((3, 4, 6, 3), False),
    "resnet50": ((3, 4, 6, 3), True),
    "resnet101": ((3, 4, 23, 3), True),
}


def resnet_name(depths: tuple[int, ...], bottleneck: bool) -> ResNetName | None:
    """Return the name of the network with these blocks a stage, or None where none is known."""
    return next((name for name, kind in _DEPTHS.items() if kind == (depths, bottleneck)), None)


def _convolution(inside: int, outside: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """Return a convolution that keeps ceil(size / stride) and leaves the bias to the norm after it."""
    return nn.Conv2d(inside, outside, kernel, stride, padding=kernel // 2, bias=False)


def _shortcut(inside: int, outside: int, stride: int) -> nn.Module:
    """Return the branch around a block: nothing, or a projection where width or stride change."""
    if stride == 1 and inside == outside:
        return nn.Sequential()
    return nn.Sequential(_convolution(inside, outside, 1, stride), nn.BatchNorm2d(outside))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut around them."""

    expansion = 1

    def __init__(self, inside: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _convolution(inside, width, 3, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _convolution(width, width, 3), nn.BatchNorm2d(width)
        self.shortcut = _shortcut(inside, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B,width,...] for [B,inside,...]."""
        residual = F.relu(self.bn1(self.conv1(x)), inplace=True)
        residual = self.bn2(self.conv2(residual))
        return F.relu(residual + self.shortcut(x), inplace=True)


class Bottleneck(nn.Module):
    """1x1, 3x3 (which carries the stride) and 1x1 to four times the width, and a shortcut around them."""

    expansion = 4

    def __init__(self, inside: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _convolution(inside, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _convolution(width, width, 3, stride), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = _convolution(width, width * 4, 1), nn.BatchNorm2d(width * 4)
        self.shortcut = _shortcut(inside, width * 4, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B,4*width,...] for [B,inside,...]."""
        residual = F.relu(self.bn1(self.conv1(x)), inplace=True)
        residual = F.relu(self.bn2(self.conv2(residual)), inplace=True)
        residual = self.bn3(self.conv3(residual))
        return F.relu(residual + self.shortcut(x), inplace=True)


class ResNet(nn.Module):
    """The encoder: a stem, four stages of widths 64, 128, 256, 512 and strides 1, 2, 2, 2, and an average.

    Args:
        name: "resnet18", "resnet34", "resnet50" or "resnet101".
        in_channels: bands of the images, and their mask channels where they have some.
        stem: "small" (3x3, stride 1, no pooling) for images of about 32 to 96 pixels; "large" (7x7, stride 2, then
            3x3 max-pooling of stride 2) for larger ones. The small stem costs about 16 times the arithmetic.

    Attributes:
        dim: length of the pooled vector: 512, or 2048 for those with bottlenecks.
        strides: of the maps that `features` returns.
        channels: of the same maps.

    Raises:
        ValueError: the name or the stem is unknown.
    """

    def __init__(self, name: ResNetName = "resnet50", in_channels: int = 1, stem: Stem = "small") -> None:
        super().__init__()
        if name not in _DEPTHS:
            raise ValueError(f"the backbone is one of {', '.join(_DEPTHS)}, not {name!r}")
        if stem not in get_args(Stem):
            raise ValueError(f"the stem is one of {', '.join(get_args(Stem))}, not {stem!r}")
        depths, bottleneck = _DEPTHS[name]
        block = Bottleneck if bottleneck else BasicBlock
        small = stem == "small"
        self.conv1 = _convolution(in_channels, WIDTH, 3) if small else _convolution(in_channels, WIDTH, 7, 2)
        self.bn1 = nn.BatchNorm2d(WIDTH)
        self.pool = nn.Identity() if small else nn.MaxPool2d(3, stride=2, padding=1)
        widths, stages, inside = [WIDTH * 2**stage for stage in range(4)], [], WIDTH
        for depth, width, stride in zip(depths, widths, (1, 2, 2, 2), strict=True):
            stage = nn.Sequential()
            for number in range(depth):
                stage.append(block(inside, width, stride if number == 0 else 1))
                inside = width * block.expansion
            stages.append(stage)
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.dim = inside
        maps = tuple(width * block.expansion for width in widths)
        self.strides = (1, 2, 4, 8) if small else (2, 4, 8, 16, 32)
        self.channels = maps if small else (WIDTH, *maps)
        self._initialise()

    def _initialise(self) -> None:
        """Draw the convolutions after He et al. (ICCV 2015), by fan-out; norms begin as the identity."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, x: Tensor) -> list[tuple[int, Tensor]]:
        """Return (stride, map) from fine to coarse.

        Args:
            x: [B,C,H,W], any size.

        Returns:
            The four stages, before them the stem where its stride is its own (large stem). A map is
            [B, channels, ceil(H / stride), ceil(W / stride)].
        """
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        maps = [] if len(self.strides) == 4 else [x]
        x = self.pool(x)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            maps.append(x)
        return list(zip(self.strides, maps, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """Return the last map averaged over its pixels, [B, dim]."""
        _, coarsest = self.features(x)[-1]
        return coarsest.mean(dim=(2, 3))

    def fsdp_blocks(self) -> Iterator[nn.Module]:
        """Yield the residual blocks: what to shard one by one where the model is sharded."""
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            yield from stage
