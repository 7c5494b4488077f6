"""One masked autoencoder for six real sensors: does it fill in what is hidden better than simple rules do?

Sensors of 12 to 218 bands (Sentinel-2 on a 20 m grid) train one model together. A cube gives its right columns to
validation, those beside them to the test, the rest to training; of EnMAP whole tiles are drawn. The settings were
chosen on the validation parts; the test parts, other ground, are what the figures are of. 80 % of the tokens of a
window (4 x 4 px by 10 bands) are hidden: each by itself ("random"), all bands of a place ("tube"), or whole band groups
("spectral"). The model is trained on the first, and shown the other two only here. All see the same masks, the model's
own.

Errors are mean squares over all hidden values, each band divided by its deviation in the training part; PSNR is of the
values as stored, over their range in the training part. "Band means" are those of the training part. "Linear" fills in
a pixel's spectrum between its visible bands, and repeats the last one at the ends; where a pixel has no visible band it
is the band means. It does so with standardised values, so it knows the mean spectrum (of the values as stored it is
worse, and has a column too). "Nearest" takes the same band of the nearest visible pixel.

Neighbouring bands of a spectrometer are nearly the same, pixel by pixel. So linear is hard to beat where a visible band
is near: it has every detail of the pixel without having to learn any. It fails where gaps are wide, at absorption
bands, at the ends, and where there is nothing to interpolate from (tube; Sentinel-2's two band groups). Where all bands
of a place are hidden, the nearest pixel is the rule to beat. Each row says what is best, and where that is a rule (by
the error, else by PSNR), how near and how alike its visible values are.

That linear loses with random masks is a matter of the tokens too: ten bands in each make the gaps wide. With five bands
linear's error on the spectrometers' validation parts falls to between a third and three fifths (EnMAP 0.19, samson
0.24, jasper_ridge 0.13), and a model of such tokens, after 25 epochs, is behind it on these three, ahead on the others.

Goal: the model beats band means for every sensor.

Takes six minutes; needs the shared data, and is run by name: `python benchmarks/run.py mixture`.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
SENSORS = ("samson", "jasper_ridge", "muufl_gulfport_sub", "indian_pines", "s2_majortom_thailand", "enmap_potsdam")
MASKINGS = ("random", "tube", "spectral")
WINDOW = 24
SENTINEL2 = {  # centre and width in nm
    "B01": (443, 21),
    "B02": (490, 66),
    "B03": (560, 36),
    "B04": (665, 31),
    "B05": (705, 15),
    "B06": (740, 15),
    "B07": (783, 20),
    "B08": (842, 106),
    "B8A": (865, 21),
    "B09": (945, 20),
    "B11": (1610, 91),
    "B12": (2190, 175),
}
PART = 144
"""Side in px of Sentinel-2's part that is used, so that it is about a quarter of the windows."""

DATA = [f"dataset.window={WINDOW}", "dataset.stride=8", "dataset.valid_fraction=0.25", "dataset.test_fraction=0.25"]
MODEL = [
    "model=mae_tiny",
    "model.patch_size=[4,10]",
    "model.embed_dim=128",
    "model.encoder_depth=3",
    "model.encoder_num_heads=4",
    "model.decoder=cross",
    "model.decoder_embed_dim=128",
    "model.decoder_depth=2",
    "model.decoder_num_heads=4",
    "model.decode_ratio=0.5",
]
TRAINING = [
    "augmentation=warp",
    "augmentation.dihedral=true",
    "augmentation.size=16",
    "optimizer.lr=1e-3",
    "scheduler.warmup_epochs=2",
    "hparams.gradient_clipping=1",
    "hparams.batch_size=8",
    "hparams.epochs=60",
    "hparams.valid_interval=20",
    "hparams.plot_interval=0",
    "metric=none",
    "show_prediction=none",
    "trackers=[]",
    "general.device=cpu",
    "general.threads=1",
]


def rows() -> list[dict[str, object]]:
    if not SHARED.is_dir():
        return [{"sensor": "no data", "why": f"{SHARED} is not there"}]
    with tempfile.TemporaryDirectory() as name:
        paths = sensors(Path(name))
        run = pretrained(list(paths.values()), Path(name) / "runs", 0)
        return [
            row
            for masking in MASKINGS
            for row in table_of(filled_in(run, list(paths.values()), "test", masking), list(paths), masking)
        ]


def sensors(folder: Path) -> dict[str, Path]:
    """Return where the data of each sensor are; Sentinel-2's are put on one grid in ``folder``."""
    found = {name: SHARED / "hyperspectral" / f"{name}.h5" for name in SENSORS[:4]}
    found["s2_majortom_thailand"] = sentinel2(folder)
    found["enmap_potsdam"] = SHARED / "enmap_potsdam"
    return found


def sentinel2(folder: Path) -> Path:
    """Return a cube of twelve bands on a grid of 20 m: finer bands averaged, coarser ones interpolated."""
    import rasterio
    from rasterio.enums import Resampling

    planes = []
    for name in SENTINEL2:
        with rasterio.open(SHARED / "s2_majortom_thailand" / f"{name}.tif") as file:
            how = Resampling.average if file.width > 534 else Resampling.bilinear
            planes.append(file.read(1, out_shape=(534, 534), resampling=how)[:PART, :PART])
    path = folder / "s2_majortom_thailand.h5"
    with h5py.File(path, "w") as file:
        file["cube"] = np.stack(planes).astype(np.float32)
        file["cube"].attrs["band_names"] = list(SENTINEL2)
        file["wavelength_nm"] = [centre for centre, _ in SENTINEL2.values()]
        file["width_nm"] = [width for _, width in SENTINEL2.values()]
    return path


def pretrained(paths: list[Path], folder: Path, seed: int, words: list[str] | None = None) -> Path:
    """Return the run of a model trained on all of these data sets; ``words`` change its settings."""
    import spectrain

    listed = ",".join(str(path) for path in paths)
    own = [f"dataset.path=[{listed}]", f"general.seed={seed}", f"artifact_dir={folder}"]
    settings = {word.split("=")[0]: word for word in (*DATA, *MODEL, *TRAINING, *own, *(words or []))}
    return spectrain.train("mae", overrides=list(settings.values())).folder


@dataclass
class Sums:
    """Sums over the hidden values of one sensor.

    Attributes:
        data_range: largest minus smallest stored value of the training part.
        count: hidden values.
        distance: nm from each to the nearest visible band of its pixel, where there is one.
        lone: hidden values whose pixel has no visible band.
        pixels: whatever is hidden of them.
        products: of standardised bands, summed over the pixels [C,C].
        nanometres: wavelength of each band [C].
        standardised: squared errors by what filled them in, each band over its deviation.
        stored: likewise, of the values as stored.
    """

    data_range: float = 1.0
    count: float = 0.0
    distance: float = 0.0
    lone: float = 0.0
    pixels: float = 0.0
    products: Tensor | None = None
    nanometres: Tensor | None = None
    standardised: dict[str, float] = field(default_factory=dict)
    stored: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, error: Tensor, scale: Tensor) -> None:
        """Add standardised errors [N] of values whose band has the deviation ``scale`` [N]."""
        self.standardised[name] = self.standardised.get(name, 0.0) + error.double().square().sum().item()
        self.stored[name] = self.stored.get(name, 0.0) + (error * scale).double().square().sum().item()

    def look(self, target: Tensor, visible: Tensor, hidden: Tensor, nanometres: Tensor) -> None:
        """Note how far hidden values are from visible bands, and how alike bands are."""
        order = nanometres.argsort()
        seen, x = visible[:, order], nanometres[order]
        above = self._to_visible(seen, x)
        below = self._to_visible(seen.flip(1), -x.flip(0)).flip(1)
        distance = torch.minimum(above, below)[hidden[:, order]]
        self.distance += distance[distance.isfinite()].double().sum().item()
        self.lone += (~distance.isfinite()).sum().item()
        flat = target.transpose(0, 1).flatten(1).double()
        flat = flat - flat.mean(1, keepdim=True)
        self.pixels += flat.shape[1]
        self.products = flat @ flat.T + (0 if self.products is None else self.products)
        self.nanometres = nanometres

    @staticmethod
    def _to_visible(visible: Tensor, nanometres: Tensor) -> Tensor:
        """Return nm [B,C,H,W] up to the next visible band; inf where there is none. Bands are sorted."""
        x = nanometres.view(-1, 1, 1)
        return torch.where(visible, x, torch.inf).flip(1).cummin(1).values.flip(1) - x

    def likeness(self) -> tuple[float, float]:
        """Return the mean distance to a visible band in nm, and the mean correlation of bands no farther apart."""
        assert self.products is not None
        assert self.nanometres is not None
        nm = self.distance / max(1.0, self.count - self.lone)
        apart = (self.nanometres[:, None] - self.nanometres).abs()
        scale = self.products.diagonal().sqrt().clamp(min=1e-12)
        alike = (self.products / scale / scale[:, None])[(apart > 0) & (apart <= nm)]
        return nm, alike.mean().item() if len(alike) else math.nan


def filled_in(run: Path, paths: list[Path], split: str, masking: str) -> list[Sums]:
    """Return for each data set how well a model and the simple rules fill in what is hidden."""
    from spectrain.core.batch import Batch
    from spectrain.data.mixture import eval_order
    from spectrain.data.opening import open_patches
    from spectrain.tasks.base import Step
    from spectrain.training.evaluate import evaluate
    from spectrain.training.subject import Subject, source_of
    from spectrain.training.testing import model_for
    from spectrain.training.trained.model import load_trained

    trained = load_trained(run)
    options = replace(trained.cfg.dataset, stride=None)
    patches = open_patches(list(paths), split, options)
    model: Any = model_for(trained, patches).eval()
    model.net.masking = masking
    task = trained.cfg.task.build(loss=trained.cfg.loss.build(), metric=None, plot=None)
    subject = Subject(trained.cfg, torch.device("cpu"), None, task, None, model)
    sums = [Sums() for _ in paths]

    def each(step: Step, batch: Batch) -> None:
        made, held, of = step.output, model.band_set(batch.dataset), sums[batch.dataset]
        mean, std = held.mean.view(-1, 1, 1), held.std.view(-1, 1, 1)
        target = (made.target - mean) / std
        hidden, visible = made.masked, ~made.masked
        if made.valid is not None:
            hidden, visible = hidden & made.valid, visible & made.valid
        nanometres = torch.tensor([band.wavelength for band in made.bands])
        of.look(target, visible, hidden, nanometres)
        stored = linear(made.target, visible, nanometres, held.mean)
        fills = {
            "model": (made.prediction - mean) / std,
            "band means": torch.zeros_like(target),
            "linear": linear(target, visible, nanometres, torch.zeros(len(held.bands))),
            "linear, as stored": (stored - mean) / std,
            "nearest": nearest(target, visible),
        }
        of.data_range = made.data_range
        of.count += hidden.sum().item()
        for name, fill in fills.items():
            of.add(name, (fill - target)[hidden], std.expand_as(target)[hidden])

    source = source_of(trained.cfg, patches, task, subject.device)
    with source.loader:
        evaluate(subject, source, eval_order(patches, 8), each)
    return sums


def linear(values: Tensor, visible: Tensor, nanometres: Tensor, otherwise: Tensor) -> Tensor:
    """Return images [B,C,H,W] in which each pixel's spectrum is interpolated between its visible bands.

    Args:
        values: the images.
        visible: bool, likewise.
        nanometres: wavelength of each band [C].
        otherwise: a value a band [C], for pixels without a visible band.
    """
    order = nanometres.argsort()
    values, visible, x = values[:, order], visible[:, order], nanometres[order].view(-1, 1, 1)
    last = len(order) - 1
    number = torch.arange(last + 1).view(-1, 1, 1)
    below = torch.where(visible, number, -1).cummax(1).values
    above = torch.where(visible, number, last + 1).flip(1).cummin(1).values.flip(1)
    none = (below < 0) & (above > last)
    below, above = torch.where(below < 0, above, below), torch.where(above > last, below, above)
    below, above = below.clamp(0, last), above.clamp(0, last)
    places = x.expand_as(values)
    low, high = places.gather(1, below), places.gather(1, above)
    share = torch.where(high > low, (places - low) / (high - low).clamp(min=1e-6), 0.0)
    filled = torch.lerp(values.gather(1, below), values.gather(1, above), share)
    filled = torch.where(none, otherwise[order].view(-1, 1, 1), filled)
    return filled[:, order.argsort()]


def nearest(values: Tensor, visible: Tensor) -> Tensor:
    """Return images [B,C,H,W] in which each band's hidden pixels have the value of its nearest visible one, else 0."""
    from scipy.ndimage import distance_transform_edt

    filled = torch.zeros_like(values)
    for image, seen, out in zip(values, visible, filled, strict=True):
        kinds, kind_of = torch.unique(seen.flatten(1), dim=0, return_inverse=True)  # bands of a group are hidden alike
        for number, kind in enumerate(kinds):
            if not kind.any():
                continue
            hidden = ~kind.view(seen.shape[1:]).numpy()
            y, x = distance_transform_edt(hidden, return_distances=False, return_indices=True)
            bands = kind_of == number
            out[bands] = image[bands][:, y, x]
    return filled


def table_of(found: list[Sums], names: list[str], masking: str) -> list[dict[str, object]]:
    """Return a row for each sensor."""
    result: list[dict[str, object]] = []
    for name, sums in zip(names, found, strict=True):
        error = {key: value / sums.count for key, value in sums.standardised.items()}
        psnr = {
            key: 10 * math.log10(sums.data_range**2 / max(value / sums.count, 1e-12))
            for key, value in sums.stored.items()
        }
        result.append(
            {
                "hidden": masking,
                "sensor": name,
                **{key: round(value, 4) for key, value in error.items()},
                "best": min(error, key=error.__getitem__),
                "beats band means": "yes" if error["model"] < error["band means"] else "no",
                "PSNR, model": round(psnr["model"], 1),
                "PSNR, band means": round(psnr["band means"], 1),
                "PSNR, linear": round(psnr["linear"], 1),
                "why": why(sums, error, psnr),
            }
        )
    return result


def why(sums: Sums, error: dict[str, float], psnr: dict[str, float]) -> str:
    """Say why a rule is better than the model, where one is: by the error, else by PSNR."""
    by_error = {key: value for key, value in error.items() if value < error["model"]}
    by_psnr = {key: -value for key, value in psnr.items() if value > psnr["model"]}
    rules = by_error or by_psnr
    if not rules:
        return ""
    best = min(rules, key=rules.__getitem__)
    told = best if by_error else f"{best}, by PSNR"
    nm, alike = sums.likeness()
    if best.startswith("linear"):
        return f"{told}: a visible band is {nm:.0f} nm off, and bands that near correlate at {alike:.3f}"
    if best == "nearest":
        return f"{told}: the nearest visible pixel errs by {error[best] / error['band means']:.0%} of band means"
    return f"{told}: a visible band is {nm:.0f} nm off, and the model never met masks of this kind"


if __name__ == "__main__":
    from run import table

    print(table(rows()))
