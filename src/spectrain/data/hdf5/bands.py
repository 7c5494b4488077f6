"""What an HDF5 file's attributes say of its bands."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...core.bands import Band, Bands
from ...core.errors import DataError

_NAME_AND_UNIT = re.compile(r"^(?P<name>.*?)\s*(?:\[(?P<unit>[^\]]*)\])?$", re.DOTALL)


def bands_from_attributes(
    attributes: Sequence[Mapping[str, Any]], channels: int, where: str, *, names: Sequence[str] | None = None
) -> Bands:
    """Return the bands that attributes describe.

    Read are names (``channels``, ``bands`` or ``band_names``: a list, or text such as ``"red [1], nir [1]"``),
    ``units``, ``wavelength_nm`` (or ``wavelengths_nm``), ``width_nm`` (or ``fwhm_nm``), and of the CF conventions
    ``scale_factor``, ``add_offset`` and ``_FillValue`` (or ``missing_value``). A single value holds for all bands; NaN
    means none. What is not said stays open: names become ``band_1 ...``.

    Args:
        attributes: mappings, the first that has a key counts (the dataset's own before the file's).
        channels: number of bands.
        where: the file and dataset, for error messages.
        names: used where the attributes give none, or not one a channel.

    Raises:
        DataError: a list whose length is not the number of channels.
    """

    def found(*keys: str) -> tuple[str, Any] | None:
        return next(((key, held[key]) for held in attributes for key in keys if key in held), None)

    def numbers(*keys: str) -> list[float | None]:
        if (entry := found(*keys)) is None:
            return [None] * channels
        values = np.asarray(entry[1], dtype=np.float64).ravel().tolist()
        values = values * channels if len(values) == 1 else values
        _expect(entry[0], len(values), channels, where)
        return [None if math.isnan(value) else value for value in values]

    units: list[str | None] = [None] * channels
    if (entry := found("units")) is not None:
        texts = _texts(entry[1])
        units = list(texts) if len(texts) == channels else [str(_text(entry[1]))] * channels
    names = names if names is not None and len(names) == channels else None
    if (entry := found("channels", "bands", "band_names")) is not None:
        texts = _texts(entry[1])
        if len(texts) == channels:
            pairs = [_name_and_unit(text) for text in texts]
            names = [name for name, _ in pairs]
            units = [unit or general for (_, unit), general in zip(pairs, units, strict=True)]
        elif names is None:
            _expect(entry[0], len(texts), channels, where)
    return Bands(
        Band(name, wavelength, width, unit, 1.0 if scale is None else scale, offset or 0.0, nodata)
        for name, wavelength, width, unit, scale, offset, nodata in zip(
            names or Bands.unnamed(channels).names,
            numbers("wavelength_nm", "wavelengths_nm"),
            numbers("width_nm", "fwhm_nm"),
            units,
            numbers("scale_factor"),
            numbers("add_offset"),
            numbers("_FillValue", "missing_value"),
            strict=True,
        )
    )


def _expect(key: str, count: int, channels: int, where: str) -> None:
    if count != channels:
        raise DataError(
            f"the attribute {key!r} describes {count} bands, the images have {channels} channels",
            where=where,
            fix="correct the attribute" + (", or name the bands with dataset.bands" if "nm" not in key else ""),
        )


def _text(value: Any) -> Any:
    """Return text as `str`, whether it was stored as bytes or not; anything else as it is."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _texts(value: Any) -> list[str]:
    """Return a list of texts from a list or from one text with commas."""
    if isinstance(_text(value), str):
        return [part.strip() for part in str(_text(value)).split(",")]
    return [str(_text(item)).strip() for item in np.asarray(value).ravel().tolist()]


def _name_and_unit(text: str) -> tuple[str, str | None]:
    """Split ``"red [1]"`` into name and unit."""
    match = _NAME_AND_UNIT.match(text)
    return (match["name"] or text, match["unit"]) if match else (text, None)
