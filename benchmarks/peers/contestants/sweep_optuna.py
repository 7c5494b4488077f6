"""The same search as most write it: an Optuna study in SQLite, and an objective that trains two folds."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from leg import BEGUN, end, options
from sweep_data import arrays, clock_of, figures, folder_of, note_step


def main(given: dict[str, Any]) -> dict[str, Any]:
    import optuna
    import torch

    torch.set_num_threads(given["threads"])
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory() as made:
        folder = folder_of(given, made)
        study = optuna.create_study(
            study_name="tiny",
            storage=f"sqlite:///{folder}/study.db",
            direction="maximize",
            load_if_exists=True,
            sampler=optuna.samplers.RandomSampler(seed=0),
        )
        left = given["trials"] - len([one for one in study.trials if one.state.is_finished()])
        study.optimize(lambda trial: objective(trial, given["epochs"], folder), n_trials=left)
        return figures(folder / "study.db", clock_of(BEGUN))


def objective(trial: Any, epochs: int, folder: Path) -> float:
    """Return the mean IoU of two folds."""
    import torch

    rate = trial.suggest_float("lr", 1e-4, 1e-2, log=True)
    images, masks = (torch.from_numpy(one) for one in arrays())
    images = (images.float() - images.float().mean()) / images.float().std()
    scores = []
    for fold in range(2):
        held = torch.arange(len(images)) % 2 == fold
        scores.append(trained(images, masks.float(), held, rate, epochs, folder))
    return sum(scores) / len(scores)


def trained(images: Any, masks: Any, held: Any, rate: float, epochs: int, folder: Path) -> float:
    import segmentation_models_pytorch as smp
    import torch

    model = smp.Unet("resnet18", encoder_weights=None, in_channels=images.shape[1], classes=1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    criterion = torch.nn.BCEWithLogitsLoss()
    for _ in range(epochs):
        model.train()
        for index in (~held).nonzero()[:, 0][torch.randperm(int((~held).sum()))].split(8):
            loss = criterion(model(images[index])[:, 0], masks[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            note_step(folder)
    model.eval()
    with torch.no_grad():
        predicted = model(images[held])[:, 0] > 0
    truth = masks[held] > 0
    return float((predicted & truth).sum() / (predicted | truth).sum())


if __name__ == "__main__":
    end(main(options()))
