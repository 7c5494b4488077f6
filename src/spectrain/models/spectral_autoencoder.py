"""A small autoencoder of spectra: each pixel by itself, through a bottleneck of a few numbers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from ..config.option import option
from ..core.bands import Bands
from ..core.errors import ConfigError, Problem
from .banded import ModelConfig


class SpectralAutoencoder(nn.Module):
    """Layers of 1 x 1 convolutions with a ReLU between, to a bottleneck and back (the small model of SpectralEye).

    It hides nothing: what it learns is which few numbers a spectrum can be told from. Of one band set.

    Args:
        in_channels: bands of the images, and their mask channels where they have some.
        out_channels: bands to reconstruct.
        widths: of the layers to the bottleneck, the last being the bottleneck's.
    """

    @dataclass(frozen=True)
    class Config(ModelConfig):
        """Keys of ``model=spectral_autoencoder``."""

        widths: list[int] = option(
            [256, 128, 64, 32, 3], "widths of the layers to the bottleneck, its own last", minimum=1
        )

        def __post_init__(self) -> None:
            """Raise a `ConfigError` where there is no bottleneck."""
            if not self.widths:
                fix = "name at least that of the bottleneck, as [256, 128, 64, 32, 3]"
                raise ConfigError([Problem("model.widths", "model", "must name a width", fix)])

    def __init__(self, in_channels: int, out_channels: int, widths: list[int]) -> None:
        super().__init__()
        self.encoder = _layers([in_channels, *widths])
        self.head = _layers([*reversed(widths), out_channels])

    @classmethod
    def from_config(cls, config: Config, *, bands: Bands, image_size: tuple[int, int] | None) -> SpectralAutoencoder:
        """Return the model for ``bands``; any image size will do."""
        return cls(config.in_channels(bands), len(bands), config.widths)

    def forward(self, x: Tensor) -> Tensor:
        """Return the reconstruction, float32 [B,C,H,W]."""
        out: Tensor = self.head(self.encoder(x).relu())
        return out.float()

    def features(self, x: Tensor) -> list[tuple[int, Tensor]]:
        """Return the bottleneck [B,F,H,W], with its stride of 1."""
        return [(1, self.encoder(x))]


def _layers(widths: list[int]) -> nn.Sequential:
    """Return 1 x 1 convolutions with a ReLU between each two."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 1), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
