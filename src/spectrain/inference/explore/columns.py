"""Columns of metadata as the page takes them: numbers, classes, or text that is only shown."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

MOST_CLASSES = 30
FEW_NUMBERS = 12
LONGEST = 200
"""Characters of a text that are shown."""


def columns_of(metadata: pd.DataFrame) -> list[dict[str, Any]]:
    """Return name, kind and values of each column.

    Numbers are floats with null for what is missing. Few different texts, truth values or whole numbers are classes:
    ``classes`` lists them and ``values`` are places in the list, -1 for missing. Other text is only shown.
    Bytes (geometry) are left out.
    """
    shown = [
        name for name in metadata if not any(isinstance(value, bytes) for value in metadata[name].dropna().head(1))
    ]
    return [_column(str(name), metadata[name]) for name in shown]


def _column(name: str, column: pd.Series[Any]) -> dict[str, Any]:
    kind = column.dtype.kind
    distinct = column.nunique(dropna=True)
    numeric = kind in "iuf" and not (kind in "iu" and distinct <= FEW_NUMBERS)
    if numeric:
        values = [float(f"{value:.7g}") if _finite(value) else None for value in column.tolist()]
        return {"name": name, "kind": "number", "values": values}
    texts = [None if _missing(value) else str(value)[:LONGEST] for value in column.tolist()]
    classes = sorted({text for text in texts if text is not None}, key=_natural)
    if len(classes) <= MOST_CLASSES:
        place = {text: number for number, text in enumerate(classes)}
        codes = [-1 if text is None else place[text] for text in texts]
        return {"name": name, "kind": "class", "classes": classes, "values": codes}
    return {"name": name, "kind": "text", "values": texts}


def _finite(value: Any) -> bool:
    return value is not None and math.isfinite(value)


def _missing(value: Any) -> bool:
    return value is None or value != value or str(value) in ("NaT", "<NA>")


def _natural(text: str) -> tuple[int, float, str]:
    """Sort numbers by value, before words."""
    try:
        return (0, float(text), text)
    except ValueError:
        return (1, 0.0, text)
