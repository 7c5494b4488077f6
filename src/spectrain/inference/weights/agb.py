"""Published weights of the regression with sparse labels: a U-Net with a mean and a log-variance for each pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ...core.bands import Bands
from ...core.errors import DataError
from ...models.unet import MOMENTS
from .imported import Imported, chosen_bands, configuration, epoch_of, in_float32, plain_names, write_imported
from .published_file import read_published

FIRST = "inc.double_conv.0.weight"
PARTS = ("inc.", "down", "up", "meanlayer.", "stdlayer.")
READ_AS_PUBLISHED = ("loss=gaussian_nll", "loss.variance=published")
"""The second head is read as it was trained: its softplus is the log-variance."""
_LEARNED = "up1.up.weight"


def import_agb(
    path: Path,
    output: Path,
    names: Sequence[str] = (),
    *,
    recipe: str = "regression",
    overrides: Sequence[str] = READ_AS_PUBLISHED,
) -> Imported:
    """Import a U-Net of the published trainer.

    Channels and the kind of upsampling are those that the weights have. Values are not standardised, as there; the
    state of the optimiser and of its schedule is left.

    Args:
        path: a checkpoint (``best_checkpoint.pt``, ``checkpoint_epoch5.pth``: a dict with ``model``) or the weights
            alone (``best_weights.pt``).
        output: checkpoint to write.
        names: of the bands; without names where empty, as the published arrays are.
        recipe: whose configuration the checkpoint carries.
        overrides: of it, beside those that describe the model.

    Raises:
        DataError: no such file, or the weights are of another model.
    """
    record = read_published(path)
    inside = record.get("model")
    weights = _network_of(record if inside is None else inside, path)
    channels, bilinear = int(weights[FIRST].shape[1]), _LEARNED not in weights
    bands = chosen_bands(names, channels, Bands.unnamed(channels))
    epoch = epoch_of(record)
    model = ["model=unet", f"model.num_ch={channels}", f"model.bilinear={str(bilinear).lower()}"]
    write_imported(
        output,
        configuration(recipe, {}, [*model, "model.standardise=none", *overrides]),
        recipe=recipe,
        bands=bands,
        image_size=None,
        channels=MOMENTS,
        weights=weights,
        source=path,
        system="agb",
        epoch=epoch,
    )
    notes = ["the variance is exp(softplus(...)), above 1 in the squared unit of the labels, as published"]
    if record.get("optimizer") or record.get("lr_sched"):
        notes.append("the state of the optimiser and of its schedule is left out")
    options = ("model.standardise=none", *overrides, f"model.init_from={output}")
    commands = (
        f"spectrain predict {output} SCENE -o MAP.tif --window 256",  # weights do not tell how large tiles were
        f"spectrain test {output} --data DATA --labels LABELS",
        f"spectrain train {recipe} dataset.path=DATA dataset.labels_path=LABELS {' '.join(options)}",
    )
    return Imported(output, "unet", bands, None, epoch, tuple(notes), recipe, options=options, commands=commands)


def _network_of(given: Any, path: Path) -> dict[str, Tensor]:
    """Return the weights by their plain names."""
    if not isinstance(given, Mapping):
        raise DataError(
            "the file holds no weights, or an object in their place",
            where=str(path),
            fix="give a file with a state dict, or with one under the key model",
        )
    plain = plain_names(given)
    other = [name for name, value in plain.items() if not isinstance(value, Tensor) or not name.startswith(PARTS)]
    if other or FIRST not in plain or plain[FIRST].dim() != 4:
        raise DataError(
            "these are not the weights of the published U-Net (inc.*, down1.* to up4.*, meanlayer.*, stdlayer.*)"
            + (f": {len(other)} others, first {other[0]}" if other else f": {FIRST} is missing or of another shape"),
            where=str(path),
            fix="give best_checkpoint.pt, checkpoint_epochN.pth or best_weights.pt of that trainer",
        )
    return in_float32(plain)
