"""``model.backbone=RUN``: the encoder of another training, as options that need that training only once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ..config import Config
from ..core.errors import ConfigError, Problem
from .checkpoint import load_checkpoint
from .trained import checkpoint_of

SHARED = ("backbone", "stem", "mask_channel", "standardise")
"""Options that an encoder's weights are only good with."""


def with_backbone(cfg: Config) -> Config:
    """Return the configuration with the path in ``model.backbone`` resolved; unchanged where it is a name.

    The options that make the encoder what it is are those of its run; its weights come by ``model.init_from`` and
    ``model.init_part=encoder``, the head is fresh. A run's config.yaml records these, so it continues, and its model
    loads, when the other run is gone.

    Raises:
        ConfigError: both a path and ``model.init_from`` were given, or the run's model has no such encoder.
        RunError: there is no such run or checkpoint, or it cannot be read.
    """
    options = cfg.model.options
    place = getattr(options, "backbone", None)
    if not isinstance(place, str) or not ("/" in place or "." in place):
        return cfg
    origin = cfg.origins.get("model.backbone", "model.backbone")
    if options.init_from is not None:
        what = "takes its weights from a run, and model.init_from names others"
        raise ConfigError([Problem("model.backbone", origin, what, "give one of the two")])
    theirs: dict[str, Any] = load_checkpoint(checkpoint_of(Path(place)))["meta"]["config"]["model"]
    if lacking := [name for name in SHARED if name not in theirs]:
        kind = theirs.get("name")
        what = (
            f"names a run of {kind}, whose encoder {cfg.model.name} cannot take: it has no {' and no '.join(lacking)}"
        )
        fix = f"give a run of {cfg.model.name}; to train the {kind} of {place} further, set model.init_from"
        raise ConfigError([Problem("model.backbone", origin, what, fix)])
    taken = {name: theirs[name] for name in SHARED}
    changed = replace(options, **taken, init_from=place, init_part="encoder")
    origins = cfg.origins | dict.fromkeys([f"model.{name}" for name in taken], f"{origin} ({place})")
    return replace(cfg, model=replace(cfg.model, options=changed), origins=origins)
