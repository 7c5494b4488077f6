"""Statistics of each band over a patch set: one masked, streaming pass."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.bands import Bands
from ..core.errors import DataError
from ..core.fill import fill_invalid
from .loader import Loader
from .patches import Patches
from .values import Values

NAME, VERSION = "spectrain.statistics", 1
BATCH_BYTES = 32 << 20


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


def patches_statistics(patches: Patches, values: Values, batch: int | None = None) -> Statistics:
    """Return the statistics of all patches, read once in order, with memory for a few batches.

    Each batch's count, mean and sum of squared deviations are taken in float64 around its own mean and merged (Chan,
    Golub and LeVeque 1983), so a large mean does not cancel.

    Args:
        patches: the split to look at.
        values: how stored values become physical ones; must not promise ``all_valid``.
        batch: patches read at once; chosen by their size where None.
    """
    channels = patches.shape[1]
    rows = batch or max(1, BATCH_BYTES // (math.prod(patches.shape[1:]) * 4))
    count = torch.zeros(channels, dtype=torch.float64)
    mean, squares = torch.zeros_like(count), torch.zeros_like(count)
    low, high = torch.full_like(count, math.inf), torch.full_like(count, -math.inf)
    empty = 0
    with Loader(patches) as loader:
        for raw in loader.load(_in_order(len(patches), rows)):
            image, valid = values.measure(raw.image, raw.mask)
            n, m, s, smallest, largest = _of_batch(image, valid)
            empty += 0 if valid is None else int((~valid.flatten(1).any(1)).sum())
            total = count + n
            shift = torch.where(n > 0, m - mean, 0)
            weight = torch.where(total > 0, n / total.clamp(min=1), 0)
            squares = squares + s + shift.square() * count * weight
            mean, count = mean + shift * weight, total
            low, high = torch.minimum(low, smallest), torch.maximum(high, largest)
    size = patches.shape[0] * patches.shape[2] * patches.shape[3]
    none = count == 0
    std = (squares / count.clamp(min=1)).sqrt()
    ends = (tuple(torch.where(none, math.nan, column).tolist()) for column in (mean, std, low, high))
    average, deviation, lowest, highest = ends
    counts = tuple(int(number) for number in count.tolist())
    return Statistics(counts, tuple(size - n for n in counts), average, deviation, lowest, highest, empty)


def _of_batch(image: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return count, mean, squared deviations, minimum and maximum [C] of a batch, float64."""
    flat = image.transpose(0, 1).flatten(1).to(torch.float64)
    if valid is None:
        n = torch.full((flat.shape[0],), float(flat.shape[1]), dtype=torch.float64)
        mean = flat.mean(1)
        return n, mean, (flat - mean[:, None]).square().sum(1), flat.amin(1), flat.amax(1)
    ok = valid.transpose(0, 1).flatten(1)
    n = ok.sum(1).to(torch.float64)
    mean = fill_invalid(flat, ok).sum(1) / n.clamp(min=1)
    squares = fill_invalid(flat - mean[:, None], ok).square().sum(1)
    return n, mean, squares, fill_invalid(flat, ok, math.inf).amin(1), fill_invalid(flat, ok, -math.inf).amax(1)


def _in_order(size: int, rows: int) -> Iterator[NDArray[np.int64]]:
    return (np.arange(start, min(start + rows, size), dtype=np.int64) for start in range(0, size, rows))


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
