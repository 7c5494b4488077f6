"""Addresses of databases: which are files, and that their passwords are never shown."""

from __future__ import annotations

import re
from pathlib import Path

_IN_QUERY = re.compile(r"([?&]password=)([^&]*)")


def without_password(url: str) -> str:
    """Return an address that may be shown."""
    url = _IN_QUERY.sub(r"\1***", url)
    head, at, tail = url.rpartition("@")
    if not at or "://" not in head:
        return url
    scheme, _, user = head.partition("://")
    return f"{scheme}://{user.partition(':')[0]}@{tail}"


def password_of(url: str) -> str | None:
    """Return the password in an address as it is written there; None where there is none."""
    if (found := _IN_QUERY.search(url)) is not None:
        return found[2]
    head, at, _ = url.rpartition("@")
    return head.partition("://")[2].partition(":")[2] or None if at else None


def file_of(url: str) -> Path | None:
    """Return the file of a study, absolute; None for a server."""
    if url.startswith("journal:"):
        return Path(url.removeprefix("journal:")).expanduser().absolute()
    return Path(url.removeprefix("sqlite:///")).absolute() if url.startswith("sqlite:///") else None


def is_there(url: str) -> bool:
    """Say whether there may be a study at an address: a file is looked for, and not made; a server may have any."""
    file = file_of(url)
    return file is None or file.is_file()
