"""Imports of packages that bring along what is not asked of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast


@contextmanager
def as_if_absent(name: str) -> Iterator[None]:
    """Let imports in this block not find a package that they can do without, unless it was imported before.

    timm imports wandb where it is installed, for the tables of its own training script: half a second and more of
    every start.
    """
    if name in sys.modules:
        yield
        return
    modules = cast(dict[str, Any], sys.modules)
    modules[name] = None  # what the import system takes for "there is none"
    try:
        yield
    finally:
        del modules[name]
