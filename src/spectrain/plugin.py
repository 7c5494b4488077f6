"""What parts of your own are made of: the names that a plugin imports, and that stay where they are.

`docs/extending.md` shows each of them in use. This module is for files and packages outside of spectrain; nothing
within imports it.
"""

from __future__ import annotations

from .config.option import option
from .core.bands import Band, Bands
from .core.batch import Batch
from .core.errors import ConfigError, DataError, RunError, SpectrainError
from .core.fill import fill_invalid
from .core.loss_sum import LossSum
from .core.random import Key, uniform
from .core.registry import register
from .data.fingerprint import content_fingerprint
from .data.patches import Patches, Rows
from .metrics.base import Metrics
from .models.banded import ModelConfig

__all__ = [
    "Band",
    "Bands",
    "Batch",
    "ConfigError",
    "DataError",
    "Key",
    "LossSum",
    "Metrics",
    "ModelConfig",
    "Patches",
    "Rows",
    "RunError",
    "SpectrainError",
    "content_fingerprint",
    "fill_invalid",
    "option",
    "register",
    "uniform",
]
