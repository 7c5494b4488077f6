"""Weights from a file into a network, by name and shape. A file never runs code."""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from ..core.archives import expect_stored
from ..core.bands import Bands
from ..core.damage import reading
from ..core.errors import DataError

logger = logging.getLogger(__name__)

HEAD_NAMES = ("head.",)
"""With which the names of a head's weights begin, unless the network says others."""
_SHOWN = 5


def load_weights(
    network: nn.Module, source: str | Path, part: Literal["all", "encoder"] = "all", bands: Bands | None = None
) -> tuple[str, ...]:
    """Load the weights in ``source`` into ``network``, in place.

    Everything must be there under the same name and in the same shape, except what belongs to the head (names that
    begin with one of the network's ``head_names``, `HEAD_NAMES` where it says none): a head for another number of
    outputs keeps its fresh weights, which the log says. The statistics by which images are standardised are not weights
    and are not taken.

    Args:
        network: the network, without the `BandedModel` around it.
        source: a run folder (its best checkpoint, else its last), a checkpoint, the folder of an exported model, a
            saved state dict, or a file in safetensors format.
        part: "encoder" takes only what belongs to the encoder (names that begin ``encoder.``); the rest stays fresh.
        bands: of the data; a warning names what differs from those that a checkpoint was trained on.

    Returns:
        The names that kept their fresh weights.

    Raises:
        DataError: the file is missing, damaged, holds more than tensors and plain values, or does not fit; or only the
            encoder is wanted, and the network or the file has none.
    """
    path = _file(Path(source))
    tensors, trained_on = _read(path)
    given, wanted = _of_network(tensors), network.state_dict()
    if part == "encoder":
        given = {name: tensor for name, tensor in given.items() if name.startswith("encoder.")}
        wanted = {name: tensor for name, tensor in wanted.items() if name.startswith("encoder.")}
        if not wanted or not given:
            lacking = "the file has none" if wanted else f"the model ({type(network).__name__}) has none"
            raise DataError(
                f"only weights that are called encoder are wanted, and {lacking}",
                where=str(path),
                fix="set model.init_part=all to take all weights, or name a run and a model with an encoder",
            )
    heads = tuple(getattr(network, "head_names", HEAD_NAMES))
    if bands is not None and trained_on is not None:
        _compare(trained_on, bands, path)
    unlike = {name: _difference(name, given.get(name), tensor) for name, tensor in wanted.items()}
    unlike = {name: what for name, what in unlike.items() if what}
    wrong = [what for name, what in unlike.items() if not name.startswith(heads)]
    wrong += [f"{name} is only in the file" for name in given if name not in wanted and not name.startswith(heads)]
    if wrong:
        more = f"\n    and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise DataError(
            "the weights do not fit the model:\n    " + "\n    ".join(wrong[:_SHOWN]) + more,
            where=str(path),
            fix="build the model that they were trained in: same backbone, stem, number of bands and mask channel",
        )
    network.load_state_dict({name: given[name] for name in wanted if name not in unlike}, strict=False)
    if unlike:
        logger.warning("%s: not in these weights, drawn afresh: %s", path, ", ".join(unlike))
    return tuple(unlike)


def read_tensors(source: str | Path) -> dict[str, Tensor]:
    """Return the named tensors of a checkpoint, a saved state dict or a file in safetensors format.

    Raises:
        DataError: the file is missing, damaged, or holds more than tensors and plain values.
    """
    return _of_network(_read(_file(Path(source)))[0])


def _file(source: Path) -> Path:
    """Return the file that a path means."""
    if not source.exists():
        raise DataError(
            "there are no such weights", where=str(source), fix="give a run folder, a .pt or .safetensors file"
        )
    if source.is_file():
        return source
    for name in ("checkpoints/best.pt", "checkpoints/last.pt", "model.safetensors"):
        if (path := source / name).is_file():
            return path
    raise DataError(
        "the folder holds no checkpoint",
        where=str(source),
        fix="give a run folder with checkpoints/best.pt or last.pt, or that of an exported model",
    )


def _compare(trained_on: Bands, bands: Bands, path: Path) -> None:
    """Warn where weights meet other bands than they were trained on; they may learn all the same."""
    try:
        trained_on.require(bands, where=str(path))
    except DataError as error:
        logger.warning("the weights go on to other bands: %s", error.what)


def _read(path: Path) -> tuple[Mapping[str, Tensor], Bands | None]:
    """Return the named tensors of a file, and of a checkpoint the bands it was trained on."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path), _bands_beside(path)
        expect_stored(path)
        record = torch.load(path, map_location="cpu", weights_only=True)
    except DataError:
        raise
    except pickle.UnpicklingError as error:  # torch's own message tells how to load it all the same
        raise DataError(
            "the weights cannot be read: the file is damaged, or holds Python objects, which could run code",
            where=str(path),
            fix="give a file of tensors alone, such as torch.save(model.state_dict(), FILE) writes",
        ) from error
    except Exception as error:  # the two formats raise a dozen types for a damaged file
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(
            f"the weights cannot be read: {reason}", where=str(path), fix="the file is damaged; take another"
        ) from error
    tensors = record
    for name in ("model", "state_dict"):  # where checkpoints keep them
        tensors = tensors[name] if isinstance(tensors, dict) and isinstance(tensors.get(name), Mapping) else tensors
    if not isinstance(tensors, Mapping) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise DataError(
            "the file is neither a checkpoint nor a state dict",
            where=str(path),
            fix="give a file that a training wrote",
        )
    with reading(path):
        meta = json.loads(record["meta_json"]) if isinstance(record.get("meta_json"), str) else {}
        return tensors, Bands.from_json(meta["bands"]) if "bands" in meta else None


def _bands_beside(path: Path) -> Bands | None:
    """Return the bands that an exported model was trained on; None for other files of weights."""
    description = path.with_name("model.json")
    if path.name != "model.safetensors" or not description.is_file():
        return None
    with reading(description):
        said = json.loads(description.read_text(encoding="utf-8"))
        return Bands.from_json(said["bands"]) if isinstance(said, dict) and "bands" in said else None


def _of_network(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors by the network's own names: a `BandedModel` puts ``network.`` before them."""
    inner = {name.removeprefix("network."): t for name, t in tensors.items() if name.startswith("network.")}
    return inner or dict(tensors)


def _difference(name: str, given: Tensor | None, wanted: Tensor) -> str:
    """Say how a tensor of the file differs from the one wanted; "" where it fits."""
    if given is None:
        return f"{name} is not in the file"
    if given.shape != wanted.shape:
        return f"{name} is {list(given.shape)} in the file, {list(wanted.shape)} in the model"
    return ""
