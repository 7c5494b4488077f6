"""Reads checkpoints that other systems pickled, without running anything in them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from ...core.archives import expect_stored
from ...core.errors import DataError

_DICT = ".AttributeDict"
"""How Lightning calls its dict of hyperparameters, which is one with attributes."""


_DEFAULTS = "collections.defaultdict"
"""In which an optimiser keeps its state, where a schedule was saved with all that it holds."""


class Inert:
    """Stands for any class or function that a pickle names: it keeps what it is given, and does nothing."""

    state: Any = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Inert:
        """Take whatever the real thing would take."""
        return object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        """Keep an object's state as a value."""
        self.state = state


def read_published(path: Path) -> dict[str, Any]:
    """Return what ``torch.save`` wrote, with every object of a class of theirs as the plain dict of its state.

    Nothing in the file is run or imported: torch reads tensors and plain values only, and each other name in the file
    stands for a class of its own that does nothing (`Inert`). Objects that are no dict inside become None.

    Args:
        path: a file of ``torch.save`` (torch 1.6 and later).

    Raises:
        DataError: no such file, damaged, of the older kind, or it names something that torch refuses to read at all.
    """
    if not path.is_file():
        raise DataError("there is no such file", where=str(path), fix="give the .pth file that was published")
    expect_stored(path)
    try:
        names = get_unsafe_globals_in_checkpoint(path)
    except Exception as error:  # damaged bytes raise whatever they make the reader stumble over
        raise DataError(
            "the file cannot be read: it is damaged, or was not written by torch 1.6 or later",
            where=str(path),
            fix="download it again; a file of an older torch must be saved anew by torch.save",
        ) from error
    # one class a name: torch looks up what it may call by identity, and it fills dicts alone
    stands_for: list[Any] = [(_stand_in(name), name) for name in names]
    try:
        with safe_globals(stands_for):
            record = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"the file is refused: {_reason(str(error))}",
            where=str(path),
            fix="give a file that holds weights and options only",
        ) from error
    except Exception as error:
        raise DataError("the file cannot be read: it is damaged", where=str(path), fix="download it again") from error
    if not isinstance(record, dict):
        raise DataError("the file holds no checkpoint", where=str(path), fix="give the .pth file that was published")
    return {str(key): _plain(value) for key, value in record.items()}


def _stand_in(name: str) -> Any:
    """Return what a name of a pickle is to stand for: a dict where torch will fill it, else what does nothing."""
    if name == _DEFAULTS:
        return lambda *_: {}
    return dict if name.endswith(_DICT) else type("Inert", (Inert,), {})


def _reason(text: str) -> str:
    """Return the line of torch's message that says what it refuses."""
    _, _, rest = text.partition("WeightsUnpickler error:")
    return (rest or text).strip().partition("\n")[0]


def _plain(value: Any) -> Any:
    """Return tensors and plain values, and the state of objects."""
    if isinstance(value, Inert):
        return _plain(value.state) if isinstance(value.state, dict) else None
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
