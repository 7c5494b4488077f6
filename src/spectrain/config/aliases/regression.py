"""The flags of the published regression with sparse labels (biomass and canopy height from Sentinel and GEDI)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .convert import AliasError, Converter, Settings, as_is, if_given, number

LOSSES = {"mse": "mse", "mae": "mae", "gaussian_nll": "gaussian_nll", "laplacian_nll": "laplace_nll"}
"""The published names, in small letters, and ours."""
PROJECT = "AGB_UNET"
"""What the published flag without a value, which it always is there, names its project."""
SCHEDULE = "cosine"
"""The recipe's own."""
_TRUE, _FALSE = ("true", "yes", "t", "y", "1"), ("false", "no", "f", "n", "0")


def switch(value: Any, theirs: Mapping[str, Any]) -> bool:
    """Return a truth value as the published parser reads it: true, yes, t, y and 1, and their opposites."""
    word = str(value).strip().lower()
    if word not in (*_TRUE, *_FALSE):
        raise ValueError(f"must be true or false, not {value!r}")
    return word in _TRUE


def every_epoch(value: Any, theirs: Mapping[str, Any]) -> int:
    """Return how often a checkpoint is kept: each epoch, or never but for the last and the best."""
    return int(switch(value, theirs))


def begin(value: Any, theirs: Mapping[str, Any]) -> Settings:
    """Return the weights to begin from, which ``train_mode`` and ``model_weights_path`` say together.

    "resume" takes them with a fresh optimiser, as the document means it; "scratch" draws them, whatever path is given.
    With ``skip_training`` they are those to test.
    """
    mode, path = theirs.get("train_mode"), theirs.get("model_weights_path")
    if mode not in (None, "scratch", "resume"):
        raise AliasError("train_mode", f"must be scratch or resume, not {mode!r}")
    if mode == "resume" and path is None:
        raise AliasError("train_mode", "resume needs --model_weights_path FILE; to continue a run: --resume RUN")
    tested = switch(theirs.get("skip_training", False), theirs)
    if mode is None and path is not None and not tested:
        raise AliasError("model_weights_path", "is used beside train_mode resume, or skip_training, only")
    return Settings({"model.init_from": path if mode == "resume" or tested else None})


def loss(value: Any, theirs: Mapping[str, Any]) -> Any:
    """Return the loss by our name; one of ours stays."""
    return LOSSES.get(value.lower(), value) if isinstance(value, str) else value


def momentum(value: Any, theirs: Mapping[str, Any]) -> Any:
    """Return the momentum of SGD; of others it says nothing, as published."""
    return value if str(theirs.get("optimizer")).lower() == "sgd" else Settings()


def project(value: Any, theirs: Mapping[str, Any]) -> Any:
    """Return the project's name; the flag alone is the published one."""
    return PROJECT if value is True else Settings() if value in (None, False) else str(value)


def only_a_number(value: Any, theirs: Mapping[str, Any]) -> Settings:
    """Return nothing: the published trainer reads the number and does nothing with it."""
    number(value)
    return Settings()


def drawn_limits(value: Any, theirs: Mapping[str, Any]) -> Settings:
    """Return where plots of the labels begin and end, which ``min_gt`` and ``max_gt`` say together; 0 and 1000."""
    low, high = (number(theirs.get(name, otherwise)) for name, otherwise in (("min_gt", 0), ("max_gt", 1000)))
    if low >= high:
        key = "max_gt" if "max_gt" in theirs else "min_gt"
        raise AliasError(key, f"max_gt must be above min_gt, and they are {high:g} and {low:g}")
    return Settings({"task.limits": [low, high]})


def base_rate(value: Any, theirs: Mapping[str, Any]) -> Settings:
    """Return the lowest rate of the published cycles, which come with it in place of the recipe's schedule.

    The rate is theirs alone: with 1e-7 the recipe's would learn nothing.
    """
    cycles = {"scheduler": "cyclic"} if theirs.get("scheduler") in (None, SCHEDULE) else {}
    return Settings({"optimizer.lr": value, **cycles})


def skip(value: Any, theirs: Mapping[str, Any]) -> Settings:
    """Return whether to test only: the run in ``out_dir``, or the weights that ``model_weights_path`` names."""
    return Settings({"hparams.skip_training": True} if switch(value, theirs) else {})


REGRESSION: dict[str, tuple[str | None, Converter]] = {
    "train_input_data_dir": ("dataset.path", as_is),
    "train_label_data_dir": ("dataset.labels_path", as_is),
    "train_mode": ("model.init_from", begin),
    "model_weights_path": ("model.init_from", begin),
    "skip_training": ("hparams.skip_training", skip),
    "num_workers": ("general.num_workers", if_given),
    "loss_key": ("loss", loss),
    "batch_size": ("hparams.batch_size", as_is),
    "nb_epoch": ("hparams.epochs", as_is),
    "base_learning_rate": ("optimizer.lr", base_rate),
    "l2_lambda": ("optimizer.weight_decay", as_is),
    "optimizer=ADAM": ("optimizer=adam", as_is),
    "optimizer=Adam": ("optimizer=adam", as_is),
    "optimizer=SGD": ("optimizer=sgd", as_is),
    "momentum": ("optimizer.momentum", momentum),
    "gradient_clipping": ("hparams.gradient_clipping", as_is),
    "amp": ("general.use_amp", switch),
    "bilinear": ("model.bilinear", switch),
    "num_ch": ("model.num_ch", as_is),
    "save_checkpoint": ("hparams.save_freq", every_epoch),
    "wabdb_name": ("wandb.project", project),
    "wandb_name": ("wandb.project", project),
    "min_gt": ("task.limits", drawn_limits),
    "max_gt": ("task.limits", drawn_limits),
    "pearson_thresh": (None, only_a_number),
}
"""``out_dir`` and ``all_checkpoint_dir`` are options of ours by the same names."""
