"""One option of a dataclass: its default, one line of documentation, and what values it takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, get_type_hints


def option(
    default: Any,
    doc: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    multiple: int | None = None,
    pattern: str | None = None,
    finite: bool = True,
) -> Any:
    """Return a dataclass field whose metadata say what the option means and which values it takes.

    Args:
        default: the default; a list or dict is copied for each instance.
        doc: one line, shown on the page of options.
        minimum: smallest number allowed.
        maximum: largest number allowed.
        above: numbers must be larger than this.
        below: numbers must be smaller than this.
        multiple: whole numbers must be a multiple of this.
        pattern: regular expression that text must match as a whole.
        finite: refuse NaN and infinity.
    """
    bounds = {"minimum": minimum, "maximum": maximum, "above": above, "below": below, "multiple": multiple}
    metadata = {"doc": doc, **bounds, "pattern": pattern, "finite": finite}
    if isinstance(default, list | dict):
        kind = type(default)
        return field(default_factory=lambda: kind(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Option:
    """One field of a configuration dataclass, as the resolver sees it.

    Attributes:
        name: the field's name.
        hint: its resolved type.
        default: its default; `dataclasses.MISSING` where it must be given.
        limits: metadata of the field (see :func:`option`); plain dataclass fields have none.
    """

    name: str
    hint: Any
    default: Any
    limits: dict[str, Any]

    @property
    def doc(self) -> str:
        """The option's line of documentation; empty where its author gave none."""
        return str(self.limits.get("doc", ""))


def options_of(kind: type) -> dict[str, Option]:
    """Return the options of a configuration dataclass by name, in order."""
    hints = get_type_hints(kind)
    return {
        item.name: Option(item.name, hints[item.name], _default(item), dict(item.metadata))
        for item in fields(kind)
        if item.init
    }


def _default(item: Field[Any]) -> Any:
    if item.default_factory is not MISSING:
        return item.default_factory()
    return item.default


def outside(value: float, limits: dict[str, Any]) -> str | None:
    """Say which limit a number breaks, or None."""
    checks: Sequence[tuple[str, Callable[[float, float], bool], str]] = (
        ("minimum", lambda number, limit: number < limit, "at least"),
        ("maximum", lambda number, limit: number > limit, "at most"),
        ("above", lambda number, limit: number <= limit, "more than"),
        ("below", lambda number, limit: number >= limit, "less than"),
        ("multiple", lambda number, limit: number % limit != 0, "a multiple of"),
    )
    for name, broken, words in checks:
        if (limit := limits.get(name)) is not None and broken(value, limit):
            return f"must be {words} {limit}"
    return None


def mismatched(value: str, limits: dict[str, Any]) -> bool:
    """Say whether text breaks the option's pattern."""
    pattern = limits.get("pattern")
    return pattern is not None and re.fullmatch(pattern, value) is None
