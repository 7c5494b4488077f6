"""The contract of a task: targets, loss, metrics, picture. Nothing else in the product knows labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from ..core.batch import Batch
from ..core.errors import RunError, SpectrainError
from ..core.first_samples import first_samples
from ..core.step import Step
from ..core.targets import NoTarget, Target
from ..data.sparse_labels import Labels
from ..metrics.base import Metrics, Tables
from .layers import Layer

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from ..metrics.labelled import LabelledPixels

__all__ = ["Layer", "Metrics", "Step", "Task"]


class Task(ABC):
    """What is learned.

    Attributes:
        views: how many augmented views of each sample a batch holds.
        additive: the loss of a batch is the sum of the losses of its parts, so micro-batches may be summed. A task
            whose loss couples the samples of a batch (contrastive) says False and splits `loss` into `outputs` and
            `loss_of`; the loop then caches the outputs of all micro-batches (gradient caching).
        published: names by which users of another system know values of ours; both are logged.
        headline: the scores that the last line of a training says of its test; () says the first few.
        evaluation_group: where samples are coupled, how many of them an evaluated loss compares (over all processes),
            so that it depends neither on the batch size nor on the number of processes; None for additive tasks.
        exports: what an exported graph returns: "embedding" is the encoder's vector of an image, any other name is
            that of what `exported` gives, such as "logits".
        metric: the configured metric: ``start()`` makes fresh sums, ``tables()`` the tables of a test where there are
            such; None measures nothing besides the loss.
        plot: the configured figure, called with a step and its batch; None draws none.
        recalibrated: `recalibrate` gave it something to use.
        interval: share of pixels that the bounds in maps are to hold; None where there are no bounds.
    """

    views: int = 1
    additive: bool = True
    published: Mapping[str, str] = {}
    headline: Sequence[str] = ()
    evaluation_group: int | None = None
    exports: str = "output"
    metric: Any = None
    plot: Any = None
    recalibrated: bool = False
    interval: float | None = None

    @property
    def channels(self) -> int | None:
        """Numbers that the model is to return for each pixel; None leaves what it returns to the model."""
        return None

    def targets(self, labels: Labels | None) -> Target:
        """Return stored labels (first axis B) as a target on the CPU; called in the loader's workers.

        Values of few measured pixels may come as `SparseLabels`, of which ``np.asarray`` makes a dense array.

        Raises:
            DataError: the labels are missing or are not what this task needs.
        """
        return NoTarget()

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch) -> Step:
        """Return the loss of a batch, by calling ``model(batch)``."""

    def outputs(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return what the coupled loss is a function of, rows as in the batch; only for tasks that are not additive."""
        raise TypeError(f"{type(self).__name__} is additive: its loss does not need cached outputs")

    def loss_of(self, outputs: Tensor, batch: Batch) -> Step:
        """Return the loss from `outputs`; only for tasks that are not additive."""
        raise TypeError(f"{type(self).__name__} is additive: its loss does not need cached outputs")

    def ensemble(self, steps: Sequence[Step]) -> Step:
        """Return what several models say as one of a batch, from each one's step; the loss is the mean of theirs.

        Raises:
            RunError: models of this task cannot be put together.
        """
        raise RunError(
            f"models of the task {type(self).__name__.lower()} are not put together", fix="test them one by one"
        )

    def compile(self) -> None:
        """Compile what the task computes besides the model, where that is worth it; called where the model is."""
        return None

    def metrics(self) -> Metrics | None:
        """Return fresh sums of the configured metric for one evaluation, or None."""
        started: Metrics | None = None if self.metric is None else self.metric.start()
        return started

    def tables(self) -> Tables | None:
        """Return what collects the tables of a test, image by image and band by band; None where there are none."""
        made = getattr(self.metric, "tables", None)
        tables: Tables | None = None if made is None else made()
        return tables

    def pixels(self, folder: Path | None = None) -> LabelledPixels | None:
        """Return what collects the labelled pixels of an evaluation, and writes them into a folder where one is given.

        A test keeps them, and `recalibrate` is fitted on those of the validation split. None where there are no such.
        """
        return None

    def recalibrate(self, record: Mapping[str, Any] | None) -> None:
        """Take what was fitted on a trained model's validation labels, or nothing; most tasks have no use for it."""
        return None

    def join(self, others: Sequence[Task]) -> None:
        """Make ready to be put together in maps with the models of these tasks, whose maps are alike."""
        return None

    def interval_of(self, level: float) -> None:
        """Set the share of pixels that the interval in maps is to hold.

        Raises:
            SpectrainError: the task's maps have no interval.
        """
        raise SpectrainError("the task's maps have no interval", where="interval", fix="leave it out")

    def figures(self, sums: dict[str, Tensor]) -> dict[str, Figure]:
        """Return what is drawn of the sums of an evaluation's metric, by name; nothing for most tasks."""
        return {}

    def remarks(self, training: int, validation: int) -> dict[str, str]:
        """Return what a reader of a curve must know, by its name ("loss"); it stands below the chart.

        Args:
            training: samples in an optimiser step.
            validation: samples in the validation split, 0 where there is none.
        """
        return {}

    def picture(self, step: Step, batch: Batch) -> Figure | None:
        """Return a figure of the first few samples of a validation batch, or None: by default the configured one."""
        figure: Figure | None = None if self.plot is None else self.plot(step, batch)
        return figure

    def shown(self, output: Any, batch: Batch) -> tuple[Any, Batch]:
        """Return what `picture` looks at of a step's output and its batch; they are kept while validation goes on.

        By default the samples that the configured figure draws, all where it does not say how many these are.
        """
        if type(self).picture is not Task.picture:
            return output, batch
        count = 0 if self.plot is None else getattr(self.plot, "nb_to_plot", len(batch.index))
        return first_samples(output, batch, count)

    def exported(self, output: Tensor) -> Tensor:
        """Return what an exported graph gives of the model's output [B,...]; by default that itself."""
        return output

    def exported_as(self) -> dict[str, Any]:
        """Return what a user of an exported graph must know of its numbers: their names and unit, as JSON."""
        return {}

    def layers(self, members: int = 1) -> tuple[Layer, ...]:
        """Return the maps that can be drawn of a scene by so many models, the main one first; () for none.

        A task with maps has a model that returns [B,T,H,W]. Windows of the scene overlap, so what the model returns
        goes through `quantities`, is averaged over the windows of each model, and then through `maps`.
        """
        return ()

    def quantities(self, output: Tensor) -> Tensor:
        """Return what a model's output [B,T,H,W] says in numbers that may be averaged, float32 [B,Q,H,W].

        Probabilities, not logits; a mean and a variance, not its logarithm or root.
        """
        raise TypeError(f"{type(self).__name__} has no maps")

    def maps(self, quantities: Tensor) -> dict[str, Tensor]:
        """Return each of `layers` as [N,H,W] from the quantities [M,Q,H,W] of M models; how they are put together."""
        raise TypeError(f"{type(self).__name__} has no maps")
