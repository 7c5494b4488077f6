"""An exported model: weights in a file that other programs read too, and beside it what is needed to use them.

``model.safetensors`` has the keys of the unwrapped model: those that begin ``network.`` are the network's, the rest
standardises. ``model.json`` has the format, what the model is for, and all that a checkpoint says of itself. Optimiser,
progress and curves are left behind, so such a model is used and trained further, but not resumed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ...core.atomic import atomic_write
from ...core.errors import RunError
from ...runs.migrations import migrated

NAME, VERSION = "spectrain.model", 1
WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"


def exported_in(path: Path) -> Path | None:
    """Return the weights of the exported model that a path means: its folder, or one of its two files; else None."""
    folder = path if path.is_dir() else path.parent
    if (path.is_dir() or path.name in (WEIGHTS, DESCRIPTION)) and (folder / DESCRIPTION).is_file():
        return folder / WEIGHTS
    return None


def save_exported(folder: Path, weights: Mapping[str, Tensor], description: Mapping[str, Any]) -> None:
    """Write an exported model into a folder; the description comes last, so half of one is none.

    Args:
        folder: made where it is missing.
        weights: of the unwrapped model.
        description: JSON values: what a checkpoint says of itself, and what is said besides.

    Raises:
        RunError: the disk is full.
    """
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    # the format knows neither strides nor shared memory
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in weights.items()}
    atomic_write(folder / WEIGHTS, save(plain, metadata={"format": "pt"}))
    record = {"format": {"name": NAME, "version": VERSION}, "weights": WEIGHTS, **description}
    atomic_write(folder / DESCRIPTION, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def read_description(folder: Path) -> dict[str, Any]:
    """Return what ``model.json`` says.

    Raises:
        RunError: missing, damaged, of something else, or of a newer version.
    """
    path = folder / DESCRIPTION
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(
            "there is no exported model", where=str(folder), fix=f"give a folder with {DESCRIPTION}"
        ) from error
    except (OSError, ValueError) as error:
        raise RunError(
            f"the description of the exported model cannot be read: {error}", where=str(path), fix="export it anew"
        ) from error
    if not isinstance(record, dict):
        raise RunError("the file describes no exported model", where=str(path), fix="export it anew")
    record = migrated(record, NAME, VERSION, where=str(path))
    if lacking := [name for name in ("recipe", "bands", "statistics", "image_size", "config") if name not in record]:
        raise RunError(
            f"the description of the exported model lacks {', '.join(lacking)}", where=str(path), fix="export it anew"
        )
    return record


def load_exported(path: Path) -> dict[str, Any]:
    """Return ``model`` (weights) and ``meta`` of an exported model, as `load_checkpoint` does of a checkpoint.

    Args:
        path: its weights, from `exported_in`.

    Raises:
        RunError: one of the two files is missing or damaged, or of a newer version.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    meta = read_description(path.parent)
    try:
        weights = load_file(path)
    except FileNotFoundError as error:
        raise RunError(
            "the weights of the exported model are missing", where=str(path), fix="export it anew"
        ) from error
    except (SafetensorError, OSError, ValueError) as error:
        raise RunError(
            f"the weights of the exported model cannot be read: {error}", where=str(path), fix="export it anew"
        ) from error
    return {"model": weights, "meta": meta}
