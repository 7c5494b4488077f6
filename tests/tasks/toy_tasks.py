"""Four toy tasks, one for each kind of target, and a network small enough to train in milliseconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from spectrain.core.fill import fill_invalid
from spectrain.core.loss_sum import LossSum
from spectrain.core.registry import register
from spectrain.core.step import Step
from spectrain.core.targets import ClassMap, DenseValues, NoTarget, SparseValues
from spectrain.models.banded import ModelConfig
from spectrain.tasks.base import Task


def summed(terms: torch.Tensor, valid: torch.Tensor) -> LossSum:
    return LossSum(fill_invalid(terms, valid).sum(), valid.sum().to(torch.float32))


class Toy(Task):
    @dataclass(frozen=True)
    class Config:
        pass

    @classmethod
    def from_config(cls, config, *, loss, metric, plot):
        return cls()


@register("task", "toy_none")
class ToyNone(Toy):
    def targets(self, labels):
        return NoTarget()

    def loss(self, model, batch):
        output = model(batch)
        wanted = batch.filled().mean(1)
        valid = batch.valid.all(1) & batch.real[:, None, None]
        loss = summed((output[:, 0] - wanted).square(), valid)
        return Step(loss, {"squares": loss}, output)


@register("task", "toy_map")
class ToyMap(Toy):
    def targets(self, labels):
        return ClassMap(torch.from_numpy(labels.astype(np.int16)))

    def loss(self, model, batch):
        output = model(batch)
        valid = batch.target.valid & batch.real[:, None, None]
        classes = fill_invalid(batch.target.y, valid, 0).long()
        return Step(summed(F.cross_entropy(output, classes, reduction="none"), valid), output=output)


@register("task", "toy_dense")
class ToyDense(Toy):
    def targets(self, labels):
        return DenseValues.from_nan(torch.from_numpy(labels))

    def loss(self, model, batch):
        output = model(batch)
        valid = batch.target.valid & batch.real[:, None, None, None]
        return Step(summed((output[:, :1] - batch.target.value).square(), valid), output=output)


@register("task", "toy_sparse")
class ToySparse(Toy):
    def targets(self, labels):
        return SparseValues.from_dense(torch.from_numpy(labels))

    def loss(self, model, batch):
        output = model(batch)
        mean, log_variance = batch.target.at(output)[:, :2].unbind(1)
        terms = 0.5 * ((mean - batch.target.value).square() * (-log_variance).exp() + log_variance)
        loss = summed(terms, batch.target.valid & batch.real[batch.target.row])
        return Step(LossSum(loss.sum + 0 * output.sum(), loss.weight), output=output)


class ToyNet(nn.Module):
    """Per-pixel output [B,3,H,W]."""

    def __init__(self, channels: int, batch_norm: bool) -> None:
        super().__init__()
        norm = nn.BatchNorm2d(6) if batch_norm else nn.Identity()
        self.body = nn.Sequential(nn.Conv2d(channels, 6, 3, padding=1), norm, nn.ReLU(), nn.Conv2d(6, 3, 1))

    def forward(self, x):
        return self.body(x)

    def features(self, x):
        return [(1, self.body[:3](x))]


@register("model", "toy_net")
class ToyNetPart:
    @dataclass(frozen=True)
    class Config(ModelConfig):
        batch_norm: bool = True
        embed: bool = False

    @classmethod
    def from_config(cls, config, *, bands, image_size):
        network = ToyNet(config.in_channels(bands), config.batch_norm)
        return ToyEmbedder(network) if config.embed else network


class ToyEmbedder(nn.Module):
    """Unit vectors [B,3]."""

    def __init__(self, network: ToyNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, x):
        pooled = torch.cat([self.network(x).mean((2, 3)), self.network.features(x)[0][1].amax((2, 3))], 1)
        return F.normalize(pooled.float(), dim=1)

    def features(self, x):
        return self.network.features(x)
