"""SimCLR by `spectrain train contrastive`, through the whole command: run folder, curves, checkpoints, report."""

from __future__ import annotations

import tempfile
from typing import Any

from leg import Clock, end, epochs, options, shapes
from simclr_data import quality


def main(given: dict[str, Any]) -> dict[str, Any]:
    import torch

    import spectrain
    from spectrain.training import loop

    clock = Clock(given["batch"], given["warm"], given["steps"])
    real, seen = loop.optimiser_step, {}

    def step(session, *rest):
        if not seen:
            seen["encoder"] = shapes(session.model.get_submodule("network.encoder"))
        losses = real(session, *rest)
        clock.step(session.train.loader.waited_s)
        return losses

    loop.optimiser_step = step
    torch.set_num_threads(given["threads"])
    with tempfile.TemporaryDirectory() as folder:
        run = spectrain.train("contrastive", overrides=[*words(given, clock.total), f"out_dir={folder}/run"])
        found = clock.figures() | {"shapes": seen["encoder"]}
        if given["quality"]:
            found["r2"] = quality(
                spectrain.load_trained_model(run.folder).get_submodule("network.encoder"), given["data"]
            )
    return found


def words(given: dict[str, Any], steps: int) -> list[str]:
    """Return the options that make the recipe what the others train."""
    return [
        f"dataset.path={given['data']['h5']}",
        "dataset.valid_key=null",
        "model.stem=large",
        "optimizer=adamw",
        "optimizer.lr=0.001",
        "metric=none",
        "hparams.plot_interval=0",
        f"hparams.epochs={epochs(steps, given)}",
        f"hparams.batch_size={given['batch']}",
        f"general.seed={given['seed']}",
        f"general.threads={given['threads']}",
        "general.device=cpu",
    ]


if __name__ == "__main__":
    end(main(options()))
