"""Values become the type of their option, or a sentence says why not."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectrain.config.coerce import Misfit, coerce, describe, shown
from spectrain.config.option import Option, option, options_of


def to(hint: Any, value: Any, text: str | None = None, **limits: Any) -> Any:
    return coerce(value, Option("x", hint, MISSING, limits), text)


@pytest.mark.parametrize(
    ("hint", "value", "found"),
    [
        (int, 3, 3),
        (int, 3.0, 3),
        (float, 3, 3.0),
        (float, 1e-4, 1e-4),
        (bool, True, True),
        (bool, "off", False),
        (bool, "YES", True),
        (str, "a", "a"),
        (str | None, None, None),
        (int | None, 4, 4),
        (list[int], [1, 2.0], [1, 2]),
        (list[str], [], []),
        (tuple[float, float], [1, 2], (1.0, 2.0)),
        (tuple[int, ...], [1, 2, 3], (1, 2, 3)),
        (dict[str, str], {"a": 1}, {"a": "1"}),
        (Literal["a", "none"], None, "none"),
        (Literal["auto"] | bool, "auto", "auto"),
        (Literal["auto"] | bool, "on", True),
        (bool | float, True, True),
        (bool | float, 5, 5.0),
        (float | list[float], [1, 2], [1.0, 2.0]),
        (str | int, 0, 0),
        (str | list[str] | None, ["a"], ["a"]),
        (Annotated[int, "px"], 3, 3),
        (Any, object, object),
    ],
)
def test_values_fit(hint, value, found):
    result = to(hint, value)
    assert result == found
    assert type(result) is type(found)


@pytest.mark.parametrize(
    ("hint", "value", "words"),
    [
        (int, 1.5, "must be a whole number, not 1.5"),
        (int, True, "not true"),
        (int, "3", "must be a whole number, not '3'"),
        (float, "fast", "must be a number, not 'fast'"),
        (float, True, "not true"),
        (float, float("nan"), "finite"),
        (float, 10**400, "ordinary size"),
        (int, 10**400, "ordinary size"),
        (int, 2**63, "ordinary size"),
        (bool, 1, "must be true or false, not 1"),
        (str, None, "must be text, not null"),
        (str, [1], "must be text"),
        (int | None, "x", "must be a whole number or null"),
        (list[int], 3, "must be a list"),
        (list[int], [1, "a"], "must be a whole number, not 'a'"),
        (tuple[float, float], [1], "a list of 2 values, not 1 values"),
        (dict[str, str], "a", "a table of names and values"),
        (Literal["simclr", "supcon"], "simcl", "allowed are simclr, supcon"),
        (float | list[float], "x", "must be a number or a list"),
    ],
)
def test_what_does_not_fit_is_said(hint, value, words):
    with pytest.raises(Misfit) as misfit:
        to(hint, value)
    assert words in misfit.value.what


def test_the_nearest_allowed_value_is_named():
    with pytest.raises(Misfit) as misfit:
        to(list[Literal["mlflow", "wandb"]], ["mlfow"])
    assert misfit.value.fix == "did you mean mlflow?"


def test_a_single_value_for_a_list_is_shown_as_one():
    with pytest.raises(Misfit) as misfit:
        to(list[str], "red")
    assert misfit.value.fix == "write [red]"


@pytest.mark.parametrize(("text", "value"), [("007", 7), ("1e3", 1000.0), ("true", True), ("0x1F", 31)])
def test_text_stays_as_it_was_written(text, value):
    assert to(str | None, value, text) == text


def test_a_number_stays_a_number_where_both_are_allowed():
    assert to(str | int, 5, "5") == 5


@pytest.mark.parametrize(
    ("limits", "value", "words"),
    [
        ({"minimum": 1}, 0, "at least 1"),
        ({"maximum": 1}, 2, "at most 1"),
        ({"above": 0}, 0, "more than 0"),
        ({"pattern": "a|b"}, "c", "cannot be 'c'"),
        ({"minimum": 0}, [1, -1], "at least 0"),
        ({"below": 1}, 1, "less than 1"),
        ({"multiple": 32}, 48, "a multiple of 32"),
        ({"pattern": "a|b"}, ["a", "c"], "cannot be 'c'"),
    ],
)
def test_limits_hold_for_values_and_elements(limits, value, words):
    hint = list[type(value[0])] if isinstance(value, list) else type(value)
    with pytest.raises(Misfit) as misfit:
        to(hint, value, **limits)
    assert words in misfit.value.what


def test_nan_is_allowed_where_an_option_says_so():
    assert to(float, float("nan"), finite=False) != 0


def test_a_type_that_no_option_may_have_is_the_programmers_mistake():
    with pytest.raises(TypeError, match="cannot have the type"):
        to(set[int], [1])


def test_options_of_reads_types_defaults_and_limits():
    @dataclass
    class Config:
        """Some options."""

        must: int
        size: int = option(3, "how large", minimum=1)
        names: list[str] = option([], "which")

    found = options_of(Config)
    assert list(found) == ["must", "size", "names"]
    assert found["must"].default is MISSING
    assert (found["size"].default, found["size"].doc, found["size"].limits["minimum"]) == (3, "how large", 1)
    assert Config(1).names is not Config(1).names


def test_types_are_described_in_words():
    assert describe(int | None) == "a whole number or null"
    assert describe(Literal["auto"] | bool) == "auto or true or false"
    assert describe(tuple[float, float]) == "a list of 2 values"
    assert describe(Annotated[str, 1]) == "text"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
HINTS = [int, float, bool, str, str | None, list[int], tuple[float, float], Literal["a", "b"] | bool, dict[str, str]]


@given(value=anything, hint=st.sampled_from(HINTS), text=st.none() | st.text(max_size=5))
def test_any_value_becomes_right_or_a_misfit(value, hint, text):
    try:
        found = to(hint, value, text, minimum=0)
    except Misfit:
        return
    assert to(hint, found) == found


def test_numbers_beyond_printing_are_shown():
    assert shown(10**5000) == "a number of very many digits"
    assert len(shown("x" * 500)) == 60
