"""The small autoencoder of spectra keeps to what every model keeps to, and learns what spectra are like."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest
import torch
from model_contract import ModelContract, batch_of, images
from small_mae import config, cube_of, words, write

import spectrain
from spectrain.models.spectral_autoencoder import SpectralAutoencoder
from spectrain.training.testing import test as run_test


class TestSpectralAutoencoder(ModelContract):
    name = "spectral_autoencoder"
    options: ClassVar = {"widths": [16, 8, 3]}

    def output_shape(self, count, size, bands=2):
        return (count, bands, *size)

    # what comes out is an image: it has the bands that went in, unlike a vector or logits
    @pytest.mark.parametrize("bands", [1, 4, 14, 30])
    def test_takes_any_number_of_bands(self, bands):
        output = self.build(bands)(batch_of(images(2, bands, self.size)))
        assert output.shape == self.output_shape(2, self.size, bands)
        assert output.dtype == torch.float32
        assert output.isfinite().all()

    def test_a_pixel_does_not_depend_on_its_neighbours(self):
        model, image = self.build(), images(1, 4, self.size)
        moved = torch.roll(image, (3, 5), (2, 3))
        torch.testing.assert_close(torch.roll(model(batch_of(image)), (3, 5), (2, 3)), model(batch_of(moved)))

    def test_its_features_are_the_bottleneck(self):
        [(stride, features)] = self.build().features(batch_of(images(2, 4, self.size)))
        assert stride == 1 and features.shape == (2, 3, *self.size)


def test_published_widths():
    model = SpectralAutoencoder(30, 30, SpectralAutoencoder.Config().widths)
    sides = [30, 256, 128, 64, 32, 3, 32, 64, 128, 256, 30]
    wanted = sum(before * after + after for before, after in pairwise(sides))
    assert sum(parameter.numel() for parameter in model.parameters()) == wanted


@pytest.mark.parametrize("holes", [False, True])
def test_thirty_bands_are_told_from_three_numbers_better_than_by_the_means(tmp_path, holes):
    cube, wavelengths = cube_of()
    cube = cube.copy()
    if holes:
        cube[np.random.default_rng(0).random(cube.shape) < 0.1] = np.nan
    path = write(tmp_path / "cube.h5", cube, wavelengths)
    more = ["hparams.epochs=40", "hparams.batch_size=4", "hparams.valid_interval=40", f"out_dir={tmp_path / 'run'}"]
    kept = [item for item in words(path, *more) if not item.startswith("model")]
    run = spectrain.train("mae", overrides=[*kept, "model=spectral_autoencoder", "model.widths=[32,3]"])
    [found] = run_test(run.folder)
    rmse = np.array(found.wavelengths["rmse"])
    options = config(path).dataset
    splits = [spectrain.open_patches(path, split, options) for split in ("train", "valid")]
    seen, unseen = (patches.read(np.arange(len(patches))).image for patches in splits)
    mean = np.nanmean(seen, axis=(0, 2, 3), keepdims=True)
    by_mean = np.sqrt(np.nanmean((unseen - mean) ** 2, axis=(0, 2, 3)))
    assert (rmse < by_mean).all()
    assert (rmse**2).mean() < 0.2 * (by_mean**2).mean()
