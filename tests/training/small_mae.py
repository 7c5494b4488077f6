"""A masked autoencoder small enough for a test, and cubes to train it on: real ones where they are, else made."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "hyperspectral" / "samson_30band.h5"

SMALL = [
    "model=mae_tiny",
    "model.patch_size=[4,3]",
    "model.embed_dim=16",
    "model.encoder_depth=2",
    "model.encoder_num_heads=2",
    "model.decoder_depth=2",
    "model.decoder_num_heads=2",
    "model.mask_ratio=0.6",
    "optimizer.lr=0.01",
    "scheduler=none",
    "dataset.window=8",
    "hparams.batch_size=8",
    "hparams.epochs=2",
    "hparams.valid_interval=1",
    "metric.ssim=false",
    "show_prediction=none",
    "trackers=[]",
    "general.device=cpu",
    "general.threads=1",
]


def cube_of(bands: slice = slice(None), size: tuple[int, int] = (32, 64)) -> tuple[NDArray, NDArray]:
    """Return a cube [C,H,W] and its wavelengths [C] in nm: a part of the Samson scene, or mixed spectra like it."""
    if REAL.is_file():
        with h5py.File(REAL) as file:
            cube, wavelengths = file["cube"][:, : size[0], : size[1]], file["wavelength_nm"][()]
        return cube[bands], wavelengths[bands]
    rng = np.random.default_rng(0)
    wavelengths = np.linspace(400, 890, 30, dtype=np.float32)
    place = np.linspace(0, 3, 30)
    spectra = np.stack([np.exp(-((place - centre) ** 2)) for centre in (0.5, 1.5, 2.5)])
    y, x = np.mgrid[: size[0], : size[1]] / 9
    shares = np.stack([1 + np.sin(x), 1 + np.cos(y), 1 + np.sin(x + y)]) / 6
    cube = np.einsum("ec,ehw->chw", spectra, shares) + rng.normal(0, 0.01, (30, *size)) + 0.05
    return cube.astype(np.float32)[bands], wavelengths[bands]


def write(path: Path, cube: NDArray, wavelengths: NDArray) -> Path:
    """Write one cube a file."""
    with h5py.File(path, "w") as file:
        file["cube"] = cube
        file["wavelength_nm"] = np.asarray(wavelengths, np.float32)
    return path


def write_cubes(folder: Path) -> None:
    """Write ``whole.h5`` (8 bands), ``holes.h5`` (the same with missing values) and ``other.h5`` (5 other bands)."""
    cube, wavelengths = cube_of(slice(0, None, 4))
    write(folder / "whole.h5", cube, wavelengths)
    rng = np.random.default_rng(1)
    cube = cube.copy()
    cube[rng.random(cube.shape) < 0.1] = np.nan  # single values
    cube[:, 3:11, 5:30] = np.nan  # whole tokens
    cube[:, :8, :8] = np.nan  # a window of nothing
    cube[5, 16:] = np.nan  # a band of many windows
    write(folder / "holes.h5", cube, wavelengths)
    write(folder / "other.h5", *cube_of(slice(2, 28, 6), (24, 48)))


def words(path: Path | list[Path], *more: str) -> list[str]:
    """Return the overrides of a small training on these data; ``more`` replace them by key."""
    place = f"[{','.join(map(str, path))}]" if isinstance(path, list) else str(path)
    changed = {item.split("=", 1)[0] for item in more}
    kept = [item for item in (f"dataset.path={place}", *SMALL) if item.split("=", 1)[0] not in changed]
    return [*kept, *more]


def config(path: Path | list[Path], *more: str):
    """Return the configuration of a small training."""
    from spectrain.config import load_config

    return load_config("mae", overrides=words(path, *more), use_personal=False)
