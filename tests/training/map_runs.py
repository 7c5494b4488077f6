"""Small runs that maps can be made with, scenes to make them of, and one pass over a whole scene to compare with.

It is a plugin: a convolutional network that sees 3 px to each side, and a regression of mean and variance.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tasks"))
from toy_tasks import DenseTask, SparseTask

import spectrain
from spectrain.config.option import option
from spectrain.core.registry import register
from spectrain.core.targets import NoTarget
from spectrain.models.banded import ModelConfig
from spectrain.tasks.base import Layer
from spectrain.training.trained.model import load_trained

UTM = "EPSG:32633"
NAMES = ("B02", "B03", "B08")
WINDOW = 32
REACH = 3
QUICK = [
    "model=map_net",
    f"dataset.window={WINDOW}",
    "hparams.epochs=2",
    "hparams.batch_size=4",
    "hparams.plot_interval=0",
    "metric=none",
    "hparams.monitor=loss_valid",
    "hparams.monitor_mode=min",
    "augmentation=none",
    "show_prediction=none",
    "general.device=cpu",
    "general.threads=1",
    "scheduler=none",
]


@register("model", "map_net")
class MapNet(nn.Module):
    """Three convolutions of 3 x 3 px; ``wide`` makes them reach 1 + 4 + 16 px instead of 3."""

    @dataclass(frozen=True)
    class Config(ModelConfig):
        wide: bool = option(False, "reach far")

    def __init__(self, in_channels: int, channels: int, wide: bool) -> None:
        super().__init__()
        steps = (1, 4, 16) if wide else (1, 1, 1)
        widths = (in_channels, 6, 6, channels)
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=step, dilation=step)
            for a, b, step in zip(widths, widths[1:], steps, strict=False)
        )

    @classmethod
    def from_config(cls, config, *, bands, image_size, channels=2):
        return cls(config.in_channels(bands), channels, config.wide)

    def features(self, x):
        return [(1, self.layers[0](x))]

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = torch.tanh(2 * layer(x))
        return self.layers[-1](x)


@register("task", "map_less")
class MapLess(DenseTask):
    """What has no maps."""

    @property
    def channels(self):
        return 1


@register("task", "map_regression")
class MapRegression(SparseTask):
    """Mean and log variance a pixel, with the four maps of a regression."""

    @property
    def channels(self):
        return 2

    def layers(self, members=1):
        names = ("mean", "aleatoric", *(("epistemic", "predictive") if members > 1 else ()))
        return tuple(Layer(name, (name,), unit="m") for name in names)

    def quantities(self, output):
        return torch.cat([output[:, :1], output[:, 1:].exp()], dim=1)

    def maps(self, quantities):
        mean, variance = quantities[:, :1], quantities[:, 1:]
        aleatoric, epistemic = variance.mean(0), mean.var(0, correction=0)
        found = {"mean": mean.mean(0), "aleatoric": aleatoric.sqrt()}
        if len(quantities) > 1:
            found |= {"epistemic": epistemic.sqrt(), "predictive": (aleatoric + epistemic).sqrt()}
        return found


def field(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return an image of three bands, uint16 [3,H,W] with values from 1 on, smooth with some noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / a + seed) * np.cos(y / b) for a, b in ((9, 13), (17, 7), (23, 29))]
    values = 1000 + 400 * np.array(waves) + 60 * rng.normal(size=(3, height, width))
    return values.round().clip(1, 5000).astype("u2")


def write_scene(path, image, names=NAMES, crs=UTM, pixel=10.0, origin=(360000.0, 5800000.0), mask=None, **profile):
    """Write [C,H,W] as a GeoTIFF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.asarray(image)
    image = image if image.ndim == 3 else image[None]
    count, height, width = image.shape
    shape = {"count": count, "height": height, "width": width, "dtype": image.dtype}
    place = rasterio.transform.from_origin(*origin, pixel, pixel) if crs else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(path, "w", "GTiff", crs=crs, transform=place, **shape, **profile) as file,
        ):
            file.write(image)
            if mask is not None:
                file.write_mask(mask)
            for number, name in enumerate(names[:count] if names else (), start=1):
                file.set_band_description(number, name)
    return path


def write_training(folder, classes=2, regression=False):
    """Write scenes with labels that a few pixels of the first band tell; returns the folder."""
    for split, count in (("train", 3), ("val", 1)):
        for number in range(count):
            image = field(48, 64, seed=10 * count + number)
            level = image[0].astype(float)
            label = (
                (level / 500).astype("f4")
                if regression
                else np.digitize(level, np.quantile(level, np.linspace(0, 1, classes + 1)[1:-1])).astype("u1")
            )
            origin = (500000.0 + 9000 * number, 5500000.0 if split == "val" else 5600000.0)
            write_scene(folder / split / "images" / f"{number}.tif", image, origin=origin)
            write_scene(folder / split / "labels" / f"{number}.tif", label, names=(), origin=origin)
    return folder


def train(folder, out, *words, recipe="segmentation"):
    """Train a small run in ``out``; returns its folder."""
    given = dict(word.split("=", 1) for word in (f"dataset.path={folder}", *QUICK, f"out_dir={out}", *words))
    overrides = [f"{key}={value}" for key, value in given.items()]
    return spectrain.train(recipe, overrides=overrides, plugins=["map_runs"]).folder


def whole(run, image, valid=None):
    """Return the model's output [T,H,W] from one pass over an image [C,H,W] in the order of the training's bands."""
    trained = load_trained(run)
    image = torch.from_numpy(image.astype("f4"))[None]
    valid = torch.ones_like(image, dtype=torch.bool) if valid is None else torch.from_numpy(valid)[None]
    batch = spectrain.Batch(image, valid, NoTarget(), torch.arange(1), all_valid=False)
    with torch.no_grad():
        return trained.model(batch)[0]
