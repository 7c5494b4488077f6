"""What formulas of bands and expressions over columns may be made of, and what a checked tree of it is worth."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
LONGEST, SHOWN = 1000, 300
"""Characters that may be written, since more could be nested too deeply to be read; and of those that are shown."""
DEEPEST = 510
"""Levels of a tree, each of which is a call where it is worked out; a sum of as many as can be written has fewer."""
_LARGEST = 1e300


def is_number(value: object) -> bool:
    """Say whether a constant is a number that there is room for; True and False are none."""
    return type(value) in (int, float) and abs(value) < _LARGEST  # type: ignore[arg-type]


def parsed(text: str) -> ast.AST:
    """Return the tree of a text.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: it cannot be read, or is nested too deeply.
    """
    tree = ast.parse(text, mode="eval").body
    level: list[ast.AST] = [tree]
    for _ in range(DEEPEST):
        level = [part for node in level for part in ast.iter_child_nodes(node)]
        if not level:
            return tree
    raise RecursionError


def parts(node: ast.AST) -> list[ast.expr]:
    """Return what a sign between or before numbers, or a function, is of; of anything else nothing.

    Raises:
        ValueError: there is no such function, or of another number of values.
    """
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        return [node.left, node.right]
    if isinstance(node, ast.UnaryOp) and type(node.op) in OPERATORS:
        return [node.operand]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        if (wanted := FUNCTIONS.get(node.func.id)) is not None and wanted[0] == len(node.args):
            return node.args
        listed = ", ".join(f"{name} of {count}" for name, (count, _) in FUNCTIONS.items())
        raise ValueError(f"there is no {node.func.id} of {len(node.args)} values, but {listed}")
    return []


def worth(node: ast.AST, named: Callable[[ast.AST], Any]) -> Any:
    """Work out a checked tree.

    Args:
        node: its root.
        named: values of a node that is a name, None of any other.

    Raises:
        TypeError: texts are compared with or reckoned as numbers.
    """
    if (found := named(node)) is not None:
        return found
    if isinstance(node, ast.Constant):
        # numpy has no whole numbers of more digits, and would take them for objects, as texts are
        return float(node.value) if type(node.value) is int and node.value >= 1 << 64 else node.value
    if isinstance(node, ast.BoolOp):
        join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        held = np.broadcast_arrays(*(worth(one, named) for one in node.values))
        return join.reduce([truth(one) for one in held])
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return ~truth(worth(node.operand, named))
    if isinstance(node, ast.UnaryOp):
        return OPERATORS[type(node.op)](_number(worth(node.operand, named)))
    if isinstance(node, ast.BinOp):
        return OPERATORS[type(node.op)](_number(worth(node.left, named)), _number(worth(node.right, named)))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        made = [worth(one, named) for one in node.args]
        if node.func.id == "where":
            return np.where(truth(made[0]), _number(made[1]), _number(made[2]))
        return FUNCTIONS[node.func.id][1](*map(_number, made))
    assert isinstance(node, ast.Compare)
    holds: Any = True
    left = worth(node.left, named)
    for operator, other in zip(node.ops, node.comparators, strict=True):
        if isinstance(other, ast.List | ast.Tuple):
            equal = [_compared(np.equal, left, worth(one, named)) for one in other.elts]
            among = np.logical_or.reduce(equal or [False])
            holds = holds & (~among if isinstance(operator, ast.NotIn) else among)
        else:
            right = worth(other, named)
            holds = holds & _compared(OPERATORS[type(operator)], left, right)
            left = right
    return holds


def truth(value: Any) -> NDArray[np.bool_]:
    """Return a value as true or false; numbers are true but 0 and NaN."""
    array = np.asarray(value)
    return array if array.dtype.kind == "b" else _compared(np.not_equal, array, 0)


def _compared(compare: Callable[..., Any], left: Any, right: Any) -> Any:
    """Return where a comparison holds; never where a value is missing. Whole numbers keep all their digits."""
    texts = [np.asarray(one).dtype.kind in "OUST" for one in (left, right)]
    if any(texts) and not all(texts):
        raise TypeError("texts are compared with numbers")
    if all(texts):
        left, right = np.asarray(left, dtype=object), np.asarray(right, dtype=object)
    return compare(left, right) & _there(left) & _there(right)


def _there(value: Any) -> Any:
    """Return where a value is not missing."""
    array = np.asarray(value)
    if array.dtype.kind == "f":
        return ~np.isnan(array)
    return np.equal(array, array).astype(bool) if array.dtype.kind == "O" else True


def _number(value: Any) -> Any:
    """Return a value as decimals, true as 1 and false as 0.

    Raises:
        TypeError: it is a text.
    """
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError("a text is no number")
    return array.astype(np.float64, copy=False)
