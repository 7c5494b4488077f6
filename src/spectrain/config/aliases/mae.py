"""The configuration of SpectralEye (masked autoencoding of spectral cubes), as documented and as published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .convert import Converter, Settings, as_is, number, truth

PATCH_SIZE = (25, 5)
STEP_LR = (15, 0.9)
"""Epochs from one fall of the published step schedule to the next, and the factor."""
LONGEST = 1000
"""Epochs for which that schedule is written out, where a training is not known to be longer."""


def patch_size(value: Any, theirs: Mapping[str, Any]) -> Settings:
    """Return the patch of ``spatial_patch_size`` and ``wavelength_patch_size``; where one is not given, it stays."""
    before = theirs.get("model.patch_size")
    side, bands = before if isinstance(before, list) and len(before) == 2 else PATCH_SIZE
    patch = [theirs.get("model.spatial_patch_size", side), theirs.get("model.wavelength_patch_size", bands)]
    return Settings({"model.patch_size": patch})


def one_channel(value: Any, theirs: Mapping[str, Any]) -> Settings:
    """Return nothing: an image is a cube of one channel, and what it has more is bands."""
    if value != 1 or isinstance(value, bool):
        raise ValueError(f"must be 1, not {value!r}: the number of bands is model.in_chans")
    return Settings()


def pretrained(value: Any, theirs: Mapping[str, Any]) -> Settings:
    """Return the weights of ``pretrained_path``, unless ``use_pretrained`` is false."""
    path, wanted = theirs.get("general.pretrained_path"), theirs.get("general.use_pretrained")
    if truth(wanted) and path is None:
        raise ValueError("is true, but general.pretrained_path is not given")
    return Settings({"model.init_from": None if wanted is False else path})


def device(value: Any, theirs: Mapping[str, Any]) -> Settings:
    """Return the GPU of ``device_id``; the CPU where ``use_cuda`` is false."""
    if not truth(theirs.get("general.use_cuda", True)):
        return Settings({"general.device": "cpu"})
    number_of_gpu = theirs.get("general.device_id")
    return Settings({"general.device": "auto" if number_of_gpu is None else number_of_gpu})


def device_ids(value: Any, theirs: Mapping[str, Any]) -> Settings:
    """Return the GPUs of ``device_ids``; none where ``use_parallel`` is false."""
    ids = theirs.get("general.parallel.device_ids")
    if not truth(theirs.get("general.parallel.use_parallel", True)):
        return Settings({"general.device_ids": []})
    return Settings() if ids is None else Settings({"general.device_ids": ids})


def ddp(value: Any, theirs: Mapping[str, Any]) -> Any:
    """Return ddp for true; false says nothing, since one process alone is no matter of this option."""
    return "ddp" if truth(value) else Settings()


def standardise(value: Any, theirs: Mapping[str, Any]) -> str:
    """Return whether a model standardises by mean and deviation of the training data."""
    return "mean_std" if truth(value) else "none"


def transform_type(value: Any, theirs: Mapping[str, Any]) -> str:
    """Return the augmentation of that name; null is none."""
    return "none" if value is None else str(value)


def use_transform(value: Any, theirs: Mapping[str, Any]) -> Settings:
    """Return the published augmentation, unless ``augmentation.use_transform`` is false."""
    wanted = truth(theirs.get("augmentation.use_transform", True))
    return Settings({"augmentation": "augment_basic" if wanted else "none"})


def valid_fraction(value: Any, theirs: Mapping[str, Any]) -> float:
    """Return what training leaves for validation."""
    return round(1 - number(value), 12)


def step_lr(value: Any, theirs: Mapping[str, Any]) -> Settings:
    """Return the published schedule: a fall every 15 epochs (or ``step_size``), to 0.9 of the rate."""
    every = theirs.get("scheduler.step_size", STEP_LR[0])
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise ValueError(f"must have a whole number of epochs as scheduler.step_size, not {every!r}")
    epochs = theirs.get("hparams.epochs", theirs.get("hparams.nb_epochs"))
    last = epochs if isinstance(epochs, int) and LONGEST < epochs < 100 * LONGEST else LONGEST
    settings: dict[str, Any] = {
        "scheduler.milestones": list(range(every, last + 1, every)),
        "scheduler.gamma": STEP_LR[1],
    }
    return Settings({"scheduler": "step", **{key: item for key, item in settings.items() if key not in theirs}})


def eta_min(value: Any, theirs: Mapping[str, Any]) -> float:
    """Return the end of the cosine as a share of the base rate, where that can be told."""
    if number(value) != 0:
        raise ValueError(f"cannot be {value!r}: write scheduler.min_factor, which is a share of the learning rate")
    return 0.0


# of the published code or its loader, without a meaning here or without one at all
_LEFT_ALONE = (
    "spatial_size", "scheduler_seq", "hydra/job_logging", "hydra/hydra_logging", "hydra.*",
    "dataloader.pin_memory", "dataloader.prefetch_factor", "dataloader.persistent_workers", "dataloader.shuffle",
    "dataset.trial_mode", "dataset.trial_size", "dataset._partial_", "show_prediction._partial_",
    "general.save_model", "general.model_path", "general.save_results", "general.output_folder", "general.working_dir",
    "scheduler.T_max", "scheduler.last_epoch",
)  # fmt: skip

MAE: dict[str, tuple[str | None, Converter]] = {
    "accuracy.*": ("metric.*", as_is),
    "model.model.*": ("model.*", as_is),
    "show_prediction.plots.prediction.*": ("show_prediction.*", as_is),
    "dataset=combined_dataset": ("dataset=segmentation_dataset", as_is),
    "dataset=dataset_240": ("dataset=segmentation_dataset", as_is),
    "augmentation=transform": ("augmentation=augment_basic", use_transform),
    "augmentation=transform_240": ("augmentation=augment_basic", use_transform),
    "loss=custom_loss": ("loss=mae_spectral", as_is),
    "metric=reconstruction_mse": ("metric=reconstruction", as_is),
    "scheduler=cosine_annealing": ("scheduler=cosine", as_is),
    "scheduler=reduce_on_plateau": ("scheduler=plateau", as_is),
    "scheduler=step_lr": ("scheduler=step", step_lr),
    "scheduler.step_size": ("scheduler.milestones", step_lr),
    "scheduler.eta_min": ("scheduler.min_factor", eta_min),
    "dataset.csv_file": ("dataset.path", as_is),
    "dataset.csv_path": ("dataset.path", as_is),
    "dataset.transform_type": ("augmentation", transform_type),
    "dataset.normalize": ("model.standardise", standardise),
    "dataset.train_ratio": ("dataset.valid_fraction", valid_fraction),
    "dataset.seed": ("dataset.split_seed", as_is),
    "augmentation.use_transform": ("augmentation", use_transform),
    "model.num_channels": (None, one_channel),
    "model.num_wavelengths": ("model.in_chans", as_is),
    "model.spatial_patch_size": ("model.patch_size", patch_size),
    "model.wavelength_patch_size": ("model.patch_size", patch_size),
    "model.encoder_embed_dim": ("model.embed_dim", as_is),
    "model.use_gradient_checkpointing": ("general.recompute", as_is),
    "loss.reconstruction_weight": ("loss.mse_weight", as_is),
    "loss.angle_weight": ("loss.sam_weight", as_is),
    "loss.range_weight": ("loss.range_penalty_weight", as_is),
    "hparams.use_gradient_checkpointing": ("general.recompute", as_is),
    "general.device_id": ("general.device", device),
    "general.use_cuda": ("general.device", device),
    "general.use_ddp": ("general.parallel", ddp),
    "general.parallel.use_parallel": ("general.device_ids", device_ids),
    "general.parallel.device_ids": ("general.device_ids", device_ids),
    "general.use_pretrained": ("model.init_from", pretrained),
    "general.pretrained_path": ("model.init_from", pretrained),
    **dict.fromkeys(_LEFT_ALONE, (None, as_is)),
}
