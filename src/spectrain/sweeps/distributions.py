"""From the words of a sweep file to distributions, with every mistake and its line."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..config.coerce import shown
from ..config.entries import Entry
from ..core.errors import Problem, perhaps
from .space import Distribution, Space, bell, beta, categorical, constant, int_uniform, quantised, ranged

WORDS = ("value", "values", "probabilities", "min", "max", "q", "mu", "sigma", "a", "b", "distribution")
RANGES = ("uniform", "log_uniform_values", "inv_log_uniform_values")
EXPONENTS = {"log_uniform": "log_uniform_values", "inv_log_uniform": "inv_log_uniform_values"}
KINDS = (
    "constant", "categorical", "categorical_w_probabilities", "int_uniform", *RANGES, *EXPONENTS, "normal",
    "log_normal", "beta",
)  # fmt: skip
QUANTISED = ("uniform", "log_uniform_values", "log_uniform", "normal", "log_normal", "beta")


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a parameter: its value, and where it was written."""

    value: Any
    origin: str


def space_of(entries: list[Entry]) -> tuple[Space, dict[str, str], list[Problem]]:
    """Return the space that entries ``NAME.WORD`` describe, where each parameter was written, and what is wrong.

    Names may be nested by ``parameters``: ``optimizer.parameters.lr.min`` is the word ``min`` of ``optimizer.lr``.
    """
    words: dict[str, dict[str, Word]] = {}
    problems: list[Problem] = []
    for entry in entries:
        parts = [part for part in entry.key.split(".") if part != "parameters"]
        name, word = ".".join(parts[:-1]), parts[-1]
        if not name:
            what = f"must be a table of words, not {shown(entry.value)}"
            problems.append(
                Problem(f"parameters.{word}", entry.origin, what, f"write {word}: {{value: ...}}, or min and max")
            )
            continue
        if word not in WORDS:
            what = "is no word of a parameter" + perhaps(word, WORDS)
            problems.append(Problem(f"parameters.{entry.key}", entry.origin, what, f"known are {', '.join(WORDS)}"))
            continue
        words.setdefault(name, {})[word] = Word(entry.value, entry.origin)
    found: dict[str, Distribution] = {}
    origins: dict[str, str] = {}
    for name, given in words.items():
        origins[name] = next(iter(given.values())).origin
        try:
            found[name] = distribution_of({word: one.value for word, one in given.items()})
        except ValueError as error:
            problems.append(Problem(f"parameters.{name}", origins[name], str(error)))
    return Space(found), origins, problems


def distribution_of(words: Mapping[str, Any]) -> Distribution:
    """Return the distribution that the words of a parameter describe.

    Without ``distribution``: ``value`` is constant, ``values`` a choice, and ``min`` with ``max`` a range of whole
    numbers where both are such, else of all.

    Raises:
        ValueError: what is wrong, to stand behind the parameter's name.
    """
    kind = words.get("distribution")
    if kind is None:
        kind = _implied(words)
    if not isinstance(kind, str):
        raise ValueError(f"has the distribution {shown(kind)}, which is no word")
    inner = kind.removeprefix("q_")
    if inner not in KINDS or (kind != inner and inner not in QUANTISED):
        known = [*KINDS, *(f"q_{one}" for one in QUANTISED)]
        raise ValueError(
            f"has no known distribution {kind!r}" + perhaps(kind, known) + f"; known are {', '.join(known)}"
        )
    found, used = _MAKERS[inner](words) if inner in _MAKERS else _range(inner, words)
    if kind != inner:
        q = words.get("q", 1)
        if not _number(q) or q <= 0:
            raise ValueError(f"needs a step q above 0, not {shown(q)}")
        found, used = quantised(found, q), (*used, "q")
    if unused := [word for word in words if word not in (*used, "distribution")]:
        raise ValueError(f"has {' and '.join(unused)}, which {kind} does not take")
    return found


def _implied(words: Mapping[str, Any]) -> str:
    if "value" in words:
        return "constant"
    if "values" in words:
        return "categorical"
    if "min" in words and "max" in words:
        whole = all(isinstance(words[side], int) and not isinstance(words[side], bool) for side in ("min", "max"))
        return "q_uniform" if "q" in words else "int_uniform" if whole else "uniform"
    if "mu" in words or "sigma" in words:
        return "q_normal" if "q" in words else "normal"
    raise ValueError("needs a value, values, min and max, or a distribution")


def _constant(words: Mapping[str, Any]) -> tuple[Distribution, tuple[str, ...]]:
    return constant(_needed(words, "value")), ("value",)


def _categorical(words: Mapping[str, Any]) -> tuple[Distribution, tuple[str, ...]]:
    values, probabilities = _needed(words, "values"), words.get("probabilities")
    if not isinstance(values, list):
        raise ValueError(f"must have a list of values, not {shown(values)}")
    if probabilities is not None and not (isinstance(probabilities, list) and all(map(_number, probabilities))):
        raise ValueError(f"must have a list of numbers as probabilities, not {shown(probabilities)}")
    return categorical(values, probabilities), ("values", "probabilities")


def _int_uniform(words: Mapping[str, Any]) -> tuple[Distribution, tuple[str, ...]]:
    low, high = _ends(words)
    if not (float(low).is_integer() and float(high).is_integer()):
        raise ValueError(f"must go from one whole number to another, not from {low:g} to {high:g}")
    return int_uniform(int(low), int(high)), ("min", "max")


def _range(kind: str, words: Mapping[str, Any]) -> tuple[Distribution, tuple[str, ...]]:
    low, high = _ends(words)
    if kind in EXPONENTS:  # min and max are exponents of e
        if max(abs(low), abs(high)) > 300:
            raise ValueError(f"has the exponents {low:g} and {high:g}: log_uniform takes exponents of e; for values")
        low, high = math.exp(low), math.exp(high)
        if kind == "inv_log_uniform":  # log(1/x) lies between them
            low, high = 1 / high, 1 / low
        kind = EXPONENTS[kind]
    if kind != "uniform" and low <= 0:
        raise ValueError(f"must be above 0 on a logarithmic scale, not {low:g}")
    return ranged(kind, float(low), float(high)), ("min", "max")


def _bell(kind: str) -> Callable[[Mapping[str, Any]], tuple[Distribution, tuple[str, ...]]]:
    def made(words: Mapping[str, Any]) -> tuple[Distribution, tuple[str, ...]]:
        mu, sigma = words.get("mu", 0), words.get("sigma", 1)
        if not _number(mu) or not _number(sigma) or sigma <= 0:
            raise ValueError(f"needs numbers mu and sigma, sigma above 0, not {shown(mu)} and {shown(sigma)}")
        return bell(kind, mu, sigma), ("mu", "sigma")

    return made


def _beta(words: Mapping[str, Any]) -> tuple[Distribution, tuple[str, ...]]:
    a, b = words.get("a", 1), words.get("b", 1)
    if not _number(a) or not _number(b) or min(a, b) <= 0:
        raise ValueError(f"needs numbers a and b above 0, not {shown(a)} and {shown(b)}")
    return beta(a, b), ("a", "b")


_MAKERS: dict[str, Callable[[Mapping[str, Any]], tuple[Distribution, tuple[str, ...]]]] = {
    "constant": _constant,
    "categorical": _categorical,
    "categorical_w_probabilities": _categorical,
    "int_uniform": _int_uniform,
    "normal": _bell("normal"),
    "log_normal": _bell("log_normal"),
    "beta": _beta,
}


def _ends(words: Mapping[str, Any]) -> tuple[float, float]:
    low, high = _needed(words, "min"), _needed(words, "max")
    if not _number(low) or not _number(high):
        raise ValueError(f"must go from one number to another, not from {shown(low)} to {shown(high)}")
    if low >= high:
        raise ValueError(f"must have a max above its min, not {high:g} and {low:g}")
    return low, high


def _needed(words: Mapping[str, Any], word: str) -> Any:
    if word not in words:
        raise ValueError(f"needs {word!r}")
    return words[word]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
