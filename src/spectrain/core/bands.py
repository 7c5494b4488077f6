"""Bands: what each channel of an image measures. They travel with the data and with the model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from .errors import DataError, perhaps


@dataclass(frozen=True, slots=True)
class Band:
    """One channel of an image.

    ``physical = stored * scale + offset`` in ``unit``; a stored value equal to ``nodata`` (or NaN) is missing.

    Attributes:
        name: unique within its set.
        wavelength: centre in nm; None where there is none (radar, temperature, elevation).
        width: full width at half maximum in nm, or None.
        unit: unit of the physical value, as CF conventions spell it ("degC", "m", "1"), or None.
        scale: factor from stored to physical value.
        offset: summand from stored to physical value.
        nodata: stored value that means "missing"; None where only NaN does.
        resolution: native ground sampling distance in metres, or None.
        limits: the physical values that ``model.standardise=limits`` makes 0 and 1; None where none are agreed upon.
    """

    name: str
    wavelength: float | None = None
    width: float | None = None
    unit: str | None = None
    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = None
    resolution: float | None = None
    limits: tuple[float, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the band as plain JSON values; a NaN nodata is the same as none, and no limits are left out."""
        record = asdict(self)
        if self.nodata is not None and math.isnan(self.nodata):
            record["nodata"] = None
        if self.limits is None:
            del record["limits"]
        else:
            record["limits"] = list(self.limits)
        return record

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Band:
        """Read what :meth:`to_json` wrote; keys of a newer version are an error that names them."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(record) - known):
            raise DataError(f"unknown band fields {unknown}", fix=f"known are {sorted(known)}")
        limits = record.get("limits")
        return cls(**{**record, "limits": None if limits is None else (float(limits[0]), float(limits[1]))})


class Bands(tuple[Band, ...]):
    """An ordered set of bands with unique names."""

    __slots__ = ()

    def __new__(cls, bands: Iterable[Band]) -> Bands:
        """Check the names; a `DataError` names those that occur twice."""
        self = super().__new__(cls, bands)
        names = [band.name for band in self]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise DataError(f"band names occur twice: {doubled}", fix="give each band a name of its own")
        return self

    @classmethod
    def unnamed(cls, count: int) -> Bands:
        """Return bands ``band_1 ... band_count``, for data that say nothing of their bands."""
        return cls(Band(name=f"band_{number}") for number in range(1, count + 1))

    @classmethod
    def from_json(cls, records: Sequence[dict[str, Any]]) -> Bands:
        """Read what :meth:`to_json` wrote."""
        return cls(Band.from_json(record) for record in records)

    def to_json(self) -> list[dict[str, Any]]:
        """Return the bands as plain JSON values."""
        return [band.to_json() for band in self]

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(band.name for band in self)

    def position(self, name: str) -> int:
        """Return the channel of the band called ``name``; a `DataError` with the nearest name where there is none."""
        if name in self.names:
            return self.names.index(name)
        raise DataError(
            f"there is no band {name!r}" + perhaps(name, self.names), fix=f"the bands are {', '.join(self.names)}"
        )

    def same(self, other: Bands) -> bool:
        """Say whether these are the same bands: of the same names, wavelengths and units, however they are stored."""
        return [(band.name, band.wavelength, band.unit) for band in self] == [
            (band.name, band.wavelength, band.unit) for band in other
        ]

    def require(self, given: Bands, *, where: str) -> None:
        """Raise a `DataError` that names the difference unless ``given`` has these names in this order.

        Bands that are `unnamed` say nothing but how many there are. Where both have a wavelength they must agree to 2 %
        (those of Sentinel-2A and 2B differ by less): cubes of any camera call their bands band_1, band_2, ...
        """
        if given.names == self.names:
            for one, other in zip(self, given, strict=True):
                if (
                    one.wavelength
                    and other.wavelength
                    and abs(one.wavelength - other.wavelength) > 0.02 * one.wavelength
                ):
                    raise DataError(
                        f"the model was trained on {one.name!r} at {one.wavelength:g} nm, the data have it at "
                        f"{other.wavelength:g} nm",
                        where=where,
                        fix="give the bands of the training, or correct dataset.wavelengths",
                    )
            return
        if len(given) == len(self) and self == Bands.unnamed(len(self)):
            return
        missing = [name for name in self.names if name not in given.names]
        extra = [name for name in given.names if name not in self.names]
        if missing or extra:
            what = f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(extra) or 'none'}"
        else:
            what = f"the same bands in another order: {', '.join(given.names)}"
        raise DataError(
            f"the model was trained on {len(self)} bands, the data have {len(given)}; {what}",
            where=where,
            fix=f"give the bands {', '.join(self.names)}, in this order",
        )
