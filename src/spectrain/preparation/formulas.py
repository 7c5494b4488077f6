"""Formulas over the names of bands: read as a tree, checked, and worked out on arrays; no code is ever run.

What is true counts as 1 and what is not as 0, as it does in :mod:`.expressions`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..core.errors import DataError
from .resampling import Float, Valid
from .trees import LONGEST, OPERATORS, SHOWN, is_number, parsed, parts, worth

_WRITTEN = re.compile(r"\s*([A-Za-z_]\w*)\s*=(?!=)(.*?)(?:\s+in\s+(\S+?)\s*\.\.\s*(\S+))?\s*", re.DOTALL)
ALLOWED = "use names of bands, numbers, + - * / **, comparisons, brackets, and min max abs sqrt log10 where"


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
            tree = parsed(text)
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
            tree = parsed(self.text)
            out = worth(tree, lambda node: filled[node.id] if isinstance(node, ast.Name) else None)
            found = np.broadcast_to(out, valid.shape).astype(np.float32)
        valid = valid & np.isfinite(found)
        return np.where(valid, found, np.float32(0)), valid


def _check(node: ast.AST, written: str, needs: list[str]) -> None:
    """Raise unless the tree is made of what is allowed; collect the names."""
    if isinstance(node, ast.Name):
        needs.append(node.id)
        return
    if isinstance(node, ast.Constant) and is_number(node.value):
        return
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in OPERATORS:
        found = [node.left, node.comparators[0]]
    else:
        try:
            found = parts(node)
        except ValueError as error:
            raise _wrong(written, str(error), ALLOWED) from None
    if not found:
        raise _wrong(written, f"{ast.unparse(node)!r} is not allowed", ALLOWED)
    for part in found:
        _check(part, written, needs)


def _wrong(written: str, what: str, fix: str) -> DataError:
    return DataError(f"the formula cannot be used: {what}", where=written[:SHOWN], fix=fix)
