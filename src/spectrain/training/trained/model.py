"""A trained model with all that is needed to use it on other data: bands, statistics and the configuration it had."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ...config import Config, load_config
from ...core.bands import Bands
from ...core.damage import reading
from ...core.errors import ConfigError, DataError, Problem, RunError
from ...data.mixture import datasets_of
from ...data.patches import Patches
from ...data.statistics import Statistics
from ...data.statistics_cache import kept_statistics
from ...models.any_bands import AnyBands
from ...models.banded import BandedModel, build_banded
from ...runs.folder import CHECKPOINTS
from ...runs.run import Run
from ..checkpoint import load_checkpoint
from .ensembles import is_ensemble
from .exported import exported_in, load_exported

log = logging.getLogger("spectrain")


@dataclass(frozen=True)
class Trained:
    """What a checkpoint holds, ready to use.

    Attributes:
        model: on the CPU, in eval mode.
        cfg: the configuration of the training.
        meta: what the checkpoint says of itself (see `training.api.checkpoint_meta`).
        path: the checkpoint, or the weights of an exported model.
    """

    model: BandedModel
    cfg: Config
    meta: dict[str, Any]
    path: Path

    @property
    def statistics(self) -> list[Statistics]:
        """Of the data that it was trained on; several only for a mixture."""
        return [Statistics.from_json(record["statistics"]) for record in (self.meta, *self.meta.get("more", []))]

    @property
    def run_folder(self) -> Path:
        """The folder of the run that the checkpoint is of; of a checkpoint that lies elsewhere, the one it is in."""
        folder = self.path.parent
        return folder.parent if folder.name == CHECKPOINTS else folder


def load_trained(path: str | Path, plugins: Sequence[str] = ()) -> Trained:
    """Load a run (its best checkpoint, else its last), one checkpoint, or an exported model.

    Args:
        path: run folder, checkpoint, or folder of an exported model.
        plugins: modules to import first, where the model is a plugin's; a checkpoint never names any itself.

    Raises:
        RunError: there is no checkpoint, or it cannot be read.
        ConfigError: it names a part that is not known here.
    """
    path = checkpoint_of(Path(path))
    with reading(path, RunError, fix="take another checkpoint of the run"):
        return _built(path, read_trained(path), plugins)


class NothingDrawn(TorchFunctionMode):
    """Leaves parameters as they were allocated where a model is built: to draw what is overwritten takes seconds."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _DRAWS and isinstance(drawn := args[0] if args else kwargs["tensor"], nn.Parameter):
            return drawn
        return func(*args, **kwargs)


_DRAWS = {Tensor.normal_, Tensor.uniform_, nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_}
"""What fills tensors by chance; the other initialisations of torch are made of these."""


def _built(path: Path, record: dict[str, Any], plugins: Sequence[str]) -> Trained:
    """Return the model of a checkpoint, with its weights."""
    meta = record["meta"]
    cfg = _config_of(meta, plugins, path)
    size = meta["image_size"]
    more = [(Bands.from_json(one["bands"]), Statistics.from_json(one["statistics"])) for one in meta.get("more", [])]
    with NothingDrawn():
        model = build_banded(
            cfg.model,
            bands=Bands.from_json(meta["bands"]),
            statistics=Statistics.from_json(meta["statistics"]),
            image_size=None if size is None else (size[0], size[1]),
            seed=cfg.general.seed,
            take_init_from=False,
            channels=meta.get("channels"),
            more=more,
        )
    try:
        model.load_state_dict(record["model"])
    except RuntimeError as error:  # a description that was changed by hand
        what = str(error).splitlines()[-1].strip()
        raise RunError(
            f"the weights are not of the model that is described: {what}", where=str(path), fix="take another file"
        ) from error
    model.eval()
    return Trained(model, cfg, meta, path)


def model_for(
    trained: Trained, patches: Patches, *, own: int | None = None, reference: Callable[[], Patches] | None = None
) -> BandedModel:
    """Return the trained model for the bands of these patches.

    A model for any bands standardises each data set by the statistics that it was trained with where it knows these
    bands, else by those of the data themselves, which the log says.

    Args:
        trained: from `load_trained`.
        patches: one data set or a mixture.
        own: they are those that it was trained on, from this one on; None where they are others.
        reference: opens what the statistics of bands that the model does not know are taken of; None is ``patches``.

    Raises:
        DataError: it is of other bands, and not for any.
    """
    model, datasets = trained.model, datasets_of(patches)
    if not isinstance(model, AnyBands) or not model.any_bands:
        if len(datasets) > 1:
            raise DataError("the model takes one band set", where=str(patches.path), fix="take one data set at a time")
        model.bands.require(patches.bands, where=f"{patches.path}, {patches.split}")
        return model if isinstance(model, AnyBands) else _by_limits_of(model, trained, patches)
    known = [(model.band_set(number).bands, statistics) for number, statistics in enumerate(trained.statistics)]
    found = []
    for number, one in enumerate(datasets):
        fitting = [statistics for bands, statistics in known if bands.same(one.bands)]
        if own is not None and own + number < len(known) and known[own + number][0].same(one.bands):
            found.append(known[own + number][1])
        elif fitting:
            found.append(fitting[0])
        else:
            found.append(_measured(trained, reference() if reference is not None else one))
    made = model.for_bands(datasets[0].bands, found[0])
    for one, statistics in zip(datasets[1:], found[1:], strict=True):
        made.add_bands(one.bands, statistics)
    return made


def _by_limits_of(model: BandedModel, trained: Trained, patches: Patches) -> BandedModel:
    """Return the model with the agreed limits of the data, where it standardises by limits and theirs are others.

    So patches that are stored normalised, of limits 0 and 1, are the same to it as those in physical values.
    """
    given = [band.limits for band in patches.bands]
    if model.standardise != "limits" or None in given or given == [band.limits for band in model.bands]:
        return model
    log.info(
        "%s: bands are standardised by the limits of these data, which are not those of the training", patches.path
    )
    bands = Bands(replace(band, limits=limits) for band, limits in zip(model.bands, given, strict=True))
    statistics = trained.statistics[0]
    other = BandedModel(model.network, bands, statistics, "limits", model.mask_channel, model.image_size)
    return other.to(model.device).train(model.training)


def _measured(trained: Trained, patches: Patches) -> Statistics:
    """Return the statistics of bands that a model was not trained on."""
    log.info(
        "%s: the model was not trained on these %d bands, so the statistics are those of the data themselves",
        patches.path,
        len(patches.bands),
    )
    statistics = kept_statistics(patches, trained.cfg.dataset)
    statistics.refuse_empty(patches.bands, str(patches.path))
    return statistics


def checkpoint_of(path: Path) -> Path:
    """Return the best checkpoint of a run folder, else its last; a checkpoint itself; an exported model's weights."""
    if (weights := exported_in(path)) is not None:
        return weights
    if is_ensemble(path):
        raise RunError(
            "this is an ensemble of several models, and one is wanted",
            where=str(path),
            fix="name one of its checkpoints; `spectrain predict` takes them all",
        )
    if not path.is_dir():
        return path
    run = Run.open(path)
    return run.checkpoint("best") if run.checkpoint("best").is_file() else run.checkpoint("last")


def read_trained(path: Path) -> dict[str, Any]:
    """Return ``model`` (weights) and ``meta`` of a checkpoint or of the weights of an exported model.

    Raises:
        RunError: see `load_checkpoint` and `load_exported`.
    """
    return load_exported(path) if path.suffix == ".safetensors" else load_checkpoint(path)


def _config_of(meta: dict[str, Any], plugins: Sequence[str], path: Path) -> Config:
    """Return the configuration that a checkpoint carries, checked like any options file.

    Raises:
        ConfigError: it is none, with the checkpoint as the place of each mistake.
    """
    if not isinstance(meta["config"], Mapping):
        raise ConfigError([Problem("config", str(path), "must hold keys and values")])
    try:
        return load_config(meta["recipe"], config=meta["config"], plugins=plugins, use_personal=False)
    except ConfigError as error:
        raise ConfigError([replace(one, origin=str(path)) for one in error.problems]) from error
