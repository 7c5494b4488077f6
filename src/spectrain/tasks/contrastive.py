"""Contrastive learning: two augmented views of an image are to be embedded near each other, and far from all others."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from ..config.option import option
from ..core.batch import Batch
from ..core.distributed import world_size
from ..core.errors import DataError
from ..core.targets import ClassLabel, NoTarget, Target
from ..data.sparse_labels import Labels
from ..losses.supcon import SupConLoss
from .base import Step, Task

logger = logging.getLogger(__name__)

Method = Literal["simclr", "supcon"]


class Contrastive(Task):
    """SimCLR (Chen et al., ICML 2020) without labels, SupCon (Khosla et al., NeurIPS 2020) with a class an image.

    The loss couples the images of a batch, so micro-batches are not summed: the loop embeds each and takes the loss of
    all embeddings together, view-major over the whole of them.

    The loss grows with the number of images that are compared (a collapsed encoder gives ``log(2B - 1)``), so a
    validation loss over whatever the batch size is could not be compared between runs. It is therefore taken over
    groups of ``valid_group`` consecutive validation images: the split is cut into ceil(N / valid_group) groups of
    equal size, and only N and ``valid_group`` decide which images meet. The training loss is that of a step
    (``batch_size * accumulate_grad_batches * processes`` images): compare it with the validation loss where that is
    ``valid_group`` too.

    Args:
        loss: the loss of embeddings.
        metric: a metric part, or None.
        plot: a show_prediction part, or None.
        method: "simclr" or "supcon".
        valid_group: images that a validation loss compares.

    Raises:
        ValueError: the method is unknown.
    """

    views = 2
    additive = False
    exports = "embedding"

    @dataclass(frozen=True)
    class Config:
        """Keys of ``task=contrastive``."""

        method: Method = option("simclr", "simclr needs no labels; supcon attracts images of one class to each other")
        valid_group: int = option(
            256, "images that a validation loss compares with each other, whatever the batch size", minimum=2
        )

    def __init__(
        self,
        loss: SupConLoss,
        metric: Any = None,
        plot: Any = None,
        method: Method = "simclr",
        valid_group: int = 256,
    ) -> None:
        if method not in get_args(Method):
            raise ValueError(f"the method is one of {', '.join(get_args(Method))}, not {method!r}")
        self.criterion, self.metric, self.plot, self.method = loss, metric, plot, method
        self.evaluation_group = valid_group
        self._warned = False

    @classmethod
    def from_config(cls, config: Config, *, loss: SupConLoss, metric: Any, plot: Any) -> Contrastive:
        """Return the configured task."""
        return cls(loss, metric, plot, config.method, config.valid_group)

    def targets(self, labels: Labels | None) -> Target:
        """Return the classes [B] as a target.

        In simclr they are passed on too, for metrics that look how well classes come apart; what is no class is left.

        Raises:
            DataError: supcon, and the labels are missing or not one integer an image.
        """
        if isinstance(labels, np.ndarray) and labels.ndim == 1 and labels.dtype.kind in "iub":
            return ClassLabel(torch.from_numpy(labels.astype(np.int64)))
        if self.method == "simclr":
            return NoTarget()
        has = "has none" if labels is None else f"has {labels.dtype} {list(labels.shape)} for each batch"
        raise DataError(
            f"supcon needs one integer class an image, and the data {has}",
            where="dataset.labels_key",
            fix="name the dataset of classes in dataset.labels_key, or take task.method=simclr",
        )

    def loss(self, model: nn.Module, batch: Batch) -> Step:
        """Return the loss of a batch of views."""
        return self.loss_of(self.outputs(model, batch), batch)

    def outputs(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the embeddings [V*B,D]."""
        embeddings: Tensor = model(batch)
        return embeddings

    def loss_of(self, outputs: Tensor, batch: Batch) -> Step:
        """Return the loss of embeddings [V*B,D] whose rows are those of ``batch``; padding has no part in it.

        Raises:
            TypeError: supcon, and the batch's target is not that of `targets`.
        """
        self._warn_if_alone(outputs.shape[0] // batch.views)
        labels = None
        if self.method == "supcon":
            if not isinstance(batch.target, ClassLabel):
                raise TypeError(f"supcon compares classes, and the batch holds {type(batch.target).__name__}")
            labels = batch.target.y
        return Step(self.criterion.sums(outputs, batch.views, labels, batch.real), output=outputs)

    def remarks(self, training: int, validation: int) -> dict[str, str]:
        """Return how many images each loss compares, and what a collapsed encoder would have."""
        if not hasattr(self.criterion, "base_temperature"):  # a plugin's
            return {}
        text = (
            f"Training compares {training} images, and a collapsed encoder would have {self._collapsed(training):.2f}"
        )
        if validation:
            assert self.evaluation_group is not None
            group = -(-validation // -(-validation // self.evaluation_group))
            text += f"; validation compares {group}, and it would have {self._collapsed(group):.2f}"
        return {"loss": text}

    def _collapsed(self, images: int) -> float:
        """Return the loss where all embeddings are the same."""
        scale = self.criterion.temperature / self.criterion.base_temperature
        return scale * math.log(max(1, self.views * images - 1))

    def _warn_if_alone(self, samples: int) -> None:
        """Say once that a batch of one image teaches nothing: there is nothing to be far from."""
        if samples * world_size() == 1 and not self._warned:
            logger.warning(
                "a batch of one image has no negatives: its loss is 0 and it teaches nothing; raise the batch size"
            )
            self._warned = True
