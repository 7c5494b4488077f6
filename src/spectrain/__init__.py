"""spectrain trains models on images with any number of bands.

The names below are the whole public interface, with those of `spectrain.plugin` for parts of one's own; each is
imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import load_config as load_config
    from .core.bands import Band as Band
    from .core.bands import Bands as Bands
    from .core.batch import Batch as Batch
    from .core.random import Key as Key
    from .core.registry import register as register
    from .data.opening import open_patches as open_patches
    from .demos import run as demo
    from .inference.embed import embed as embed
    from .inference.export import export as export
    from .inference.import_weights import import_weights as import_weights
    from .inference.predict import predict as predict
    from .inspection.look import inspect as inspect
    from .losses.mae_spectral import MAESpectralLoss as MAESpectralLoss
    from .losses.supcon import SupConLoss as SupConLoss
    from .models.mae_spectral import MAESpectral as MAESpectral
    from .models.supcon_resnet import SupConResNet as SupConResNet
    from .models.unet import UNet as UNet
    from .preparation.run import prepare as prepare
    from .runs.report import write_report as report
    from .sweeps.api import sweep as sweep
    from .training.checkpoint import load_checkpoint as load_checkpoint
    from .training.checkpoint import save_checkpoint as save_checkpoint
    from .training.parts import Meter as Meter
    from .training.parts import build_loss as build_loss
    from .training.parts import build_model as build_model
    from .training.parts import evaluate_model_dataloader as evaluate_model_dataloader
    from .training.parts import learning_rate as learning_rate
    from .training.parts import load_trained_model as load_trained_model
    from .training.parts import make_loader as make_loader
    from .training.parts import train_epoch as train_epoch
    from .training.testing import test as test
    from .training.train import train as train

    __version__: str

__all__ = [
    "Band",
    "Bands",
    "Batch",
    "Key",
    "MAESpectral",
    "MAESpectralLoss",
    "Meter",
    "SupConLoss",
    "SupConResNet",
    "UNet",
    "__version__",
    "build_loss",
    "build_model",
    "demo",
    "embed",
    "evaluate_model_dataloader",
    "export",
    "import_weights",
    "inspect",
    "learning_rate",
    "load_checkpoint",
    "load_config",
    "load_trained_model",
    "make_loader",
    "open_patches",
    "predict",
    "prepare",
    "register",
    "report",
    "save_checkpoint",
    "sweep",
    "test",
    "train",
    "train_epoch",
]

# public name -> "module:attribute", or a module
_PLACES = {
    "Band": "core.bands:Band",
    "Bands": "core.bands:Bands",
    "Batch": "core.batch:Batch",
    "Key": "core.random:Key",
    "MAESpectral": "models.mae_spectral:MAESpectral",
    "MAESpectralLoss": "losses.mae_spectral:MAESpectralLoss",
    "Meter": "training.parts:Meter",
    "SupConLoss": "losses.supcon:SupConLoss",
    "SupConResNet": "models.supcon_resnet:SupConResNet",
    "UNet": "models.unet:UNet",
    "demo": "demos:run",
    "embed": "inference.embed:embed",
    "export": "inference.export:export",
    "build_loss": "training.parts:build_loss",
    "build_model": "training.parts:build_model",
    "evaluate_model_dataloader": "training.parts:evaluate_model_dataloader",
    "import_weights": "inference.import_weights:import_weights",
    "inspect": "inspection.look:inspect",
    "learning_rate": "training.parts:learning_rate",
    "load_checkpoint": "training.checkpoint:load_checkpoint",
    "load_config": "config.resolver:load_config",
    "load_trained_model": "training.parts:load_trained_model",
    "make_loader": "training.parts:make_loader",
    "open_patches": "data.opening:open_patches",
    "predict": "inference.predict:predict",
    "prepare": "preparation.run:prepare",
    "register": "core.registry:register",
    "report": "runs.report:write_report",
    "save_checkpoint": "training.checkpoint:save_checkpoint",
    "sweep": "sweeps.api:sweep",
    "test": "training.testing:test",
    "train": "training.train:train",
    "train_epoch": "training.parts:train_epoch",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that `import spectrain` stays light."""
    if name == "__version__":
        value: Any = _version()
    elif (place := _PLACES.get(name)) is not None:
        module, _, attribute = place.partition(":")
        value = import_module(f".{module}", __name__)
        value = getattr(value, attribute) if attribute else value
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("spectrain")
    except PackageNotFoundError:  # run from a folder that was never installed
        return "0+unknown"
