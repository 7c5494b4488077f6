"""The published regression network, slow and written from its description alone: its key list and its function."""

from __future__ import annotations

import numpy as np
import torch

from spectrain.models import unet

EPS = 1e-5
LEVELS = {"inc.": (None, 2), "down1.maxpool_conv.1.": (2, 4), "down2.maxpool_conv.1.": (4, 8)}
LEVELS |= {"down3.maxpool_conv.1.": (8, 16), "down4.maxpool_conv.1.": (16, 16)}
UPS = {"up1.conv.": (32, 16, 8), "up2.conv.": (16, 8, 4), "up3.conv.": (8, 4, 2)}
UPS |= {"up4.conv.": (4, 2, 1)}
"""Channels, in those of the heads: 32 as published."""


def shapes(channels: int) -> dict[str, tuple[int, ...]]:
    """The names of the published weights, in their order, with their shapes.

    They are as wide as networks are here: 32 channels in the heads, or fewer where a test asked for narrow ones.
    """
    least = unet.WIDTH // 2
    found: dict[str, tuple[int, ...]] = {}

    def double(prefix, inside, middle, outside):
        for place, (a, b) in ((0, (inside, middle)), (3, (middle, outside))):
            found[f"{prefix}double_conv.{place}.weight"] = (b, a, 3, 3)
            for name in ("weight", "bias", "running_mean", "running_var"):
                found[f"{prefix}double_conv.{place + 1}.{name}"] = (b,)
            found[f"{prefix}double_conv.{place + 1}.num_batches_tracked"] = ()

    for prefix, (inside, outside) in LEVELS.items():
        double(prefix, channels if inside is None else least * inside, least * outside, least * outside)
    for prefix, (inside, middle, outside) in UPS.items():
        double(prefix, least * inside, least * middle, least * outside)
    for head in ("meanlayer.conv", "stdlayer.out.0"):
        found[f"{head}.weight"], found[f"{head}.bias"] = (1, least, 1, 1), (1,)
    return found


def published_weights(channels: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights by these names, drawn so that numbers keep their size from layer to layer."""
    draw = torch.Generator().manual_seed(seed)
    weights: dict[str, torch.Tensor] = {}
    for name, shape in shapes(channels).items():
        if name.endswith("num_batches_tracked"):
            weights[name] = torch.tensor(7)
        elif name.endswith("running_var"):
            weights[name] = 0.5 + torch.rand(shape, generator=draw)
        elif len(shape) == 4:
            weights[name] = torch.randn(shape, generator=draw) * (2 / np.prod(shape[1:])) ** 0.5
        else:
            weights[name] = torch.randn(shape, generator=draw) * 0.1 + (1.0 if name.endswith("1.weight") else 0.0)
    return weights


def published_forward(weights: dict[str, torch.Tensor], image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and log-variance [B,H,W] of images [B,C,H,W] in evaluation, in double precision."""
    w = {name: value.double().numpy() for name, value in weights.items()}

    def double(x, prefix):
        for place in (0, 3):
            x = conv3(x, w[f"{prefix}double_conv.{place}.weight"])
            mean, var, scale, shift = (
                w[f"{prefix}double_conv.{place + 1}.{name}"][:, None, None]
                for name in ("running_mean", "running_var", "weight", "bias")
            )
            x = np.maximum((x - mean) / np.sqrt(var + EPS) * scale + shift, 0)
        return x

    maps = []
    for x in image.astype(np.float64):
        levels = [double(x, "inc.")]
        for prefix in list(LEVELS)[1:]:
            levels.append(double(halved(levels[-1]), prefix))
        found = levels.pop()
        for prefix in UPS:
            skip = levels.pop()
            found = double(np.concatenate([skip, padded(doubled(found), skip)]), prefix)
        maps.append(found)
    features = np.stack(maps)
    heads = [
        np.einsum("oc,bchw->bohw", w[f"{head}.weight"][:, :, 0, 0], features)[:, 0] + w[f"{head}.bias"][0]
        for head in ("meanlayer.conv", "stdlayer.out.0")
    ]
    return heads[0], np.logaddexp(0, heads[1])


def conv3(x, kernel):
    wide = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    height, width = x.shape[1:]
    return sum(
        np.einsum("oc,chw->ohw", kernel[:, :, i, j], wide[:, i : i + height, j : j + width], optimize=True)
        for i in range(3)
        for j in range(3)
    )


def halved(x):
    height, width = x.shape[1] // 2, x.shape[2] // 2
    return x[:, : 2 * height, : 2 * width].reshape(-1, height, 2, width, 2).max(axis=(2, 4))


def doubled(x):
    """Twice as large, with corner pixels on corner pixels."""

    def along(values, axis):
        count = values.shape[axis]
        place = np.linspace(0, count - 1, 2 * count)
        low = np.minimum(np.floor(place).astype(int), count - 1)
        high = np.minimum(low + 1, count - 1)
        share = (place - low).reshape([-1 if axis == one else 1 for one in range(3)])
        return values.take(low, axis) * (1 - share) + values.take(high, axis) * share

    return along(along(x, 1), 2)


def padded(x, like):
    below, right = like.shape[1] - x.shape[1], like.shape[2] - x.shape[2]
    return np.pad(x, ((0, 0), (below // 2, below - below // 2), (right // 2, right - right // 2)))
