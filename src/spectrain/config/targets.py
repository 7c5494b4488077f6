"""The ``_target_`` values printed in the documents of the four systems or in their code, and the parts they mean here.

The table is all there is: no other text in a configuration ever names something to import.
"""

from __future__ import annotations

TARGETS: dict[str, tuple[str, str]] = {
    "nenya.models.resnet_big.SupConResNet": ("model", "supcon_resnet"),
    "nenya.losses.SupConLoss": ("loss", "supcon"),
    "models.spectral_gpt.mae_spectral.MAESpectral": ("model", "mae_spectral"),
    "losses.mae_spectral.MAESpectralLoss": ("loss", "mae_spectral"),
    "dataset.segmentation_dataset.SegmentationDataset": ("dataset", "segmentation_dataset"),
    "plots.plot_bottleneck.display_rgb": ("show_prediction", "plot_rgb"),
    "model_training.models.spectral_gpt.spectral_gpt.MaskedAutoencoderViT": ("model", "mae_spectral"),
    "model_training.models.spectral_gpt.models_mae_spectral.MaskedAutoencoderViT": ("model", "mae_spectral"),
    "model_training.losses.custom_loss.CustomLoss": ("loss", "mae_spectral"),
    "model_training.metrics.reconstruction_mse.ReconstructionMSE": ("metric", "reconstruction"),
    "model_training.dataset.combined_dataset.get_dataset": ("dataset", "segmentation_dataset"),
    "model_training.plots.plot_bottleneck.display_rgb": ("show_prediction", "plot_rgb"),
}
"""Printed path -> (group, name)."""


def part_of(group: str, target: object) -> str | None:
    """Return the part (of ``dataset`` the group file) that a printed path means in a group, or None."""
    found = TARGETS.get(str(target))
    return found[1] if found is not None and found[0] == group else None


def refused(target: object) -> str:
    """Return what is wrong with a path that is not in the table."""
    return f"{target!r} is not a class path that is read: a file cannot run code"
