"""Values as they were written, made the type that an option has, or a sentence that says why not."""

from __future__ import annotations

import math
import re
import types
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from ..core.errors import nearest
from .option import Option, mismatched, outside

_YES = {"true", "yes", "on"}
_NO = {"false", "no", "off"}


@dataclass(frozen=True, slots=True)
class Misfit(Exception):  # noqa: N818 - it is a sentence for the user, not a failure of the program
    """A value does not fit its option.

    Attributes:
        what: what is wrong, to stand after the key and a colon.
        fix: what would be right, if more can be said.
    """

    what: str
    fix: str | None = None


def coerce(value: Any, option: Option, text: str | None = None) -> Any:
    """Return ``value`` in the option's type and within its limits.

    Args:
        value: a plain value (None, bool, int, float, str, list, dict) as a file or the command line gave it.
        option: what the value is for.
        text: the value as it was written, where that is known; an option that takes text gets it unchanged
            (``run_name=007``).

    Raises:
        Misfit: the value has another type, is outside the limits, or is not among the allowed values.
    """
    found = _convert(value, option.hint, text)
    _check(found, option)
    return found


def _check(value: Any, option: Option) -> None:
    """Apply an option's limits to a value, and to each element of a list."""
    if isinstance(value, list | tuple):
        for item in value:
            _check(item, option)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if option.limits.get("finite", True) and not math.isfinite(value):
            raise Misfit(f"must be a finite number, not {value}")
        if broken := outside(value, option.limits):
            raise Misfit(f"{broken}, not {value}")
    elif isinstance(value, str) and mismatched(value, option.limits):
        raise Misfit(f"cannot be {value!r}", fix=option.doc)


def _convert(value: Any, hint: Any, text: str | None) -> Any:
    origin = get_origin(hint)
    if origin is Annotated:
        return _convert(value, get_args(hint)[0], text)
    if origin in (Union, types.UnionType):
        return _union(value, hint, text)
    if origin is Literal:
        return _literal(value, get_args(hint), text)
    if origin is list:
        return [_convert(item, get_args(hint)[0], None) for item in _sequence(value, hint)]
    if origin is tuple:
        return _tuple(value, hint)
    if origin is dict:
        return _mapping(value, hint)
    if hint is Any:
        return value
    if (scalar := _SCALARS.get(hint)) is not None:
        return scalar(value, text)
    raise TypeError(f"an option cannot have the type {hint!r}; see the types in docs/options.md")


def _union(value: Any, hint: Any, text: str | None) -> Any:
    """Take the member that the value already is; only then those it can become."""
    members = get_args(hint)
    if value is None and type(None) in members:
        return None
    fitting = [member for member in members if _is_already(value, member)]
    misfits = []
    for member in [*fitting, *(member for member in members if member not in fitting and member is not type(None))]:
        try:
            return _convert(value, member, text)
        except Misfit as misfit:
            misfits.append(misfit)
    if fitting:
        raise misfits[0]
    fix = next((misfit.fix for misfit in misfits if misfit.fix), None)
    raise Misfit(f"must be {describe(hint)}, not {shown(value)}", fix)


def _is_already(value: Any, hint: Any) -> bool:
    kind = get_origin(hint) or hint
    if kind is Literal:
        return any(value == choice and type(value) is type(choice) for choice in get_args(hint))
    return isinstance(kind, type) and type(value) is kind


def _literal(value: Any, choices: tuple[Any, ...], text: str | None) -> Any:
    for choice in choices:
        if type(value) is type(choice) and value == choice:
            return choice
    if value is None and "none" in choices:
        return "none"
    if text in choices:
        return text
    near = nearest(str(value), [str(choice) for choice in choices])
    raise Misfit(
        f"cannot be {shown(value)}; allowed are {', '.join(str(choice) for choice in choices)}",
        fix=f"did you mean {near[0]}?" if near else None,
    )


def _sequence(value: Any, hint: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    written = value if isinstance(value, str) else shown(value)
    raise Misfit(f"must be {describe(hint)}, not {shown(value)}", fix=f"write [{written}]")


def _tuple(value: Any, hint: Any) -> tuple[Any, ...]:
    items, members = _sequence(value, hint), get_args(hint)
    if len(members) == 2 and members[1] is Ellipsis:
        members = (members[0],) * len(items)
    if len(items) != len(members):
        raise Misfit(f"must be {describe(hint)}, not {len(items)} values")
    return tuple(_convert(item, member, None) for item, member in zip(items, members, strict=True))


def _mapping(value: Any, hint: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Misfit(f"must be {describe(hint)}, not {shown(value)}")
    return {str(key): _convert(item, get_args(hint)[1], plain_text(item)) for key, item in value.items()}


def _whole(value: Any, text: str | None) -> int:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if not -(2**63) <= value < 2**63:  # which files and tensors cannot hold
            raise Misfit("must be a whole number of ordinary size")
        return value
    raise Misfit(f"must be a whole number, not {shown(value)}")


def _number(value: Any, text: str | None) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise Misfit("must be a number of ordinary size") from None
    raise Misfit(f"must be a number, not {shown(value)}")


def _truth(value: Any, text: str | None) -> bool:
    word = str(value).lower()
    if isinstance(value, bool) or (isinstance(value, str) and word in _YES | _NO):
        return word in _YES
    raise Misfit(f"must be true or false, not {shown(value)}")


def _words(value: Any, text: str | None) -> str:
    if not isinstance(value, str) and (text is None or not text.strip() or value is None):
        raise Misfit(f"must be text, not {shown(value)}")
    found = value if isinstance(value, str) else text or ""
    if not writable(found):
        raise Misfit(f"has characters that cannot be written as UTF-8: {shown(found)}")
    return found


_SCALARS = {int: _whole, float: _number, bool: _truth, str: _words}


def plain_text(value: Any) -> str | None:
    """Return how a scalar was most likely written, for readers that only have the value."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or isinstance(value, list | dict):
        return None
    try:
        return str(value)
    except ValueError:  # Python refuses to print whole numbers of thousands of digits
        return None


def writable(text: str) -> bool:
    """Say whether text can be written to a file; half of a surrogate pair cannot."""
    return text.isascii() or not re.search("[\ud800-\udfff]", text)


def shown(value: Any) -> str:
    """Return a value for a message: as YAML would have it, short."""
    words = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    try:
        text = repr(value)
    except ValueError:  # as above
        return "a number of very many digits"
    return text if len(text) <= 60 else f"{text[:57]}..."


def describe(hint: Any) -> str:
    """Return a type in words: "a whole number or null"."""
    origin, members = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return describe(members[0])
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(describe(member) for member in members))
    if origin is Literal:
        return " or ".join(str(member) for member in members)
    if origin is list:
        return f"a list (each {describe(members[0])})"
    if origin is tuple and Ellipsis in members:
        return f"a list (each {describe(members[0])})"
    if origin is tuple:
        return f"a list of {len(members)} values"
    if origin is dict:
        return "a table of names and values"
    simple = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null"}
    return simple.get(hint, "any value")
