"""Failures that a user can mend: what happened, where, and how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


class SpectrainError(Exception):
    """One clear failure. The command prints it without a traceback and exits non-zero.

    Args:
        what: what is wrong, as one sentence.
        where: the file, key, row or address that it is about.
        fix: what the user can do about it.
    """

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        self.what, self.where, self.fix = what, where, fix
        lines = [what]
        if where:
            lines.append(f"  where: {where}")
        if fix:
            lines.append(f"  mend:  {fix}")
        super().__init__("\n".join(lines))


class DataError(SpectrainError):
    """The data are missing, damaged, or not what the configuration says they are."""


class RunError(SpectrainError):
    """A run folder or checkpoint cannot be used, or a training cannot go on."""


class BusyRunError(RunError):
    """Another process writes to the run folder, which becomes free when it ends."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration: the key, where it was written, what is wrong, what would be right."""

    key: str
    origin: str
    what: str
    fix: str | None = None

    def __str__(self) -> str:
        line = f"{self.key}: {self.what} ({self.origin})"
        return f"{line}\n    {self.fix}" if self.fix else line


class UsageError(SpectrainError):
    """A command was called in a way that it cannot be; the process exits with 2 and not with 1."""


class ConfigError(SpectrainError):
    """Everything that is wrong with a configuration, at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        head = f"{count} {'mistake' if count == 1 else 'mistakes'} in the configuration"
        super().__init__("\n".join([head, *(f"  {problem}" for problem in self.problems)]))


@contextmanager
def needs(extra: str, purpose: str, *, otherwise: str = "") -> Iterator[None]:
    """Say how a package is had that an import in this block does not find.

    Args:
        extra: the extra of spectrain that brings the package.
        purpose: what it is needed for, as "to read GeoTIFFs".
        otherwise: what can be done without it, as ", or workers=N".

    Raises:
        SpectrainError: an import failed.
    """
    try:
        yield
    except ImportError as error:
        raise SpectrainError(
            f"the package {error.name!r} is needed {purpose}", fix=f"pip install 'spectrain[{extra}]'{otherwise}"
        ) from error


def first_line(error: BaseException) -> str:
    """Return the first line of what an exception says; the name of its class where it says nothing."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def nearest(name: str, choices: Iterable[str], count: int = 1) -> list[str]:
    """Return up to ``count`` of ``choices`` that look most like ``name``; empty where none comes near."""
    return difflib.get_close_matches(name, list(choices), n=count, cutoff=0.6)


def perhaps(name: str, choices: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"``, the end of a message about a name that is none; empty where none comes near."""
    near = nearest(name, choices)
    return f"; did you mean {near[0]!r}?" if near else ""


def perhaps_beside(path: Path) -> str:
    """Return the same of a path that does not exist, by what lies in its folder; empty where that cannot be read."""
    try:
        return perhaps(path.name, [other.name for other in path.parent.iterdir()])
    except OSError:
        return ""
