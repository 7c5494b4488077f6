"""Small trainings that end before their time, and go on from one of their checkpoints."""

from __future__ import annotations

from pathlib import Path

from steps_of import config

from spectrain.runs.run import Run
from spectrain.training.api import train_config
from spectrain.training.checkpoint import load_checkpoint


class Killed(BaseException):
    """What ends a process, as far as a test of its own process can say it."""


def words(out: Path, *more: str) -> list[str]:
    small = ["hparams.batch_size=16", "hparams.epochs=4", "hparams.checkpoint_every=10min", f"out_dir={out}"]
    changed = {item.split("=", 1)[0] for item in more}
    return [*(item for item in small if item.split("=", 1)[0] not in changed), *more]


def trained(data: Path, out: Path, *more: str, goes_on_from: str | None = None) -> Run:
    cfg = config(data, "toy_dense", *words(out, *more))
    if goes_on_from is None:
        return train_config(cfg)
    checkpoint = load_checkpoint(out / "checkpoints" / f"{goes_on_from}.pt")
    return train_config(cfg, run=Run.open(out), checkpoint=checkpoint)
