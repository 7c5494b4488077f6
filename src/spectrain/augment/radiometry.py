"""Changes of light: brightness, contrast and speckle, of optical bands alone."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.bands import Bands
from ..core.errors import DataError
from ..core.fill import fill_invalid
from ..core.random import Key, uniform, uniform_image


def optical_bands(bands: Bands, named: list[str] | None) -> Tensor:
    """Return which bands light changes, bool [C]: those named, else those with a wavelength.

    Elevation, slope, indices and radar have none, and are no brighter on a bright day.

    Raises:
        DataError: no band has a wavelength, and none was named; or a name that no band has.
    """
    if named is not None:
        places = {bands.position(name) for name in named}
        return torch.tensor([place in places for place in range(len(bands))])
    found = torch.tensor([band.wavelength is not None for band in bands])
    if not bool(found.any()):
        raise DataError(
            "which bands are optical is not known: none has a wavelength",
            where="augmentation.brightness, contrast, speckle",
            fix="name them in augmentation.optical, or give dataset.wavelengths",
        )
    return found


def change_light(
    image: Tensor,
    kept: Tensor | None,
    optical: Tensor,
    ranges: tuple[float, float, float],
    key: Key,
    index: Tensor,
    changed: Tensor | None,
) -> Tensor:
    """Return [b,C,H,W] with other light on its optical bands.

    Each value becomes ``(m + (x - m) * contrast) * brightness * speckle``, m the mean of its band's valid pixels in
    the image; contrast and brightness are one number a sample, 1 plus or minus their range, speckle is one a value.

    Args:
        image: finite; 0 where it is not valid, and so it stays.
        kept: 1.0 where valid, else 0.0, [b,C,H,W] or [b,1,H,W]; None where all is valid.
        optical: bool [C].
        ranges: largest change of brightness, contrast and speckle, each below 1.
        key: the stream.
        index: int64 [b], the samples.
        changed: bool [b], samples that are changed at all; None for all.
    """
    brightness, contrast, speckle = ranges
    drawn = 2 * uniform(key, index, 2) - 1
    light = (1 + brightness * drawn[:, 0])[:, None, None, None]
    if contrast:
        height, width = image.shape[2:]
        total = image.sum(3).sum(2)
        count = torch.full_like(total, height * width) if kept is None else kept.sum(3).sum(2).expand_as(total)
        mean = (total / count.clamp(min=1))[:, :, None, None]
        lit = (mean + (image - mean) * (1 + contrast * drawn[:, 1])[:, None, None, None]) * light
    else:
        lit = image * light
    if speckle:
        grain = uniform_image(key.at(purpose=f"{key.purpose}/speckle"), index, tuple(image.shape[1:]))
        lit = lit * (1 + speckle * (2 * grain - 1))
    where = optical[None, :, None, None]
    if changed is not None:
        where = where & changed[:, None, None, None]
    lit = torch.where(where, lit, image)
    return lit if kept is None else fill_invalid(lit, kept.bool())
