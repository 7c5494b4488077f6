"""What the weights that a regression begins from leave no choice in: how their inputs and their variances are read."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...config import Config
from ...core.errors import SpectrainError
from ...data.statistics import Statistics
from ...models.weights import read_tensors
from ..trained.model import checkpoint_of, read_trained

log = logging.getLogger("spectrain")

HEAD = "meanlayer.conv.weight"
"""In the weights of the published U-Net."""
AS_PUBLISHED = {
    "task": {"name": "regression"},
    "model": {"name": "unet", "standardise": "none"},
    "loss": {"variance": "published"},
}
"""What the published trainer does, whose files say nothing of it."""


def meta_of_weights(cfg: Config) -> Mapping[str, Any]:
    """Return what the checkpoint in ``model.init_from`` says of itself; empty where it says nothing, or there is none.

    Of a file of the published trainer that is its configuration in our words.
    """
    source = getattr(cfg.model.options, "init_from", None)
    if source is None or getattr(cfg.model.options, "init_part", "all") != "all":
        return {}
    try:
        path = checkpoint_of(Path(source))
        stat = path.stat()
    except (SpectrainError, OSError):  # which building the model says better
        return {}
    return _meta(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4)
def _meta(path: Path, size: int, modified: int) -> Mapping[str, Any]:
    """Read it once: it is asked for thrice, and lies in some hundred megabytes of weights."""
    try:
        found: dict[str, Any] = read_trained(path)["meta"]
        return found
    except SpectrainError:  # no checkpoint of ours
        return {"config": AS_PUBLISHED} if HEAD in read_tensors(str(path)) else {}


def with_begun(cfg: Config) -> Config:
    """Return the configuration of a regression with ``model.standardise`` and ``loss.variance`` of its first weights.

    Weights that were trained on values as they are, and whose second channel is the soft-plus of the published form,
    mean nothing read in another way. What was said by the user stays.
    """
    if cfg.task.name != "regression":
        return cfg
    theirs = meta_of_weights(cfg).get("config", {})
    if theirs.get("task", {}).get("name") != "regression":
        return cfg
    for group, key in (("model", "standardise"), ("loss", "variance")):
        part, value = getattr(cfg, group), theirs.get(group, {}).get(key)
        full = f"{group}.{key}"
        same = group != "model" or theirs["model"].get("name") == part.name
        if (
            not same
            or value in (None, getattr(part.options, key, value))
            or cfg.origins.get(full, "default") != "default"
        ):
            continue
        log.info("%s=%s, as the weights of model.init_from were trained", full, value)
        changed = dataclasses.replace(part, options=dataclasses.replace(part.options, **{key: value}))
        origins = {**cfg.origins, full: "the weights of model.init_from"}
        cfg = dataclasses.replace(cfg, origins=origins, **{group: changed})
    return cfg


def statistics_of_weights(cfg: Config) -> list[Statistics]:
    """Return the statistics that the weights in ``model.init_from`` were trained with; none where they say none."""
    meta = meta_of_weights(cfg)
    if "statistics" not in meta:
        return []
    return [Statistics.from_json(record["statistics"]) for record in (meta, *meta.get("more", []))]
