"""The options of DARTS (segmentation of thaw slumps), as its commands take them and its configuration file has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import convert
from .convert import Converter, Settings, as_is, truth


def augment(value: Any, theirs: Mapping[str, Any]) -> Any:
    """Return flips, quarter turns and other light for true; none for false."""
    if isinstance(value, list):
        raise ValueError("lists of augmentations are of later versions: set augmentation.* instead")
    return "scenes_light" if truth(value) else "none"


def gamma(value: Any, theirs: Mapping[str, Any]) -> Settings:
    """Return the published schedule: the rate falls by this factor each epoch."""
    return Settings({"scheduler": "exponential", "scheduler.gamma": convert.number(value)})


def focal(value: Any, theirs: Mapping[str, Any]) -> Settings:
    """Return the focal loss with its alpha and gamma."""
    settings = Settings({"loss": "focal"})
    if "focal_loss_alpha" in theirs:
        settings["loss.alpha"] = theirs["focal_loss_alpha"]
    if theirs.get("focal_loss_gamma") is not None:
        settings["loss.gamma"] = theirs["focal_loss_gamma"]
    return settings


def patience(value: Any, theirs: Mapping[str, Any]) -> int:
    """Return validations without improvement; null is 0, which never stops."""
    return 0 if value is None else value


def wandb(value: Any, theirs: Mapping[str, Any]) -> Settings:
    """Return the tracker, which is used where both entity and project are given."""
    entity, project = theirs.get("wandb_entity"), theirs.get("wandb_project")
    settings = Settings({"wandb.entity": entity, "wandb.project": project})
    if entity is not None and project is not None:
        settings["trackers"] = ["wandb"]
    return settings


def continued(value: Any, theirs: Mapping[str, Any]) -> Any:
    """Return nothing for null; a run is continued by an option of the command."""
    if value is None:
        return Settings()
    raise ValueError(f"is an option of the command here: spectrain train --resume {value}")


SEGMENTATION: dict[str, tuple[str | None, Converter]] = {
    "train_data_dir": ("dataset.path", as_is),
    "fold": ("dataset.fold", as_is),
    "model_arch": ("model.arch", as_is),
    "model_encoder": ("model.encoder", as_is),
    "model_encoder_weights": ("model.encoder_weights", as_is),
    "augment": ("augmentation", augment),
    "learning_rate": ("optimizer.lr", as_is),
    "gamma": ("scheduler.gamma", gamma),
    "focal_loss_alpha": ("loss.alpha", focal),
    "focal_loss_gamma": ("loss.gamma", focal),
    "batch_size": ("hparams.batch_size", as_is),
    "max_epochs": ("hparams.epochs", as_is),
    "log_every_n_steps": ("hparams.log_every", as_is),
    "check_val_every_n_epoch": ("hparams.valid_interval", as_is),
    "plot_every_n_val_epochs": ("hparams.plot_interval", as_is),
    "early_stopping_patience": ("hparams.early_stopping_patience", patience),
    "random_seed": ("general.seed", as_is),
    "num_workers": ("general.num_workers", as_is),
    "device": ("general.device", as_is),
    "wandb_entity": ("wandb.entity", wandb),
    "wandb_project": ("wandb.project", wandb),
    "wandb_group": ("wandb.group", as_is),
    "continue_from_checkpoint": (None, continued),
}
