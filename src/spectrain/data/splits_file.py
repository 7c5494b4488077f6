"""The file splits.json: which patch belongs to which split and fold."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config.schema import DatasetOptions
from ..core.errors import DataError, perhaps

FORMAT = "spectrain.splits"
VERSION = 1


def read_splits(path: Path) -> dict[str, Any]:
    """Return the content of a splits file, at least ``fingerprint``, ``splits`` and ``folds``.

    Raises:
        DataError: it is missing, damaged, or of a newer format.
    """
    try:
        content = json.loads(path.read_bytes())
        name, version = content["format"]["name"], content["format"]["version"]
        whole = {"fingerprint": None, "folds": [], **content}
        parts = [whole["splits"].values(), *((fold["train"], fold["valid"]) for fold in whole["folds"])]
        sound = isinstance(version, int) and all(isinstance(ids, list) for part in parts for ids in part)
    except OSError as error:
        raise DataError(
            f"the splits file cannot be read: {error.strerror}",
            where=str(path),
            fix="give dataset.splits, or split anew",
        ) from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise DataError("the splits file is damaged", where=str(path), fix="split anew") from error
    if name != FORMAT or not sound:
        raise DataError(f"the file does not hold splits but {name!r}", where=str(path), fix=f"give one with {FORMAT!r}")
    if version > VERSION:
        raise DataError(
            f"the splits were written by a newer spectrain: format version {version}, this one knows {VERSION}",
            where=str(path),
            fix="update spectrain, or split anew with this version",
        )
    return whole


def given_splits(ids: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the content of a splits file for splits that were given and not drawn.

    Args:
        ids: the patch ids of each split.
    """
    return {
        "format": {"name": FORMAT, "version": VERSION},
        "fingerprint": None,
        "method": "given",
        "seed": None,
        "buffer_m": None,
        "splits": {split: list(members) for split, members in ids.items()},
        "folds": [],
    }


def chosen_ids(content: dict[str, Any], split: str, options: DatasetOptions, where: str) -> list[str]:
    """Return the patch ids of a split; where a fold is chosen, of that fold's part of it.

    Args:
        content: what :func:`read_splits` returned.
        split: a split's name. With a fold, the names that are trained and validated on mean the fold's parts.
        options: fold, or "all" of them, and the names that are trained and validated on.
        where: the file, for error messages.

    Raises:
        DataError: no such split or fold; those present are listed. Or all folds are trained on, and one is to be
            validated on.
    """
    roles = {options.valid_key: "valid", options.train_key: "train"}
    if options.fold is not None and split in roles:
        folds = content["folds"]
        if options.fold == "all":
            if split != options.train_key:
                raise DataError(
                    "dataset.fold=all trains on all folds, so none is left to validate on",
                    where=where,
                    fix="set dataset.valid_key=null",
                )
            return list(dict.fromkeys(one for fold in folds for side in ("train", "valid") for one in fold[side]))
        if not 0 <= options.fold < len(folds):
            raise DataError(
                f"there is no fold {options.fold}", where=where, fix=f"it has {len(folds)} folds, counted from 0"
            )
        fold: dict[str, list[str]] = folds[options.fold]
        return list(fold[roles[split]])
    splits: dict[str, list[str]] = content["splits"]
    if split not in splits:
        raise DataError(
            f"there is no split {split!r}" + perhaps(split, splits),
            where=where,
            fix="those present are " + (", ".join(f"{name} ({len(ids)})" for name, ids in splits.items()) or "none"),
        )
    return list(splits[split])
