"""Wavelengths of bands that are given beside the data: a list, or a CSV table with a row a band."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..core.bands import Bands
from ..core.errors import DataError
from .csv_table import CsvTable, read_csv_table

MICROMETRES_BELOW = 10.0
"""Wavelengths that are all less than this are micrometres: optics ends far above 10 nm and below 10 µm in nm."""
WAVELENGTH = ("wavelength_nm", "wavelength")
WIDTH = ("width_nm", "fwhm_nm", "width", "fwhm")
NAME = ("name", "band")
_MICROMETRES = ("um", "µm", "μm", "micrometers", "micrometres", "micrometer", "micrometre", "micron", "microns")

Numbers = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class BandTable:
    """What a table says of the bands, in their order.

    Attributes:
        wavelength: centres in nm, None where a band has none.
        width: full widths at half maximum in nm; None where the table has no such column.
        name: names; None where the table has none.
    """

    wavelength: Numbers
    width: Numbers | None = None
    name: tuple[str, ...] | None = None

    def described(self, bands: Bands, key: str, where: str) -> Bands:
        """Return the bands with these wavelengths and widths, and these names where they have none of their own.

        Args:
            bands: as the data have them.
            key: the option or file the table was given by, for error messages.
            where: the data.

        Raises:
            DataError: the table is not of so many bands.
        """
        if len(self.wavelength) != len(bands):
            raise DataError(
                f"{key} lists {len(self.wavelength)} wavelengths for {len(bands)} bands",
                where=where,
                fix=f"give {len(bands)}, one a band of the data",
            )
        unnamed = bands.names == Bands.unnamed(len(bands)).names
        names = self.name if self.name is not None and unnamed else bands.names
        widths = self.width or tuple(band.width for band in bands)
        return Bands(
            replace(band, name=name, wavelength=wavelength, width=width)
            for band, name, wavelength, width in zip(bands, names, self.wavelength, widths, strict=True)
        )


def given_wavelengths(given: str | Sequence[float]) -> BandTable:
    """Return what `dataset.wavelengths` says: the path of a table, or one number a band.

    Raises:
        DataError: the table cannot be read, or a number is no wavelength.
    """
    if isinstance(given, str):
        return read_band_table(Path(given).expanduser())
    numbers = [None if math.isnan(value) else float(value) for value in given]
    if wrong := [value for value in numbers if value is not None and not 0 < value < math.inf]:
        raise DataError(f"{wrong[0]:g} is no wavelength", where="dataset.wavelengths", fix="give nm, all more than 0")
    return BandTable(in_nm(numbers)[0])


def read_band_table(path: Path) -> BandTable:
    """Return a CSV table with a row a band.

    Columns: ``wavelength_nm`` or ``wavelength``; optional ``width_nm``, ``fwhm_nm``, ``width`` or ``fwhm``, and
    ``name`` or ``band``. Values that are all less than 10 are micrometres. A blank cell means none.

    Raises:
        DataError: the file cannot be read, has no wavelengths, or a cell is no number.
    """
    table = read_csv_table(path)
    column = table.named(WAVELENGTH)
    if column is None:
        raise DataError(
            f"the table has no column {' or '.join(WAVELENGTH)}",
            where=str(path),
            fix=f"its columns are {', '.join(table.columns)}: rename the one with the wavelengths",
        )
    wavelength, factor = in_nm(_numbers(table, column))
    width = table.named(WIDTH)
    name = table.named(NAME)
    names = None if name is None else tuple(f"band_{one}" if one.isdigit() else one for one in table.column(name))
    if names is not None and (len(set(names)) < len(names) or not all(names)):
        names = None
    widths = None
    if width is not None:
        widths = tuple(None if one is None else round(one * factor, 6) for one in _numbers(table, width))
    return BandTable(wavelength, widths, names)


def in_nm(values: Sequence[float | None], unit: str | None = None) -> tuple[Numbers, float]:
    """Return wavelengths in nm, and the factor that made them so.

    Args:
        values: in nm or in micrometres.
        unit: what the data say; where they say nothing, micrometres are those that are all less than 10.
    """
    known = [value for value in values if value is not None]
    if unit is not None and unit.strip():
        micrometres = unit.strip().lower() in _MICROMETRES
    else:
        micrometres = bool(known) and max(known) < MICROMETRES_BELOW
    factor = 1000.0 if micrometres else 1.0
    # rounded to a thousandth of a picometre, so that 0.665 µm is 665 nm
    return tuple(None if value is None else round(value * factor, 6) for value in values), factor


def bands_in_nm(bands: Bands, unit: str | None = None) -> Bands:
    """Return the bands with wavelengths and widths in nm, where they may be micrometres."""
    wavelength, factor = in_nm([band.wavelength for band in bands], unit)
    if factor == 1.0:
        return bands
    return Bands(
        replace(band, wavelength=value, width=None if band.width is None else round(band.width * factor, 6))
        for band, value in zip(bands, wavelength, strict=True)
    )


def _numbers(table: CsvTable, column: str) -> list[float | None]:
    values: list[float | None] = []
    for text, line in zip(table.column(column), table.lines, strict=True):
        try:
            value = float(text) if text else math.nan
        except ValueError:
            value = -1.0
        if value <= 0 or math.isinf(value):
            raise DataError(
                f"{text!r} in the column {column!r} is no length in nm",
                where=f"{table.path}, line {line}",
                fix="write a number more than 0, or leave the cell blank",
            )
        values.append(None if math.isnan(value) else value)
    return values
