"""Optimiser steps of a toy task, in one process or in one of several; the tests compare what comes out."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import h5py
import numpy as np
import small_mae
import torch

TASKS = Path(__file__).resolve().with_name("toy_plugin.py")
OUTPUTS = {"toy_mean": 2, "toy_class_map": 3, "toy_dense": 1, "toy_sparse": 2, "contrastive": 1}


def write_data(path: Path, size: int = 16) -> Path:
    """Sixteen square images of two bands, with labels of each kind; most have no sparse label at all."""
    rng = np.random.default_rng(0)
    image = rng.normal(3, 2, (16, 2, size, size)).astype(np.float32)
    image[1, 0, :3] = np.nan
    classes = rng.integers(0, 3, (16, size, size)).astype(np.uint8)
    classes[rng.random(classes.shape) < 0.3] = 255
    dense = image.mean(1, keepdims=True) * 2
    dense[rng.random(dense.shape) < 0.4] = np.nan
    sparse = np.full((16, size, size), np.nan, np.float32)
    sparse[2, 1:4, 2:5] = 1.5
    sparse[3, 0, 0] = -1
    with h5py.File(path, "w") as file:
        for split in ("train", "valid"):
            file[split] = image
            for name, labels in (("toy_class_map", classes), ("toy_dense", dense), ("toy_sparse", sparse)):
                file[f"{split}_{name}"] = labels
            file[f"{split}_contrastive"] = np.arange(16) // 2
    return path


RESNETS = ("resnet_simclr", "resnet_supcon")


def config(data: Path, kind: str, *more: str):
    from spectrain.config import load_config

    if kind in RESNETS:
        return resnet_config(data, kind, *more)
    if kind == "mae":
        return small_mae.config(data, *more)

    labels = [] if kind == "toy_mean" else ["dataset.labels_key={split}_" + kind]
    contrastive = kind == "contrastive"
    overrides = [
        f"dataset.path={data}",
        *labels,
        f"task={kind}",
        "model=toy_net",
        f"model.outputs={OUTPUTS[kind]}",
        f"model.embed={contrastive}".lower(),
        "model.standardise=mean_std",
        "optimizer=sgd",
        "optimizer.lr=0.05",
        "metric=none",
        "show_prediction=none",
        "hparams.batch_size=8",
        "general.device=cpu",
        *(["augmentation.crop=null", "augmentation.jitter=0"] if contrastive else ["augmentation=none"]),
    ]
    changed = {item.split("=", 1)[0] for item in more}
    overrides = [*(item for item in overrides if item.split("=", 1)[0] not in changed), *more]
    return load_config("contrastive", overrides=overrides, plugins=[str(TASKS)], use_personal=False)


def resnet_config(data: Path, kind: str, *more: str):
    """The real contrastive model, small enough for a test."""
    from spectrain.config import load_config

    overrides = [
        f"dataset.path={data}",
        "dataset.labels_key={split}_contrastive",
        f"task.method={kind.removeprefix('resnet_')}",
        "model.backbone=resnet18",
        "model.stem=large",
        "model.feat_dim=8",
        "model.standardise=mean_std",
        "optimizer.lr=0.01",
        "augmentation.crop=null",
        "augmentation.jitter=0",
        "show_prediction=none",
        "hparams.batch_size=8",
        "general.device=cpu",
    ]
    changed = {item.split("=", 1)[0] for item in more}
    overrides = [*(item for item in overrides if item.split("=", 1)[0] not in changed), *more]
    return load_config("contrastive", overrides=overrides, use_personal=False)


def steps_of(data: Path, kind: str, more: list[str], steps: int = 3, double: bool = False) -> dict:
    """Return losses, the first step's gradients, the weights, and which micro-batches had no label.

    With ``double`` the model computes in float64: rounding then hides nothing.
    """
    from spectrain.core.distributed import world_size
    from spectrain.training.processes.parallel import Parallel
    from spectrain.training.session import build_session
    from spectrain.training.step import optimiser_step

    with patch("spectrain.training.session.Parallel", in_float64 if double else Parallel):
        session = build_session(config(data, kind, *more))
    losses, gradients, weights_of_losses = [], {}, []
    for epoch in range(steps):
        lists = next(session.train_order.steps(epoch))
        raws = session.train.loader.load(lists)
        found = optimiser_step(session, iter(raws), len(lists), epoch, epoch)["loss"]
        pair = torch.stack((found.sum, found.weight)).double()
        weights_of_losses.append(float(found.weight))
        if world_size() > 1:
            torch.distributed.all_reduce(pair)
        losses.append(pair.tolist())
        if not gradients:
            gradients = {name: full(p.grad).clone() for name, p in session.model.named_parameters()}
    state = {name: value.clone() for name, value in session.parallel.model_state().items()}
    optimizer = session.parallel.optimizer_state(session.optimizer)
    session.close()
    return {
        "losses": losses,
        "gradients": gradients,
        "weights": state,
        "own": weights_of_losses,
        "optimizer": optimizer,
    }


def in_float64(module, *more):
    """Return the model with its parallelism, and all that it computes in float64."""
    from spectrain.training.processes.parallel import Parallel

    return Parallel(module.double(), *more)


def full(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def steps_of_all(data: Path, cases: dict[str, tuple[str, list[str]]], out: Path) -> None:
    """Be one process of a world: write what it finds of each case to ``OUT.RANK``."""
    from spectrain.core.distributed import rank
    from spectrain.training.processes.parallel import process_group

    with process_group("cpu"):
        results = {
            name: steps_of(data, kind, more, double=kind in (*RESNETS, "mae")) for name, (kind, more) in cases.items()
        }
        torch.save(results, f"{out}.{rank()}")
