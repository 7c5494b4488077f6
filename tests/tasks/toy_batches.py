"""Batches of noise with holes and labels of each kind, and the toy network around them."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import torch
from toy_tasks import TOY_TASKS, ToyNet

from spectrain.core.bands import Bands
from spectrain.core.batch import Batch
from spectrain.core.targets import IGNORED
from spectrain.models.banded import BandedModel

BATCH, BANDS, SIDE, CLASSES = 5, 3, 6, 4
OUTPUTS = {"mean": BANDS, "class_map": CLASSES, "dense": 2, "sparse": 2}


def labels_of(name, seed=0, labelled=True):
    """Labels as a reader gives them; NaN (or 255) where nothing was measured."""
    draw = np.random.default_rng(seed)
    measured = (draw.random((BATCH, SIDE, SIDE)) < 0.3) & labelled
    if name == "class_map":
        return np.where(measured, draw.integers(0, CLASSES, measured.shape), IGNORED)
    if name == "dense":
        return np.where(measured[:, None], draw.normal(size=(BATCH, 2, SIDE, SIDE)), math.nan).astype(np.float32)
    if name == "sparse":
        return np.where(measured, draw.normal(size=measured.shape), math.nan).astype(np.float32)
    return None


def toy_batch(name, seed=0, labelled=True, padding=(), hole=0.0):
    """A batch with holes that hold ``hole``; rows in ``padding`` are not real."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(BATCH, BANDS, SIDE, SIDE, generator=generator)
    valid = torch.rand(image.shape, generator=generator) < 0.8
    valid[0, 1] = False  # a band that one image lacks altogether
    index = torch.arange(BATCH)
    index[list(padding)] = -1
    target = TOY_TASKS[name]().targets(labels_of(name, seed, labelled))
    return Batch(torch.where(valid, image, hole), valid, target, index, all_valid=False)


def toy_model(name, seed=0):
    """The toy network, with seeded weights, for the batches above."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = ToyNet(BANDS, OUTPUTS[name])
    statistics = SimpleNamespace(mean=[0.1] * BANDS, std=[0.9] * BANDS)
    return BandedModel(network, Bands.unnamed(BANDS), statistics)
