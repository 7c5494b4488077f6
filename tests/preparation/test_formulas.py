"""Formulas: what they are worth, what is refused, and that nothing is run."""

from __future__ import annotations

import numpy as np
import pytest

from spectrain.core.errors import DataError
from spectrain.preparation.formulas import Formula
from spectrain.preparation.ingredients import BUILT_IN, Ingredients, nice_step


def plane(values, valid=True):
    array = np.array(values, dtype=np.float32)
    return array, np.broadcast_to(np.array(valid), array.shape)


def value(text, **bands):
    return Formula.read(f"new={text}").compute({name: plane(values) for name, values in bands.items()})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("(b-a)/(b+a)", 0.5),
        ("-a**2 + 3*b", 8),
        ("min(a, b) - max(a, b)", -2),
        ("sqrt(abs(a - 5)) + log10(b + 7)", 3),
        ("where(a < b, 10, 20) + (a == 1)", 11),
        ("+a - -b", 4),
        ("(a > 0.3) + (b > 0.3)", 2),
        ("(a > 0.3) - (b > 0.3)", 0),
        ("-(a > 0.3) + 3*(a > b)", -1),
        ("max(a < b, 0.5) * abs(b > a)", 1),
        ("(a < b) / (a <= b) ** 2", 1),
        ("a < 1" + 30 * "0", 1),
    ],
)
def test_worth(text, wanted):
    found, valid = value(text, a=[1.0], b=[3.0])
    assert valid.all() and found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('x')",
        "a.real",
        "a[0]",
        "'text'",
        "lambda: a",
        "a if b else c",
        "open(a)",
        "min(a)",
        "sqrt(x=a)",
        "1 < a < 2",
        "a and b",
        "a @ b",
        "[a]",
        "a; b",
        "True",
        "1j*a",
        "(",
        "",
        "5",
        "new+1",
        "(" * 500 + "a" + ")" * 500,
        "a" + "+a" * 600,
        "-" * 900 + "a",
    ],
)
def test_refused(text):
    with pytest.raises(DataError, match="formula cannot be used"):
        Formula.read(f"new={text}")


def test_a_sum_of_as_many_bands_as_can_be_written():
    found, valid = value("+".join(["a"] * 490), a=[1.0])
    assert valid.all() and found == 490


@pytest.mark.parametrize("text", ["ndwi", "1a=b", "a=b in 3..1", "a=b in x..y", "a=b in 0..inf"])
def test_no_formula(text):
    with pytest.raises(DataError, match="formula cannot be used"):
        Formula.read(text)


def test_missing_and_no_number_are_missing():
    formula = Formula.read("r=log10(a/b)")
    a, b = plane([1.0, 1.0, -1.0, 4.0], [True, True, True, False]), plane([10.0, 0.0, 1.0, 2.0])
    found, valid = formula.compute({"a": a, "b": b})
    assert valid.tolist() == [True, False, False, False]
    assert found[0] == -1 and np.isfinite(found).all()


def test_the_range_is_read_and_written():
    formula = Formula.read("ndwi = (green - nir) / (green + nir) in -1..1")
    assert formula.range == (-1, 1) and formula.needs == ("green", "nir")
    assert Formula.read(str(formula)) == formula


def test_built_in():
    ndvi = Formula.read(f"ndvi={BUILT_IN['ndvi']}")
    found, _ = ndvi.compute({"red": plane([1.0, 1.0, -1.0]), "nir": plane([3.0, -0.5, 3.0])})
    assert found.tolist() == [0.5, -1.0, 1.0]


def test_circles_are_named():
    ingredients = Ingredients({}, {}, False, ["a=b+1", "b=c+1", "c=a+1"])
    with pytest.raises(DataError, match="a -> b -> c -> a"):
        ingredients.needed(["a"])


@pytest.mark.parametrize(("width", "step"), [(2, 5e-5), (90, 2e-3), (255, 5e-3), (400, 1e-2), (65534, 1), (65535, 2)])
def test_steps(width, step):
    assert nice_step(width) == step
