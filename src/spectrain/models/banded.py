"""The model as trained: bands, their statistics and validity handling around a network that sees only numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast, get_args

import torch
from torch import Tensor, nn

from ..config.option import option
from ..core.bands import Band, Bands
from ..core.batch import Batch
from ..core.errors import DataError, SpectrainError
from ..core.fill import fill_invalid
from ..core.random import Key
from .weights import load_weights

Standardise = Literal["mean_std", "std", "limits", "none"]


@dataclass(frozen=True)
class ModelConfig:
    """Keys that every model has; a model's nested ``Config`` inherits them (and so is frozen too)."""

    mask_channel: bool = option(False, "feed the validity of each band as a further channel")
    standardise: Standardise = option(
        "mean_std",
        "subtract each band's mean and divide by its deviation; std only divides (demeaned images); limits makes the "
        "band's agreed limits 0 and 1 and cuts off what is beyond; or none",
    )
    init_from: str | None = option(
        None, "run, checkpoint or safetensors file to take the weights from; null draws them"
    )
    init_part: Literal["all", "encoder"] = option("all", "which of those weights: all that fit, or the encoder's")

    def in_channels(self, bands: Bands) -> int:
        """Return how many channels the network is fed: one a band, twice that with the mask."""
        return len(bands) * (2 if self.mask_channel else 1)


class Network(Protocol):
    """What a model has to be: a module on plain tensors.

    It may say by ``head_names`` with what the names of its head's weights begin; see `load_weights`.
    """

    def __call__(self, x: Tensor) -> Tensor:
        """Return the output for [B,C,H,W]."""
        ...

    def features(self, x: Tensor) -> list[tuple[int, Tensor]]:
        """Return (stride, map [B,F,ceil(H/stride),ceil(W/stride)]) from fine to coarse, strides increasing."""
        ...


class BandStatistics(Protocol):
    """What standardising needs to know, a value a band, in the units of `Batch.image`."""

    @property
    def mean(self) -> Sequence[float]: ...  # noqa: D102

    @property
    def std(self) -> Sequence[float]: ...  # noqa: D102


class ModelPart(Protocol):
    """The configured model: its options (a `ModelConfig`) and how to build the network."""

    @property
    def options(self) -> Any: ...  # noqa: D102

    def build(self, **context: Any) -> Any: ...  # noqa: D102


class BandedModel(nn.Module):
    """A network with the bands it is for: standardise, fill what is invalid with 0, append the mask, call the network.

    Mean and deviation are buffers, so whoever loads the state dict standardises as the training did. A band that is
    constant (to the resolution of float32) is divided by 1; a band without any valid value is left as it is.

    Args:
        network: see `Network`; built with twice the channels where ``mask_channel``.
        bands: one a channel of the batches it is for.
        statistics: mean and standard deviation of each band.
        standardise: "mean_std" subtracts the mean of each band and divides by its deviation; "std" only divides, for
            images that are demeaned one by one; "limits" makes `Band.limits` 0 and 1 and cuts off what is beyond, so a
            hole, which is 0, looks like the lower one; "none" leaves the values as they are.
        mask_channel: append the validity of each band as a channel of 0 and 1.
        image_size: height and width it was built for; None where any will do.

    Raises:
        ValueError: ``standardise`` is unknown, or the statistics are not one a band.
        DataError: "limits", and a band has none.
    """

    any_bands = False
    """It takes other bands than it was trained on."""
    convolves = True
    """Its layers are quickest on images whose bands lie side by side in memory (channels last)."""

    mean: Tensor
    std: Tensor
    low: Tensor
    high: Tensor
    data_range: float

    def __init__(
        self,
        network: nn.Module,
        bands: Bands,
        statistics: BandStatistics,
        standardise: Standardise = "mean_std",
        mask_channel: bool = False,
        image_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        if standardise not in get_args(Standardise):
            raise ValueError(f"standardise is one of {', '.join(get_args(Standardise))}, not {standardise!r}")
        if len(statistics.mean) != len(bands) or len(statistics.std) != len(bands):
            counts = f"{len(statistics.mean)} means and {len(statistics.std)} deviations"
            raise ValueError(f"{len(bands)} bands, but {counts}")
        self.network = network
        self.bands, self.standardise, self.mask_channel, self.image_size = bands, standardise, mask_channel, image_size
        self._take_statistics(statistics)

    def _take_statistics(self, statistics: BandStatistics) -> None:
        """Make mean and deviation buffers; the range of the data, standardised, is none of the state dict."""
        mean, std = standardisation(self.bands, statistics, self.standardise)
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        low, high, self.data_range = limits(statistics)
        self.register_buffer("low", (low - mean) / std, persistent=False)
        self.register_buffer("high", (high - mean) / std, persistent=False)

    def add_bands(self, bands: Bands, statistics: BandStatistics) -> None:
        """Learn of a further band set; only models for any bands can.

        Raises:
            DataError: this one cannot.
        """
        raise DataError(
            f"the model takes one band set, the data have a second: {len(self.bands)} and {len(bands)} bands",
            where="dataset.path",
            fix="give data of one band set, or take a model for any bands, such as model=mae_small",
        )

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return next(self.buffers()).device

    def standards(self, batch: Batch) -> tuple[Bands, Tensor, Tensor]:
        """Return the bands that the batch must have, and what standardises them: mean and deviation [C]."""
        return self.bands, self.mean, self.std

    def standardised(self, batch: Batch) -> Tensor:
        """Return the standardised image, float32 [B,C,H,W], 0 where it is not valid; NaN in a hole does not pass.

        Raises:
            DataError: the batch has another number of bands than the model.
        """
        bands, mean, std = self.standards(batch)
        if batch.image.shape[1] != len(bands):
            raise DataError(
                f"the model is for {len(bands)} bands, the images have {batch.image.shape[1]}",
                fix=f"give the bands {', '.join(bands.names)}, in this order",
            )
        x = batch.image
        if self.standardise != "none":
            x = (x - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
        if self.standardise == "limits":
            x = x.clamp(0.0, 1.0)
        return x if batch.all_valid else fill_invalid(x, batch.valid)

    def inputs(self, batch: Batch) -> Tensor:
        """Return what the network sees of a batch, float32 [B, C or 2C, H, W]: the standardised image, and its mask."""
        x = self.standardised(batch)
        if self.mask_channel:
            x = torch.cat((x, batch.valid.to(x.dtype)), dim=1)
        return x

    def forward(self, batch: Batch) -> Tensor:
        """Return the network's output for a batch."""
        return cast(Network, self.network)(self.inputs(batch))

    def features(self, batch: Batch) -> list[tuple[int, Tensor]]:
        """Return the network's feature maps for a batch, each with its stride, from fine to coarse."""
        return cast(Network, self.network).features(self.inputs(batch))

    def pooled(self, batch: Batch) -> Tensor:
        """Return the encoder's vector of each image, float32 [B, F]: its coarsest map averaged over the pixels.

        Raises:
            SpectrainError: the network has no features, or they are no map.
        """
        name = type(self.network).__name__
        if not hasattr(self.network, "features"):
            raise SpectrainError(
                f"{name} has no method features, so there is no vector of an image",
                where="the model",
                fix="give it features(x), which returns [(stride, map [B,F,rows,columns])] from fine to coarse; "
                "a model that returns one vector an image can be embedded by --what projection",
            )
        _, coarsest = self.features(batch)[-1]
        if coarsest.dim() != 4:
            raise SpectrainError(
                f"the features of {name} are {list(coarsest.shape)}, and no map that could be averaged over its pixels",
                where="the model",
                fix="let features(x) return [B,F,rows,columns]: tokens [B,rows*columns,F] are one after "
                "tokens.transpose(1, 2).unflatten(2, (rows, columns))",
            )
        return coarsest.float().mean(dim=(2, 3))

    def seen(self, batch: Batch) -> Tensor:
        """Return which images hold anything that the encoder looks at, bool [B]."""
        if batch.all_valid:
            return torch.ones(batch.image.shape[0], dtype=torch.bool, device=batch.image.device)
        return batch.valid.flatten(1).any(dim=1)


def standardisation(bands: Bands, statistics: BandStatistics, how: Standardise) -> tuple[Tensor, Tensor]:
    """Return what is subtracted from each band and what it is then divided by, float32 [C] each."""
    if how == "limits":
        low, high = zip(*(_agreed(band) for band in bands), strict=True)
        return torch.tensor(low, dtype=torch.float32), torch.tensor(high, dtype=torch.float32) - torch.tensor(low)
    subtracted = [m if how == "mean_std" and math.isfinite(m) else 0.0 for m in statistics.mean]
    divided = [1.0 if how == "none" else _divisor(m, s) for m, s in zip(statistics.mean, statistics.std, strict=True)]
    return torch.tensor(subtracted, dtype=torch.float32), torch.tensor(divided, dtype=torch.float32)


def _agreed(band: Band) -> tuple[float, float]:
    if band.limits is None or not band.limits[0] < band.limits[1]:
        raise DataError(
            f"the band {band.name!r} has no limits to be standardised by",
            where="model.standardise",
            fix="set model.standardise=mean_std; prepared data of the presets s2 and planet have limits",
        )
    return band.limits


def limits(statistics: BandStatistics) -> tuple[Tensor, Tensor, float]:
    """Return the smallest and the largest value of each band, float32 [C], and the range over all bands, above 0.

    -inf and inf where they are not known; the range is then 1.
    """
    count = len(statistics.mean)
    low: list[float] = list(getattr(statistics, "minimum", [-math.inf] * count))
    high: list[float] = list(getattr(statistics, "maximum", [math.inf] * count))
    known = [math.isfinite(one) and math.isfinite(other) for one, other in zip(low, high, strict=True)]
    low = [one if there else -math.inf for one, there in zip(low, known, strict=True)]
    high = [one if there else math.inf for one, there in zip(high, known, strict=True)]
    spread = max((one for one in high if one < math.inf), default=1.0)
    spread -= min((one for one in low if one > -math.inf), default=0.0)
    return torch.tensor(low), torch.tensor(high), spread if spread > 0 else 1.0


def _divisor(mean: float, std: float) -> float:
    """Return what to divide a band by: 1 where the deviation is missing or below the resolution of float32."""
    resolution = abs(mean) * torch.finfo(torch.float32).eps if math.isfinite(mean) else 0.0
    return std if math.isfinite(std) and std > resolution else 1.0


def build_banded(
    part: ModelPart,
    *,
    bands: Bands,
    statistics: BandStatistics,
    image_size: tuple[int, int] | None,
    seed: int,
    take_init_from: bool = True,
    more: Sequence[tuple[Bands, BandStatistics]] = (),
    channels: int | None = None,
) -> BandedModel:
    """Build the configured model on the CPU, with fresh weights drawn from ``seed`` or those of ``init_from``.

    The weights depend on nothing but the seed and the configuration: torch's global generator is set for the length
    of the building, because layers of every origin draw from it, and is then as before.

    Args:
        part: the configured model.
        bands: the bands of the data.
        statistics: of the data; they stand also where the weights come from elsewhere.
        image_size: height and width of the images; None where that is not known and the network takes any.
        seed: ``general.seed``.
        take_init_from: False where a state dict will be loaded anyway, so that a run can be continued or used after
            the file that it began from is gone.
        more: further band sets with their statistics, for a network that takes any.
        channels: numbers a pixel that the task wants; None leaves the output to the network.

    Raises:
        DataError: further band sets, and the network takes one; the file in ``init_from`` is missing, damaged or of
            another model.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(Key(seed, "initial weights").word())
        wanted = {} if channels is None else {"channels": channels}
        network = part.build(bands=bands, image_size=image_size, **wanted)
    options = part.options
    if take_init_from and options.init_from is not None:
        load_weights(network, options.init_from, part=options.init_part, bands=bands)
    wrapper: type[BandedModel] = getattr(network, "wrapper", BandedModel)
    model = wrapper(network, bands, statistics, options.standardise, options.mask_channel, image_size)
    for one, figures in more:
        model.add_bands(one, figures)
    return model
