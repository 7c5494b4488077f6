"""Files of older versions, brought up to date: one pure function for each step from a version to the next.

Every file that spectrain writes has ``format: {name, version}``. A reader calls `migrated` with the name and version
that it knows; older files pass through the functions of `STEPS`, newer ones are refused.

A new version of a format is: the reader's version number plus one, a function here, and a golden file in the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...core.errors import RunError

Record = dict[str, Any]
Migration = Callable[[Record], Record]

# (name, version) -> function from that version to the next; it returns a new record and leaves its argument alone
STEPS: dict[tuple[str, int], Migration] = {}


def migrated(
    record: Mapping[str, Any],
    name: str,
    version: int,
    *,
    where: str,
    steps: Mapping[tuple[str, int], Migration] = STEPS,
) -> Record:
    """Return a record as version ``version`` of its format.

    Args:
        record: what was read, with ``format: {name, version}``; it is not changed.
        name: the format that the caller reads.
        version: the newest version that the caller knows.
        where: the file, for the error.
        steps: the migrations.

    Raises:
        RunError: another format, no version, or a version newer than the code.
    """
    found_name, found = format_of(record, where=where)
    if found_name != name:
        raise RunError(f"this is a file of the format {found_name!r}, not {name!r}", where=where)
    if found > version:
        raise RunError(
            f"the file has version {found} of the format {name!r}; this spectrain knows versions up to {version}",
            where=where,
            fix="use the spectrain that wrote it, or a newer one",
        )
    result = dict(record)
    for old in range(found, version):
        if (name, old) not in steps:
            raise RunError(
                f"version {old} of the format {name!r} can no longer be read",
                where=where,
                fix="open and save it with an older spectrain first",
            )
        result = {**steps[name, old](result), "format": {"name": name, "version": old + 1}}
    return result


def format_of(record: Mapping[str, Any], *, where: str) -> tuple[str, int]:
    """Return the name and version that a record says it has; a `RunError` where it says nothing sensible."""
    tag = record.get("format")
    name = tag.get("name") if isinstance(tag, Mapping) else None
    version = tag.get("version") if isinstance(tag, Mapping) else None
    if not isinstance(name, str) or not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise RunError(
            "the file does not say which format it has",
            where=where,
            fix="it was not written by spectrain, or was changed by hand: format must be {name, version}",
        )
    return name, version
