"""Formulas over the names of bands: read as a tree, checked, and worked out on arrays; no code is ever run."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import DataError
from .resampling import Float, Valid

_WRITTEN = re.compile(r"\s*([A-Za-z_]\w*)\s*=(?!=)(.*?)(?:\s+in\s+(\S+?)\s*\.\.\s*(\S+))?\s*", re.DOTALL)
OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
    ast.USub: np.negative,
    ast.UAdd: np.positive,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}
FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "min": (2, np.minimum),
    "max": (2, np.maximum),
    "abs": (1, np.abs),
    "sqrt": (1, np.sqrt),
    "log10": (1, np.log10),
    "where": (3, np.where),
}
LONGEST = 1000
_LARGEST, _SHOWN = 1e300, 300
"""Characters of a formula; a longer one is a mistake, and could be nested too deeply to be read."""


@dataclass(frozen=True)
class Formula:
    """``name = expression in low..high``; the range is what values are cut to where they are stored as whole numbers.

    Attributes:
        name: of the band that it makes.
        text: the expression.
        range: (low, high), or None.
        needs: names in it, in order.
    """

    name: str
    text: str
    range: tuple[float, float] | None
    needs: tuple[str, ...]

    @classmethod
    def read(cls, written: str) -> Formula:
        """Read a formula.

        Raises:
            DataError: it is none; the message says what is allowed.
        """
        found = _WRITTEN.fullmatch(written)
        if found is None or len(written) > LONGEST:
            raise _wrong(written, "it is not name=expression", "write ndwi=(green-nir)/(green+nir) in -1..1")
        name, text, low, high = found[1], found[2].strip(), found[3], found[4]
        try:
            span = None if low is None else (float(low), float(high))
        except ValueError:
            raise _wrong(written, f"{low}..{high} is no range", "write two numbers, as in -1..1") from None
        if span is not None and not (np.isfinite(span).all() and span[0] < span[1]):
            raise _wrong(written, f"{low}..{high} is no range", "write the smaller number first")
        try:
            tree = ast.parse(text, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise _wrong(written, f"{text!r} cannot be read", "count its brackets and signs") from None
        needs: list[str] = []
        _check(tree, written, needs)
        if not needs:
            raise _wrong(written, "it names no band", "a constant band teaches nothing")
        if name in needs:
            raise _wrong(written, f"it needs {name!r}, which it makes", "give it a name of its own")
        return cls(name, text, span, tuple(dict.fromkeys(needs)))

    def __str__(self) -> str:
        span = "" if self.range is None else f" in {self.range[0]:g}..{self.range[1]:g}"
        return f"{self.name}={self.text}{span}"

    def compute(self, values: Mapping[str, tuple[Float, Valid]]) -> tuple[Float, Valid]:
        """Return float32 values and where they are valid: where all it needs is, and the result is a number.

        Args:
            values: physical values [h,w] and their validity by name.
        """
        valid = np.logical_and.reduce([values[name][1] for name in self.needs])
        # 1 is a number that every function takes
        filled = {name: np.where(valid, values[name][0], np.float32(1)).astype(np.float64) for name in self.needs}
        with np.errstate(all="ignore"):
            out = np.broadcast_to(_value(ast.parse(self.text, mode="eval").body, filled), valid.shape)
            found = out.astype(np.float32)
        valid = valid & np.isfinite(found)
        return np.where(valid, found, np.float32(0)), valid


def _check(node: ast.AST, written: str, needs: list[str]) -> None:
    """Raise unless the tree is made of what is allowed; collect the names."""
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        parts: list[ast.AST] = [node.left, node.right]
    elif isinstance(node, ast.UnaryOp) and type(node.op) in OPERATORS:
        parts = [node.operand]
    elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in OPERATORS:
        parts = [node.left, node.comparators[0]]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        wanted = FUNCTIONS.get(node.func.id)
        if wanted is None or wanted[0] != len(node.args):
            listed = ", ".join(f"{name} of {count}" for name, (count, _) in FUNCTIONS.items())
            raise _wrong(written, f"there is no {node.func.id} of {len(node.args)} values", f"there are {listed}")
        parts = list(node.args)
    elif isinstance(node, ast.Name):
        needs.append(node.id)
        return
    elif isinstance(node, ast.Constant) and _number(node.value):
        return
    else:
        shown = ast.unparse(node)
        raise _wrong(
            written,
            f"{shown!r} is not allowed",
            "use names of bands, numbers, + - * / **, comparisons, brackets, and min max abs sqrt log10 where",
        )
    for part in parts:
        _check(part, written, needs)


def _value(node: ast.AST, values: Mapping[str, Any]) -> Any:
    """Work out a checked tree."""
    if isinstance(node, ast.BinOp):
        return OPERATORS[type(node.op)](_value(node.left, values), _value(node.right, values))
    if isinstance(node, ast.UnaryOp):
        return OPERATORS[type(node.op)](_value(node.operand, values))
    if isinstance(node, ast.Compare):
        return OPERATORS[type(node.ops[0])](_value(node.left, values), _value(node.comparators[0], values))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return FUNCTIONS[node.func.id][1](*(_value(part, values) for part in node.args))
    if isinstance(node, ast.Name):
        return values[node.id]
    assert isinstance(node, ast.Constant)
    return np.float64(node.value)  # type: ignore[arg-type]


def _wrong(written: str, what: str, fix: str) -> DataError:
    return DataError(f"the formula cannot be used: {what}", where=written[:_SHOWN], fix=fix)


def _number(value: object) -> bool:
    """Say whether a constant is a number that float32 has room for; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST
