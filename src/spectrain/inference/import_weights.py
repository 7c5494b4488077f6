"""`spectrain import-weights`: published weights as a checkpoint of ours, which everything else then takes."""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import __version__
from ..config import Config, load_config
from ..config.aliases import table_of
from ..core.bands import Band, Bands
from ..core.errors import ConfigError, DataError, nearest
from ..data.statistics import Statistics
from ..models.banded import build_banded
from ..models.resnet import resnet_name
from ..training.checkpoint import save_checkpoint
from ..training.curves import Curves
from .published_file import read_published


@dataclass(frozen=True)
class Imported:
    """What `import_weights` made.

    Attributes:
        path: the checkpoint.
        backbone: name of the encoder.
        bands: of the images that it takes.
        feat_dim: length of the projection.
        epoch: that the file says of itself, or None.
        notes: what was decided on the way.
    """

    path: Path
    backbone: str
    bands: Bands
    feat_dim: int
    epoch: int | None
    notes: tuple[str, ...]

    def __str__(self) -> str:
        names = ", ".join(self.bands.names)
        lines = [
            f"{self.path}: {self.backbone}, {len(self.bands)} bands ({names}), projection of {self.feat_dim}"
            + (f", epoch {self.epoch}" if self.epoch is not None else ""),
            *(f"  {note}" for note in self.notes),
            "go on with:",
            f"  spectrain embed {self.path} DATA",
            f"  spectrain train contrastive dataset.path=DATA model.backbone={self.path}",
        ]
        return "\n".join(lines)


def import_weights(
    path: str | Path,
    system: str,
    output: str | Path,
    *,
    bands: Sequence[str] = (),
    fold_grey: bool = False,
) -> Imported:
    """Turn the published weights of another system into a checkpoint of ours, without running anything in the file.

    `load_trained_model`, `embed`, ``model.init_from`` and ``model.backbone`` take the result. The configuration in it
    is that of the options in the file, as an options file of that system would be read; the weights' shapes win where
    the two disagree. The state of the optimiser is left: its steps belong to another loop.

    Args:
        path: the file, e.g. a ``last.pth`` of Nenya.
        system: "nenya".
        output: checkpoint to write.
        bands: their names; unnamed where empty.
        fold_grey: the model was shown a grey image three times over: sum its first filters over the three channels.
            The result is the same function of one band.

    Raises:
        DataError: no such file or system, not a model of it, or as many bands as it has not.
    """
    systems: dict[str, Callable[..., Imported]] = {"nenya": _import_nenya}
    if system not in systems:
        near = nearest(system, systems)
        raise DataError(
            f"weights of {system!r} cannot be imported" + (f"; did you mean {near[0]!r}?" if near else ""),
            where="--from",
            fix=f"known are {', '.join(systems)}",
        )
    return systems[system](Path(path), Path(output), list(bands), fold_grey)


def _import_nenya(path: Path, output: Path, names: list[str], fold_grey: bool) -> Imported:
    record = read_published(path)
    weights = _network_of(record.get("model", record), path)
    notes: list[str] = []
    if fold_grey:
        weights["encoder.conv1.weight"] = _folded(weights["encoder.conv1.weight"], path)
        notes.append("the three channels of the first layer are folded into one")
    found = _architecture(weights, path)
    chosen = Bands(Band(name) for name in names) if names else Bands.unnamed(found["channels"])
    if len(chosen) != found["channels"]:
        raise DataError(
            f"{len(chosen)} bands are named, and the model takes {found['channels']}",
            where="--bands",
            fix=f"name {found['channels']} bands",
        )
    options = record.get("opt") or {}
    cfg = _configuration(options if isinstance(options, dict) else {}, found, notes)
    model = build_banded(
        cfg.model,
        bands=chosen,
        statistics=_unscaled(len(chosen)),
        image_size=None,
        seed=0,
        take_init_from=False,
    )
    _fill(model.network, weights, path)
    if record.get("optimizer"):
        notes.append("the state of the optimiser is left out")
    epoch = record.get("epoch")
    meta = {
        "recipe": "contrastive",
        "bands": chosen.to_json(),
        "image_size": None,
        "statistics": _unscaled(len(chosen)).to_json(),
        "config": cfg.to_dict(),
        "fingerprint": None,
        "spectrain": __version__,
        "run_name": "imported",
        "run_id": path.stem,
        "trial_name": None,
        "seed": 0,
        "fold": None,
        "imported": {"system": "nenya", "file": path.name, "epoch": epoch, "options": _json_values(options)},
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    state = {"model": dict(model.state_dict()), "optimizer": {"state": {}, "param_groups": []}}
    save_checkpoint(output, {**state, "progress": {"epoch": epoch}, "curves": Curves().state()}, meta)
    return Imported(output, found["backbone"], chosen, found["feat_dim"], epoch, tuple(notes))


def _network_of(given: Any, path: Path) -> dict[str, Tensor]:
    """Return the weights of encoder and head by their plain names: training on several GPUs put ``module.`` in."""
    if not isinstance(given, Mapping):
        raise DataError("the file holds no weights", where=str(path), fix="give the .pth file that was published")
    plain = {re.sub(r"(^|\.)module\.", r"\1", str(name)): value for name, value in given.items()}
    other = [name for name, value in plain.items() if not isinstance(value, Tensor)]
    other += [name for name in plain if not name.startswith(("encoder.", "head."))]
    if other or "encoder.conv1.weight" not in plain:
        raise DataError(
            "these are not the weights of a contrastive ResNet (encoder.*, head.*)"
            + (f": {len(other)} others, first {other[0]}" if other else ": encoder.conv1.weight is missing"),
            where=str(path),
            fix="give a checkpoint that Nenya or SupContrast wrote",
        )
    return {name: value.float() if value.is_floating_point() else value for name, value in plain.items()}


def _folded(weight: Tensor, path: Path) -> Tensor:
    """Return filters [F,1,k,k] that do to one band what [F,3,k,k] do to three equal ones."""
    if weight.shape[1] != 3:
        raise DataError(
            f"the first layer takes {weight.shape[1]} channels: there is no repeated grey to fold",
            where=str(path),
            fix="leave --fold-grey away",
        )
    return weight.sum(dim=1, keepdim=True)


def _architecture(weights: Mapping[str, Tensor], path: Path) -> dict[str, Any]:
    """Return backbone, head, feat_dim and channels, as the names and shapes of the weights say."""
    depths = tuple(
        len({match[1] for name in weights if (match := re.match(rf"encoder\.layer{stage}\.(\d+)\.", name))})
        for stage in (1, 2, 3, 4)
    )
    backbone = resnet_name(depths, bottleneck="encoder.layer1.0.conv3.weight" in weights)
    stem = weights["encoder.conv1.weight"]
    if backbone is None or stem.dim() != 4 or stem.shape[2:] != (3, 3):
        raise DataError(
            f"no ResNet that is known has stages of {depths} blocks behind a first layer {list(stem.shape)}",
            where=str(path),
            fix="known are ResNet-18, 34, 50 and 101 with a first layer of 3 x 3",
        )
    last = weights.get("head.2.weight", weights.get("head.weight"))
    if last is None:
        raise DataError("the projection head is missing", where=str(path), fix="give the whole published model")
    head = "mlp" if "head.2.weight" in weights else "linear"
    return {"backbone": backbone, "head": head, "feat_dim": last.shape[0], "channels": stem.shape[1]}


def _configuration(options: Mapping[str, Any], found: Mapping[str, Any], notes: list[str]) -> Config:
    """Return the configuration of the options in the file, with the architecture that the weights have."""
    known = {key: value for key, value in options.items() if key in table_of("contrastive")}
    for key in ("data_folder", "images_file", "cuda_use", "num_workers"):  # of their machine
        known.pop(key, None)
    for key, name in (("ssl_model", "backbone"), ("feat_dim", "feat_dim")):
        if key in known and known.pop(key) != found[name]:
            notes.append(f"the options say {key} = {options[key]}, the weights are of {found[name]}")
    fixed = {"stem": "small", "standardise": "none", "backbone": found["backbone"], "head": found["head"]}
    overrides = [f"model.{key}={value}" for key, value in fixed.items()] + [f"model.feat_dim={found['feat_dim']}"]
    if not {"random_cropjitter", "random_jitter"} & set(known):
        overrides += ["augmentation.crop=null", "augmentation.jitter=0"]
    try:
        return _loaded(known, overrides)
    except ConfigError as error:
        notes.append(f"the options in the file are left out: {str(error).partition(chr(10))[0]}")
        whole = ["augmentation.crop=null", "augmentation.jitter=0"]
        return _loaded({}, [*(item for item in overrides if item not in whole), *whole])


def _loaded(options: Mapping[str, Any], overrides: list[str]) -> Config:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "options.json"
        file.write_text(json.dumps(_json_values(options)))
        return load_config("contrastive", config=file, overrides=overrides, use_personal=False)


def _fill(network: torch.nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
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


def _unscaled(count: int) -> Statistics:
    """Return statistics that change nothing: published models see values as they are."""
    none, unknown = (0,) * count, (math.nan,) * count
    return Statistics(none, none, (0.0,) * count, (1.0,) * count, unknown, unknown)


def _json_values(value: Any) -> Any:
    """Return what of a value JSON can hold; the rest becomes null."""
    if isinstance(value, Mapping):
        return {str(key): _json_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_values(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else None
