"""spectrain trains models on images with any number of bands.

The names below are the whole public interface; each is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import load_config as load_config
    from .core.bands import Band as Band
    from .core.bands import Bands as Bands
    from .core.batch import Batch as Batch
    from .core.random import Key as Key
    from .core.registry import register as register
    from .data.inspect import inspect as inspect
    from .data.opening import open_patches as open_patches
    from .losses.supcon import SupConLoss as SupConLoss
    from .models.supcon_resnet import SupConResNet as SupConResNet
    from .training.api import train as train
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

# public name -> "module:attribute"
_PUBLIC = {
    "Band": "core.bands:Band",
    "Bands": "core.bands:Bands",
    "Batch": "core.batch:Batch",
    "Key": "core.random:Key",
    "Meter": "training.parts:Meter",
    "SupConLoss": "losses.supcon:SupConLoss",
    "SupConResNet": "models.supcon_resnet:SupConResNet",
    "build_loss": "training.parts:build_loss",
    "build_model": "training.parts:build_model",
    "evaluate_model_dataloader": "training.parts:evaluate_model_dataloader",
    "inspect": "data.inspect:inspect",
    "learning_rate": "training.parts:learning_rate",
    "load_checkpoint": "training.checkpoint:load_checkpoint",
    "load_config": "config:load_config",
    "load_trained_model": "training.parts:load_trained_model",
    "make_loader": "training.parts:make_loader",
    "open_patches": "data.opening:open_patches",
    "register": "core.registry:register",
    "report": "runs.report:write_report",
    "save_checkpoint": "training.checkpoint:save_checkpoint",
    "train": "training.api:train",
    "train_epoch": "training.parts:train_epoch",
}

__all__ = [*sorted(_PUBLIC), "__version__"]

try:
    __version__ = version("spectrain")
except PackageNotFoundError:  # run from a folder that was never installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that `import spectrain` stays light."""
    if (path := _PUBLIC.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = path.split(":")
    value = getattr(import_module(f".{module}", __name__), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
