"""`spectrain import-weights`: published weights as a checkpoint of ours, which everything else then takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..core.errors import DataError, RunError, perhaps
from .weights.agb import import_agb
from .weights.darts import import_darts
from .weights.imported import Imported
from .weights.nenya import import_nenya
from .weights.spectraleye import import_spectraleye

SYSTEMS = ("agb", "darts", "nenya", "spectraleye")


def import_weights(
    path: str | Path,
    system: str,
    output: str | Path,
    *,
    bands: Sequence[str] = (),
    fold_grey: bool = False,
    heads: tuple[int, int] | None = None,
    limits: Sequence[str] = (),
    overwrite: bool = False,
) -> Imported:
    """Turn the published weights of another system into a checkpoint of ours, without running anything in the file.

    `load_trained_model`, `embed` and ``model.init_from`` take the result, that of Nenya ``model.backbone`` too, that of
    DARTS and of AGB `test` and `predict`.

    Args:
        path: the file, e.g. a ``last.pth`` of Nenya.
        system: "nenya"; "spectraleye" for spectral masked autoencoders, those of SpectralGPT among them; "darts" for
            its segmentation networks, converted or as Lightning wrote them; or "agb" for the U-Net of biomass and
            canopy height from sparse labels.
        output: checkpoint to write.
        bands: their names. Where empty, the 30 bands of SpectralEye for its models of 30 bands, else unnamed.
        fold_grey: of Nenya: the model was shown a grey image three times over: sum its first filters over the three
            channels. The result is the same function of one band.
        heads: of spectraleye: heads of the encoder and of the decoder, which weights do not tell. None takes those of
            the published model of these sizes.
        limits: of darts: words ``NAME=LOW:HIGH``, the physical values that are 0 and 1, for bands of which the file
            does not tell.
        overwrite: replace what is there.

    Raises:
        DataError: no such file or system, not a model of it, or as many bands as it has not.
        RunError: there is something already.
    """
    if system not in SYSTEMS:
        raise DataError(
            f"weights of {system!r} cannot be imported" + perhaps(system, SYSTEMS),
            where="--from",
            fix=f"known are {', '.join(SYSTEMS)}",
        )
    if heads is not None and system != "spectraleye":
        raise DataError(f"weights of {system} have no heads", where="--heads", fix="leave it away")
    if fold_grey and system != "nenya":
        raise DataError(f"weights of {system} are of no repeated grey", where="--fold-grey", fix="leave it away")
    if limits and system != "darts":
        raise DataError(f"weights of {system} know no limits of bands", where="--limits", fix="leave it away")
    _refuse_existing(Path(output), overwrite)
    if system == "agb":
        return import_agb(Path(path), Path(output), bands)
    if system == "darts":
        return import_darts(Path(path), Path(output), bands, limits)
    if system == "nenya":
        return import_nenya(Path(path), Path(output), bands, fold_grey)
    return import_spectraleye(Path(path), Path(output), bands, heads)


def _refuse_existing(output: Path, overwrite: bool) -> None:
    if output.is_dir():
        raise RunError("is a folder", where=str(output), fix=f"name a file in it, such as {output / 'weights.pt'}")
    if output.exists() and not overwrite:
        raise RunError("is there already", where=str(output), fix="give another -o, or --overwrite to replace it")
