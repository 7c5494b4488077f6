"""A plugin with a part of each kind that does something; docs/extending.md shows them, the test beside trains them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from spectrain.plugin import (
    Bands,
    LossSum,
    Metrics,
    ModelConfig,
    Patches,
    Rows,
    content_fingerprint,
    fill_invalid,
    option,
    register,
    uniform,
)


class NpzPatches(Patches):
    """One split of an .npz file: SPLIT is [N,C,H,W], SPLIT_labels [N,H,W]."""

    def __init__(self, path: Path, split: str) -> None:
        with np.load(path) as file:
            self._image, self._labels = file[split], file[f"{split}_labels"]
        self.path, self.split = path, split
        self.shape, self.dtype = self._image.shape, self._image.dtype
        self.bands = Bands.unnamed(self.shape[1])
        self.has_mask, self.has_labels = False, True

    def read(self, index):
        return Rows(self._image[index], None, self._labels[index])

    def metadata(self):
        import pandas as pd

        return pd.DataFrame({"patch_id": [f"{self.split}/{number}" for number in range(len(self))]})

    def fingerprint(self):
        return content_fingerprint(self)


@register("reader", "npz")
class NpzReader:
    """The kind of file: how it is recognised, and how a split of it is opened."""

    description = "NumPy file (.npz) with one array per split"
    pool = None

    @dataclass
    class Config:
        pass

    @staticmethod
    def recognises(path):
        return path.suffix == ".npz"

    @staticmethod
    def splits(path):
        with np.load(path) as file:
            return [name for name in file.files if not name.endswith("_labels")]

    @staticmethod
    def open(path, split_key, options):
        return NpzPatches(path, split_key)


@register("model", "two_layers")
class TwoLayers(nn.Module):
    """Two convolutions: [B,C,H,W] to [B,channels,H,W]."""

    @dataclass(frozen=True)
    class Config(ModelConfig):
        width: int = option(8, "channels between the two", minimum=1)

    def __init__(self, in_channels, width, channels):
        super().__init__()
        self.first = nn.Conv2d(in_channels, width, 3, padding=1)
        self.second = nn.Conv2d(width, channels, 1)

    @classmethod
    def from_config(cls, config, *, bands, image_size, channels=1):
        return cls(config.in_channels(bands), config.width, channels)

    def features(self, x):
        return [(1, self.first(x).relu())]

    def forward(self, x):
        return self.second(self.first(x).relu())


@register("loss", "brier")
class Brier(nn.Module):
    """Squared error of the probability of class 1, a sum over the pixels that count."""

    @dataclass(frozen=True)
    class Config:
        power: float = option(2.0, "2 is the squared error", above=0)

    def __init__(self, power=2.0):
        super().__init__()
        self.power = power

    @classmethod
    def from_config(cls, config):
        return cls(config.power)

    def sums(self, found):
        # filled before the arithmetic: what does not count may be anything, and 0 times NaN is NaN
        probability = fill_invalid(found.logits[:, 0].sigmoid(), found.counted)
        truth = fill_invalid(found.y.float(), found.counted)
        total = (probability - truth).abs().pow(self.power).sum()
        return LossSum(total, found.counted.sum().float()), {}


@register("metric", "sureness")
class Sureness:
    """How far probabilities are from one half, on average; `start` begins an evaluation."""

    @dataclass(frozen=True)
    class Config:
        pass

    @classmethod
    def from_config(cls, config):
        return cls()

    def start(self):
        return SurenessSums()


class SurenessSums(Metrics):
    """Sums that stay on the device, and are read once."""

    def __init__(self) -> None:
        self._total = self._count = torch.zeros((), dtype=torch.float64)

    def update(self, output, batch):
        away = (output.probabilities - 0.5).abs()
        self._total = self._total + fill_invalid(away, output.counted).sum()
        self._count = self._count + output.counted.sum()

    def sums(self):
        return {"total": self._total, "count": self._count}

    def compute(self, sums):
        return {"sureness": float(sums["total"] / sums["count"])}


@register("show_prediction", "first_probability")
class FirstProbability:
    """The probabilities of the first image of a validation, as a picture."""

    nb_to_plot = 1

    @dataclass(frozen=True)
    class Config:
        colours: str = option("viridis", "a colour map of matplotlib")

    def __init__(self, colours):
        self.colours = colours

    @classmethod
    def from_config(cls, config, *, bands=None):
        return cls(config.colours)

    def __call__(self, step, batch):
        from matplotlib.figure import Figure

        figure = Figure()
        figure.subplots().imshow(step.output.probabilities[0].cpu().numpy(), cmap=self.colours, vmin=0, vmax=1)
        return figure


@register("augmentation", "dim")
class Dim:
    """Each sample a little darker; what it draws is a function of the key and the sample alone."""

    @dataclass(frozen=True)
    class Config:
        most: float = option(0.2, "largest share of the light that is taken away", minimum=0, maximum=1)

    def __init__(self, most):
        self.most = most

    @classmethod
    def from_config(cls, config, *, bands):
        return cls(config.most)

    def __call__(self, batch, key):
        factor = 1 - self.most * uniform(key, batch.index, 1)
        return batch.replace(image=batch.image * factor[:, :, None, None])

    def centred(self, batch):
        return batch


@register("optimizer", "sign_sgd")
class SignSgd(torch.optim.Optimizer):
    """Moves each weight by the rate, against the sign of its gradient."""

    @dataclass(frozen=True)
    class Config:
        lr: float = option(0.01, "learning rate, before the schedule", above=0)

    @classmethod
    def from_config(cls, config, *, parameters):
        return cls(parameters, {"lr": config.lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    weight.sub_(weight.grad.sign(), alpha=group["lr"])


@register("scheduler", "halving")
class Halving:
    """Half the rate after every so many epochs; a pure function of the step."""

    @dataclass(frozen=True)
    class Config:
        every: int = option(10, "epochs", minimum=1)

    def __init__(self, every):
        self.every = every

    @classmethod
    def from_config(cls, config):
        return cls(config.every)

    def __call__(self, base_lr, step, steps_per_epoch, epochs):
        return base_lr * 0.5 ** (step // (steps_per_epoch * self.every))
