"""Other data than those of a training, read as these were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ...config.schema import DatasetOptions
from ...core.bands import Bands
from ...core.errors import DataError
from ...data.opening import open_patches
from ...data.patches import Patches
from .model import Trained


def opened_elsewhere(trained: Trained, place: Path, split: str, options: DatasetOptions) -> Patches:
    """Return a split of other data, read as the run's were; its options of single bands hold for the same bands alone.

    These are ``bands`` and ``wavelengths``, and lists of scales, offsets and nodata.
    """
    known = [Bands.from_json(record["bands"]) for record in (trained.meta, *trained.meta.get("more", []))]
    try:
        patches = open_patches(place, split, options)
        if any(bands.same(patches.bands) for bands in known) and not _contradicted(
            patches.bands, place, split, options
        ):
            return patches
    except DataError:  # a list of another length; what is wrong with the data themselves is said below
        pass

    def one(value: float | list[float] | None) -> float | None:
        return None if isinstance(value, list) else value

    scale, offset, nodata = one(options.scale), one(options.offset), one(options.nodata)
    plain = replace(options, bands=None, wavelengths=None, scale=scale, offset=offset, nodata=nodata)
    return open_patches(place, split, plain)


def _contradicted(bands: Bands, place: Path, split: str, options: DatasetOptions) -> bool:
    """Say whether the data themselves name other wavelengths than the options: another camera of as many bands."""
    if options.wavelengths is None:
        return False
    own = open_patches(place, split, replace(options, wavelengths=None)).bands
    try:
        Bands(replace(band, name=said.name) for band, said in zip(bands, own, strict=True)).require(
            own, where=str(place)
        )
    except DataError:
        return True
    return False
