"""Embeddings of images as they are, by the way that training prepared them; for probes and for `spectrain embed`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.batch import Batch
from ..core.errors import SpectrainError
from ..data.loader import Loader
from ..data.mixture import ByDataset
from ..data.values import Values
from ..models.banded import BandedModel
from .processes.devices import autocast

What = Literal["features", "projection"]


@torch.no_grad()
def embed_batches(
    model: BandedModel,
    augmentation: Any,
    values: Values | ByDataset,
    loader: Loader,
    batches: Iterable[NDArray[np.int64]],
    *,
    what: What = "features",
    amp: torch.dtype | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the indices [B] and embeddings float32 [B,D] of each batch, on the model's device.

    Each image is seen as in training, less the chance: the same values, the crop in the centre at the same zoom, its
    mean removed where training removed it. The model is in eval mode meanwhile. An image that the
    encoder sees nothing of has an embedding of NaN.

    Args:
        model: any with `features`.
        augmentation: of the training; what it does without chance is its method ``centred``, and one that has none
            leaves images as they are.
        values: from stored to physical values.
        loader: of the patches.
        batches: indices; -1 for padding, which is yielded too.
        what: "features", the encoder's coarsest map averaged over its pixels; or "projection", the model's output,
            which is what the loss compared (the latents of the published code).
        amp: type of mixed precision, or None.

    Raises:
        SpectrainError: the model has no such vector.
    """
    device, was_training = model.device, model.training
    centred = getattr(augmentation, "centred", None)
    model.eval()
    try:
        for raw in loader.load(batches):
            batch: Batch = values(raw.to(device, non_blocking=True))
            if centred is not None:
                batch = centred(batch)
            if model.convolves:
                batch = batch.replace(image=batch.image.contiguous(memory_format=torch.channels_last))
            with autocast(device, amp):
                rows = model.pooled(batch) if what == "features" else _projection(model, batch)
            yield raw.index, _without_unseen(rows.float(), model, batch)
    finally:
        model.train(was_training)


def _projection(model: BandedModel, batch: Batch) -> Tensor:
    """Return the model's output [B,D].

    Raises:
        SpectrainError: it is something else than a vector an image.
    """
    output: Tensor = model(batch)
    if output.dim() != 2:
        name = type(model.network).__name__
        raise SpectrainError(
            f"{name} has no projection: it returns {list(output.shape[1:])} numbers an image, and not one vector, as "
            "contrastive models do",
            where="what=projection",
            fix="leave --what out (what=features): the encoder's features are averaged to one vector an image",
        )
    return output


def _without_unseen(rows: Tensor, model: BandedModel, batch: Batch) -> Tensor:
    """Return the rows, with NaN for images of which the encoder saw nothing."""
    if batch.all_valid:
        return rows
    return torch.where(model.seen(batch)[:, None], rows, rows.new_full((), torch.nan))
