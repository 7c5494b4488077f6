"""Statistics of data that were looked at before, kept between trainings in the user's own folder.

``$SPECTRAIN_CACHE`` names the folder; unset it is ``$XDG_CACHE_HOME/spectrain`` or ``~/.cache/spectrain``, and set to
nothing there is none. It may be removed at any time. Nothing is ever written beside the data.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..config.schema import DatasetOptions
from ..core.atomic import atomic_write
from ..core.errors import SpectrainError
from .patches import Patches
from .statistics import Statistics, patches_statistics
from .values import Values

log = logging.getLogger("spectrain")

FOLDER_VARIABLE = "SPECTRAIN_CACHE"
VERSION = 3
"""To be raised with any change of how statistics are taken of the same values."""

_OF_OTHER_THINGS = {"path", "train_key", "valid_key"}


def kept_statistics(patches: Patches, options: DatasetOptions, fingerprint: str | None = None) -> Statistics:
    """Return the statistics of one data set: from the cache where nothing changed since, else by a pass over it.

    They are taken anew where the fingerprint, the size or date of a source file, the split, an option of ``dataset``,
    the number of threads (which decides the last bit of a sum) or the version of the package is another. Patches whose
    reader does not name its files (:meth:`Patches.stamp`) are never kept. A file of the cache that is damaged is as
    none, and a folder that cannot be written is said in the log's details only.

    Args:
        patches: one data set, no mixture.
        options: the configuration group ``dataset``.
        fingerprint: that of ``patches``, where it is known already.
    """
    folder, stamp = cache_folder(), patches.stamp()
    file = None
    if folder is not None and stamp is not None:
        file = folder / "statistics" / f"{_key(patches, options, fingerprint or patches.fingerprint(), stamp)}.json"
        found = _read(file, patches)
        if found is not None:
            log.debug("%s, %s: the statistics are those in %s", patches.path, patches.split, file)
            return found
    found = patches_statistics(patches, Values(patches.bands, options.transform))
    if file is not None and patches.stamp() == stamp:  # else a file was written during the pass
        _write(file, found)
    return found


def cache_folder() -> Path | None:
    """Return the folder of what is kept between runs, which need not be there; None where there is to be none."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named is not None:
        return Path(named).expanduser() if named else None
    base = os.environ.get("XDG_CACHE_HOME", "")
    if Path(base).is_absolute():  # a relative one is to be ignored, as its specification says
        return Path(base) / "spectrain"
    try:
        return Path.home() / ".cache" / "spectrain"
    except RuntimeError:  # a user without home
        return None


def _key(patches: Patches, options: DatasetOptions, fingerprint: str, stamp: str) -> str:
    facts: dict[str, Any] = {
        "version": [VERSION, __version__],
        "threads": torch.get_num_threads(),
        "fingerprint": fingerprint,
        "stamp": stamp,
        "split": patches.split,
        "bands": patches.bands.to_json(),
        "shape": list(patches.shape),
        "options": {name: value for name, value in asdict(options).items() if name not in _OF_OTHER_THINGS},
    }
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _read(file: Path, patches: Patches) -> Statistics | None:
    """Return what a file holds; None where it is not there or not whole."""
    try:
        record = json.loads(file.read_bytes())
        found = Statistics.from_json(record["statistics"])
        if record["digest"] == _digest(found) and len(found.count) == len(patches.bands):
            return found
        log.debug("%s is damaged", file)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, TypeError, LookupError, AttributeError, SpectrainError) as error:
        log.debug("%s cannot be used: %s", file, error)
    return None


def _write(file: Path, found: Statistics) -> None:
    """Write a file whole, or leave it."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(file, json.dumps({"digest": _digest(found), "statistics": found.to_json()}, indent=1) + "\n")
    except (OSError, SpectrainError) as error:
        log.debug("the statistics are not kept: %s", error)


def _digest(found: Statistics) -> str:
    return hashlib.blake2b(json.dumps(found.to_json()).encode(), digest_size=8).hexdigest()
