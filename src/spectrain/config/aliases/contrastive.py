"""The options of Nenya's JSON files (contrastive learning on cutouts of the sea surface)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import convert
from .convert import Converter, as_is

if TYPE_CHECKING:
    from ..schema import Config

# derived by Nenya itself, or for its storage and analysis: no business of a training
_LEFT_ALONE = (
    "nenya_data", "model_name", "model_folder", "latents_folder", "warmup_to", "sensor", "s3_bucket", "s3_outdir",
    "local_outdir", "eval_root", "orig_tbl_file", "nenya_tbl_file", "tbl_file",
)  # fmt: skip

CONTRASTIVE: dict[str, tuple[str | None, Converter]] = {
    "ssl_method": ("task.method", convert.method),
    "ssl_model": ("model.backbone", as_is),
    "nchannels": (None, convert.channels),
    "feat_dim": ("model.feat_dim", as_is),
    "temp": ("loss.temperature", as_is),
    "learning_rate": ("optimizer.lr", as_is),
    "momentum": ("optimizer.momentum", as_is),
    "weight_decay": ("optimizer.weight_decay", as_is),
    "cosine": ("scheduler", convert.schedule),
    "warm": ("scheduler", convert.schedule),
    "lr_decay_epochs": ("scheduler", convert.schedule),
    "lr_decay_rate": ("scheduler", convert.schedule),
    "warmup_from": ("scheduler.warmup_from", convert.if_given),
    "warmup_epochs": ("scheduler.warmup_epochs", convert.if_given),
    "warm_epochs": ("scheduler.warmup_epochs", convert.if_given),
    "epochs": ("hparams.epochs", as_is),
    "batch_size_train": ("hparams.batch_size", as_is),
    "batch_size_valid": ("hparams.batch_size_valid", as_is),
    "valid_freq": ("hparams.valid_interval", as_is),
    "save_freq": ("hparams.save_freq", as_is),
    "print_freq": ("hparams.log_every", as_is),
    "random_cropjitter": ("augmentation.crop", convert.crop_jitter),
    "random_jitter": ("augmentation.crop", convert.crop_jitter),
    "rotate": ("augmentation.rotate", as_is),
    "flip": ("augmentation.flip", as_is),
    "demean": ("augmentation.demean", convert.demean),
    "gauss_noise": ("augmentation.noise", convert.noise),
    "data_folder": ("dataset.path", convert.images_path),
    "images_file": ("dataset.path", convert.images_path),
    "train_key": ("dataset.train_key", as_is),
    "valid_key": ("dataset.valid_key", as_is),
    "num_workers": ("general.num_workers", as_is),
    "syncBN": ("general.sync_batchnorm", as_is),
    "trial": ("trial_name", convert.trial_name),
    **dict.fromkeys(_LEFT_ALONE, (None, as_is)),
}

_METHODS = {"simclr": "SimCLR", "supcon": "SupCon"}


def derived_names(cfg: Config) -> dict[str, str]:
    """Return the names that Nenya derives from its options, by which its users know a model.

    ``models/`` is put before ``model_root`` as its code does, also where that begins so already.
    """
    scheduler = cfg.scheduler
    cosine = scheduler.cosine if scheduler.name == "nenya" else scheduler.name == "cosine"
    warm = scheduler.warm if scheduler.name == "nenya" else getattr(scheduler.options, "warmup_epochs", 0) > 0
    trial = (cfg.trial_name or "trial_0").removeprefix("trial_")
    options = {
        "lr": cfg.optimizer.lr,
        "decay": cfg.optimizer.weight_decay,
        "bsz": cfg.hparams.batch_size,
        "temp": cfg.loss.temperature,
        "trial": trial,
    }
    method = _METHODS.get(cfg.task.method, cfg.task.method)
    name = f"{method}_{cfg.model.backbone}_" + "_".join(f"{key}_{value}" for key, value in options.items())
    name += "_cosine" * bool(cosine) + "_warm" * bool(warm)
    folder = f"models/{cfg.artifact_dir}/{name}"
    return {
        "model_name": name,
        "model_folder": folder,
        "latents_folder": f"latents/{cfg.artifact_dir}/{name}",
        "losses_file_train": f"{folder}/learning_curve/{name}_losses_train.h5",
        "losses_file_valid": f"{folder}/learning_curve/{name}_losses_valid.h5",
    }
