"""Embeds splits into an open file, with a word now and then of how far it is."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from ...config import Config
from ...data.loader import Loader
from ...data.order import EvalOrder
from ...data.patches import Patches
from ...data.values import Values
from ...models.banded import BandedModel
from ...training.embedding import What, embed_batches
from ...training.processes.devices import autocast_dtype
from .file import Floats, write_split

log = logging.getLogger("spectrain")

SAY_EVERY = 10.0
"""Seconds between two lines of progress."""


def write_splits(
    file: h5py.File,
    cfg: Config,
    model: BandedModel,
    chosen: list[Patches],
    what: What,
    device: torch.device,
    batch_size: int,
) -> None:
    """Embed the splits one after the other into an open file; memory is that of a few batches."""
    model = model.to(device)
    if model.convolves:
        model = model.to(memory_format=torch.channels_last)
    augmentation = cfg.augmentation.build(bands=model.bands)
    amp = autocast_dtype(cfg.general.use_amp, device)
    for patches in chosen:
        values = Values(patches.bands, cfg.dataset.transform)
        order = EvalOrder(len(patches), batch_size)
        progress = _Progress(patches.split, len(patches))
        with Loader(patches, num_workers=cfg.general.num_workers, pin_memory=device.type == "cuda") as loader:
            rows = embed_batches(
                model,
                augmentation,
                values,
                loader,
                order.batches(),
                what=what,
                amp=amp,
            )
            first = next(rows)
            ids = patches.ids()
            parts = progress.of(_chain(first, rows))
            write_split(file, patches.split, ids, first[1].shape[1], parts)
        progress.end()


def _chain(
    first: tuple[torch.Tensor, torch.Tensor], rest: Iterator[tuple[torch.Tensor, torch.Tensor]]
) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """Yield all parts on the host."""
    yield first[0].cpu().numpy(), first[1].cpu().numpy()
    for index, rows in rest:
        yield index.cpu().numpy(), rows.cpu().numpy()


class _Progress:
    """Says how far a split is, now and then, and at the end how many images could not be embedded."""

    def __init__(self, split: str, size: int) -> None:
        self.split, self.size, self.done, self.unseen = split, size, 0, 0
        self.begun = self.said = time.monotonic()

    def of(self, parts: Iterator[tuple[NDArray[np.int64], Floats]]) -> Iterator[tuple[NDArray[np.int64], Floats]]:
        """Pass the parts on, and count."""
        for index, rows in parts:
            yield index, rows
            kept = index >= 0
            self.done += int(kept.sum())
            self.unseen += int((np.isnan(rows).any(axis=1) & kept).sum())
            if time.monotonic() - self.said > SAY_EVERY:
                self.said = time.monotonic()
                log.info("%s: %d of %d images, %.0f a second", self.split, self.done, self.size, self.rate)

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.done / max(time.monotonic() - self.begun, 1e-9)

    def end(self) -> None:
        """Say what was done."""
        log.info("%s: %d images embedded, %.0f a second", self.split, self.done, self.rate)
        if self.unseen:
            log.warning("%s: %d images hold no valid pixel; their embedding is NaN", self.split, self.unseen)
