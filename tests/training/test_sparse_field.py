"""A made field with known noise, measured at 2 % of its pixels: the value is found, and how far it is to be trusted."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
import regression_runs
import torch

import spectrain
from spectrain.core.batch import Batch
from spectrain.core.targets import NoTarget
from spectrain.metrics.calibration import fit_recalibration
from spectrain.metrics.distributions import half_width
from spectrain.metrics.regression import LEVELS
from spectrain.training.trained.model import load_trained

pytestmark = pytest.mark.usefixtures("undrawn")

SIDE, SHARE = 48, 0.02
TRAIN, VALID, TEST = 96, 24, 12
"""Images. The test's are measured everywhere: 27,648 labels, so chance moves a share by 0.3 points."""
QUICK = [
    "model=pixel_net", "hparams.epochs=30", "hparams.batch_size=8", "hparams.save_freq=0", "hparams.valid_interval=10",
    "optimizer.lr=1e-2", "general.device=cpu", "general.threads=1",
]  # fmt: skip
PLUGINS = ["regression_runs"]


def smooth(rng, count=1):
    """Fields [count,SIDE,SIDE] of some 8 px, each of mean 0 and deviation 1 on average."""
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE))
    filtered = np.fft.rfft2(rng.normal(size=(count, SIDE, SIDE))) * np.exp(-((frequency * 12) ** 2))
    found = np.fft.irfft2(filtered, s=(SIDE, SIDE))
    return (found / 0.1037).astype("f4")


def deviation(image):
    """Of the noise: 0.9 where the second band is low to 3 where it is high, in an odd unit."""
    return np.exp(0.5 + 0.6 * np.tanh(image[1]))


def field(rng):
    """An image [C,H,W] and what would be measured everywhere without noise; some 1,000 and 12 to either side."""
    image = smooth(rng, 3)
    return image, 1000 + 12 * np.tanh(image[0] + 0.5 * image[2])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("field"), np.random.default_rng(0)
    for split, count in (("train", TRAIN), ("val", VALID), ("test", TEST)):
        for root in ("x", "y"):
            (folder / root / split).mkdir(parents=True)
        for number in range(count):
            image, value = field(rng)
            label = (value + deviation(image) * rng.normal(size=value.shape)).astype("f4")
            if split != "test":
                label[rng.random(label.shape) >= SHARE] = np.nan
            np.save(folder / "x" / split / f"{number}.npy", image)
            np.save(folder / "y" / split / f"{number}.npy", label)
    return folder


@pytest.fixture(scope="module")
def run(place):
    words = [f"dataset.path={place / 'x'}", f"dataset.labels_path={place / 'y'}", f"out_dir={place / 'run'}", *QUICK]
    return spectrain.train("regression", overrides=words, plugins=PLUGINS).folder


@pytest.fixture(scope="module")
def tested(run):
    (found,) = spectrain.test(run, plugins=PLUGINS)
    return found


def predicted(run, place, split):
    """Images [n,C,H,W], labels, predicted means and variances [n,H,W] of a split, as the model says them."""
    trained = load_trained(run, PLUGINS)
    task = trained.cfg.task.build(loss=trained.cfg.loss.build(), metric=None, plot=None)
    files = sorted((place / "x" / split).iterdir())
    images = np.stack([np.load(file) for file in files])
    labels = np.stack([np.load(place / "y" / split / file.name) for file in files])
    image = torch.from_numpy(images)
    batch = Batch(image, torch.ones_like(image, dtype=torch.bool), NoTarget(), torch.arange(len(image)), all_valid=True)
    with torch.inference_mode():
        mean, variance = task.quantities(trained.model(batch)).unbind(1)
    return images, labels, mean.double().numpy(), variance.double().numpy()


def test_value_and_coverage_are_those_of_the_field(tested):
    assert tested["rmse"] < 2.3, "the noise alone is about 1.9, the labels spread by 8"
    assert tested["r2"] > 0.9
    for level in (50, 68, 90, 95):
        assert tested[f"coverage_{level}"] == pytest.approx(level / 100, abs=0.02), level
    assert tested["z_rms"] == pytest.approx(1, abs=0.05) and tested["ence"] < 0.1


def test_the_predicted_variance_is_that_of_the_noise(run, place):
    images, _, _, variance = predicted(run, place, "test")
    truth = deviation(images.swapaxes(0, 1)) ** 2
    assert np.corrcoef(np.log(variance).ravel(), np.log(truth).ravel())[0, 1] > 0.95
    assert np.median(variance / truth) == pytest.approx(1, abs=0.15)
    assert variance.mean() == pytest.approx(truth.mean(), rel=0.1)
    for low, high in ((0.0, 1.5), (1.5, 4.0), (4.0, 10.0)):
        some = (truth >= low) & (truth < high)
        assert variance[some].mean() == pytest.approx(truth[some].mean(), rel=0.2), (low, high)


def test_recalibrated_variances_cover_as_they_should(run, place):
    """What a factor learned on validation labels mends: variances that are a third of what they ought to be."""
    _, y, mean, variance = predicted(run, place, "val")
    known = np.isfinite(y)
    found = fit_recalibration({"value": mean[known]}, {"value": variance[known] / 3}, {"value": y[known]})
    assert found.factors[0] == pytest.approx(3, rel=0.15)
    _, y, mean, variance = predicted(run, place, "test")
    spread = found.variance(torch.from_numpy(variance / 3)[:, None]).sqrt()[:, 0].numpy()
    for level in LEVELS:
        inside = np.abs(y - mean) <= half_width(level, "gaussian") * spread
        assert inside.mean() == pytest.approx(level, abs=0.02), level


def test_maps_show_where_the_noise_is(run, tmp_path):
    image, value = field(np.random.default_rng(7))
    regression_runs.save_scene(tmp_path / "scene.tif", image)
    spectrain.predict(run, tmp_path / "scene.tif", tmp_path / "map.tif", plugins=PLUGINS)
    with rasterio.open(tmp_path / "map.tif") as file:
        mean, spread, lower, upper = file.read()
    held = (lower <= value) & (value <= upper)
    assert held.mean() > 0.9  # of the value without its noise, so more than of what would be measured
    assert np.sqrt(np.mean((mean - value) ** 2)) < 1.5
    assert np.corrcoef(np.log(spread).ravel(), np.log(deviation(image)).ravel())[0, 1] > 0.95
    assert np.median(spread / deviation(image)) == pytest.approx(1, abs=0.1)
