"""Real three-band images with gaps train by the same command; what is missing feeds nothing."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import spectrain
from spectrain.config import load_config
from spectrain.core.random import Key
from spectrain.data.statistics import Statistics
from spectrain.training.session import build_session

pytestmark = pytest.mark.usefixtures("narrow")

WORDS = [
    "dataset.transform=log10",
    "augmentation.demean=band",
    "augmentation.noise=[0.05,0.02,0.01]",
    "model.standardise=std",
    "model.backbone=resnet18",
    "model.stem=large",
    "model.feat_dim=16",
    "hparams.batch_size=16",
    "hparams.epochs=1",
    "general.device=cpu",
]


@pytest.fixture(scope="module")
def colour(shared_data, tmp_path_factory) -> Path:
    """A part of the ocean-colour windows, in which three pixels in ten are missing."""
    path = tmp_path_factory.mktemp("colour") / "colour.h5"
    rng = np.random.default_rng(0)
    with h5py.File(shared_data / "ocean_colour" / "olci_sns_64px.h5") as source, h5py.File(path, "w") as file:
        for split, count in (("train", 48), ("valid", 16)):
            images = source[split][:count]
            clouds = rng.random((count, 1, 8, 8)).repeat(8, axis=2).repeat(8, axis=3)
            share = np.isnan(images).mean()
            images[np.broadcast_to(clouds < 0.3 - share, images.shape)] = np.nan
            file[split] = images
    return path


def test_three_bands_with_gaps_train_by_the_same_command(colour, tmp_path):
    run = spectrain.train("contrastive", overrides=[f"dataset.path={colour}", *WORDS, f"out_dir={tmp_path / 'run'}"])
    statistics = Statistics.from_json(spectrain.load_checkpoint(run.checkpoint("last"))["meta"]["statistics"])
    assert 0.2 < np.mean(statistics.missing_share) < 0.4
    with h5py.File(run.folder / "curves.h5") as file:
        assert np.isfinite(file["loss_step_train"]).all() and np.isfinite(file["loss_valid"]).all()
    embedded = spectrain.embed(run.folder, colour, tmp_path / "e.h5")
    with h5py.File(embedded.path) as file:
        assert np.isfinite(file["train"][()]).all()


def test_what_stands_in_a_hole_feeds_nothing(colour, tmp_path):
    """Statistics, views and loss are the same to the bit whatever lies under the mask."""
    results = []
    for number, rubbish in enumerate((0.0, 1e6)):
        path = tmp_path / f"{number}.h5"
        with h5py.File(colour) as source, h5py.File(path, "w") as file:
            for split in ("train", "valid"):
                images = source[split][()]
                seen = np.isfinite(images).all(axis=1, keepdims=True)
                file[split] = np.where(seen, images, np.float32(rubbish))
                file[f"{split}_mask"] = seen.astype(np.uint8)
        session = build_session(load_config("contrastive", overrides=[f"dataset.path={path}", *WORDS]))
        raw = next(session.train.loader.load([np.arange(16)]))
        batch = session.prepare(raw, session.train, Key(0, "augment"), augment=True)
        with torch.no_grad():
            loss = session.task.loss(session.model, batch).loss.mean
        results.append((session.statistics, batch, loss))
        session.close()
    (first, one, loss), (second, other, same) = results
    assert first == second
    assert torch.equal(one.valid, other.valid)
    assert torch.equal(one.filled(), other.filled())
    assert torch.equal(loss, same)


def test_noise_and_mean_are_those_of_each_band(colour):
    """What noise adds has the deviation given for its band; the mean over valid pixels of each band is then 0."""
    session = build_session(load_config("contrastive", overrides=[f"dataset.path={colour}", *WORDS]))
    raw = next(session.train.loader.load([np.arange(48)]))
    batch = session.train.values(raw)
    noisy = session.augmentation(batch, Key(0, "augment"))
    calm_config = load_config("contrastive", overrides=[f"dataset.path={colour}", *WORDS[:2], "augmentation.noise=0"])
    calm = calm_config.augmentation.build(bands=session.train.patches.bands)(batch, Key(0, "augment"))
    session.close()
    assert torch.equal(noisy.valid, calm.valid)
    for band, sigma in enumerate((0.05, 0.02, 0.01)):
        valid = noisy.valid[:, band]
        added = (noisy.image - calm.image)[:, band][valid]
        assert float(added.std()) == pytest.approx(sigma, rel=0.02)
        means = noisy.filled()[:, band].sum((1, 2)) / valid.sum((1, 2)).clamp(min=1)
        assert means.abs().max() < 1e-4
