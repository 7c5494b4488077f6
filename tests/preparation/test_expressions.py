"""Expressions over columns: what they are worth, what is refused, and that nothing is run."""

from __future__ import annotations

import numpy as np
import pytest

from spectrain.core.errors import DataError
from spectrain.preparation.expressions import Expression

COLUMNS = {
    "a": np.array([1, 2, 3, np.nan]),
    "q": np.array([1, 0, 1, 1]),
    "s": np.array(["x", "y", "x", None], dtype=object),
    "rh[98]": np.array([0.0, 1, 2, 3]),
    "my col": np.array([0, 1, 2, 3]),
    "shot": np.array([65150000200000001] * 2 + [65150000200000002] * 2),
}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("q == 1 and a / 2 < 1.2", [1, 0, 0, 0]),
        ("q or a > 1", [1, 1, 1, 1]),
        ("not (a < 2)", [0, 1, 1, 1]),
        ("not q and a", [0, 1, 0, 0]),
        ("s in ['x', 'z']", [1, 0, 1, 0]),
        ("s not in ['x']", [0, 1, 0, 1]),
        ("s == 'x' and q == 1", [1, 0, 1, 0]),
        ("q in (1, 2) and a in [1, 2]", [1, 0, 0, 0]),
        ("0 < a < 3", [1, 1, 0, 0]),
        ("a != 1", [0, 1, 1, 0]),
        ("a == a", [1, 1, 1, 0]),
        ("rh[98] > 1 or `my col` == 0", [1, 0, 1, 1]),
        ("shot == 65150000200000001", [1, 1, 0, 0]),
        ("abs(-a) ** 2 >= 4", [0, 1, 1, 0]),
        ("where(q, a, 9) == 9", [0, 1, 0, 0]),
        ("max(a, 2) == 2", [1, 1, 0, 0]),
        ("q / 0 > 1", [1, 0, 1, 1]),
        ("a < 1" + 30 * "0", [1, 1, 1, 0]),
    ],
)
def test_holds(text, wanted):
    read = Expression.read(text, "points_filter")
    assert read.holds({name: COLUMNS[name] for name in read.needs}).astype(int).tolist() == wanted


def test_columns_are_named_once_in_order():
    assert Expression.read("`my col` + a*rh[98] > a", "x").needs == ("my col", "a", "rh[98]")


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('x')", "a.real", "open(a)", "lambda: a", "a if q else s", "a[-1]", "a[0:2]", "a[0][1]",
        "a[q]", "a in q", "a is q", "f'{a}'", "[a]", "a; q", "(", "", "5", "True", "1j * a", "b'x' == s", "min(a)",
        "a := 1", "a @ q", "~a", "a and " * 300 + "a", "1" * 400 + " < a", "-" * 990 + "a", "``",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text):
    with pytest.raises(DataError, match=r"points_filter=(.|\n)*and or not"):
        Expression.read(text, "points_filter")


@pytest.mark.parametrize("text", ["s > 3", "s + 1 > 0", "s < 'x' + 1", "s and a", "a in ['x']"])
def test_texts_are_no_numbers(text):
    read = Expression.read(text, "points_filter")
    with pytest.raises(DataError, match=r"taken for numbers|cannot be worked out"):
        read.holds({name: COLUMNS[name] for name in read.needs})
