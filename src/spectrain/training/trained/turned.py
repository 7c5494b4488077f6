"""A model that sees each image in all its turns and flips, for tests and maps that may take eight times as long."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...core.batch import Batch


class Turned(nn.Module):
    """The mean of what a model says of an image's eight turns and flips, turned back.

    Averaged are the model's own numbers: logits, means and log-variances. What is seen from above has no up and down,
    and a network learns that only nearly. Of images that are not square the four that keep their shape are taken.

    Args:
        model: takes a `Batch` and returns [B,T,H,W].
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.convolves = getattr(model, "convolves", True)

    def forward(self, batch: Batch) -> Tensor:
        """Return [B,T,H,W]."""
        height, width = batch.image.shape[2:]
        steps = range(8) if height == width else range(0, 8, 2)
        total: Tensor | None = None
        for step in steps:
            seen = batch.replace(image=turn(batch.image, step), valid=turn(batch.valid, step))
            found = turn(self.model(seen), step, back=True)
            total = found if total is None else total + found
        assert total is not None
        return total / len(steps)


def turn(values: Tensor, step: int, *, back: bool = False) -> Tensor:
    """Return [B,C,H,W] by ``step`` quarter turns, from 4 on flipped after them; ``back`` undoes it."""
    if back:
        unflipped = values.flip(3) if step >= 4 else values
        return torch.rot90(unflipped, -step % 4, (2, 3))
    turned = torch.rot90(values, step % 4, (2, 3))
    return turned.flip(3) if step >= 4 else turned
