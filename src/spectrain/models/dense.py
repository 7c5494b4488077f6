"""Dense models on own encoders: a residual network, or the encoder of a spectral masked autoencoder, and a pyramid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn

from ..config.option import option
from ..core.bands import Bands
from ..core.batch import Batch
from ..core.errors import DataError
from .any_bands import AnyBands, Tokens
from .banded import ModelConfig
from .mae_spectral import MAESpectral
from .pyramid import Pyramid
from .resnet import ResNet, ResNetName, Stem
from .supcon_resnet import BACKBONE


class DenseNetwork(nn.Module):
    """A residual network and a pyramid, from images [B,C,H,W] to [B,channels,H,W].

    ``model.backbone`` may name a run whose encoder is taken. Of a contrastive run that is this one; of a masked
    autoencoder it is `DenseTokens`, which then stands in its place.

    Args:
        name: "resnet18", "resnet34", "resnet50" or "resnet101".
        in_channels: bands of the images, and their mask channels where they have some.
        channels: numbers a pixel.
        stem: "small" or "large"; see `ResNet`.
        width: channels of the pyramid; a multiple of 32.
        freeze: the encoder does not learn.
    """

    head_names = ("decoder.out.",)

    @dataclass(frozen=True)
    class Config(ModelConfig):
        """Keys of ``model=dense``."""

        backbone: ResNetName | str = option(
            "resnet18",
            "the encoder: resnet18, resnet34, resnet50, resnet101, or that of a run or checkpoint by path, as ./RUN",
            pattern=BACKBONE,
        )
        stem: Stem = option("large", "small for images of about 32 to 96 px; large is 16 times cheaper")
        width: int = option(128, "channels of the decoder, a multiple of 32", minimum=32, multiple=32)
        freeze: bool = option(False, "the encoder does not learn")

    def __init__(
        self,
        name: ResNetName = "resnet18",
        in_channels: int = 3,
        channels: int = 1,
        stem: Stem = "large",
        width: int = 128,
        freeze: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = ResNet(name, in_channels, stem)
        self.decoder = Pyramid(self.encoder.channels, in_channels, channels, width)
        self.freeze = freeze
        self.encoder.requires_grad_(not freeze)

    def train(self, mode: bool = True) -> DenseNetwork:
        """Set the mode; an encoder that does not learn keeps its running statistics too."""
        super().train(mode)
        if self.freeze:
            self.encoder.eval()
        return self

    @classmethod
    def from_config(
        cls, config: Config, *, bands: Bands, image_size: tuple[int, int] | None, channels: int = 1
    ) -> DenseNetwork:
        """Return the network for ``bands``; any image size will do."""
        name = cast(ResNetName, config.backbone)  # a path has become a name before a model is built
        return cls(name, config.in_channels(bands), channels, config.stem, config.width, config.freeze)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B,channels,H,W]."""
        out: Tensor = self.decoder([one for _, one in self.encoder.features(x)], x)
        return out

    def features(self, x: Tensor) -> list[tuple[int, Tensor]]:
        """Return the encoder's maps with their strides; see `ResNet.features`."""
        return self.encoder.features(x)

    def fsdp_blocks(self) -> Iterator[nn.Module]:
        """Yield the units of FSDP and of recomputation."""
        yield from self.encoder.fsdp_blocks()


class DenseTokens(MAESpectral):
    """The encoder of a spectral masked autoencoder, which sees whole images, and a pyramid on its one map.

    Its options are those of the autoencoder; what is of masks and of the autoencoder's decoder has no effect. It is
    for the bands that it is trained on, as its decoder looks at the image itself.
    """

    head_names = ("decoder.out.",)

    @dataclass(frozen=True)
    class Config(MAESpectral.Config):
        """Keys of ``model=dense_tokens``."""

        width: int = option(128, "channels of the decoder, a multiple of 32", minimum=32, multiple=32)
        freeze: bool = option(False, "the encoder does not learn")

    decoder: Any

    @classmethod
    def from_config(  # type: ignore[override]
        cls, config: Config, *, bands: Bands, image_size: tuple[int, int] | None, channels: int = 1
    ) -> DenseTokens:
        """Return the network for ``bands``."""
        made = cast(DenseTokens, super().from_config(config, bands=bands, image_size=image_size))
        made.count = len(bands)
        made.decoder = Pyramid([config.embed_dim], config.in_channels(bands), channels, config.width)
        made.encoder.requires_grad_(not config.freeze)
        return made

    count: int

    @property
    def wrapper(self) -> type[AnyBands]:
        """What gives it its bands."""
        return DenseBands

    def require(self, bands: Bands) -> None:
        """Raise a `DataError` for another number of bands."""
        super().require(bands)
        if len(bands) != self.count:
            raise DataError(
                f"the model is for {self.count} bands, the data have {len(bands)}",
                fix="give the bands of the training: its encoder takes any, its decoder does not",
            )

    def fsdp_blocks(self) -> Iterator[nn.Module]:
        """Yield the units of FSDP and of recomputation."""
        yield from self.encoder.blocks


class DenseBands(AnyBands):
    """What gives `DenseTokens` its bands: a batch becomes tokens, their map, and from it a number of each pixel."""

    any_bands = False

    def forward(self, batch: Batch | Tokens, plan: Any = None, *, everything: bool = False) -> Tensor:
        """Return [B,channels,H,W]."""
        assert isinstance(batch, Batch)
        image = self.inputs(batch)
        found = self.net.feature_map(self.tokens(batch))
        out: Tensor = cast(DenseTokens, self.network).decoder([found.to(image.dtype)], image)
        return out
