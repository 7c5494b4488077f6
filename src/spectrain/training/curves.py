"""The learning curves. They live in the checkpoint; the files in the run folder are derived from them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.distributed import world_size
from ..core.loss_sum import LossSum

FloatArray = NDArray[np.float64]


class StepLosses:
    """Losses of steps as sums and weights: kept on the device, fetched many at a time.

    Names must be the same at each step of one phase (a task's loss and its parts).
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.sums: list[list[float]] = []
        self.weights: list[list[float]] = []
        self._waiting: list[Tensor] = []

    def __len__(self) -> int:
        return len(self.sums)

    def add(self, losses: dict[str, LossSum]) -> None:
        """Keep one step's losses, without waiting for the device."""
        self.names = self.names or list(losses)
        rows = [torch.stack((loss.sum.detach().float(), loss.weight.float())) for loss in losses.values()]
        self._waiting.append(torch.stack(rows))

    def fetch(self) -> None:
        """Bring what waits to the host, summed over processes: the one synchronisation, each ``log_every`` steps."""
        if not self._waiting:
            return
        values = torch.stack(self._waiting)
        self._waiting.clear()
        if world_size() > 1:
            torch.distributed.all_reduce(values)
        for step in values.to("cpu", torch.float64).tolist():
            self.sums.append([loss[0] for loss in step])
            self.weights.append([loss[1] for loss in step])

    def mean(self, name: str, start: int = 0) -> float:
        """Return the mean of a loss over the steps from ``start``; NaN where they had no weight."""
        column = self.names.index(name)
        weight = sum(row[column] for row in self.weights[start:])
        return sum(row[column] for row in self.sums[start:]) / weight if weight else math.nan

    def per_step(self, name: str) -> FloatArray:
        """Return each step's mean loss; NaN for a step without weight."""
        if name not in self.names:
            return np.zeros(0)
        column = self.names.index(name)
        sums, weights = self._column(column)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(weights > 0, sums / weights, np.nan)

    def running(self, name: str, lengths: list[int]) -> FloatArray:
        """Return the running mean within each phase (epoch) of ``lengths`` steps, restarting at each."""
        if name not in self.names:
            return np.zeros(0)
        sums, weights = self._column(self.names.index(name))
        pieces, start = [], 0
        for length in [*lengths, len(self) - sum(lengths)]:
            part = slice(start, start + length)
            with np.errstate(invalid="ignore", divide="ignore"):
                pieces.append(np.cumsum(sums[part]) / np.cumsum(weights[part]))
            start += length
        return np.concatenate(pieces) if pieces else np.zeros(0)

    def _column(self, column: int) -> tuple[FloatArray, FloatArray]:
        return np.array([row[column] for row in self.sums]), np.array([row[column] for row in self.weights])

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps; everything must have been fetched."""
        return {
            "names": list(self.names),
            "sums": torch.tensor(self.sums, dtype=torch.float64),
            "weights": torch.tensor(self.weights, dtype=torch.float64),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take what `state` returned."""
        self.names = list(state["names"])
        self.sums, self.weights = state["sums"].tolist(), state["weights"].tolist()


class Curves:
    """All curves of a run: losses of each training and validation step, and a row of values for each epoch."""

    def __init__(self) -> None:
        self.train, self.valid = StepLosses(), StepLosses()
        self.train_lengths: list[int] = []
        self.valid_lengths: list[int] = []
        self.lr: list[float] = []
        self.epochs: list[dict[str, float]] = []

    def arrays(self) -> dict[str, FloatArray]:
        """Return the arrays of `curves.h5`.

        ``loss_train`` (E,), ``loss_step_train`` and ``loss_avg_train`` (S,), the same for ``valid`` (V validations, in
        the epochs ``epoch_valid``, from 1: the last epoch is always validated, so V may be one more than published),
        ``lr`` (S,), and one array for each further value of the epochs' rows (NaN where an epoch has none).
        """
        result: dict[str, FloatArray] = {}
        for phase, steps, lengths in (
            ("train", self.train, self.train_lengths),
            ("valid", self.valid, self.valid_lengths),
        ):
            result[f"loss_step_{phase}"] = steps.per_step("loss")
            result[f"loss_avg_{phase}"] = steps.running("loss", lengths)
            rows = [row[f"loss_{phase}"] for row in self.epochs if f"loss_{phase}" in row]
            result[f"loss_{phase}"] = np.array(rows, dtype=np.float64)
        validated = [number for number, row in enumerate(self.epochs, start=1) if "loss_valid" in row]
        result["epoch_valid"] = np.array(validated, dtype=np.float64)
        result["lr"] = np.array(self.lr, dtype=np.float64)
        names = {name: None for row in self.epochs for name in row}
        for name in names:
            if name not in result:
                result[name] = np.array([row.get(name, math.nan) for row in self.epochs])
        return result

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {
            "train": self.train.state(),
            "valid": self.valid.state(),
            "train_lengths": list(self.train_lengths),
            "valid_lengths": list(self.valid_lengths),
            "lr": torch.tensor(self.lr, dtype=torch.float64),
            "epochs": [dict(row) for row in self.epochs],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take what `state` returned."""
        self.train.load(state["train"])
        self.valid.load(state["valid"])
        self.train_lengths, self.valid_lengths = list(state["train_lengths"]), list(state["valid_lengths"])
        self.lr = state["lr"].tolist()
        self.epochs = [dict(row) for row in state["epochs"]]
