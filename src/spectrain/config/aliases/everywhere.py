"""Names that every recipe understands."""

from __future__ import annotations

from .convert import Converter, as_is, cuda_use

EVERYWHERE: dict[str, tuple[str | None, Converter]] = {
    "dataloader.num_workers": ("general.num_workers", as_is),
    "cuda_use": ("general.device", cuda_use),
    "hparams.lr": ("optimizer.lr", as_is),
    "hparams.nb_epochs": ("hparams.epochs", as_is),
    "model_root": ("artifact_dir", as_is),
}
