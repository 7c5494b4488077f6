"""Four small tasks, one per kind of target, and a small network: enough to prove batch, task and loop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from spectrain.config.option import option
from spectrain.core.errors import DataError
from spectrain.core.fill import fill_invalid
from spectrain.core.loss_sum import LossSum
from spectrain.core.targets import IGNORED, ClassMap, DenseValues, NoTarget, SparseValues
from spectrain.models.banded import ModelConfig
from spectrain.tasks.base import Step, Task


class ToyNet(nn.Module):
    """Convolution, batch norm, ReLU, convolution: [B,C,H,W] to ``outputs`` numbers a pixel."""

    @dataclass(frozen=True)
    class Config(ModelConfig):
        outputs: int = option(1, "numbers a pixel", minimum=1)
        width: int = option(8, "channels between", minimum=1)

    def __init__(self, in_channels: int, outputs: int = 1, width: int = 8) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(in_channels, width, 3, padding=1), nn.BatchNorm2d(width)
        self.head = nn.Conv2d(width, outputs, 1)

    @classmethod
    def from_config(cls, config, *, bands, image_size):
        return cls(config.in_channels(bands), config.outputs, config.width)

    def features(self, x):
        return [(1, F.relu(self.norm(self.conv(x))))]

    def forward(self, x):
        return self.head(self.features(x)[0][1])


def squared_error(values, truth, counted) -> LossSum:
    """Sum of squared differences where ``counted``; filled before the arithmetic, so that a NaN stays out of it."""
    difference = fill_invalid(values, counted) - fill_invalid(truth, counted)
    return LossSum(difference.square().sum(), counted.sum(dtype=torch.float32))


def _required(labels):
    if labels is None:
        raise DataError("this task needs labels, and the data have none", where="dataset.labels_key")
    return torch.from_numpy(np.asarray(labels))


class ToyTask(Task):
    """What the four share: no options, and parts they do not need."""

    @dataclass(frozen=True)
    class Config:
        pass

    @classmethod
    def from_config(cls, config, *, loss=None, metric=None, plot=None):
        return cls()


class MeanTask(ToyTask):
    """No target: the mean output over the pixels is to be the image's mean in each band (as many outputs as bands)."""

    def targets(self, labels):
        return NoTarget()

    def loss(self, model, batch):
        output = model(batch)
        count = batch.valid.sum(dim=(2, 3))
        mean = batch.filled().sum(dim=(2, 3)) / count.clamp(min=1)
        loss = squared_error(output.mean(dim=(2, 3)), mean, (count > 0) & batch.real[:, None])
        return Step(loss, output=output)


class ClassMapTask(ToyTask):
    """Class map: cross-entropy a pixel."""

    def targets(self, labels):
        return ClassMap(_required(labels).to(torch.int16))

    def loss(self, model, batch):
        output = model(batch)
        counted = batch.target.valid & batch.real[:, None, None]
        truth = torch.where(counted, batch.target.y, IGNORED).to(torch.int64)
        loss = F.cross_entropy(output, truth, ignore_index=IGNORED, reduction="sum")
        return Step(LossSum(loss, counted.sum(dtype=torch.float32)), output=output)


class DenseTask(ToyTask):
    """Dense values: squared error a pixel, labels [B,T,H,W] with NaN where nothing was measured."""

    def targets(self, labels):
        return DenseValues.from_nan(_required(labels))

    def loss(self, model, batch):
        output, target = model(batch), batch.target
        loss = squared_error(output, target.value, target.valid & batch.real[:, None, None, None])
        return Step(loss, output=output)


class SparseTask(ToyTask):
    """Sparse values: Gaussian likelihood of a mean and a log variance (two outputs) at the measured pixels."""

    def targets(self, labels):
        return SparseValues.from_dense(_required(labels))

    def loss(self, model, batch):
        output, target = model(batch), batch.target
        mean, log_variance = target.at(output).unbind(dim=1)
        counted = target.valid & batch.real[target.row]
        squared = (mean - fill_invalid(target.value, counted)).square()
        terms = 0.5 * (log_variance + squared * torch.exp(-log_variance))
        weight = counted.sum(dtype=torch.float32)
        parts = {"squared_error": LossSum(fill_invalid(squared, counted).sum(), weight)}
        return Step(LossSum(fill_invalid(terms, counted).sum(), weight), parts, output)


TOY_TASKS = {"mean": MeanTask, "class_map": ClassMapTask, "dense": DenseTask, "sparse": SparseTask}
