"""The layers of a configuration, with what the user's own group files say in the names of another system among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..core.errors import ConfigError, Problem
from .aliases import Converter
from .entries import Entry
from .keys import CHOICES
from .library import Library
from .translate import Layer, Translator


class Layers(list[Layer]):
    """The layers, the lowest first: the recipe, the user's group files, and the other sources.

    Options of ours in a group file are composed by Hydra; names of theirs in it (``csv_file``) make up a layer. Either
    wins over our recipes, but not over a recipe of the user's own. Which files are chosen is known once all is
    translated, and a file may choose in turn (``transform_type``), hence the repetition.

    Args:
        library: the group files.
        aliases: the recipe's.
        recipe: its name.
        sources: the entries of the recipe, the personal defaults, the file and the command line.

    Attributes:
        files_at: place of the layer of the user's group files.
    """

    def __init__(
        self,
        library: Library,
        aliases: Mapping[str, tuple[str | None, Converter]],
        recipe: str,
        sources: Sequence[list[Entry]],
    ) -> None:
        super().__init__()
        self._library = library
        own = library.user_file("recipe", recipe) is not None
        self.files_at = 0 if own else 1
        chosen: dict[str, str] = {}
        for _ in CHOICES:
            self._translator = translator = Translator(aliases)
            said = [(group, entry) for group, name in chosen.items() for entry in self._said(group, name)]
            files = [replace(entry, key=f"{group}.{entry.key}") for group, entry in said]
            theirs = [entry for entry in files if translator.translates(entry.key)]
            before, after = sources[: self.files_at], sources[self.files_at :]
            self[:] = [translator.layer(source) for source in (*before, theirs, *after)]
            self[self.files_at].targets.clear()  # they say what the file itself is, see Library.part
            now = self._choices()
            if now == chosen:
                break
            chosen = now
        if not own:
            for entry in files:
                self[0].settings.pop(entry.key, None)

    def strip(self, group: str, name: str, values: dict[str, Any]) -> None:
        """Take out of a composed group what the user's file for it says in names of theirs: it is in a layer."""
        for entry in self._said(group, name):
            if self._translator.translates(f"{group}.{entry.key}"):
                _remove(values, entry.key.split("."))

    def _choices(self) -> dict[str, str]:
        """Return what is chosen in each group; a printed class path is the choice so far where that is its part."""
        chosen: dict[str, str] = {}
        for layer in self:
            for group, target in layer.targets.items():
                choice = layer.choices.get(group)
                name = str(choice.value) if choice is not None else chosen.get(group)
                if name is not None and self._is(group, name, str(target.value)):
                    layer.choices.setdefault(group, replace(target, value=name))
                elif choice is None:
                    layer.choices[group] = target
                else:
                    what = f"is given twice, first in {choice.origin} as {choice.written}"
                    layer.problems.append(Problem(target.written, target.origin, what))
            chosen |= {group: str(choice.value) for group, choice in layer.choices.items()}
        return chosen

    def _is(self, group: str, name: str, part: str) -> bool:
        try:
            return self._library.part(group, name) == part
        except ConfigError:  # it is told where the file is read
            return False

    def _said(self, group: str, name: str) -> list[Entry]:
        try:
            return self._library.user_entries(group, name)[0]
        except ConfigError:  # likewise
            return []


def _remove(values: dict[str, Any], path: list[str]) -> None:
    """Remove a value of nested tables, and the tables that are empty then; a path that is not there is no mistake."""
    inner = values.get(path[0])
    if len(path) == 1:
        values.pop(path[0], None)
    elif isinstance(inner, dict):
        _remove(inner, path[1:])
        if not inner:
            del values[path[0]]
