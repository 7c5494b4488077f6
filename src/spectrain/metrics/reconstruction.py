"""How well were hidden values filled in? MSE, spectral angle, PSNR and SSIM, of any number of bands with holes.

The pure functions give one value an image, float64 where the device has it, and NaN where the image has nothing to
compare. They look at the bands in parts of bounded size, so 200 bands of 500x500 take no more memory than a few.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..config.option import option
from ..core.batch import Batch
from ..core.errors import SpectrainError
from ..core.fill import fill_invalid
from ..core.reconstruction import Reconstruction
from .base import Summed, Tables, read_sums, widest

_VALUES = 2**22  # most values of a part: 16 MiB in float32
_WINDOW, _SIGMA = 11, 1.5  # of SSIM, as its authors have them, as are the two constants
_K1, _K2 = 0.01, 0.03
_MOST_DECIBELS = 100.0
_NAMES = ("mse", "sam", "psnr", "ssim")


class ReconstructionMetric:
    """The part called "reconstruction": how near the model's values are to those that it did not see.

    Four numbers an image, averaged over images (not over values, so that an image with few masked values counts like
    another):

    - ``mse``: mean squared error, in the unit of the images squared.
    - ``sam``: spectral angle in radians, mean over pixels; 0 where the spectra have one shape, whatever their length.
    - ``psnr``: 10 log10(range² / mse) in dB. More than 100 dB, as an image without error has, counts as 100.
    - ``ssim``: structural similarity, mean over bands; 1 where the images are equal (Wang et al. 2004).

    With ``_masked`` they are of the values that the model did not see (spectral angle: of all valid bands of pixels
    where a band was hidden; SSIM: of windows in whose centre a value was hidden), without it of the whole image, in
    which what the model saw stands as it was. An image that has nothing to compare does not count; NaN where none
    counts, and everywhere if a valid value of any image is not finite: a model that diverged is not averaged away.

    Args:
        ssim: report SSIM, by far the slowest of the four.
    """

    @dataclass(frozen=True)
    class Config:
        """Keys of ``metric=reconstruction``."""

        ssim: bool = option(True, "report structural similarity too, the slowest of the metrics")

    def __init__(self, ssim: bool = True) -> None:
        self.ssim = ssim

    @classmethod
    def from_config(cls, config: Config) -> ReconstructionMetric:
        """Return the part."""
        return cls(config.ssim)

    def tables(self) -> Tables:
        """Return what collects the tables of a test."""
        from .reconstruction_tables import ReconstructionTables  # which needs the functions below

        return ReconstructionTables(self.ssim)

    def start(self) -> ReconstructionSums:
        """Return fresh sums for one evaluation."""
        return ReconstructionSums(self.ssim)


class ReconstructionSums(Summed):
    """Sums over the images of an evaluation, whatever the number of bands of each batch."""

    def __init__(self, ssim: bool = True) -> None:
        super().__init__()
        self._ssim = ssim

    @torch.no_grad()
    def update(self, output: Reconstruction, batch: Batch) -> None:
        """Add the images of a batch; rows of padding do not count, whatever they hold."""
        self.add(image_rows(output, ssim=self._ssim), output, batch)

    def add(self, rows: dict[str, Tensor], output: Reconstruction, batch: Batch) -> None:
        """Add a batch whose `image_rows` are known."""
        real = batch.real
        compared = real if output.valid is None else real & output.valid.flatten(1).any(dim=1)
        new = {"not_finite": (compared & ~rows["mse"].isfinite()).sum().to(rows["mse"].dtype)}
        for name, values in rows.items():
            counted = real & ~values.isnan()
            values = values.clamp(max=_MOST_DECIBELS) if name.startswith("psnr") else values
            new[name] = fill_invalid(values, counted).sum()
            new[f"{name}_count"] = counted.sum().to(values.dtype)
        self.add_sums(new)

    def compute(self, sums: dict[str, Tensor]) -> dict[str, float]:
        """Return the metrics."""
        host = read_sums(sums)
        names = _names(self._ssim)
        if not host or host["not_finite"] > 0:
            return dict.fromkeys(names, math.nan)
        return {name: float(host[name] / host[f"{name}_count"]) for name in names}


def image_rows(
    reconstruction: Reconstruction, *, ssim: bool = True, by_band: tuple[Tensor, Tensor] | None = None
) -> dict[str, Tensor]:
    """Return the metrics of each image by name, tensors [B]; without error the PSNR is infinite.

    Args:
        reconstruction: the model's output.
        ssim: structural similarity too.
        by_band: the errors of the chosen values, where they are known already; see `mse_by_band`.

    Raises:
        SpectrainError: the model's output is no reconstruction.
    """
    given = required(reconstruction)
    prediction, target, valid = given.prediction, given.target, given.valid
    chosen, masked = given.chosen, given.masked
    hidden = None if masked is None or chosen is None else chosen.any(dim=1)
    squares, counts = mse_by_band(prediction, target, chosen) if by_band is None else by_band
    found = {
        "mse_masked": squares.sum(dim=1) / counts.sum(dim=1),
        "sam_masked": spectral_angle(prediction, target, valid, hidden),
    }
    # without a mask the hidden values are the whole image, and what is known of them need not be found again
    found["mse"] = found["mse_masked"] if masked is None else mse(prediction, target, valid)
    found["sam"] = found["sam_masked"] if masked is None else spectral_angle(prediction, target, valid, None)
    for suffix in ("_masked", ""):
        found[f"psnr{suffix}"] = psnr(found[f"mse{suffix}"], given.data_range)
    if ssim:
        images = prediction, target, valid, given.data_range
        similar = _ssim(*images, (None,)) * 2 if masked is None else _ssim(*images, (masked, None))
        found["ssim_masked"], found["ssim"] = similar
    return {name: found[name] for name in _names(ssim)}


def required(output: Any) -> Reconstruction:
    """Return the model's output, or raise a `SpectrainError` where it is no reconstruction."""
    if not isinstance(output, Reconstruction):
        raise SpectrainError(
            "the metric 'reconstruction' needs a task that reconstructs images", fix="choose metric=none"
        )
    return output


def _names(ssim: bool) -> list[str]:
    return [f"{name}{suffix}" for suffix in ("_masked", "") for name in _NAMES if ssim or name != "ssim"]


def mse(prediction: Tensor, target: Tensor, chosen: Tensor | None) -> Tensor:
    """Return the mean squared error over the chosen values of each image, [B]; NaN for an image without any.

    Args:
        prediction: [B,C,H,W]; may be NaN where not chosen.
        target: [B,C,H,W]; may be NaN where not chosen.
        chosen: bool [B,C,H,W]; None for all.
    """
    sums, counts = mse_by_band(prediction, target, chosen)
    return sums.sum(dim=1) / counts.sum(dim=1)


def mse_by_band(prediction: Tensor, target: Tensor, chosen: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the sums [B,C] of squared errors over the chosen values, and their counts [B,C]; 0 and 0 where none is.

    Args:
        prediction: [B,C,H,W]; may be NaN where not chosen.
        target: [B,C,H,W]; may be NaN where not chosen.
        chosen: bool [B,C,H,W]; None for all.
    """
    sums, counts = [], []
    for part in _parts(prediction):
        error = _float(prediction[:, part]) - _float(target[:, part])
        if chosen is None:
            counts.append(error.new_full(error.shape[:2], error.shape[2] * error.shape[3]))
        else:
            error = fill_invalid(error, chosen[:, part])
            counts.append(chosen[:, part].sum(dim=(2, 3)))
        sums.append(error.square().sum(dim=(2, 3)))
    wide = widest(prediction.device)
    return torch.cat(sums, dim=1).to(wide), torch.cat(counts, dim=1).to(wide)


def spectral_angle(prediction: Tensor, target: Tensor, valid: Tensor | None, pixels: Tensor | None) -> Tensor:
    """Return the mean angle in radians between the spectra of each image, [B]; NaN for an image without any.

    The angle is 2 atan2(norm(a - b), norm(a + b)) of the unit spectra a and b, which is accurate for small angles, as
    the arc cosine of their product is not (Kahan, "How futile are mindless assessments of roundoff", 2006). A target
    without direction (all zero, or no valid band) does not count; a prediction that is all zero where the target is
    not counts as a right angle. Bands that are not valid are left out of both.

    Args:
        prediction: [B,C,H,W]; may be NaN where not valid.
        target: [B,C,H,W]; may be NaN where not valid.
        valid: bool [B,C,H,W]; None for all.
        pixels: bool [B,H,W], those that count; None for all.
    """
    parts = list(_parts(prediction))

    def over_bands(image: Tensor, part: slice) -> Tensor:
        values = _float(image[:, part])
        return values if valid is None else fill_invalid(values, valid[:, part])

    lengths = []
    for image in (prediction, target):
        peak = reduce(torch.maximum, (over_bands(image, part).abs().amax(dim=1) for part in parts))
        peak_or_one = peak.masked_fill(peak == 0, 1.0)[:, None]  # squares of what it divides do not vanish or overflow
        squares = reduce(torch.add, ((over_bands(image, part) / peak_or_one).square().sum(dim=1) for part in parts))
        lengths.append(peak * squares.sqrt())
    units = [length.masked_fill(length == 0, 1.0)[:, None] for length in lengths]
    apart, together = torch.zeros_like(lengths[0]), torch.zeros_like(lengths[0])
    for part in parts:
        one, other = over_bands(prediction, part) / units[0], over_bands(target, part) / units[1]
        apart += (one - other).square().sum(dim=1)
        together += (one + other).square().sum(dim=1)
    angle = 2 * torch.atan2(apart.sqrt(), together.sqrt())  # a right angle where the prediction is 0
    counted = lengths[1] != 0 if pixels is None else (lengths[1] != 0) & pixels
    total = fill_invalid(angle, counted).to(widest(angle.device)).sum(dim=(1, 2))
    return total / counted.sum(dim=(1, 2))


def psnr(mse: Tensor, data_range: float) -> Tensor:
    """Return 10 log10(range² / mse) in dB; infinite where the error is 0, NaN where it is NaN."""
    return 10 * (data_range**2 / mse).log10()


def ssim(
    prediction: Tensor, target: Tensor, valid: Tensor | None, data_range: float, selected: Tensor | None = None
) -> Tensor:
    """Return the structural similarity of each image, [B], mean over its bands (Wang et al. 2004).

    As ``skimage.metrics.structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)``: windows
    of 11x11 that lie wholly inside the image, here only those that hold valid values alone. Bands without such a
    window are left out; NaN for an image without any, and for all that are less than 11 pixels high or wide.

    Args:
        prediction: [B,C,H,W]; may be NaN where not valid.
        target: [B,C,H,W]; may be NaN where not valid.
        valid: bool [B,C,H,W]; None for all.
        data_range: largest minus smallest value that the data can take.
        selected: bool [B,C,H,W], the centres of the windows that count; None for all.
    """
    return _ssim(prediction, target, valid, data_range, (selected,))[0]


def _ssim(
    prediction: Tensor, target: Tensor, valid: Tensor | None, data_range: float, selections: Sequence[Tensor | None]
) -> list[Tensor]:
    """Return the similarities [B] for several selections of windows, from one map."""
    batch, _, height, width = prediction.shape
    wide = widest(prediction.device)
    if min(height, width) < _WINDOW:
        return [torch.full((batch,), math.nan, dtype=wide, device=prediction.device)] * len(selections)
    sums: list[list[Tensor]] = [[] for _ in selections]
    counts: list[list[Tensor]] = [[] for _ in selections]
    inner = slice(_WINDOW // 2, -(_WINDOW // 2))
    for part in _parts(prediction):
        seen = None if valid is None else valid[:, part]
        similarity = _ssim_map(_float(prediction[:, part]), _float(target[:, part]), seen, data_range)
        whole = None if seen is None else _windows_within(seen)
        for number, selected in enumerate(selections):
            centres = None if selected is None else selected[:, part, inner, inner]
            counted = centres if whole is None else whole if centres is None else whole & centres
            values = similarity if counted is None else fill_invalid(similarity, counted)
            size = similarity.shape[2] * similarity.shape[3]
            sums[number].append(values.sum(dim=(2, 3)).to(wide))
            counts[number].append(
                values.new_full(values.shape[:2], size) if counted is None else counted.sum(dim=(2, 3))
            )
    means = []
    for band_sums, band_counts in zip(sums, counts, strict=True):
        count = torch.cat(band_counts, dim=1)
        has_any = count > 0
        band_means = fill_invalid(torch.cat(band_sums, dim=1) / count, has_any)
        means.append(band_means.sum(dim=1) / has_any.sum(dim=1))
    return means


def _ssim_map(one: Tensor, other: Tensor, valid: Tensor | None, data_range: float) -> Tensor:
    """Return the similarity [B,N,H-10,W-10] at the centre of each window; it means nothing where one holds a hole.

    The variances are those of the values less their mean over the band: E[x²] - E[x]² of a temperature in kelvin
    would be lost in the rounding of float32.
    """
    if valid is None:
        level = other.mean(dim=(2, 3), keepdim=True)
    else:
        count = valid.sum(dim=(2, 3), keepdim=True).clamp(min=1)
        level = fill_invalid(other, valid).sum(dim=(2, 3), keepdim=True) / count
    one, other = one - level, other - level
    if valid is not None:
        one, other = fill_invalid(one, valid), fill_invalid(other, valid)
    mean_one, mean_other = _blurred(one), _blurred(other)
    variances = _blurred(one * one + other * other) - mean_one.square() - mean_other.square()
    covariance = _blurred(one * other) - mean_one * mean_other
    mean_one, mean_other = mean_one + level, mean_other + level
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    luminance = (2 * mean_one * mean_other + c1) / (mean_one.square() + mean_other.square() + c1)
    return luminance * (2 * covariance + c2) / (variances + c2)


def _blurred(values: Tensor) -> Tensor:
    """Return the Gaussian means [B,N,H-10,W-10] of all windows.

    Sums of shifted images: five to ten times as fast on a CPU as a convolution with one channel, and on a GPU no
    setting (TF32) makes them coarser.
    """
    weights = [math.exp(-((place - _WINDOW // 2) ** 2) / (2 * _SIGMA**2)) for place in range(_WINDOW)]
    for dim in (-1, -2):
        size = values.shape[dim] - _WINDOW + 1
        blurred = values.narrow(dim, 0, size) * (weights[0] / sum(weights))
        for place, weight in enumerate(weights[1:], start=1):
            blurred = blurred.add_(values.narrow(dim, place, size), alpha=weight / sum(weights))
        values = blurred
    return values


def _windows_within(valid: Tensor) -> Tensor:
    """Return bool [B,N,H-10,W-10], True where all values of the window are valid."""
    holes = (~valid).to(torch.float32)
    for window in ((_WINDOW, 1), (1, _WINDOW)):
        holes = F.max_pool2d(holes, window, stride=1)
    return holes == 0


def _parts(images: Tensor) -> Iterator[slice]:
    """Yield the bands in parts of about `_VALUES` values, at least one band each."""
    batch, channels, height, width = images.shape
    size = max(1, _VALUES // max(1, batch * height * width))
    for start in range(0, channels, size):
        yield slice(start, start + size)


def _float(values: Tensor) -> Tensor:
    """Return float32, or float64 where that is given."""
    return values if values.dtype == torch.float64 else values.to(torch.float32)
