"""The group files that there are: ours, the user's own (``--config-dir``), and the parts of plugins."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ..core.errors import ConfigError, Problem, nearest
from ..core.registry import registered
from .entries import Entry
from .schema import GROUPS
from .sources import read_file
from .targets import part_of

FOLDER = Path(__file__).parent / "groups"
ALL_GROUPS = (*GROUPS, "dataset", "recipe")
THEIRS = {"metric": "accuracy"}
"""Group -> the folder that users of another system have for it besides; where both hold a name, ours counts."""


class Library:
    """Group files by group and name; the user's own win over ours and over the parts of plugins.

    Args:
        config_dir: the user's folder of group files, laid out as ours (``model/mine.yaml``), or None.

    Raises:
        ConfigError: the folder does not exist.
    """

    def __init__(self, config_dir: str | Path | None = None) -> None:
        self.config_dir = None if config_dir is None else Path(config_dir)
        self._ours = {group: _files(FOLDER / group) for group in ALL_GROUPS}
        self._users = {group: self._user_files(group) for group in ALL_GROUPS}

    def _user_files(self, group: str) -> dict[str, Path]:
        if self.config_dir is None:
            return {}
        if not self.config_dir.is_dir():
            raise ConfigError([Problem("--config-dir", "command line", f"{self.config_dir} is not a folder")])
        theirs = _files(self.config_dir / THEIRS[group]) if group in THEIRS else {}
        return {**theirs, **_files(self.config_dir / group)}

    def names(self, group: str) -> list[str]:
        """Return what may be chosen in a group, sorted."""
        return sorted({*self._ours[group], *self._users[group], *registered(group)})

    def user_file(self, group: str, name: str) -> Path | None:
        """Return the user's file for a choice; None where it is ours or a plugin's."""
        return self._users[group].get(name)

    def is_apart(self, group: str, name: str) -> bool:
        """Say whether the user's file for a choice lies in a folder of another name, where Hydra does not look."""
        path = self.user_file(group, name)
        return path is not None and self.config_dir is not None and path.relative_to(self.config_dir).parts[0] != group

    def file(self, group: str, name: str) -> Path | None:
        """Return the file for a choice; None where it is a plugin's part or there is none."""
        return self._users[group].get(name) or self._ours[group].get(name)

    def replaces(self, group: str, name: str) -> bool:
        """Say whether the user's file for a choice stands in the place of ours or of a plugin's part."""
        return name in self._users[group] and (name in self._ours[group] or name in registered(group))

    def part(self, group: str, name: str) -> str:
        """Return the part that a choice is, or is a size of; of a dataset the group file that it is like.

        Raises:
            ConfigError: the user's file cannot be read.
        """
        said = {entry.key: entry.value for entry in self.user_entries(group, name)[0]}
        printed = [part_of(group, value) for key, value in said.items() if key.rpartition(".")[2] == "_target_"]
        named = next(filter(None, printed), None) or said.get("name") or name
        return part_of_file(group, str(named))

    def base(self, group: str, name: str) -> str | None:
        """Return our file whose values count where the user's file for a choice says nothing; None where there is none.

        Raises:
            ConfigError: the user's file cannot be read.
        """
        said = {entry.key: entry.value for entry in self.user_entries(group, name)[0]}
        part = self.part(group, name)
        named = str(said.get("name"))
        candidates = (name, part) if named == part else (named, name, part)
        return next((our for our in candidates if our in self._ours[group] and part_of_file(group, our) == part), None)

    def missing(self, group: str, name: str, origin: str) -> Problem | None:
        """Return the problem of a choice that does not exist, with the nearest one; None where it does."""
        choices = self.names(group)
        if name in choices:
            return None
        near = nearest(name, choices)
        known = f"known are {', '.join(choices) or 'none'}"
        return Problem(group, origin, f"there is no {name!r}", f"did you mean {near[0]}? {known}" if near else known)

    def user_entries(self, group: str, name: str) -> tuple[list[Entry], list[Problem]]:
        """Return what the user's file for a choice says, after the user's files that it builds on.

        Raises:
            ConfigError: a file cannot be read.
        """
        return self._entries(group, name, ())

    def _entries(self, group: str, name: str, above: tuple[str, ...]) -> tuple[list[Entry], list[Problem]]:
        path = self.user_file(group, name)
        if path is None or name in above:
            return [], []
        own, problems = read_file(path)
        entries: list[Entry] = []
        for entry in own:
            for parent in entry.value if entry.key == "defaults" and isinstance(entry.value, list) else ():
                if isinstance(parent, str):
                    found, wrong = self._entries(group, parent.removesuffix(".yaml"), (*above, name))
                    entries, problems = entries + found, problems + wrong
        return entries + [entry for entry in own if entry.key != "defaults"], problems


@cache
def part_of_file(group: str, name: str) -> str:
    """Return the part that one of our files is, or is a size of; other names, and datasets, are what they are."""
    path = FOLDER / group / f"{name}.yaml"
    if group == "dataset" or not path.is_file():
        return name
    said = {entry.key: entry.value for entry in read_file(path)[0]}
    return str(said["name"]) if "name" in said else part_of_file(group, str(said["defaults"][0]))


def _files(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.yaml"))}
