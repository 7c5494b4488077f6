"""A made field with known noise, measured at few pixels: the value is found, and how far it is to be trusted."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
import regression_runs

import spectrain

SIDE, SHARE = 32, 0.05
QUICK = [
    "model=pixel_net", "hparams.epochs=40", "hparams.batch_size=8", "hparams.save_freq=0", "hparams.valid_interval=10",
    "optimizer.lr=1e-2", "general.device=cpu", "general.threads=1",
]  # fmt: skip
PLUGINS = ["regression_runs"]


def deviation(image):
    """Of the noise: 0.5 where the second band is low to 5 where it is high, in an odd unit."""
    return np.exp(0.5 + 0.6 * np.tanh(image[1]))


def field(rng):
    """An image [C,H,W] and what would be measured everywhere without noise; some 1,000 and 12 to either side."""
    image = rng.normal(0, 1, (3, SIDE, SIDE)).astype("f4")
    return image, 1000 + 12 * np.tanh(image[0] + 0.5 * image[2])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("field"), np.random.default_rng(0)
    for split, count in (("train", 40), ("val", 12), ("test", 40)):
        for root in ("x", "y"):
            (folder / root / split).mkdir(parents=True)
        for number in range(count):
            image, value = field(rng)
            label = (value + deviation(image) * rng.normal(size=value.shape)).astype("f4")
            label[rng.random(label.shape) >= SHARE] = np.nan
            np.save(folder / "x" / split / f"{number}.npy", image)
            np.save(folder / "y" / split / f"{number}.npy", label)
    return folder


@pytest.fixture(scope="module")
def run(place):
    words = [f"dataset.path={place / 'x'}", f"dataset.labels_path={place / 'y'}", f"out_dir={place / 'run'}", *QUICK]
    return spectrain.train("regression", overrides=words, plugins=PLUGINS).folder


def test_value_and_coverage_are_those_of_the_field(run):
    (found,) = spectrain.test(run, plugins=PLUGINS)
    assert found["rmse"] < 3.0, "the noise alone is about 2.1, the labels spread by 9"
    assert found["r2"] > 0.85
    for level in (50, 68, 90, 95):
        assert found[f"coverage_{level}"] == pytest.approx(level / 100, abs=0.03), level
    assert found["z_rms"] == pytest.approx(1, abs=0.07) and found["ence"] < 0.15


def test_maps_show_where_the_noise_is(run, tmp_path):
    image, value = field(np.random.default_rng(7))
    regression_runs.save_scene(tmp_path / "scene.tif", image)
    spectrain.predict(run, tmp_path / "scene.tif", tmp_path / "map.tif", plugins=PLUGINS)
    with rasterio.open(tmp_path / "map.tif") as file:
        mean, spread = file.read()
    assert np.sqrt(np.mean((mean - value) ** 2)) < 2
    assert np.corrcoef(np.log(spread).ravel(), np.log(deviation(image)).ravel())[0, 1] > 0.95
    assert np.median(spread / deviation(image)) == pytest.approx(1, abs=0.1)
