"""Expressions over the columns of a table, as a filter or a value: read as a tree, checked, and worked out on arrays.

Besides what formulas of bands have (:mod:`.formulas`) there are ``and or not``, ``in``, chained comparisons, texts, and
``rh[98]`` for a column of several numbers a row. A name that is no plain word stands in backticks. No code is ever run.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError
from .trees import LONGEST, OPERATORS, SHOWN, is_number, parsed, parts, truth, worth

_QUOTED = re.compile(r"`([^`]+)`")
_HELD = "_quoted_{}_"
ALLOWED = (
    "use names of columns, numbers, texts in quotes, + - * / **, comparisons, in [...], and or not, brackets, and min "
    "max abs sqrt log10 where; a name that is no plain word stands in backticks"
)


@dataclass(frozen=True)
class Expression:
    """One expression.

    Attributes:
        text: as it was written.
        needs: names of columns in it, in order; ``rh[98]`` is number 98 of the row's numbers.
    """

    text: str
    needs: tuple[str, ...]

    @classmethod
    def read(cls, text: str, option: str) -> Expression:
        """Read an expression.

        Args:
            text: as it was written.
            option: that it was given as, for messages.

        Raises:
            DataError: it is none, or names no column; the message says what is allowed.
        """
        found = cls(text, tuple(dict.fromkeys(_checked(text, option))))
        if not found.needs:
            raise _wrong(text, option, "it names no column")
        return found

    def compute(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return the value of each row, [N].

        Args:
            columns: [N] each, by the names in `needs`.

        Raises:
            DataError: texts are compared with or reckoned as numbers.
        """
        tree, names = _tree(self.text)

        def column(node: ast.AST) -> NDArray[Any] | None:
            return None if (name := _name(node, names)) is None else columns[name]

        try:
            with np.errstate(all="ignore"):
                found = worth(tree, column)
        except (TypeError, ValueError) as error:
            texts = [name for name in self.needs if columns[name].dtype.kind not in "biuf"]
            raise DataError(
                f"the expression cannot be worked out: texts ({', '.join(texts)}) are taken for numbers"
                if texts
                else f"the expression cannot be worked out: {error}",
                where=self.text,
                fix="compare texts by == != and in, with texts in quotes",
            ) from error
        return np.broadcast_to(found, columns[self.needs[0]].shape)

    def holds(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
        """Return for which rows the expression is true, [N]; see `compute`."""
        return truth(self.compute(columns))


def _tree(text: str) -> tuple[ast.AST, list[str]]:
    """Return the tree of a text, and the names in backticks, which stand in it as numbered words."""
    names: list[str] = []

    def hold(found: re.Match[str]) -> str:
        names.append(found[1])
        return _HELD.format(len(names) - 1)

    return parsed(_QUOTED.sub(hold, text.strip())), names


def _name(node: ast.AST, names: list[str]) -> str | None:
    """Return the column that a node names; None where it names none."""
    if isinstance(node, ast.Subscript):
        inner, item = _name(node.value, names), node.slice
        number = item.value if isinstance(item, ast.Constant) and type(item.value) is int else -1
        return f"{inner}[{number}]" if isinstance(node.value, ast.Name) and number >= 0 else None
    if not isinstance(node, ast.Name):
        return None
    return next((name for number, name in enumerate(names) if node.id == _HELD.format(number)), node.id)


def _checked(text: str, option: str) -> list[str]:
    """Return the names of columns in a text, or raise where it is made of what is not allowed."""
    try:
        if len(text) > LONGEST:
            raise ValueError
        tree, names = _tree(text)
        ast.unparse(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _wrong(text, option, "it cannot be read: count its brackets, quotes and signs") from None
    found: list[str] = []

    def check(node: ast.AST) -> None:
        if (name := _name(node, names)) is not None:
            found.append(name)
            return
        if isinstance(node, ast.Constant) and (type(node.value) is str or is_number(node.value)):
            return
        for part in _parts(node, text, option):
            check(part)

    check(tree)
    return found


def _parts(node: ast.AST, text: str, option: str) -> list[ast.expr]:
    """Return what a node is made of, or raise where there is no such thing in an expression."""
    if isinstance(node, ast.BoolOp):
        return node.values
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return [node.operand]
    if isinstance(node, ast.Compare):
        found = [node.left]
        for operator, other in zip(node.ops, node.comparators, strict=True):
            if isinstance(operator, ast.In | ast.NotIn) and isinstance(other, ast.List | ast.Tuple):
                found += other.elts
            elif type(operator) in OPERATORS:
                found.append(other)
            else:
                raise _wrong(text, option, f"{ast.unparse(node)!r} is not allowed: after in stands a list")
        return found
    try:
        if found := parts(node):
            return found
    except ValueError as error:
        raise _wrong(text, option, str(error)) from None
    raise _wrong(text, option, f"{ast.unparse(node)!r} is not allowed")


def _wrong(text: str, option: str, what: str) -> DataError:
    return DataError(f"the expression cannot be used: {what}", where=f"{option}={text[:SHOWN]}", fix=ALLOWED)
