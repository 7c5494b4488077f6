"""``model.backbone=RUN``: the encoder of another training, as options that need that training only once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ...config import Config
from ...config.option import options_of
from ...config.schema import Part
from ...core.errors import ConfigError, Problem
from ...core.registry import lookup
from ..trained.model import checkpoint_of, read_trained

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
    theirs: dict[str, Any] = read_trained(checkpoint_of(Path(place)))["meta"]["config"]["model"]
    if cfg.model.name == "dense" and theirs.get("name") == "mae_spectral":
        return _on_tokens(cfg, theirs, place, origin)
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


def _on_tokens(cfg: Config, theirs: dict[str, Any], place: str, origin: str) -> Config:
    """Return the configuration with the dense model of a masked autoencoder's encoder in place of a residual one."""
    part = lookup("model", "dense_tokens").Config
    own = cfg.model.options
    shared = {name: theirs[name] for name in options_of(part) if name in theirs}
    shared |= {"width": own.width, "freeze": own.freeze, "init_from": place, "init_part": "encoder"}
    taken = [f"model.{name}" for name in (*shared, "name")]
    kept = {key: value for key, value in cfg.origins.items() if not key.startswith("model.")}
    return replace(
        cfg,
        model=Part("model", "dense_tokens", part(**shared)),
        origins=kept | dict.fromkeys(taken, f"{origin} ({place})"),
    )
