"""Checkpoints as Nenya publishes them: its names, its shapes, and its options as a pickled object of its own class."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import torch

from spectrain.models import resnet

DEPTHS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}

OPTIONS = {
    "ssl_method": "SimCLR",
    "ssl_model": "resnet18",
    "learning_rate": 0.05,
    "weight_decay": 0.0001,
    "momentum": 0.9,
    "batch_size_train": 64,
    "batch_size_valid": 64,
    "feat_dim": 128,
    "temp": 0.07,
    "cosine": True,
    "warm": True,
    "lr_decay_epochs": [700, 800, 900],
    "lr_decay_rate": 0.1,
    "random_cropjitter": [40, 5],
    "rotate": True,
    "flip": True,
    "demean": True,
    "gauss_noise": 0.0,
    "model_root": "v5",
    "model_name": "SimCLR_resnet18",
    "model_folder": "models/v5/SimCLR_resnet18",
    "train_key": "train",
    "valid_key": "valid",
    "data_folder": "./",
    "images_file": "x.h5",
    "cuda_use": True,
    "warmup_from": 0.01,
    "warm_epochs": 10,
    "warmup_to": 0.048,
    "something_else": object,
}


def shapes(backbone: str, channels: int = 1, feat_dim: int = 128) -> dict[str, tuple[int, ...]]:
    """The names and shapes of the reference, written out: encoder, shortcuts, and the head of two layers.

    They are as wide as networks are here: 64 channels first, or fewer where a test asked for narrow ones.
    """
    found: dict[str, tuple[int, ...]] = {}
    first = resnet.WIDTH

    def convolution(name: str, *shape: int) -> None:
        found[f"{name}.weight"] = shape

    def norm(name: str, width: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            found[f"{name}.{part}"] = (width,)
        found[f"{name}.num_batches_tracked"] = ()

    convolution("encoder.conv1", first, channels, 3, 3)
    norm("encoder.bn1", first)
    expansion, inside = (4 if backbone == "resnet50" else 1), first
    for stage, (depth, width) in enumerate(
        zip(DEPTHS[backbone], (first, 2 * first, 4 * first, 8 * first), strict=True), start=1
    ):
        for number in range(depth):
            block = f"encoder.layer{stage}.{number}"
            stride = 2 if stage > 1 and number == 0 else 1
            if expansion == 4:
                convolution(f"{block}.conv1", width, inside, 1, 1)
                convolution(f"{block}.conv2", width, width, 3, 3)
                convolution(f"{block}.conv3", 4 * width, width, 1, 1)
            else:
                convolution(f"{block}.conv1", width, inside, 3, 3)
                convolution(f"{block}.conv2", width, width, 3, 3)
            for part in range(1, 3):
                norm(f"{block}.bn{part}", width)
            if expansion == 4:
                norm(f"{block}.bn3", 4 * width)
            if stride != 1 or inside != expansion * width:
                convolution(f"{block}.shortcut.0", expansion * width, inside, 1, 1)
                norm(f"{block}.shortcut.1", expansion * width)
            inside = expansion * width
    found |= {"head.0.weight": (inside, inside), "head.0.bias": (inside,)}
    return found | {"head.2.weight": (feat_dim, inside), "head.2.bias": (feat_dim,)}


def weights_of(backbone: str, channels: int = 1, feat_dim: int = 128) -> dict[str, torch.Tensor]:
    """Random weights of those names, with norms that are not the identity."""
    generator = torch.Generator().manual_seed(0)
    found = {}
    for name, shape in shapes(backbone, channels, feat_dim).items():
        if name.endswith("num_batches_tracked"):
            found[name] = torch.tensor(17)
        else:
            fan = max(1, torch.Size(shape[1:]).numel())
            value = torch.randn(shape, generator=generator) * (2 / fan) ** 0.5
            positive = name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1)
            found[name] = value.abs() * 0.2 + 0.5 if positive else value * (0.1 if len(shape) == 1 else 1)
    return found


def write_published(path: Path, backbone: str, *, prefix: str = "encoder.", weights=None, options=None, extra=None):
    """Write a checkpoint as `nenya.util.save_model` does; its options class is gone when this returns."""
    weights = weights_of(backbone) if weights is None else weights
    named = {name.replace("encoder.", prefix, 1): value for name, value in weights.items()}
    module = types.ModuleType("nenya.params")
    params = type("Params", (), {"__module__": "nenya.params"})
    module.Params = params
    sys.modules["nenya"], sys.modules["nenya.params"] = types.ModuleType("nenya"), module
    try:
        opt = params()
        opt.__dict__.update(OPTIONS if options is None else options)
        momentum = {0: {"momentum_buffer": torch.zeros(2)}}
        optimizer = {"state": momentum, "param_groups": [{"lr": 0.05, "params": [0]}]}
        torch.save({"opt": opt, "model": named, "optimizer": optimizer, "epoch": 12, **(extra or {})}, path)
    finally:
        del sys.modules["nenya"], sys.modules["nenya.params"]
    return weights
