"""Parts by name: a static table that imports nothing until a part is used, and a decorator for plugins.

A part is a class with a nested dataclass ``Config`` whose fields are the keys of its configuration group::

    @register("loss", "supcon")
    class SupCon:
        @dataclass
        class Config:
            temperature: float = 0.07
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any, TypeVar

from .errors import SpectrainError, perhaps

T = TypeVar("T")

# (group, name) -> "module:attribute"; the modules are imported when the part is asked for
BUILTIN: dict[tuple[str, str], str] = {
    ("reader", "csv_cubes"): "spectrain.data.hdf5.listed_cubes:CsvCubesReader",
    ("reader", "cube"): "spectrain.data.hdf5.one_cube:CubeReader",
    ("reader", "darts"): "spectrain.data.native.prepared:DartsReader",
    ("reader", "darts_table"): "spectrain.data.zarr.darts_table:DartsTableReader",
    ("reader", "geotiff"): "spectrain.data.raster.geotiff:GeotiffReader",
    ("reader", "hdf5"): "spectrain.data.hdf5.patches:Hdf5Reader",
    ("reader", "npy_pairs"): "spectrain.data.npy.pairs:NpyPairsReader",
    ("reader", "prepared"): "spectrain.data.native.prepared:PreparedReader",
    ("reader", "zarr"): "spectrain.data.native.patches:NativeReader",
    ("reader", "zarr_group"): "spectrain.data.zarr.group:ZarrGroupReader",
    ("task", "contrastive"): "spectrain.tasks.contrastive:Contrastive",
    ("task", "mae"): "spectrain.tasks.mae:MaskedAutoencoding",
    ("task", "regression"): "spectrain.tasks.regression:Regression",
    ("task", "segmentation"): "spectrain.tasks.segmentation:Segmentation",
    ("model", "dense"): "spectrain.models.dense:DenseNetwork",
    ("model", "dense_tokens"): "spectrain.models.dense:DenseTokens",
    ("model", "mae_spectral"): "spectrain.models.mae_spectral:MAESpectral",
    ("model", "smp"): "spectrain.models.smp:SmpNetwork",
    ("model", "spectral_autoencoder"): "spectrain.models.spectral_autoencoder:SpectralAutoencoder",
    ("model", "supcon_resnet"): "spectrain.models.supcon_resnet:SupConResNet",
    ("model", "unet"): "spectrain.models.unet:UNet",
    ("loss", "supcon"): "spectrain.losses.supcon:SupConLoss",
    ("loss", "mae_spectral"): "spectrain.losses.mae_spectral:MAESpectralLoss",
    ("loss", "segmentation"): "spectrain.losses.segmentation:SegmentationLoss",
    ("loss", "regression"): "spectrain.losses.regression:RegressionLoss",
    ("augmentation", "none"): "spectrain.augment.none:NoAugmentation",
    ("augmentation", "warp"): "spectrain.augment.warp_augmentation:WarpAugmentation",
    ("metric", "none"): "spectrain.metrics.none:NoMetric",
    ("metric", "embedding"): "spectrain.metrics.embedding:EmbeddingMetric",
    ("metric", "reconstruction"): "spectrain.metrics.reconstruction:ReconstructionMetric",
    ("metric", "segmentation"): "spectrain.metrics.segmentation:SegmentationMetric",
    ("metric", "regression"): "spectrain.metrics.regression:RegressionMetric",
    ("show_prediction", "none"): "spectrain.plots.none:NoPlot",
    ("show_prediction", "views"): "spectrain.plots.views:ViewsPlot",
    ("show_prediction", "plot_rgb"): "spectrain.plots.reconstruction:RgbPlot",
    ("show_prediction", "segmentation"): "spectrain.plots.segmentation:SegmentationPlot",
    ("show_prediction", "regression"): "spectrain.plots.regression:RegressionPlot",
    ("optimizer", "sgd"): "spectrain.training.optimizers:Sgd",
    ("optimizer", "adam"): "spectrain.training.optimizers:Adam",
    ("optimizer", "adamw"): "spectrain.training.optimizers:AdamW",
    ("optimizer", "lars"): "spectrain.training.optimizers:Lars",
    ("scheduler", "none"): "spectrain.training.schedules:Constant",
    ("scheduler", "cosine"): "spectrain.training.schedules:Cosine",
    ("scheduler", "cyclic"): "spectrain.training.cycles:Cyclic",
    ("scheduler", "exponential"): "spectrain.training.schedules:Exponential",
    ("scheduler", "onecycle"): "spectrain.training.cycles:OneCycle",
    ("scheduler", "step"): "spectrain.training.schedules:Step",
    ("scheduler", "nenya"): "spectrain.training.schedules:Nenya",
    ("scheduler", "plateau"): "spectrain.training.schedules:Plateau",
}
_REGISTERED: dict[tuple[str, str], Any] = {}


def register(group: str, name: str) -> Callable[[type[T]], type[T]]:
    """Return a decorator that makes a class known as ``name`` in ``group`` (a plugin's way in).

    A name that is taken, built in or by another class, is an error: nothing is replaced silently.
    """

    def decorate(part: type[T]) -> type[T]:
        taken = _REGISTERED.get((group, name))
        same = taken is not None and (taken.__module__, taken.__qualname__) == (
            part.__module__,
            part.__qualname__,
        )
        builtin = BUILTIN.get((group, name))
        mine = builtin == f"{part.__module__}:{part.__qualname__}"
        if (taken is not None and not same) or (builtin is not None and not mine):
            raise SpectrainError(
                f"the {group} {name!r} exists already",
                where=f"{part.__module__}.{part.__qualname__}",
                fix="register it under another name",
            )
        if not is_dataclass(getattr(part, "Config", None)):
            raise SpectrainError(
                f"the {group} {name!r} has no Config",
                where=f"{part.__module__}.{part.__qualname__}",
                fix="give the class a nested dataclass Config, if only an empty one",
            )
        if not mine:
            _REGISTERED[group, name] = part
        return part

    return decorate


def names(group: str) -> list[str]:
    """Return the names known in a group, built in and registered, sorted; imports nothing."""
    return sorted({name for kind, name in (*BUILTIN, *_REGISTERED) if kind == group})


def registered(group: str) -> dict[str, Any]:
    """Return what plugins registered in a group, by name."""
    return {name: part for (kind, name), part in _REGISTERED.items() if kind == group}


def lookup(group: str, name: str) -> Any:
    """Return the class called ``name`` in ``group``, importing its module now.

    Raises:
        SpectrainError: no such part; names those that there are and the nearest.
    """
    if (part := _REGISTERED.get((group, name))) is not None:
        return part
    if (path := BUILTIN.get((group, name))) is None:
        raise SpectrainError(
            f"there is no {group} {name!r}" + perhaps(name, names(group)),
            fix=f"known are {', '.join(names(group)) or 'none'}",
        )
    module, attribute = path.split(":")
    return getattr(importlib.import_module(module), attribute)
