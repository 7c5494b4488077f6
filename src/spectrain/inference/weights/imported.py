"""What imports of published weights have in common: a configuration, weights that fit it, a checkpoint of ours."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ... import __version__
from ...config import Config, load_config
from ...core.bands import Band, Bands
from ...core.errors import DataError
from ...data.statistics import Statistics
from ...models.banded import build_banded
from ...training.checkpoint import save_checkpoint
from ...training.curves import Curves

_SHOWN = 8


@dataclass(frozen=True)
class Imported:
    """What `import_weights` made.

    Attributes:
        path: the checkpoint.
        backbone: name of the encoder, or of the variant.
        bands: of the images that it takes.
        feat_dim: length of the projection; None for a model without.
        epoch: that the file says of itself, or None.
        notes: what was decided on the way.
        recipe: that trains such a model.
        options: with which it begins from these weights.
        commands: that use the checkpoint; by default to embed and to train.
    """

    path: Path
    backbone: str
    bands: Bands
    feat_dim: int | None
    epoch: int | None
    notes: tuple[str, ...]
    recipe: str = "contrastive"
    options: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()

    def __str__(self) -> str:
        names = self.bands.names
        told = ", ".join(names if len(names) <= _SHOWN else (*names[:2], "...", names[-1]))
        options = self.options or (f"model.backbone={self.path}",)
        commands = self.commands or (
            f"spectrain embed {self.path} DATA",
            f"spectrain train {self.recipe} dataset.path=DATA {' '.join(options)}",
        )
        lines = [
            f"{self.path}: {self.backbone}, {len(self.bands)} bands ({told})"
            + (f", projection of {self.feat_dim}" if self.feat_dim is not None else "")
            + (f", epoch {self.epoch}" if self.epoch is not None else ""),
            *(f"  {note}" for note in self.notes),
            "go on with:",
            *(f"  {command}" for command in commands),
        ]
        return "\n".join(lines)


def write_imported(
    output: Path,
    cfg: Config,
    *,
    recipe: str,
    bands: Bands,
    image_size: tuple[int, int] | None,
    weights: Mapping[str, Tensor],
    source: Path,
    system: str,
    epoch: int | None,
    options: Any = None,
    channels: int | None = None,
) -> None:
    """Write a checkpoint of the configured model with these weights, all of them.

    ``channels`` is the numbers a pixel that the task wants; None leaves the output to the network.

    Raises:
        DataError: they do not fit.
    """
    model = build_banded(
        cfg.model,
        bands=bands,
        statistics=unscaled(len(bands)),
        image_size=image_size,
        seed=0,
        take_init_from=False,
        channels=channels,
    )
    fill(model.network, weights, source)
    meta = {
        "recipe": recipe,
        "bands": bands.to_json(),
        "image_size": None if image_size is None else list(image_size),
        "statistics": unscaled(len(bands)).to_json(),
        "channels": channels,
        "config": cfg.to_dict(),
        "fingerprint": None,
        "spectrain": __version__,
        "run_name": "imported",
        "run_id": source.stem,
        "trial_name": None,
        "seed": 0,
        "fold": None,
        "imported": {"system": system, "file": source.name, "epoch": epoch, "options": json_values(options or {})},
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    state = {"model": dict(model.state_dict()), "optimizer": {"state": {}, "param_groups": []}}
    save_checkpoint(output, {**state, "progress": {"epoch": epoch}, "curves": Curves().state()}, meta)


def plain_names(weights: Mapping[Any, Any]) -> dict[str, Any]:
    """Return weights by their plain names: training on several GPUs put ``module.`` in."""
    return {re.sub(r"(^|\.)module\.", r"\1", str(name)): value for name, value in weights.items()}


def in_float32(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights as ours are: numbers of any floating type in float32, counters as they are."""
    return {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}


def epoch_of(record: Mapping[str, Any]) -> int | None:
    """Return the epoch that a file says of itself; None where it says none, or no whole number."""
    epoch = record.get("epoch")
    return epoch if isinstance(epoch, int) and not isinstance(epoch, bool) else None


def chosen_bands(names: Sequence[str], channels: int, otherwise: Bands) -> Bands:
    """Return the bands by the names given, as many as the model takes; ``otherwise`` where none are."""
    if names and len(names) != channels:
        raise DataError(
            f"{len(names)} bands are named, and the model takes {channels}",
            where="--bands",
            fix=f"name {channels} bands",
        )
    return Bands(Band(name) for name in names) if names else otherwise


def configuration(recipe: str, options: Mapping[str, Any], overrides: list[str]) -> Config:
    """Return the configuration of these options and of the overrides."""
    return load_config(recipe, config=json_values(options), overrides=overrides, use_personal=False)


def fill(network: torch.nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Load the weights, all of them, or say which do not fit."""
    wanted = network.state_dict()
    counters = {name for name in wanted if name.endswith("num_batches_tracked")}  # torch before 0.4.1 had none
    wrong = [f"{name} is missing" for name in wanted if name not in weights and name not in counters]
    wrong += [f"{name} is of no such model" for name in weights if name not in wanted]
    wrong += [
        f"{name} is {list(weights[name].shape)}, not {list(value.shape)}"
        for name, value in wanted.items()
        if name in weights and weights[name].shape != value.shape
    ]
    if wrong:
        raise DataError(
            f"{len(wrong)} weights do not fit the model: {'; '.join(wrong[:3])}" + ("; ..." if len(wrong) > 3 else ""),
            where=str(path),
            fix="the file is incomplete or of another model",
        )
    network.load_state_dict(dict(weights), strict=False)


def unscaled(count: int) -> Statistics:
    """Return statistics that change nothing: published models see values as they are."""
    none, unknown = (0,) * count, (math.nan,) * count
    return Statistics(none, none, (0.0,) * count, (1.0,) * count, unknown, unknown)


def json_values(value: Any) -> Any:
    """Return what of a value JSON can hold; the rest becomes null."""
    if isinstance(value, Mapping):
        return {str(key): json_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else None
