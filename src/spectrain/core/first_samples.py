"""The first few samples of a batch, copied, so that the rest of it need not be kept for a picture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .batch import Batch
from .reconstruction import Reconstruction
from .regressed import Regressed
from .segmented import Segmented
from .targets import ClassLabel, ClassMap, NoTarget


def first_samples(output: Any, batch: Batch, count: int) -> tuple[Any, Batch]:
    """Return what a model made of the first ``count`` samples of a batch, and these, each with all of its views.

    Nothing of the result holds on to the memory of the whole batch. What it cannot tell the rows of (an output that is
    neither a `Reconstruction`, nor a `Segmented`, nor a `Regressed` of every pixel, nor a tensor with a row for each of
    the batch; a target that is no class) stays as it is, and with it the batch.

    Args:
        output: of the model.
        batch: what it was shown.
        count: 0 keeps none.
    """
    samples = len(batch.index) // batch.views
    of_rows = (
        isinstance(output, Reconstruction | Segmented)
        or (isinstance(output, Regressed) and output.row is None)
        or (isinstance(output, Tensor) and output.shape[:1] == batch.index.shape)
    )
    if count >= samples or not of_rows or not isinstance(batch.target, NoTarget | ClassLabel | ClassMap):
        return output, batch

    def kept(values: Tensor) -> Tensor:
        if not any(values.stride()):  # one number throughout, as where all is valid; it stays so small
            return values[:1].expand(count * batch.views, *values.shape[1:])
        return torch.cat([view[:count] for view in values.chunk(batch.views)])

    target = batch.target if isinstance(batch.target, NoTarget) else type(batch.target)(kept(batch.target.y))
    fewer = batch.replace(image=kept(batch.image), valid=kept(batch.valid), target=target, index=kept(batch.index))
    if isinstance(output, Tensor):
        return kept(output), fewer
    if isinstance(output, Segmented):
        return replace(output, logits=kept(output.logits), y=kept(output.y)), fewer
    names = ["prediction", "target", "valid", "masked"]
    if isinstance(output, Regressed):
        names = ["mean", "log_variance", "y", "valid", "quantiles"]
    parts = {name: getattr(output, name) for name in names}
    return replace(output, **{name: None if one is None else kept(one) for name, one in parts.items()}), fewer
