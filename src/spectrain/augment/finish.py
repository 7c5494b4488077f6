"""What happens to the values of a view after it was warped: noise, then the mean removed."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.random import Key, normal_image


def add_noise(image: Tensor, kept: Tensor | None, sigma: float | Tensor, key: Key, index: Tensor) -> None:
    """Add normal noise to the valid pixels of [b,C,H,W], in place.

    It comes after the warp, so that neighbouring pixels do not share it.

    Args:
        image: changed.
        kept: 1.0 where valid, else 0.0, [b,C,H,W] or (shared by the bands) [b,1,H,W]; None where all is valid.
        sigma: standard deviation in the units of the image; a number, or [C,1,1].
        key: the stream.
        index: int64 [b], the samples.
    """
    noise = normal_image(key, index, tuple(image.shape[1:]))
    if isinstance(sigma, Tensor):
        noise, sigma = noise.mul_(sigma), 1.0
    if kept is None:
        image.add_(noise, alpha=sigma)
    else:
        image.addcmul_(noise, kept, value=sigma)


def remove_mean(image: Tensor, kept: Tensor | None, *, per_band: bool) -> None:
    """Subtract from each image of [b,C,H,W] the mean of its valid pixels, in place.

    Args:
        image: finite; 0 where it is not valid, and so it stays.
        kept: as in `add_noise`. Where no pixel is valid, nothing is subtracted.
        per_band: each band has its own mean; else one over all bands, as published.
    """
    # one axis after the other: so the order of the additions, and the last bit, does not depend on the batch
    total = image.sum(3).sum(2)
    height, width = image.shape[2:]
    count = torch.full_like(total, height * width) if kept is None else kept.sum(3).sum(2).expand_as(total)
    if not per_band:
        total, count = total.sum(1, keepdim=True), count.sum(1, keepdim=True)
    mean = (total / count.clamp(min=1))[:, :, None, None]
    if kept is None:
        image.sub_(mean)
    else:
        image.addcmul_(mean, kept, value=-1)
