"""The contrastive model: a residual encoder and a projection head that ends on the unit sphere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

from torch import Tensor, nn
from torch.nn import functional as F

from ..config.option import option
from ..core.bands import Bands
from .banded import ModelConfig
from .resnet import ResNet, ResNetName, Stem

Head = Literal["mlp", "linear"]
BACKBONE = "|".join(get_args(ResNetName)) + r"|.*[/.].*"
"""What ``model.backbone`` can be: a name, or a path (``./run`` for a folder beside)."""


class SupConResNet(nn.Module):
    """ResNet with a projection head, for contrastive learning (Khosla et al., NeurIPS 2020; Chen et al., ICML 2020).

    The encoder's pooled vector is what later tasks use; the projection is what the loss compares.

    Args:
        name: "resnet18", "resnet34", "resnet50" or "resnet101".
        head: "mlp" (two layers with a ReLU between) or "linear".
        feat_dim: length of the projection.
        in_channels: bands of the images, and their mask channels where they have some.
        stem: "small" or "large"; see `ResNet`.

    Raises:
        ValueError: name, head or stem is unknown.

    Example:
        >>> model = SupConResNet("resnet18", feat_dim=64, in_channels=4)
        >>> model(torch.randn(8, 4, 64, 64)).shape
        torch.Size([8, 64])
    """

    @dataclass(frozen=True)
    class Config(ModelConfig):
        """Keys of ``model=supcon_resnet``."""

        backbone: ResNetName | str = option(
            "resnet50",
            "the encoder: resnet18, resnet34, resnet50, resnet101, or that of a run or checkpoint by path, as ./RUN",
            pattern=BACKBONE,
        )
        stem: Stem = option("small", "small for images of about 32 to 96 px; large is 16 times cheaper")
        head: Head = option("mlp", "the projection: two layers or one")
        feat_dim: int = option(128, "length of the projection", minimum=1)

    def __init__(
        self,
        name: ResNetName = "resnet50",
        head: Head = "mlp",
        feat_dim: int = 128,
        in_channels: int = 1,
        stem: Stem = "small",
    ) -> None:
        super().__init__()
        self.encoder = ResNet(name, in_channels, stem)
        dim = self.encoder.dim
        if head == "mlp":
            self.head: nn.Module = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(inplace=True), nn.Linear(dim, feat_dim))
        elif head == "linear":
            self.head = nn.Linear(dim, feat_dim)
        else:
            raise ValueError(f"the head is one of {', '.join(get_args(Head))}, not {head!r}")

    @classmethod
    def from_config(cls, config: Config, *, bands: Bands, image_size: tuple[int, int]) -> SupConResNet:
        """Return the model for ``bands``; any image size will do."""
        name = cast(ResNetName, config.backbone)  # a path has become a name before a model is built
        return cls(name, config.head, config.feat_dim, config.in_channels(bands), config.stem)

    def forward(self, x: Tensor) -> Tensor:
        """Return unit vectors, float32 [B, feat_dim], for images [B,C,H,W].

        Normalised in float32 whatever the layers ran in: at a temperature of 0.07 the rounding of bfloat16 would show.
        """
        return F.normalize(self.head(self.encoder(x)).float(), dim=1)

    def features(self, x: Tensor) -> list[tuple[int, Tensor]]:
        """Return the encoder's maps with their strides; see `ResNet.features`."""
        return self.encoder.features(x)
