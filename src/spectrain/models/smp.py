"""Decoders and encoders of the package segmentation-models-pytorch, by name, for any number of bands and any size."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config.option import option
from ..core.bands import Bands
from ..core.errors import DataError, first_line, needs, perhaps
from ..core.lean_imports import as_if_absent
from .banded import ModelConfig
from .weights import read_tensors

log = logging.getLogger("spectrain")


class SmpNetwork(nn.Module):
    """A decoder on an encoder, from images [B,C,H,W] to [B,channels,H,W].

    Images are padded at the right and at the bottom with 0, the mean of standardised images, to what the encoder needs
    (a multiple of 32 for most, of 224 for MaxViT with windows of 7), and the result is cut back.

    Args:
        arch: the decoder: Unet, UnetPlusPlus, MAnet, Linknet, FPN, PSPNet, PAN, DeepLabV3, DeepLabV3Plus, UPerNet,
            Segformer.
        encoder: name of an encoder of the package, or ``tu-NAME`` for one of timm.
        in_channels: bands of the images, and their mask channels where they have some.
        channels: numbers a pixel.
        weights: of the encoder: None, a file (see `load_encoder`), or a name that the package fetches ("imagenet").

    Raises:
        DataError: the package is not installed, there is no such decoder or encoder, the two do not go together, or the
            weights do not fit.
    """

    @dataclass(frozen=True)
    class Config(ModelConfig):
        """Keys of ``model=smp``."""

        arch: str = option("Unet", "decoder of segmentation-models-pytorch, such as Unet, MAnet, UPerNet, Segformer")
        encoder: str = option("resnet18", "its encoder, such as resnet50, mit_b2; tu-NAME is one of timm")
        encoder_weights: str | None = option(
            None, "weights of the encoder: null draws them, a file, or imagenet, which is fetched"
        )

    def __init__(self, arch: str, encoder: str, in_channels: int, channels: int, weights: str | None = None) -> None:
        super().__init__()
        smp = _package()
        local = weights is not None and (Path(weights).suffix != "" or "/" in weights)
        _require_known(smp, arch, encoder)
        try:
            net = smp.create_model(
                arch,
                encoder_name=encoder,
                encoder_weights=None if local else weights,
                in_channels=in_channels,
                classes=channels,
            )
        except (ValueError, TypeError, KeyError, NotImplementedError, RuntimeError, AssertionError) as error:
            raise DataError(
                f"{arch} does not go with the encoder {encoder}: {error}",
                where="model.encoder",
                fix="take another encoder, or another decoder",
            ) from error
        except OSError as error:
            raise DataError(
                f"the weights {weights!r} of {encoder} cannot be fetched: {error}",
                where="model.encoder_weights",
                fix="give the file of the weights, or null to draw them",
            ) from error
        self.encoder: nn.Module = net.encoder
        self.decoder: nn.Module = net.decoder
        self.head: nn.Module = net.segmentation_head
        self.multiple = multiple_of(self.encoder)
        if local and weights is not None:
            load_encoder(self.encoder, Path(weights))

    @classmethod
    def from_config(
        cls, config: Config, *, bands: Bands, image_size: tuple[int, int] | None, channels: int = 1
    ) -> SmpNetwork:
        """Return the network for ``bands``, tried on an image of ``image_size`` without computing anything.

        Raises:
            DataError: see the class; or it cannot take such images.
        """
        made = cls(config.arch, config.encoder, config.in_channels(bands), channels, config.encoder_weights)
        if image_size is not None:
            made.rehearse(config.in_channels(bands), image_size)
        return made

    def forward(self, x: Tensor) -> Tensor:
        """Return [B,channels,H,W]."""
        out: Tensor = self.head(self.decoder(self.encoder(self._padded(x))))
        return out[..., : x.shape[2], : x.shape[3]]

    def features(self, x: Tensor) -> list[tuple[int, Tensor]]:
        """Return the encoder's maps with their strides; what is coarser than a stride of 1."""
        maps = self.encoder(self._padded(x))
        height, width = x.shape[2:]
        found: list[tuple[int, Tensor]] = []
        for number, one in enumerate(maps):
            stride = 1 << number
            if number and one.shape[1] and not (found and one.shape[2:] == found[-1][1].shape[2:]):
                found.append((stride, one[..., : math.ceil(height / stride), : math.ceil(width / stride)]))
        return found

    def rehearse(self, in_channels: int, size: tuple[int, int]) -> None:
        """Raise a `DataError` where the network cannot take images of this size; shapes alone are followed."""
        device = torch.device("meta")
        state = {name: value.to(device) for name, value in self.state_dict(keep_vars=False).items()}
        training = self.training
        try:
            with torch.no_grad():
                image = torch.empty((2, in_channels, *size), device=device)
                out: Tensor = torch.func.functional_call(self.eval(), state, (image,))
            wanted = (2, *size)
            if (out.shape[0], *out.shape[2:]) != wanted:
                raise ValueError(f"it returns maps of {out.shape[2]} × {out.shape[3]} px")
        except (RuntimeError, ValueError, AssertionError, TypeError) as error:
            raise DataError(
                f"the network cannot take images of {size[0]} × {size[1]} px: {first_line(error)}",
                where="model.encoder",
                fix="take another encoder or decoder, or cut windows of another size (dataset.window)",
            ) from error
        finally:
            self.train(training)

    def _padded(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        below, right = -height % self.multiple, -width % self.multiple
        return F.pad(x, (0, right, 0, below)) if below or right else x


def multiple_of(encoder: nn.Module) -> int:
    """Return what the sides of an image must be a multiple of: the encoder's stride, times the side of its windows."""
    windows = {1}
    for module in encoder.modules():
        side = getattr(module, "partition_size", None)  # MaxViT: windows and grids of so many tokens
        if isinstance(side, tuple | list):
            windows |= {int(one) for one in side}
    return int(cast(Any, encoder).output_stride) * math.lcm(*windows)


def load_encoder(encoder: nn.Module, path: Path) -> None:
    """Load the weights of an encoder from a file of tensors, in place.

    Names may begin with ``encoder.``; those of a classifier's last layer are left alone. Where the first layer is of
    another number of bands, it takes the mean over the file's bands, scaled so that its output keeps its size, for
    each band.

    Raises:
        DataError: the file is missing, damaged or of another encoder.
    """
    tensors = {name.removeprefix("net.").removeprefix("encoder."): value for name, value in read_tensors(path).items()}
    own = encoder.state_dict()
    fitted: dict[str, Tensor] = {}
    for name, value in own.items():
        given = tensors.get(name, tensors.get(name.removeprefix("model.")))
        if given is not None and given.shape != value.shape and _differ_in_bands(given, value):
            log.info("%s: %s is for %d bands and is spread over %d", path, name, given.shape[1], value.shape[1])
            given = (given.mean(1, keepdim=True) * (given.shape[1] / value.shape[1])).expand_as(value)
        if given is not None and given.shape == value.shape:
            fitted[name] = given
    lacking = [name for name in own if name not in fitted and not name.endswith("num_batches_tracked")]
    if lacking:
        raise DataError(
            f"{len(lacking)} of {len(own)} weights of the encoder are not in the file, first {lacking[0]}",
            where=str(path),
            fix="give weights of the encoder that model.encoder names",
        )
    encoder.load_state_dict(fitted, strict=False)


def _differ_in_bands(one: Tensor, other: Tensor) -> bool:
    return one.ndim == other.ndim == 4 and one.shape[0] == other.shape[0] and one.shape[2:] == other.shape[2:]


def _package() -> Any:
    with needs("segmentation", "for model=smp"), as_if_absent("wandb"):
        import segmentation_models_pytorch
    return segmentation_models_pytorch


def _require_known(smp: Any, arch: str, encoder: str) -> None:
    """Raise where there is no such decoder or encoder, with the nearest name."""
    known: Mapping[str, Any] = {name: one for name, one in smp.MODEL_ARCHITECTURES_MAPPING.items() if name != "dpt"}
    if arch.lower() not in known:
        names = [one.__name__ for one in known.values()]
        raise DataError(
            f"there is no decoder {arch!r}" + perhaps(arch, names),
            where="model.arch",
            fix=f"known are {', '.join(names)}",
        )
    if encoder.startswith("tu-"):
        import timm

        found, names = timm.is_model(encoder.removeprefix("tu-")), [f"tu-{one}" for one in timm.list_models()]
    else:
        names = list(smp.encoders.encoders)
        found = encoder in names
    if not found:
        raise DataError(
            f"there is no encoder {encoder!r}" + perhaps(encoder, names),
            where="model.encoder",
            fix="names are those of segmentation-models-pytorch, or tu-NAME for one of timm",
        )
