"""Segmentation: the class of each pixel, from labelled pixels; those that are not labelled do not count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..config.option import option
from ..core.batch import Batch
from ..core.errors import DataError
from ..core.segmented import Segmented, logit_channels
from ..core.step import Step, mean_step
from ..core.targets import IGNORED, ClassMap, Target
from ..data.sparse_labels import Labels, SparseLabels
from ..losses.segmentation import SegmentationLoss
from ..metrics.base import read_sums
from ..metrics.segmentation import PUBLISHED, precision_recall, roc
from .base import Layer, Task
from .layers import class_layers, class_maps, class_quantities

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CLASSES = IGNORED
"""Classes are 0 to 254; 255 is what does not count."""


class Segmentation(Task):
    """Semantic segmentation of two or more classes, with logits throughout.

    A pixel counts where it is labelled and at least one of its bands is valid.

    Args:
        loss: see `SegmentationLoss`.
        classes: how many there are, 2 to 255.
        ignore: stored labels that mean "does not count".
        names: of the classes; made up where there are none.
        metric: a metric part, or None.
        plot: a show_prediction part, or None.

    Raises:
        DataError: the number of classes is not known, or there are not as many names.
    """

    published = PUBLISHED
    exports = "logits"

    @dataclass(frozen=True)
    class Config:
        """Keys of ``task=segmentation``."""

        classes: int | None = option(
            None, "how many classes there are, from 0; null counts them in the labels", minimum=2, maximum=MOST_CLASSES
        )
        ignore: list[int] = option([IGNORED], "stored labels that do not count")
        class_names: list[str] = option([], "names of the classes, for tables and maps; null takes those of the data")

    def __init__(
        self,
        loss: SegmentationLoss,
        classes: int | None,
        ignore: Sequence[int] = (IGNORED,),
        names: Sequence[str] = (),
        metric: Any = None,
        plot: Any = None,
    ) -> None:
        if classes is None:
            raise DataError("how many classes there are is not known", where="task.classes", fix="set task.classes")
        if names and len(names) != classes:
            raise DataError(f"{len(names)} names for {classes} classes", where="task.class_names", fix="name each")
        self.criterion, self.metric, self.plot = loss, metric, plot
        self.classes, self.ignore = classes, tuple(ignore)
        self.names = tuple(names) or tuple(f"class {number}" for number in range(classes))

    @classmethod
    def from_config(cls, config: Config, *, loss: SegmentationLoss, metric: Any, plot: Any) -> Segmentation:
        """Return the configured task."""
        return cls(loss, config.classes, config.ignore, config.class_names, metric, plot)

    @property
    def channels(self) -> int:
        """Logits a pixel: one for two classes."""
        return logit_channels(self.classes)

    def targets(self, labels: Labels | None) -> Target:
        """Return labels [B,H,W] or [B,1,H,W] as a `ClassMap`; NaN does not count.

        Raises:
            DataError: there are none, they are of one number an image, or one is no class.
        """
        return ClassMap(torch.from_numpy(class_map(labels, self.classes, self.ignore)))

    def loss(self, model: nn.Module, batch: Batch) -> Step:
        """Return the loss of a batch; the step's output is `Segmented`."""
        logits: Tensor = model(batch)
        found = Segmented(logits.float(), self._truth(batch), self.names)
        loss, parts = self.criterion.sums(found)
        return Step(loss, parts, Segmented(found.logits.detach(), found.y, self.names))

    def ensemble(self, steps: Sequence[Step]) -> Step:
        """Return the step of several models: logits of their mean probabilities, as in a map."""
        probabilities = torch.stack([class_quantities(step.output.logits) for step in steps]).mean(0)
        logits = probabilities.logit(eps=1e-7) if probabilities.shape[1] == 1 else probabilities.clamp(min=1e-30).log()
        return mean_step(steps, Segmented(logits, steps[0].output.y, self.names))

    def _truth(self, batch: Batch) -> Tensor:
        """Return the classes, 255 where a pixel does not count."""
        if not isinstance(batch.target, ClassMap):
            raise DataError("segmentation needs maps of classes", where="the data", fix="give labels of each pixel")
        return torch.where(batch.counted, batch.target.y, IGNORED)

    def layers(self, members: int = 1) -> tuple[Layer, ...]:
        """Return the layers class and probability, and of an ensemble its spread."""
        return class_layers(self.names, members)

    def quantities(self, output: Tensor) -> Tensor:
        """Return probabilities [B,1 or K,H,W]."""
        return class_quantities(output)

    def maps(self, quantities: Tensor) -> dict[str, Tensor]:
        """Return the class of the members' mean probability, that mean, and the members' deviation from it."""
        return class_maps(quantities)

    def exported_as(self) -> dict[str, Any]:
        """Return the classes, and that no sigmoid or softmax was taken."""
        return {"activation": "logits", "classes": list(self.names)}

    def figures(self, sums: dict[str, Tensor]) -> dict[str, Figure]:
        """Return ``confusion``, ``roc`` and ``precision_recall`` of the sums of `SegmentationMetric`; else nothing."""
        if not {"confusion", "scores"} <= set(sums):
            return {}
        from ..plots.scores import draw_confusion, draw_precision_recall, draw_roc  # matplotlib takes half a second

        host = read_sums(sums)
        curves = dict(zip(self.names[1:] if self.classes == 2 else self.names, host["scores"], strict=True))
        return {
            "confusion": draw_confusion(host["confusion"].numpy(), self.names),
            "roc": draw_roc({name: roc(one) for name, one in curves.items()}),
            "precision_recall": draw_precision_recall({name: precision_recall(one) for name, one in curves.items()}),
        }


def class_map(labels: Labels | None, classes: int | None, ignore: Sequence[int]) -> NDArray[np.int16]:
    """Return stored labels as classes int16 [B,H,W], 255 where one does not count; see `Segmentation.targets`.

    ``classes`` None takes any class.
    """
    if labels is None:
        raise DataError(
            "segmentation needs labels, and the data have none", where="the data", fix="give a map of classes an image"
        )
    if not isinstance(labels, SparseLabels) and labels.ndim == 4 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 3:
        raise DataError(
            f"segmentation needs one class a pixel, [B,H,W], not labels of shape {labels.shape}",
            where="the data",
            fix="give labels of the height and width of the images",
        )
    values: NDArray[Any] = np.asarray(labels)
    skipped = np.isin(values, list(ignore))
    if values.dtype.kind == "f":
        skipped |= np.isnan(values)
    kept = values[~skipped]
    wrong = (kept < 0) | (kept >= (MOST_CLASSES if classes is None else classes)) | (kept != np.round(kept))
    if wrong.any():
        raise DataError(
            f"the label {kept[wrong][0]} is no class: these are 0 to {(classes or MOST_CLASSES) - 1}",
            where="the labels",
            fix=f"set task.ignore=[{kept[wrong][0]:g}] if it means 'not labelled', or task.classes if there are more",
        )
    found: NDArray[np.int16] = np.where(skipped, 0, values).astype(np.int16)
    found[skipped] = IGNORED  # which signed bytes cannot hold
    return found
