"""What both sweeps share: a tiny data set, a note of each optimiser step, and what the study says of its trials."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SWEEP = """\
name: tiny
method: random
metric: {name: jaccard_valid, goal: maximize}
parameters:
  optimizer.lr: {min: 0.0001, max: 0.01, distribution: log_uniform_values}
"""
COUNT, BANDS, SIDE = 32, 2, 32


def arrays() -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Return images [N,C,H,W] and masks [N,H,W] that follow from their first band."""
    images = np.random.default_rng(0).integers(0, 3000, (COUNT, BANDS, SIDE, SIDE)).astype(np.uint16)
    return images, (images[:, 0] > 1500).astype(np.uint8)


def write(path: Path) -> None:
    """Write them as HDF5, where the file is not there yet."""
    import h5py

    if not path.exists():
        images, masks = arrays()
        with h5py.File(path, "w") as file:
            file["train"], file["train_labels"] = images, masks
            file["valid"], file["valid_labels"] = images[:8], masks[:8]


def note_step(folder: Path) -> None:
    """Add a byte to the file of steps; it survives the process."""
    with (folder / "steps").open("ab") as file:
        file.write(b".")


def steps(folder: Path) -> int:
    """Return how many steps were taken, by all processes."""
    path = folder / "steps"
    return path.stat().st_size if path.exists() else 0


def trials(database: Path) -> list[Any]:
    """Return the trials of the only study, by Optuna."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    url = f"sqlite:///{database}"
    return optuna.load_study(study_name=None, storage=url).trials


def figures(database: Path, begun: float) -> dict[str, float]:
    """Return seconds a trial, the first left out, and how long the first took to its end from the process's start."""
    import statistics

    ends = sorted(trial.datetime_complete.timestamp() for trial in trials(database))
    apart = [b - a for a, b in itertools.pairwise(ends)]
    return {"trial_s": statistics.median(apart), "first_trial_s": ends[0] - begun}


def clock_of(begun: float) -> float:
    """Return a time on the clock of the machine as one of the calendar."""
    import time

    return time.time() - (time.monotonic() - begun)


def folder_of(given: dict[str, Any], made: str) -> Path:
    """Return the folder that was given, else the one that was made."""
    path = Path(given.get("folder") or made)
    path.mkdir(parents=True, exist_ok=True)
    return path
