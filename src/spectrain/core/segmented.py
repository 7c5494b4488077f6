"""What a model that names the class of each pixel made of a batch, for the metrics and the pictures."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from .targets import IGNORED


@dataclass(frozen=True, slots=True)
class Segmented:
    """Scores of classes beside the classes that are there.

    Attributes:
        logits: float32 [B,1,H,W] for two classes (above 0 is class 1), else [B,K,H,W].
        y: int16 [B,H,W], classes from 0; 255 where nothing counts: not labelled, no image, or a row that fills up.
        names: of the K classes.
    """

    logits: Tensor
    y: Tensor
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        batch, channels, height, width = self.logits.shape
        if self.y.shape != (batch, height, width):
            raise ValueError(f"logits {tuple(self.logits.shape)} and classes {tuple(self.y.shape)} differ in shape")
        if channels != logit_channels(len(self.names)):
            raise ValueError(f"{channels} logits for {len(self.names)} classes")

    @property
    def counted(self) -> Tensor:
        """Bool [B,H,W]."""
        return self.y != IGNORED

    @property
    def predicted(self) -> Tensor:
        """The likeliest class, int64 [B,H,W]."""
        if self.logits.shape[1] == 1:
            return (self.logits[:, 0] >= 0).long()
        return self.logits.argmax(1)

    @property
    def probabilities(self) -> Tensor:
        """Float32 [B,H,W] of class 1 where there are two, else [B,K,H,W]."""
        return self.logits[:, 0].sigmoid() if self.logits.shape[1] == 1 else self.logits.softmax(1)


def logit_channels(classes: int) -> int:
    """Return how many numbers a pixel a model gives for so many classes: one for two, as their scores only differ."""
    return 1 if classes == 2 else classes
