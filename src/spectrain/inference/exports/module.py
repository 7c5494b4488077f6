"""The trained model as one module on one tensor: physical values in, NaN where missing, and all of training's steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ...augment.finish import remove_mean
from ...core.bands import Bands
from ...core.batch import Batch
from ...core.targets import NoTarget
from ...data.values import Values
from ...tasks.base import Task
from ...training.trained.model import Trained

EMBEDDING = "embedding"


class ExportedModel(nn.Module):
    """What an exported graph computes: transform, standardisation, holes, and the network.

    The steps are those of training and `predict`: the same `Values` and the same `BandedModel`.

    Args:
        trained: the run; of a model for any bands the first band set that it was trained on.
        task: what is exported of the network's output, see `Task.exports`.

    Attributes:
        remarks: what a user of the graph has to do by himself, in words.
    """

    def __init__(self, trained: Trained, task: Task) -> None:
        super().__init__()
        self.model, self.task, self.exports = trained.model, task, task.exports
        self.bands = Bands.from_json(trained.meta["bands"])
        self.values = physical_values(self.bands, trained.cfg.dataset.transform)
        augmentation = trained.cfg.augmentation.options
        self.demean: str = getattr(augmentation, "demean", "none") if self.exports == EMBEDDING else "none"
        self.remarks = tuple(_remarks(trained, augmentation, self.exports))
        self.values.measure(torch.ones(1, len(self.bands), 1, 1), None)  # its constants are not part of the graph
        if task.channels is not None:
            task.exported(torch.zeros(1, task.channels, 1, 1))  # likewise

    def forward(self, image: Tensor) -> Tensor:
        """Return the output, float32, for images [B,C,H,W], float32, in physical values with NaN where missing."""
        shown, valid = self.values.measure(image, None)
        assert valid is not None  # floats may be NaN
        index = torch.arange(image.shape[0], device=image.device)
        return self.of_batch(Batch(shown, valid, NoTarget(), index, all_valid=False))

    def of_batch(self, batch: Batch) -> Tensor:
        """Return the output for a batch as training made it; images without anything seen have embeddings of NaN."""
        if self.demean != "none":
            image = batch.filled().clone()
            kept = None if batch.all_valid else batch.valid.to(image.dtype)
            remove_mean(image, kept, per_band=self.demean == "band")
            batch = batch.replace(image=image)
        if self.exports != EMBEDDING:
            return self.task.exported(self.model(batch).float())
        rows = self.model.pooled(batch)
        if batch.all_valid:
            return rows
        return torch.where(self.model.seen(batch)[:, None], rows, torch.nan)


def physical_values(bands: Bands, transform: str | Sequence[str]) -> Values:
    """Return the way from physical values, NaN where missing, to those that the model was trained on.

    Scale, offset and nodata are done already; so is ``reflectance``, which is a scale.
    """
    plain = Bands(replace(band, scale=1.0, offset=0.0, nodata=None) for band in bands)
    names = transforms_of(bands, transform)
    return Values(plain, ["none" if name == "reflectance" else name for name in names])


def transforms_of(bands: Bands, transform: str | Sequence[str]) -> list[str]:
    """Return the transform of each band."""
    return [transform] * len(bands) if isinstance(transform, str) else list(transform)


def _remarks(trained: Trained, augmentation: Any, exports: str) -> list[str]:
    found = []
    if trained.meta.get("more"):
        found.append("the model was trained on several band sets; this is of the first")
    if exports != EMBEDDING:
        return found
    if (crop := getattr(augmentation, "crop", None)) is not None:
        found.append(f"training zoomed windows of {crop} px to whole images; `spectrain embed` does so with the middle")
    if (size := getattr(augmentation, "size", None)) is not None:
        found.append(f"training looked at windows of {size} px; `spectrain embed` takes the middle one")
    return found
