"""Segmentation by `spectrain train segmentation` of prepared patches, through the whole command."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from leg import Clock, end, epochs, ious, options, shapes


def main(given: dict[str, Any]) -> dict[str, Any]:
    import spectrain
    from spectrain.training import loop

    clock = Clock(given["batch"], given["warm"], given["steps"])
    real, seen = loop.optimiser_step, {}

    def step(session, *rest):
        if not seen:
            seen["model"] = shapes(session.model.network)
        losses = real(session, *rest)
        clock.step(session.train.loader.waited_s)
        return losses

    loop.optimiser_step = step
    with tempfile.TemporaryDirectory() as folder:
        run = spectrain.train("segmentation", overrides=[*words(given, clock.total), f"out_dir={folder}/run"])
        found = clock.figures() | {"shapes": seen["model"]}
        return found | (quality(run.folder, given["data"]) if given["quality"] else {})


def words(given: dict[str, Any], steps: int) -> list[str]:
    """Return the options that make the recipe what the others train: cross-entropy of three classes, no validation."""
    common = [
        f"dataset.path={given['data']['prepared']}",
        "dataset.valid_key=null",
        "task.class_names=[healthy,damaged,none]",
        "loss=combined",
        "loss.dice_weight=0",
        "optimizer.lr=0.001",
        "metric=none",
        "hparams.monitor=loss_train",
        "hparams.monitor_mode=min",
        "hparams.early_stopping_patience=0",
        "hparams.plot_interval=0",
        f"hparams.epochs={epochs(steps, given)}",
        f"hparams.batch_size={given['batch']}",
        f"general.seed={given['seed']}",
        f"general.threads={given['threads']}",
        "general.device=cpu",
    ]
    own = given.get("words", [])
    named = {word.partition("=")[0] for word in own}
    return [word for word in common if word.partition("=")[0] not in named] + own


def quality(run: Path, data: dict[str, Any]) -> dict[str, float]:
    """Return the IoU on the test split, of the weights of the last step."""
    import numpy as np
    import torch

    import spectrain
    from spectrain.core.batch import RawBatch
    from spectrain.core.targets import NoTarget
    from spectrain.data.values import Values

    model = spectrain.load_trained_model(run / "checkpoints" / "last.pt")
    patches = spectrain.open_patches(data["prepared"], "test")
    values, predicted, labels = Values(patches.bands), [], []
    for index in np.array_split(np.arange(len(patches)), -(-len(patches) // 16)):
        rows = patches.read(index)
        with torch.no_grad():
            logits = model(values(RawBatch(torch.from_numpy(rows.image), None, NoTarget(), torch.from_numpy(index))))
        predicted.append(logits.argmax(1).numpy())
        labels.append(rows.labels)
    return ious(np.concatenate(predicted), np.concatenate(labels))


if __name__ == "__main__":
    end(main(options()))
