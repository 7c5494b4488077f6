"""What the config.toml beside patches of DARTS says of them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...core.bands import Band, Bands
from ...core.errors import DataError

FILE = "config.toml"
NORMALISED = (0.0, 1.0)
"""Published patches are stored between these."""


def darts_bands(folder: Path) -> Bands | None:
    """Return the bands that ``config.toml`` names, None where there is none or it names none.

    The values of published patches are normalised, so these are what ``model.standardise=limits`` makes 0 and 1.

    Raises:
        DataError: the file is damaged.
    """
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8")).get("darts", {})
    except (OSError, ValueError) as error:  # tomllib's and decoding errors are ValueErrors
        raise DataError(
            f"the file cannot be read: {error}", where=str(file), fix="correct it, or take it away: bands are numbered"
        ) from error
    names = dict(_leaves(table)).get("bands") if isinstance(table, dict) else None
    if not isinstance(names, list) or not names:
        return None
    return Bands(Band(str(name), limits=NORMALISED) for name in names)


def _leaves(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what is in a table and the tables in it, by its last name; hyphens are underscores."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value)
        else:
            yield name.replace("-", "_"), value
