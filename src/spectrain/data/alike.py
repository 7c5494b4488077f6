"""Whether files can be one set: the same bands, stored in the same type."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..core.bands import Bands
from ..core.errors import DataError


def require_alike(files: Iterable[tuple[Path, Bands, np.dtype[Any]]]) -> None:
    """Raise a `DataError` that names the first file whose bands or type are not those of the first, and how.

    Args:
        files: path, bands and stored type of each.
    """
    (first, bands, dtype), *others = files
    for path, its, kind in others:
        if its is bands and kind == dtype:
            continue
        difference = bands_differ(bands, its)
        if difference is None and kind != dtype:
            difference = f"type {kind} in place of {dtype}"
        if difference is not None:
            raise DataError(
                f"the files are not of the same bands: {difference} (compared with {first})",
                where=str(path),
                fix="give files of one kind only, or write this one again like the first",
            )


def bands_differ(first: Bands, other: Bands) -> str | None:
    """Return what is different in the description of another file, in words; None where they agree."""
    if len(first) != len(other):
        return f"{len(other)} bands in place of {len(first)}"
    for number, (one, two) in enumerate(zip(first, other, strict=True), start=1):
        for name in ("wavelength", "width", "name", "unit", "scale", "offset", "nodata"):
            a, b = getattr(one, name), getattr(two, name)
            if a == b or (isinstance(a, float) and isinstance(b, float) and abs(a - b) <= 1e-6 * abs(a)):
                continue
            unit = " nm" if name in ("wavelength", "width") else ""
            return f"band {number} has {name} {_said(b, unit)} in place of {_said(a, unit)}"
    return None


def _said(value: Any, unit: str) -> str:
    return "none" if value is None else f"{value:g}{unit}" if isinstance(value, float) else repr(value)
