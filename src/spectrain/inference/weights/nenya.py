"""Published weights of Nenya, a contrastive ResNet."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ...config import Config
from ...config.aliases import table_of
from ...core.bands import Bands
from ...core.errors import ConfigError, DataError
from ...models.resnet import resnet_name
from .imported import Imported, chosen_bands, configuration, epoch_of, in_float32, plain_names, write_imported
from .published_file import read_published


def import_nenya(path: Path, output: Path, names: Sequence[str], fold_grey: bool) -> Imported:
    """Import a ResNet that Nenya or SupContrast trained.

    The configuration is that of the options in the file, as an options file of that system would be read; the weights'
    shapes win where the two disagree. The state of the optimiser is left: its steps belong to another loop.
    """
    record = read_published(path)
    weights = _network_of(record.get("model", record), path)
    notes: list[str] = []
    if fold_grey:
        weights["encoder.conv1.weight"] = _folded(weights["encoder.conv1.weight"], path)
        notes.append("the three channels of the first layer are folded into one")
    found = _architecture(weights, path)
    chosen = chosen_bands(names, found["channels"], Bands.unnamed(found["channels"]))
    options = record.get("opt") or {}
    cfg = _configuration(options if isinstance(options, dict) else {}, found, notes)
    if record.get("optimizer"):
        notes.append("the state of the optimiser is left out")
    epoch = epoch_of(record)
    write_imported(
        output,
        cfg,
        recipe="contrastive",
        bands=chosen,
        image_size=None,
        weights=weights,
        source=path,
        system="nenya",
        epoch=epoch,
        options=options,
    )
    return Imported(output, found["backbone"], chosen, found["feat_dim"], epoch, tuple(notes))


def _network_of(given: Any, path: Path) -> dict[str, Tensor]:
    """Return the weights of encoder and head by their plain names: training on several GPUs put ``module.`` in."""
    if not isinstance(given, Mapping):
        raise DataError("the file holds no weights", where=str(path), fix="give the .pth file that was published")
    plain = plain_names(given)
    other = [name for name, value in plain.items() if not isinstance(value, Tensor)]
    other += [name for name in plain if not name.startswith(("encoder.", "head."))]
    if other or "encoder.conv1.weight" not in plain:
        raise DataError(
            "these are not the weights of a contrastive ResNet (encoder.*, head.*)"
            + (f": {len(other)} others, first {other[0]}" if other else ": encoder.conv1.weight is missing"),
            where=str(path),
            fix="give a checkpoint that Nenya or SupContrast wrote",
        )
    return in_float32(plain)


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
        return configuration("contrastive", known, overrides)
    except ConfigError as error:
        notes.append(f"the options in the file are left out: {str(error).partition(chr(10))[0]}")
        whole = ["augmentation.crop=null", "augmentation.jitter=0"]
        return configuration("contrastive", {}, [*(item for item in overrides if item not in whole), *whole])
