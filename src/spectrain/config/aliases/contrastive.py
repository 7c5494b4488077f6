"""The options of Nenya's JSON files (contrastive learning on cutouts of the sea surface)."""

from __future__ import annotations

from . import convert
from .convert import Converter, as_is

# derived by Nenya itself, or for its storage and analysis: no business of a training
_LEFT_ALONE = (
    "nchannels", "nenya_data", "model_name", "model_folder", "latents_folder", "warmup_from", "warmup_to",
    "warmup_epochs", "warm_epochs", "sensor", "s3_bucket", "s3_outdir", "local_outdir", "eval_root", "orig_tbl_file",
    "nenya_tbl_file", "tbl_file",
)  # fmt: skip

CONTRASTIVE: dict[str, tuple[str | None, Converter]] = {
    "ssl_method": ("task.method", convert.method),
    "ssl_model": ("model.backbone", as_is),
    "feat_dim": ("model.feat_dim", as_is),
    "temp": ("loss.temperature", as_is),
    "learning_rate": ("optimizer.lr", as_is),
    "momentum": ("optimizer.momentum", as_is),
    "weight_decay": ("optimizer.weight_decay", as_is),
    "cosine": ("scheduler", convert.schedule),
    "warm": ("scheduler", convert.schedule),
    "lr_decay_epochs": ("scheduler", convert.schedule),
    "lr_decay_rate": ("scheduler", convert.schedule),
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
    "gauss_noise": ("augmentation.noise", convert.off_if_null),
    "data_folder": ("dataset.path", convert.images_path),
    "images_file": ("dataset.path", convert.images_path),
    "train_key": ("dataset.train_key", as_is),
    "valid_key": ("dataset.valid_key", as_is),
    "num_workers": ("general.num_workers", as_is),
    "syncBN": ("general.sync_batchnorm", as_is),
    "trial": ("trial_name", convert.trial_name),
    **dict.fromkeys(_LEFT_ALONE, (None, as_is)),
}
