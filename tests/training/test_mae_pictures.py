"""The pictures of a masked autoencoder: true to the data, the same samples each time, and out of training's way."""

from __future__ import annotations

import logging
import threading

import h5py
import matplotlib.image
import numpy as np
import pytest
import torch
from PIL import Image

import spectrain
from spectrain.core.batch import Batch, everywhere
from spectrain.core.targets import NoTarget
from spectrain.plots.reconstruction import RgbPlot
from spectrain.training.drawing import Drawing, on_host

SMALL = [
    "model=mae_spectral",
    "model.patch_size=[4,3]",
    "model.embed_dim=16",
    "model.encoder_depth=1",
    "model.encoder_num_heads=2",
    "model.decoder_depth=1",
    "model.decoder_num_heads=2",
    "trackers=[]",
    "hparams.batch_size=2",
    "hparams.epochs=2",
    "hparams.valid_interval=1",
    "general.device=cpu",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Cubes of six bands in reflectance, with a picture each."""
    folder = tmp_path_factory.mktemp("cubes")
    rng = np.random.default_rng(0)
    rows = ["hs_file,rgb_file,split"]
    for number in range(5):
        image = rng.uniform(0.05, 0.9, (6, 24, 24)).astype("float32")
        with h5py.File(folder / f"{number}.h5", "w") as file:
            held = file.create_dataset("cube", data=image)
            file["wavelength_nm"] = np.linspace(450, 900, 6)
            held.attrs["units"] = "1e-4"
        colours = np.round(np.moveaxis(image[[2, 1, 0]], 0, -1) * 255).astype("uint8")
        Image.fromarray(colours).save(folder / f"{number}.png")
        rows.append(f"{number}.h5,{number}.png,{'train' if number < 3 else 'valid'}")
    (folder / "list.csv").write_text("\n".join(rows))
    return folder / "list.csv"


@pytest.fixture
def seen(monkeypatch):
    """What the plot was given at each call, and the figure that it made, with the thread it did so in."""
    calls, plot = [], RgbPlot.__call__

    def noted(self, step, batch):
        figure = plot(self, step, batch)
        calls.append((step.output, batch, figure, threading.current_thread().name))
        return figure

    monkeypatch.setattr(RgbPlot, "__call__", noted)
    return calls


def test_rgb_pictures_stand_beside_the_reconstruction(data, tmp_path, seen):
    run = spectrain.train("mae", overrides=[f"dataset.path={data}", *SMALL, f"out_dir={tmp_path / 'run'}"])
    assert sorted(path.name for path in (run.folder / "plots").iterdir()) == ["mae_0001.png", "mae_0002.png"]
    assert (run.folder / "report.html").read_text().count('src="data:image/') == 2
    for output, _, figure, thread in seen:
        assert thread.startswith("drawing")
        assert figure.axes[0].get_title() == "RGB"
        np.testing.assert_array_equal(output.rgb(0), np.asarray(Image.open(data.parent / "3.png")))
        np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), output.rgb(0))
    (one, first, *_), (other, second, *_) = seen
    assert torch.equal(first.index, second.index) and torch.equal(one.masked, other.masked)
    assert torch.equal(one.target, other.target) and not torch.equal(one.prediction, other.prediction)


def test_training_goes_without_pictures_that_are_gone(data, tmp_path, seen):
    text = data.read_text().replace(".png", ".jpg")
    (data.parent / "gone.csv").write_text(text)
    place = f"dataset.path={data.parent / 'gone.csv'}"
    run = spectrain.train("mae", overrides=[place, *SMALL, f"out_dir={tmp_path / 'run'}"])
    assert seen[0][2].axes[0].get_title() == "original"
    assert (run.folder / "log.txt").read_text().count("plots go without") == 1


@pytest.mark.parametrize(("transform", "unit"), [("none", "1e-4"), ("log10_reflectance", None)])
def test_a_logarithm_has_no_unit(data, tmp_path, seen, transform, unit):
    words = [f"dataset.path={data}", *SMALL, f"dataset.transform={transform}"]
    run = spectrain.train("mae", overrides=[*words, f"out_dir={tmp_path / 'run'}"])
    spectrain.test(run.folder, splits=["valid"])
    assert len(seen) == 3
    for output, _, figure, _ in seen:
        assert {band.unit for band in output.bands} == {unit}
        wanted = "value" if unit is None else f"value [{unit}]"
        assert wanted in [axes.get_ylabel() for axes in figure.axes]
    assert matplotlib.image.imread(run.folder / "test" / "list" / "valid" / "pictures" / "mae_01.png").ndim == 3


def test_a_figure_that_fails_is_logged_and_training_goes_on(data, tmp_path, monkeypatch):
    def fails(self, step, batch):
        raise RuntimeError("no paint")

    monkeypatch.setattr(RgbPlot, "__call__", fails)
    run = spectrain.train("mae", overrides=[f"dataset.path={data}", *SMALL, f"out_dir={tmp_path / 'run'}"])
    assert run.info["status"] == "finished"
    text = (run.folder / "log.txt").read_text()
    assert "could not be drawn" in text and "no paint" in text


def test_drawing_makes_nobody_wait_until_two_figures_are_open():
    drawing, gate, done = Drawing(), threading.Event(), []

    def slow(number):
        gate.wait(20)
        done.append(number)

    drawing.add(lambda: slow(0))
    drawing.add(lambda: slow(1))
    assert not done
    threading.Timer(0.2, gate.set).start()
    drawing.add(lambda: slow(2))
    assert done[:1] == [0]
    drawing.finish()
    assert done == [0, 1, 2]


def test_figures_wait_on_the_host_and_validity_stays_a_byte():
    image = torch.rand(2, 3, 4, 4, requires_grad=True)
    batch = Batch(image, everywhere(image.shape, image.device), NoTarget(), torch.arange(2), all_valid=True)
    copied, again = on_host((batch, {"image": [image]}))
    assert torch.equal(copied.image, image) and not copied.image.requires_grad
    assert again["image"][0] is copied.image
    assert copied.valid.all() and copied.valid.untyped_storage().nbytes() == 1


def test_an_error_of_a_figure_is_logged(caplog):
    drawing = Drawing()
    with caplog.at_level(logging.ERROR):
        drawing.add(lambda: 1 / 0)
        drawing.finish()
    assert "ZeroDivisionError" in caplog.text
