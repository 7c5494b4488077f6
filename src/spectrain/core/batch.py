"""What the loop sees: a batch of images with their validity, target and identity."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from .fill import fill_invalid
from .random import Key
from .targets import Target


@dataclass(frozen=True, slots=True)
class RawBatch:
    """A batch as it was stored, on its way to the device: half the bytes of a float batch for 16-bit data.

    Attributes:
        image: [B,C,H,W] in the stored type (float kinds may hold NaN).
        mask: bool [B,1,H,W] or [B,C,H,W], True where observed; None where the data have no mask.
        target: what the task made of the stored labels.
        index: int64 [B], each sample's place in its split; -1 for rows that only fill up the last batch.
        dataset: which of several joined data sets the rows are of; known on the host.
    """

    image: Tensor
    mask: Tensor | None
    target: Target
    index: Tensor
    dataset: int = 0

    def to(self, device: torch.device | str, non_blocking: bool = False) -> RawBatch:
        """Return the batch on ``device``."""
        return RawBatch(
            self.image.to(device, non_blocking=non_blocking),
            None if self.mask is None else self.mask.to(device, non_blocking=non_blocking),
            self.target.to(device, non_blocking=non_blocking),
            self.index.to(device, non_blocking=non_blocking),
            self.dataset,
        )

    def pin_memory(self) -> RawBatch:
        """Return the batch in page-locked memory; the target, small as it is, stays."""
        mask = None if self.mask is None else self.mask.pin_memory()
        return RawBatch(self.image.pin_memory(), mask, self.target, self.index.pin_memory(), self.dataset)


NO_KEY = Key(0, "none")
"""Of batches that nothing is drawn for."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch on the device, in physical (later: transformed, augmented) values.

    Attributes:
        image: float32 [B,C,H,W]; what stands where ``valid`` is False is finite and means nothing.
        valid: bool [B,C,H,W]; a broadcast view where everything is valid.
        target: the labels, if any.
        index: int64 [B], each sample's place in its split; -1 for padding.
        all_valid: known on the host: the data set has no missing value, so nobody needs to look at ``valid``.
        views: how many views of each sample the rows hold, view-major (V * B rows: all first views, then all second).
        dataset: which of several joined data sets the rows are of; known on the host.
        key: the stream of what is drawn besides the augmentation (masks), for this look at the samples.
    """

    image: Tensor
    valid: Tensor
    target: Target
    index: Tensor
    all_valid: bool
    views: int = 1
    dataset: int = 0
    key: Key = NO_KEY

    def __post_init__(self) -> None:
        if self.image.shape != self.valid.shape:
            raise ValueError(f"image {tuple(self.image.shape)} and valid {tuple(self.valid.shape)} differ in shape")
        if self.index.shape[0] != self.image.shape[0]:
            raise ValueError(f"{self.index.shape[0]} indices for {self.image.shape[0]} images")

    @property
    def real(self) -> Tensor:
        """Bool [B], False for rows that only fill up the last batch of an evaluation."""
        return self.index >= 0

    @property
    def counted(self) -> Tensor:
        """Bool [B,H,W], the pixels whose labels count: of no padding, any band valid; may be a broadcast view."""
        real = self.real[:, None, None]
        if self.all_valid:
            return real.expand(self.image.shape[0], *self.image.shape[2:])
        return real & self.valid.any(1)

    def replace(self, **changes: Any) -> Batch:
        """Return the batch with other fields."""
        return replace(self, **changes)

    def filled(self, value: float = 0.0) -> Tensor:
        """Return the image with ``value`` where it is not valid; the image itself where all is."""
        return self.image if self.all_valid else fill_invalid(self.image, self.valid, value)


def stack_views(views: list[Batch]) -> Batch:
    """Join views of the same samples into one batch, view-major.

    The target stands once for each view; views of one sample share its index. A view without a single valid pixel
    shows nothing and becomes padding (index -1): it is neither anchor, positive nor negative.
    """
    first = views[0]
    if len(views) == 1:
        return first
    return Batch(
        image=torch.cat([view.image for view in views]),
        valid=_cat_valid(views),
        target=first.target.repeat(len(views)),
        index=torch.cat([_seen(view) for view in views]),
        all_valid=first.all_valid,
        views=len(views),
        dataset=first.dataset,
        key=first.key,
    )


def _cat_valid(views: list[Batch]) -> Tensor:
    """Join validity without writing it out where it is known to be True everywhere."""
    if views[0].all_valid:
        return everywhere(
            torch.Size((len(views) * views[0].image.shape[0], *views[0].image.shape[1:])),
            views[0].image.device,
        )
    return torch.cat([view.valid for view in views])


def _seen(view: Batch) -> Tensor:
    """Return the index, with -1 for images that hold no valid pixel."""
    if view.all_valid:
        return view.index
    return torch.where(view.valid.flatten(1).any(dim=1), view.index, -1)


def everywhere(shape: torch.Size, device: torch.device) -> Tensor:
    """Return a bool tensor that is True everywhere and takes one byte."""
    return torch.ones((), dtype=torch.bool, device=device).expand(shape)
