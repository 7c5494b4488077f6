"""Statistics of each band over a patch set, as values: what they say, and how they are written."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from ..core.bands import Bands
from ..core.errors import DataError

NAME, VERSION = "spectrain.statistics", 1


@dataclass(frozen=True)
class Statistics:
    """What the valid pixels of each band are like, in physical, transformed units.

    Attributes:
        count: valid values a band.
        missing: values a band that are not valid.
        mean: NaN where a band has no valid value.
        std: of the population; NaN where a band has no valid value, 0 where it is constant.
        minimum: smallest valid value, NaN where there is none.
        maximum: largest valid value, NaN where there is none.
        empty: images without any valid value.
    """

    count: tuple[int, ...]
    missing: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    minimum: tuple[float, ...]
    maximum: tuple[float, ...]
    empty: int = 0

    @property
    def all_valid(self) -> bool:
        """Whether no value at all is missing."""
        return not any(self.missing)

    @property
    def missing_share(self) -> tuple[float, ...]:
        """Share of values that are missing, a band; NaN where there is no value at all."""
        return tuple(m / (c + m) if c + m else math.nan for c, m in zip(self.count, self.missing, strict=True))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values (NaN as None)."""
        columns = {name: column for name, column in asdict(self).items() if name != "empty"}
        values = {name: [_or_none(v) for v in column] for name, column in columns.items()}
        return {"format": {"name": NAME, "version": VERSION}, **values, "empty": self.empty}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Statistics:
        """Read what `to_json` wrote.

        Raises:
            DataError: another format, or a newer version.
        """
        tag = record.get("format", {})
        if tag.get("name") != NAME or tag.get("version") != VERSION:
            raise DataError(f"these are no statistics of version {VERSION}: {tag}", fix="compute them anew")
        columns: dict[str, Any] = {
            name: tuple(math.nan if v is None else v for v in record[name])
            for name in cls.__dataclass_fields__
            if name != "empty"
        }
        return cls(**columns, empty=record.get("empty", 0))

    def warnings(self, bands: Bands) -> list[str]:
        """Return what looks wrong: empty and constant bands, and values that cannot be in the band's unit."""
        found = []
        for number, band in enumerate(bands):
            if not self.count[number]:
                found.append(f"the band {band.name!r} has no valid value")
            elif self.minimum[number] == self.maximum[number]:
                found.append(f"the band {band.name!r} is constant ({self.minimum[number]:g}): it teaches nothing")
            found += _wrong_unit(band.name, band.unit, self.minimum[number], self.maximum[number])
        return found

    def refuse_empty(self, bands: Bands, where: str) -> None:
        """Raise a `DataError` where a band has no valid value at all: nothing can be learned from it."""
        for band, count in zip(bands, self.count, strict=True):
            if not count:
                raise DataError(
                    f"the band {band.name!r} has no valid value",
                    where=where,
                    fix="leave it out with dataset.bands, or correct dataset.nodata",
                )


# unit (lower case) -> the range in which physical values of images on Earth lie, generously
RANGES: dict[str, tuple[float, float]] = {
    "degc": (-100.0, 100.0),
    "celsius": (-100.0, 100.0),
    "degree_celsius": (-100.0, 100.0),
    "k": (100.0, 400.0),
    "kelvin": (100.0, 400.0),
    "reflectance": (-0.5, 2.0),
    "db": (-80.0, 50.0),
}


def _wrong_unit(name: str, unit: str | None, low: float, high: float) -> list[str]:
    """Return a warning where the values cannot be of their unit."""
    limits = RANGES.get((unit or "").lower())
    if limits is None or (low >= limits[0] and high <= limits[1]):
        return []
    return [
        f"the band {name!r} is said to be in {unit}, but its values go from {low:g} to {high:g}: "
        "is a scale, an offset or nodata missing (dataset.scale, dataset.offset, dataset.nodata)?"
    ]


def _or_none(value: float) -> float | None:
    return None if isinstance(value, float) and not math.isfinite(value) else value
