"""Checkpoints: plain values only, written whole or not at all, loaded without running anybody's code.

A checkpoint is a ``torch.save`` of ``{format, model, optimizer, progress, curves, meta_json}``. ``model`` has the keys
of the unwrapped model; ``optimizer`` is by parameter name, so one process can continue what several began; ``progress``
says where the run stands; ``meta_json`` carries bands, statistics, configuration, fingerprint, versions and names.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from ..core.archives import expect_stored
from ..core.atomic import atomic_write
from ..core.damage import reading
from ..core.errors import RunError
from ..runs.migrations import migrated

NAME, VERSION = "spectrain.checkpoint", 1
EXPORTED = (".onnx", ".pt2")


def save_checkpoint(path: Path | str, state: dict[str, Any], meta: dict[str, Any]) -> None:
    """Write a checkpoint; a crash or full disk leaves what was there before.

    Args:
        path: the file.
        state: ``model``, ``optimizer``, ``progress``, ``curves``: tensors, numbers, strings, None, lists, dicts.
        meta: JSON values.

    Raises:
        TypeError: something else is in ``state`` (NumPy scalars save but do not load safely).
        RunError: the disk is full.
    """
    record = {"format": {"name": NAME, "version": VERSION}, **state, "meta_json": json.dumps(meta)}
    refuse_odd(record)
    atomic_write(path, lambda file: torch.save(record, file))


def refuse_odd(value: Any, where: str = "checkpoint") -> None:
    """Raise a `TypeError` that names the place of the first value that a checkpoint may not hold."""
    if isinstance(value, dict):
        for key, item in value.items():
            if type(key) not in (str, int):
                raise TypeError(f"{where} has a key of type {type(key).__name__}")
            refuse_odd(item, f"{where}.{key}")
    elif type(value) is list:
        for number, item in enumerate(value):
            refuse_odd(item, f"{where}[{number}]")
    elif value is not None and type(value) not in (torch.Tensor, torch.nn.Parameter, int, float, bool, str):
        raise TypeError(f"{where} is a {type(value).__name__}; a checkpoint holds tensors and plain values only")


def load_checkpoint(path: Path | str, *, mapped: bool = False) -> dict[str, Any]:
    """Read a checkpoint onto the CPU; ``meta`` holds the parsed ``meta_json``.

    Loads with ``weights_only=True``: a stranger's file cannot run code.

    Args:
        path: the file; ``path`` of the record says it again.
        mapped: leave tensors in the file until they are looked at, for who wants little of it.

    Raises:
        RunError: missing, truncated, not a checkpoint of spectrain, or of a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise RunError("there is no such checkpoint", where=str(path), fix="give a run folder or a .pt file in it")
    if path.suffix in EXPORTED:
        raise RunError(
            "this is an export for other programs", where=str(path), fix="name the run, or its export as safetensors"
        )
    expect_stored(path, RunError)
    try:
        record = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # reading damaged bytes raises whatever it stumbles over
        raise RunError(
            "the checkpoint cannot be read: it is damaged, or holds more than tensors and plain values",
            where=str(path),
            fix="take another checkpoint of the run; a file from elsewhere must hold tensors and plain values only",
        ) from error
    if not isinstance(record, dict) or "format" not in record:
        raise RunError(
            "the file is not a checkpoint of spectrain", where=str(path), fix="give a file that a training wrote"
        )
    record = migrated(record, NAME, VERSION, where=str(path))
    with reading(path, RunError, fix="take another checkpoint of the run"):
        record["meta"] = json.loads(record["meta_json"])
    record["path"] = str(path)
    return record
