"""A plugin with one part of each kind, as a user would write it."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn

from spectrain.plugin import option, register


@register("reader", "test_reader")
class TestReader:
    __test__ = False

    @dataclass
    class Config:
        pass

    @classmethod
    def recognises(cls, path):
        return path.suffix == ".test"


@register("model", "test_model")
class TestModel(nn.Module):
    __test__ = False

    @dataclass
    class Config:
        width: int = option(8, "channels within", minimum=1)
        kernels: tuple[int, int] = (3, 3)
        mask_channel: bool = False

    @classmethod
    def from_config(cls, config, *, bands, image_size):
        model = cls()
        model.conv = nn.Conv2d(len(bands), config.width, config.kernels)
        return model

    def forward(self, x):
        return self.conv(x).mean((2, 3))


@register("loss", "test_loss")
class TestLoss:
    __test__ = False

    @dataclass
    class Config:
        power: float = 2.0

    @classmethod
    def from_config(cls, config):
        return lambda output: (output**config.power).sum()


@register("metric", "test_metric")
class TestMetric:
    __test__ = False

    @dataclass
    class Config:
        names: list[str] = field(default_factory=lambda: ["mean"])

    @classmethod
    def from_config(cls, config):
        return cls()


@register("show_prediction", "test_plot")
class TestPlot:
    __test__ = False

    @dataclass
    class Config:
        size: float | None = None

    @classmethod
    def from_config(cls, config):
        return cls()


@register("augmentation", "test_augmentation")
class TestAugmentation:
    __test__ = False

    @dataclass
    class Config:
        strength: float = option(0.5, "how strong", minimum=0, maximum=1)

    @classmethod
    def from_config(cls, config, *, bands):
        return lambda batch, key: batch


@register("optimizer", "test_optimizer")
class TestOptimizer(torch.optim.SGD):
    __test__ = False

    @dataclass
    class Config:
        lr: float = 0.1
        trust: float = option(0.5, "how far")

        def __post_init__(self):
            if self.trust == 0:
                raise ValueError("trust cannot be 0")

    @classmethod
    def from_config(cls, config, *, parameters):
        return cls(parameters, lr=config.lr)


@register("scheduler", "test_scheduler")
class TestScheduler:
    __test__ = False

    @dataclass
    class Config:
        period: int

    @classmethod
    def from_config(cls, config):
        return lambda base_lr, step, steps_per_epoch, epochs: base_lr / (1 + step // config.period)
