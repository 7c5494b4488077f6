"""Images of any number of bands as colours that a screen can show. Pure functions on arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from ..core.bands import Bands

COLORMAP = "viridis"
"""Perceptually uniform, and readable without colour vision."""
RED_GREEN_BLUE = (665.0, 560.0, 490.0)
"""Wavelengths in nm that a true-colour composite is made of."""
NAMED = (("red", "green", "blue"), ("b04", "b03", "b02"))
"""What bands are called that make a true-colour composite."""
_HOLE, _STRIPE = 0.62, 0.78

Limits = tuple[float, float]


def shown_channels(count: int, bands: Bands | None = None) -> tuple[int, ...]:
    """Return the channels to show of ``count``: the first of one or two, else those for red, green and blue.

    These are the bands nearest to the three colours; where wavelengths are missing, or two colours have the same
    nearest band, those that are called red, green and blue, or as Sentinel-2 calls them; else the first three.
    """
    if count < 3:
        return (0,)
    known = [(number, band.wavelength) for number, band in enumerate(bands or ()) if band.wavelength is not None]
    if len(known) >= 3:
        nearest = [min(known, key=lambda item: abs(item[1] - colour))[0] for colour in RED_GREEN_BLUE]
        if len(set(nearest)) == 3:
            return tuple(nearest)
    names = [band.name.lower() for band in bands or ()]
    for called in NAMED:
        if set(called) <= set(names) and ("b8a" in names or called[0] == "red"):  # others have a B04 too
            return tuple(names.index(name) for name in called)
    return (0, 1, 2)


def first_band(limits: Limits, bands: Bands | None = None) -> tuple[ScalarMappable, str]:
    """Return the scale by which `to_rgb` colours images of one or two bands, and what its bar says: band and unit."""
    words = (f"{bands[0].name} [{bands[0].unit}]" if bands[0].unit else bands[0].name) if bands else ""
    return ScalarMappable(Normalize(*limits), COLORMAP), words


def robust_limits(values: NDArray[Any], valid: NDArray[np.bool_]) -> Limits:
    """Return the 2nd and 98th percentile of the valid values; a range around it for a constant, (0, 1) for none."""
    observed = values[valid]
    if not observed.size:
        return 0.0, 1.0
    low, high = (float(limit) for limit in np.percentile(observed, (2, 98)))
    half = max(0.5, abs(low) * 1e-6)
    return (low, high) if high > low else (low - half, low + half)


def to_rgb(
    image: NDArray[Any],
    valid: NDArray[np.bool_],
    bands: Bands | None = None,
    limits: list[Limits] | None = None,
) -> NDArray[np.float32]:
    """Return an image as colours: a composite of three bands, or the first of fewer in a colour map.

    Args:
        image: [C,H,W]; values of holes are not looked at.
        valid: bool [C,H,W].
        bands: of the image; with their wavelengths the composite has true colours.
        limits: what becomes black and full colour, for each of the bands shown; None takes `robust_limits` of each.

    Returns:
        [H,W,3] from 0 to 1. A pixel that is missing in a band shown is striped grey, a colour in no colour map.
    """
    shown = list(shown_channels(image.shape[0], bands))
    layers, observed = image[shown], valid[shown]
    limits = limits or [robust_limits(*layer) for layer in zip(layers, observed, strict=True)]
    low, high = np.array(limits, dtype=np.float64).T[:, :, None, None]
    filled = np.where(observed, layers, low)
    stretched = np.clip((filled - low) / (high - low), 0, 1)
    colours = np.moveaxis(stretched, 0, -1) if len(shown) == 3 else colormaps[COLORMAP](stretched[0])[..., :3]
    seen = np.logical_and.reduce(observed)[..., None]
    return np.where(seen, colours, _stripes(*image.shape[1:])[..., None]).astype(np.float32)


def _stripes(height: int, width: int) -> NDArray[np.float64]:
    """Return diagonal stripes in two greys, [H,W]."""
    period = max(4, min(height, width) // 12)
    diagonal = np.add.outer(np.arange(height), np.arange(width)) % period
    return np.where(diagonal < period / 2, _HOLE, _STRIPE)
