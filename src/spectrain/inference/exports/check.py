"""What an exported model is held against: patches of the run's own data, and what its model makes of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...core.bands import Bands
from ...core.batch import Batch, RawBatch
from ...core.errors import RunError, SpectrainError
from ...core.targets import NoTarget
from ...data.mixture import datasets_of
from ...data.opening import open_patches
from ...data.statistics import Statistics
from ...data.values import Values
from ...training.trained.model import Trained
from .module import physical_values, transforms_of

TOLERANCE = 1e-4
"""Largest difference that is let pass, as a share of the range of the output."""
_PATCHES, _VALUES = 4, 1 << 24
_SIDE = 64


@dataclass(frozen=True)
class Samples:
    """Images to compare on.

    Attributes:
        batch: as training made them of what is stored.
        image: the same in physical values, float32 [B,C,H,W], NaN where missing.
        of: what they are, in words.
    """

    batch: Batch
    image: Tensor
    of: str


def samples_of(trained: Trained) -> Samples:
    """Return up to four patches of the validation split of the run's data; noise where these are not there."""
    try:
        return _patches(trained)
    except (SpectrainError, OSError) as error:  # moved, removed, or never there (imported weights)
        image = noise(trained, 2, own_size(trained))
        values = physical_values(Bands.from_json(trained.meta["bands"]), trained.cfg.dataset.transform)
        reason = error.what if isinstance(error, SpectrainError) else str(error)
        return Samples(
            _batch(values, image), image, f"noise within the statistics, for want of the run's data: {reason}"
        )


def own_size(trained: Trained) -> tuple[int, int]:
    """Return the size of the training's images; one that goes with the network where that is not known."""
    if (size := trained.meta["image_size"]) is not None:
        return size[0], size[1]
    step = int(getattr(trained.model.network, "multiple", 1))
    side = -(-_SIDE // step) * step
    return side, side


def _patches(trained: Trained) -> Samples:
    options = trained.cfg.dataset
    if not options.path or not options.valid_key:
        raise RunError("the run has no validation split")
    patches = datasets_of(open_patches(options.path, options.valid_key, options))[0]
    bands = Bands.from_json(trained.meta["bands"])
    bands.require(patches.bands, where=str(patches.path))
    count = max(1, min(_PATCHES, len(patches), _VALUES // math.prod(patches.shape[1:])))
    index = np.linspace(0, len(patches) - 1, count).round().astype(np.int64)  # over the whole split
    rows = patches.read(index)
    mask = None if rows.mask is None else torch.from_numpy(np.ascontiguousarray(rows.mask))
    raw = RawBatch(torch.from_numpy(np.ascontiguousarray(rows.image)), mask, NoTarget(), torch.arange(count))
    names = transforms_of(bands, options.transform)
    linear = Values(patches.bands, [name if name == "reflectance" else "none" for name in names])
    physical, valid = linear.measure(raw.image, raw.mask)
    if valid is not None:
        physical = torch.where(valid, physical, torch.nan)
    words = f"{count} patch{'es' * (count > 1)} of the split {patches.split!r}"
    return Samples(Values(patches.bands, names)(raw), physical, words)


def noise(trained: Trained, count: int, size: tuple[int, int], *, holes: bool = True) -> Tensor:
    """Return images [count,C,*size] in physical values within the statistics, with a few holes, the same each time."""
    statistics = Statistics.from_json(trained.meta["statistics"])
    draw = torch.randn(count, len(statistics.mean), *size, generator=torch.Generator().manual_seed(0))

    def column(values: tuple[float, ...], missing: float) -> Tensor:
        return torch.tensor([one if math.isfinite(one) else missing for one in values])[:, None, None]

    image = draw * column(statistics.std, 1.0) + column(statistics.mean, 0.0)
    image = image.clamp(column(statistics.minimum, -math.inf), column(statistics.maximum, math.inf))
    bands = Bands.from_json(trained.meta["bands"])
    if trained.model.standardise == "limits":  # what is beyond them is cut off, and would compare nothing
        limits = [band.limits or (0.0, 1.0) for band in bands]
        low, high = (torch.tensor([one[end] for one in limits])[:, None, None] for end in (0, 1))
        image = low + (high - low) * torch.rand(image.shape, generator=torch.Generator().manual_seed(0))
    for channel, name in enumerate(transforms_of(bands, trained.cfg.dataset.transform)):
        if name in ("log10", "log10_reflectance"):
            image[:, channel] = 10 ** (image[:, channel] * (3 if name != "log10" else 1) - 3 * (name != "log10"))
    if holes:
        image[:, :, : size[0] // 8, : size[1] // 8] = torch.nan
    return image


def _batch(values: Values, image: Tensor) -> Batch:
    shown, valid = values.measure(image, None)
    assert valid is not None
    return Batch(shown, valid, NoTarget(), torch.arange(len(image)), all_valid=False)


def difference(found: Tensor, wanted: Tensor) -> float:
    """Return the largest difference as a share of the range of ``wanted``; infinity where shapes or NaNs differ."""
    if found.shape != wanted.shape or not torch.equal(found.isnan(), wanted.isnan()):
        return math.inf
    there = ~wanted.isnan()
    if not there.any():
        return 0.0
    known = wanted[there].double()
    spread = float(known.max() - known.min()) or float(known.abs().max()) or 1.0
    largest = float((found[there].double() - known).abs().max()) / spread
    return largest if math.isfinite(largest) else math.inf


def compared(run: Callable[[], Tensor], wanted: Tensor, what: str, samples: str) -> float:
    """Return the difference of an exported model from the run's.

    Raises:
        RunError: it fails, or differs by more than `TOLERANCE`.
    """
    try:
        found = difference(run(), wanted)
    except Exception as error:  # another program's, of any kind
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise RunError(f"{what} was written and does not run: {reason}", fix="nothing was kept") from error
    if not found <= TOLERANCE:
        raise RunError(
            f"{what} was written and differs from the run's model by {found:.2g} of its output's range "
            f"({TOLERANCE:g} is let pass), on {samples}",
            fix="nothing was kept; another format may do, such as --to safetensors",
        )
    return found
