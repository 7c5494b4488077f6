"""JSON as people write it: with comments, ``0.``, trailing commas and unquoted names; with line numbers."""

from __future__ import annotations

import re
from typing import Any

from ..core.errors import ConfigError, Problem
from .coerce import plain_text
from .entries import Leaf, Row, place

# comments, strings, punctuation, anything else that is one word
_TOKEN = re.compile(
    r"""//[^\n\r\u2028\u2029]*|/\*.*?\*/|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[{}\[\]:,]|[^\s{}\[\]:,"'/]+""", re.DOTALL
)


class _Pairs(list[tuple[str, Any]]):
    """The keys and values of one object, doubles included."""


def rows_of(text: str, file: str) -> list[Row]:
    """Return the rows of a JSON5 document whose root is an object; none for a blank document.

    Raises:
        ConfigError: it is not such a document; with file and line.
    """
    import json5

    if not text.strip():
        return []
    try:
        document = json5.loads(text, object_pairs_hook=_Pairs)
    except ValueError as error:
        found = re.match(r"<string>:(\d+) (.*)", str(error))
        line, what = (int(found[1]), found[2]) if found else (None, str(error))
        raise ConfigError([Problem(file, place(file, line), f"is not JSON: {what}")]) from None
    except RecursionError:
        raise ConfigError([Problem(file, file, "is nested too deeply to be read")]) from None
    if not isinstance(document, _Pairs):
        raise ConfigError([Problem(file, place(file, 1), "must hold keys and values in { }")])
    return _rows(document, iter(key_lines(text)))


def key_lines(text: str) -> list[int]:
    """Return the line of each object key of a valid JSON5 document, in the order they stand.

    The JSON5 library keeps no positions. In JSON5 a colon stands behind keys only, so a key is the word or string
    before a colon.
    """
    lines, before, line, position = [], 0, 1, 0
    for token in _TOKEN.finditer(text):
        line += text.count("\n", position, token.start())
        position = token.start()
        if token[0] == ":":
            lines.append(before)
        elif not token[0].startswith(("//", "/*")):
            before = line
    return lines


def _rows(pairs: _Pairs, lines: Any) -> list[Row]:
    rows = []
    for name, value in pairs:
        line = next(lines, None)
        name = _joined(name)
        if isinstance(value, _Pairs) and value:
            rows.append(Row(name, line, _rows(value, lines)))
        else:
            plain = _plain(value, lines)
            rows.append(Row(name, line, Leaf(plain, plain_text(plain))))
    return rows


def _plain(value: Any, lines: Any) -> Any:
    """Return a value with objects as dicts; the lines of the keys in them are passed over."""
    if isinstance(value, _Pairs):
        return {name: (next(lines, None), _plain(item, lines))[1] for name, item in value}
    if isinstance(value, list):
        return [_plain(item, lines) for item in value]
    return _joined(value) if isinstance(value, str) else value


def _joined(text: str) -> str:
    r"""Return text with surrogate pairs (``\ud83d\ude00``), which the library leaves apart, as one character."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
