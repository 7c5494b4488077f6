"""Places of pixels: transforms as six numbers, x = a·column + b·row + c, y = d·column + e·row + f."""

from __future__ import annotations

from typing import Any

from ..data.raster.rasters import Transform


def apply(transform: Transform, column: Any, row: Any) -> tuple[Any, Any]:
    """Return where pixels are."""
    a, b, c, d, e, f = transform
    return a * column + b * row + c, d * column + e * row + f


def inverse(transform: Transform) -> Transform:
    """Return the transform back."""
    a, b, c, d, e, f = transform
    area = a * e - b * d
    return e / area, -b / area, (b * f - c * e) / area, -d / area, a / area, (c * d - a * f) / area


def chained(outer: Transform, inner: Transform) -> Transform:
    """Return the transform that does the inner one first."""
    a, b, c, d, e, f = inner
    x0, y0 = apply(outer, c, f)
    return (
        outer[0] * a + outer[1] * d,
        outer[0] * b + outer[1] * e,
        x0,
        *(
            outer[3] * a + outer[4] * d,
            outer[3] * b + outer[4] * e,
            y0,
        ),
    )


def scaled(transform: Transform, across: float, down: float) -> Transform:
    """Return the transform of pixels that are so many columns wide and rows high."""
    a, b, c, d, e, f = transform
    return a * across, b * down, c, d * across, e * down, f
