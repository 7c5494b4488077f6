"""The bands of DARTS: in which numbers its pipeline has them, and which of these it makes 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...core.bands import Band
from ...core.errors import DataError
from ...data.values import REFLECTANCE_SCALE
from ...preparation.ingredients import LIMITS
from ...preparation.options import NORM_FACTORS, REFLECTANCE_LIMITS


@dataclass(frozen=True, slots=True)
class Published:
    """How a band is normalised there.

    Attributes:
        factor: what the pipeline multiplies its number by.
        limits: the physical values that become 0 and 1 by it, as `Band.limits` has them.
        as_stored: its number is what a file of the band stores, and not made of other bands.
    """

    factor: float
    limits: tuple[float, float]
    as_stored: bool = False


PUBLISHED: dict[str, Published] = {
    name: Published(factor, LIMITS.get(name, REFLECTANCE_LIMITS), as_stored=name not in LIMITS)
    for name, factor in NORM_FACTORS.items()
}
"""Of version 0.4, whose checkpoints have ``norm_factors``."""

LATER: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("blue", "green", "red", "nir"), (-0.1, 0.5)),
    "ndvi": (-1.0, 1.0),
    **dict.fromkeys(("tc_brightness", "tc_greenness", "tc_wetness"), (0.0, 255.0)),
    **dict.fromkeys(("tpi", "relative_elevation"), (-50.0, 50.0)),
    "slope": (0.0, 90.0),
    "aspect": (0.0, 360.0),
    "dem": (-100.0, 3000.0),
}
"""Limits of later versions, whose checkpoints name bands and nothing else."""


def from_pipeline(band: Band, transform: str) -> tuple[float, float]:
    """Return scale and offset from the pipeline's numbers of a band to the values that the model was trained on.

    Published patches are stored normalised already (limits of 0 and 1). Bands that the pipeline makes itself (ndvi,
    slope, ...) are known by their limits; all others are there as they were stored for the training.

    Args:
        band: as the training had it.
        transform: of `dataset.transform`, for this band.

    Raises:
        DataError: a logarithm, or a band whose values may be anything.
    """
    if transform not in ("none", "reflectance"):
        raise DataError(
            f"the band {band.name!r} is transformed by {transform}, which the pipeline does not do",
            where="dataset.transform",
            fix="export it by --to onnx or safetensors",
        )
    known = PUBLISHED.get(band.name)
    if known is not None and band.limits == (0.0, 1.0) and (band.scale, band.offset) == (1.0, 0.0):
        return known.factor, 0.0
    if known is None or known.as_stored:
        if transform == "reflectance" and (band.scale, band.offset) == (1.0, 0.0):
            return REFLECTANCE_SCALE, 0.0
        return band.scale, band.offset
    if band.limits is None:
        low, high = known.limits
        raise DataError(
            f"the pipeline has {band.name!r} in numbers of its own, and the training's may be any: it has no limits",
            where="the bands",
            fix=f"train on patches of `spectrain prepare s2` or `planet`, where it is from {low:g} to {high:g}",
        )
    low, high = known.limits
    return known.factor * (high - low), low


def limits_of(name: str, factor: float | None, where: str) -> tuple[float, float]:
    """Return the physical values of a band that a published model sees as 0 and 1.

    Args:
        name: of the band.
        factor: what its numbers are multiplied by; None where the checkpoint has no factors.
        where: the file, for errors.

    Raises:
        DataError: it has none, and the band is not known.
    """
    known = PUBLISHED.get(name)
    if factor is None:
        if name not in LATER:
            raise DataError(
                f"the file does not say how the band {name!r} is normalised",
                where=where,
                fix=f"say which of its values are 0 and 1: --limits {name}=LOW:HIGH",
            )
        return LATER[name]
    if not factor > 0:
        raise DataError(f"the factor {factor!r} of the band {name!r} is none", where=where, fix="give another file")
    if known is None:
        return 0.0, 1 / factor
    low, high = known.limits
    return low, float(f"{low + known.factor * (high - low) / factor:.12g}")


def given_limits(words: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return limits by name from words such as ``hillshade=0:255``.

    Raises:
        DataError: a word is no such.
    """
    found = {}
    for word in words:
        name, _, values = word.partition("=")
        low, _, high = values.partition(":")
        try:
            found[name] = (float(low), float(high))
        except ValueError:
            found[name] = (0.0, 0.0)
        if not name or not found[name][0] < found[name][1]:
            raise DataError(f"{word!r} is no band with limits", where="--limits", fix="write NAME=LOW:HIGH")
    return found
