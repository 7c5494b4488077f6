"""A sweep by `spectrain sweep`: trials of a tiny segmentation over two folds, each a whole run with its folder."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from leg import BEGUN, end, options
from sweep_data import SWEEP, clock_of, figures, folder_of, note_step, write


def main(given: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as made:
        folder = folder_of(given, made)
        os.chdir(folder)
        write(folder / "data.h5")
        (folder / "sweep.yaml").write_text(SWEEP)
        swept(given, folder)
        return figures(folder / "runs" / "sweep-tiny" / "study.db", clock_of(BEGUN))


def swept(given: dict[str, Any], folder: Path) -> None:
    import spectrain
    from spectrain.training import loop

    real = loop.optimiser_step

    def step(*arguments):
        losses = real(*arguments)
        note_step(folder)
        return losses

    loop.optimiser_step = step
    words = [
        f"dataset.path={folder}/data.h5",
        "dataset.fold_method=random",
        "model.encoder=resnet18",
        "hparams.batch_size=8",
        f"hparams.epochs={given['epochs']}",
        "hparams.valid_interval=1",
        f"general.threads={given['threads']}",
    ]
    spectrain.sweep(
        "sweep.yaml",
        overrides=words,
        sweep_id="sweep-tiny",
        device="cpu",
        total_trials=given["trials"],
        n_folds=2,
        n_randoms=1,
    )


if __name__ == "__main__":
    end(main(options()))
