"""YAML with line numbers, doubled keys found, and numbers as people write them (``1e-4`` is a number).

Plain scalars follow YAML 1.2's core schema: only true and false are truth values, ``no`` is a word, ``007`` is text.
Tags are the standard ones; anything that names a class, and any other tag, is an error.
"""

from __future__ import annotations

import functools
import re
from typing import Any

import yaml

from ..core.errors import ConfigError, Problem, first_line
from .entries import Leaf, Row, place

_TAG = "tag:yaml.org,2002:"
_PLAIN: tuple[tuple[str, str, str], ...] = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("int", r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
)


def _resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """Return PyYAML's table of plain scalars: first character -> (tag, pattern), in order of trial."""
    table: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for name, pattern, starts in _PLAIN:
        for start in starts:
            table.setdefault("" if start == "\0" else start, []).append((_TAG + name, re.compile(f"(?:{pattern})$")))
    return table


class PlainLoader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2, and without aliases."""

    yaml_implicit_resolvers = _resolvers()

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse aliases: a few lines of them unfold into gigabytes."""
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not read; write the value out", mark)
        return super().compose_node(parent, index)


class PlainDumper(yaml.SafeDumper):
    """PyYAML's safe dumper, quoting what `PlainLoader` would not read as text."""

    yaml_implicit_resolvers = PlainLoader.yaml_implicit_resolvers

    def ignore_aliases(self, data: Any) -> bool:
        """Write equal lists out each time."""
        return True


def rows_of(text: str, file: str) -> list[Row]:
    """Return the rows of a YAML document whose root is a table; none for an empty document.

    Raises:
        ConfigError: it is not such a document, or holds a tag that is not standard; with file and line.
    """
    try:
        loader = PlainLoader(text)
        node = loader.get_single_node()
        return [] if node is None else _Tables(loader, file).rows(node, "")
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or first_line(error)
        raise ConfigError(
            [Problem(file, place(file, mark.line + 1 if mark else None), f"is not YAML: {what}")]
        ) from None
    except RecursionError:
        raise ConfigError([Problem(file, file, "is nested too deeply to be read")]) from None


class _Tables:
    """Turns the nodes of one document into rows."""

    def __init__(self, loader: PlainLoader, file: str) -> None:
        self.loader, self.file = loader, file

    def rows(self, node: Any, prefix: str) -> list[Row]:
        """Return the rows of a mapping."""
        if not isinstance(node, yaml.MappingNode) or node.tag != f"{_TAG}map":
            found = node.tag.removeprefix(_TAG)
            raise self._error(prefix, node, f"must hold keys and values here, not {found}")
        found_rows = []
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._error(prefix, key, "has a key that is not a word")
            nested = isinstance(value, yaml.MappingNode) and value.value
            full = f"{prefix}{key.value}"
            content = self.rows(value, f"{full}.") if nested else self._leaf(value, full)
            found_rows.append(Row(key.value, key.start_mark.line + 1, content))
        return found_rows

    def _leaf(self, node: Any, key: str) -> Leaf:
        try:
            value = self.loader.construct_document(node)
        except yaml.constructor.ConstructorError as error:
            fix = "only YAML's own tags such as !!float are read: a file cannot run code"
            raise self._error(key, node, str(error.problem), fix) from None
        except (ValueError, KeyError, IndexError, AttributeError, TypeError):
            raise self._error(key, node, f"cannot be read as {node.tag.removeprefix(_TAG)}") from None
        if not _plain(value):
            raise self._error(key, node, f"cannot hold a {node.tag.removeprefix(_TAG)}")
        return Leaf(value, node.value if isinstance(node, yaml.ScalarNode) else None)

    def _error(self, key: str, node: Any, what: str, fix: str | None = None) -> ConfigError:
        origin = place(self.file, node.start_mark.line + 1)
        return ConfigError([Problem(key.rstrip(".") or self.file, origin, what, fix)])


def _plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(_plain(item) for item in value)
    if isinstance(value, dict):
        return all(_plain(item) for item in value.values())
    return value is None or isinstance(value, bool | int | float | str)


def scalar(text: str) -> Any:
    """Return one value of the command line: a list or quoted text as YAML, a plain word or number as it stands.

    What only looks like YAML ("a: b", "[draft") is text.
    """
    text = text.strip()
    structured = text[:1] in ("[", "{", '"', "'")
    try:
        loader = PlainLoader(text)
        if structured:
            return loader.get_single_data()
        tag = loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        return loader.construct_object(yaml.ScalarNode(tag, text))
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


def dumped(value: Any) -> str:
    """Return a value on one line of YAML, as `rows_of` reads it back."""
    if value is None or isinstance(value, bool | int | float | str):
        return _dumped_scalar(value, repr(value))
    return _dumped(value)


@functools.lru_cache(maxsize=4096, typed=True)
def _dumped_scalar(value: Any, _: str) -> str:
    """Return a scalar on one line; its other text tells 0.0 from -0.0."""
    return _dumped(value)


def _dumped(value: Any) -> str:
    text = yaml.dump(value, Dumper=PlainDumper, default_flow_style=True, width=10**9, allow_unicode=True)
    return text.removesuffix("\n...\n").strip()
