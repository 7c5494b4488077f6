"""Published models of DARTS: converted checkpoints, and those that its training wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ...core.bands import Band, Bands
from ...core.errors import ConfigError, DataError
from ...core.targets import IGNORED
from ...data.values import REFLECTANCE_SCALE
from .imported import Imported, chosen_bands, configuration, epoch_of, in_float32, write_imported
from .published_bands import PUBLISHED, given_limits, limits_of
from .published_file import read_published

INVALID = 2
"""The label that does not count there."""
_TRAINING = ("learning_rate", "gamma", "focal_loss_alpha", "focal_loss_gamma")
_BUILT = ("arch", "encoder_name", "in_channels", "classes")
_WITHOUT_EFFECT = ("encoder_weights", "activation")


def import_darts(path: Path, output: Path, names: Sequence[str], limits: Sequence[str] = ()) -> Imported:
    """Import a segmentation network, of the converted form or as Lightning wrote it.

    The network gives logits in both, though the training there took a sigmoid of them (and the loss a second one). What
    its factors make 0 and 1 become the limits of the bands, in physical values as `spectrain prepare` has them.
    Training cut off what is beyond, so the model does; the pipeline's prediction does not.

    Args:
        path: the file.
        output: checkpoint to write.
        names: of the bands; those in the file where empty.
        limits: words ``NAME=LOW:HIGH`` for bands whose normalisation the file does not tell, or tells wrongly.

    Raises:
        DataError: no such model, or one that cannot be built here.
    """
    record = read_published(path)
    hyper = _table(record.get("hyper_parameters"))
    config = _table(record.get("config")) or _table(hyper.get("config"))
    options = _table(config.get("model"))
    if config.get("model_framework", "smp") != "smp" or any(
        not isinstance(options.get(one), str) for one in _BUILT[:2]
    ):
        raise DataError(
            "the file does not say which network of segmentation-models-pytorch it holds",
            where=str(path),
            fix="give a checkpoint that `darts` trained (with its hyper_parameters) or converted (with its config)",
        )
    _refuse_other_options(options, path)
    weights, left = _network_of(record, path)
    bands = _bands(config, options, names, limits, path)
    notes = [f"{left} of its values are no weights of the network and are left out"] if left else []
    known = {name: hyper[name] for name in _TRAINING if isinstance(hyper.get(name), int | float)}
    known |= {"model_arch": options["arch"], "model_encoder": options["encoder_name"]}
    overrides = ["model.standardise=limits", "task.classes=2", f"task.ignore=[{IGNORED},{INVALID}]"]
    epoch = epoch_of(record)
    try:
        write_imported(
            output,
            configuration("segmentation", known, overrides),
            recipe="segmentation",
            bands=bands,
            image_size=None,
            channels=1,
            weights=weights,
            source=path,
            system="darts",
            epoch=epoch,
            options={**config, **{name: value for name, value in hyper.items() if name != "config"}},
        )
    except ConfigError as error:
        first = error.problems[0]
        raise DataError(f"no such model can be built: {first.what}", where=str(path), fix=first.fix) from error
    shown = ", ".join(f"{band.name} {band.limits[0]:g} to {band.limits[1]:g}" for band in bands if band.limits)
    notes.append(f"0 and 1 are, in physical values: {shown}")
    commands = (
        f"spectrain predict {output} SCENE -o MAP.tif --window 1024",
        f"spectrain test {output} --data DATA",
        f"spectrain train segmentation dataset.path=DATA model.arch={options['arch']} "
        f"model.encoder={options['encoder_name']} model.standardise=limits model.init_from={output}",
    )
    network = f"{options['arch']} on {options['encoder_name']}"
    return Imported(output, network, bands, None, epoch, tuple(notes), "segmentation", commands=commands)


def _table(value: Any) -> dict[str, Any]:
    """Return a table of the file; empty where there is none."""
    return {str(key): one for key, one in value.items()} if isinstance(value, Mapping) else {}


def _refuse_other_options(options: Mapping[str, Any], path: Path) -> None:
    """Refuse what would build another network than ours."""
    other = [name for name in options if name not in (*_BUILT, *_WITHOUT_EFFECT) and options[name] is not None]
    if other:
        raise DataError(
            f"the network was built with {other[0]}={options[other[0]]!r}, which is not known here",
            where=str(path),
            fix=f"known are {', '.join((*_BUILT, *_WITHOUT_EFFECT))}",
        )
    if options.get("classes", 1) != 1:
        raise DataError(
            f"the network has {options['classes']} outputs, and one is known: the logit of the second class",
            where=str(path),
            fix="give a model of one class and its background",
        )


def _network_of(record: Mapping[str, Any], path: Path) -> tuple[dict[str, Tensor], int]:
    """Return the weights by our names, and how many other values were beside them."""
    given, prefix = _table(record.get("statedict")), ""
    if not given:
        given, prefix = _table(record.get("state_dict")), "model."
    mine = {name.removeprefix(prefix): value for name, value in given.items() if name.startswith(prefix)}
    if not mine or not all(isinstance(value, Tensor) for value in mine.values()):
        raise DataError(
            "the file holds no weights (statedict, or state_dict with names that begin model.)",
            where=str(path),
            fix="give a checkpoint that `darts` trained or converted",
        )
    head = "segmentation_head."
    named = {f"head.{name.removeprefix(head)}" if name.startswith(head) else name: mine[name] for name in mine}
    return in_float32(named), len(given) - len(mine)


def _bands(
    config: Mapping[str, Any], options: Mapping[str, Any], names: Sequence[str], limits: Sequence[str], path: Path
) -> Bands:
    """Return the bands with the limits that the factors of the file mean."""
    said = config.get("input_combination", config.get("bands"))
    inside = [str(name) for name in said] if isinstance(said, list) and all(isinstance(n, str) for n in said) else []
    channels = options.get("in_channels", len(inside))
    if not isinstance(channels, int) or (not names and len(inside) != channels):
        raise DataError(
            f"the file names {len(inside)} bands, and its network takes {channels}",
            where=str(path),
            fix="name them by --bands, once for each",
        )
    chosen = chosen_bands(names, channels, Bands(Band(name) for name in inside)).names
    factors, given = _table(config.get("norm_factors")), given_limits(limits)
    for name in given:
        if name not in chosen:
            raise DataError(f"there is no band {name!r}", where="--limits", fix=f"they are {', '.join(chosen)}")

    def limits_for(name: str) -> tuple[float, float]:
        if name in given:
            return given[name]
        factor = factors.get(name)
        if factors and not isinstance(factor, int | float):
            raise DataError(
                f"the file has no factor for the band {name!r}", where=str(path), fix=f"give --limits {name}=LOW:HIGH"
            )
        return limits_of(name, factor, str(path))

    return Bands(_band(name, limits_for(name)) for name in chosen)


def _band(name: str, limits: tuple[float, float]) -> Band:
    """Return a band; a scene that says nothing of how it stores it stores it as the pipeline has it."""
    known = PUBLISHED.get(name)
    if known is None or not known.as_stored:
        return Band(name, limits=limits)
    return Band(name, scale=REFLECTANCE_SCALE, nodata=0.0, limits=limits)
