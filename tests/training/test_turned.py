"""A model that sees each image in its eight turns and flips is the same for all of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio
import regression_runs as small
import torch
from torch import nn

import spectrain
from spectrain.cli import main
from spectrain.core.batch import Batch, everywhere
from spectrain.core.errors import RunError
from spectrain.core.targets import NoTarget
from spectrain.training.trained.model import load_trained
from spectrain.training.trained.turned import Turned, turn

pytestmark = pytest.mark.usefixtures("undrawn")


class Slanted(nn.Module):
    """Sees what lies to the right of a pixel; where all bands are missing it says 9."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(2, 3, (1, 3), padding=(0, 1), bias=False)

    def forward(self, batch):
        return torch.where(batch.valid.any(1, keepdim=True), self.layer(batch.filled()), 9.0)


def batch(image, valid=None):
    whole = everywhere(image.shape, image.device) if valid is None else valid
    return Batch(image, whole, NoTarget(), torch.arange(len(image)), valid is None)


@pytest.mark.parametrize("step", range(8))
@pytest.mark.parametrize("shape", [(2, 3, 5, 5), (1, 1, 4, 7)])
def test_a_turn_is_undone(step, shape):
    image = torch.randn(shape)
    assert torch.equal(turn(turn(image, step), step, back=True), image)


def test_the_eight_are_all_there():
    image = torch.randn(1, 1, 4, 4)
    assert len({tuple(turn(image, step).flatten().tolist()) for step in range(8)}) == 8


@pytest.mark.parametrize("step", range(8))
def test_what_it_says_turns_with_the_image(step):
    torch.manual_seed(0)
    model, image = Turned(Slanted()), torch.randn(2, 2, 6, 6)
    valid = (torch.rand(2, 1, 6, 6) > 0.3).expand(-1, 2, -1, -1)
    seen = model(batch(turn(image, step), turn(valid, step)))
    torch.testing.assert_close(seen, turn(model(batch(image, valid)), step))
    assert (model(batch(image, valid))[~valid[:, :1].expand(-1, 3, -1, -1)] == 9).all()


def test_an_image_that_is_not_square_keeps_its_shape():
    torch.manual_seed(0)
    model, image = Slanted(), torch.randn(1, 2, 4, 7)
    found = Turned(model)(batch(image))
    by_hand = [turn(model(batch(turn(image, step))), step, back=True) for step in (0, 2, 4, 6)]
    torch.testing.assert_close(found, torch.stack(by_hand).mean(0))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("turned")
    a, b = small.write_pairs(folder, counts=(2, 1, 1), side=32)
    words = [f"dataset.path={a}", f"dataset.labels_path={b}", f"out_dir={folder / 'R'}", "hparams.epochs=1"]
    words += ["hparams.batch_size=2", "trackers=[]", "show_prediction=none", "general.device=cpu", "general.threads=1"]
    words += ["hparams.test_at_end=false", "hparams.save_freq=0", "model=smp", "model.arch=Unet"]
    return spectrain.train("regression", overrides=[*words, "model.encoder=tu-test_resnet"]).folder


def test_tests_and_maps_see_each_image_turned(run, tmp_path):
    with pytest.raises(SystemExit) as stopped:
        main(["test", str(run), "--turns", "-o", str(tmp_path / "t")])
    assert not stopped.value.code
    found = json.loads((tmp_path / "t" / "tests.json").read_text())["splits"]["test"]["metrics"]
    (plain,) = spectrain.test(run, output=tmp_path / "p")
    assert found["rmse"]["value"] != plain["rmse"] and np.isfinite(found["rmse"]["value"])

    image = small.save_scene(tmp_path / "scene.tif", np.random.default_rng(1).normal(0, 1, (3, 32, 32)).astype("f4"))
    made = spectrain.predict(run, tmp_path / "scene.tif", tmp_path / "map.tif", turns=True, layers=["mean"])
    with rasterio.open(made.paths[0]) as file:
        mean = file.read(1)
    trained = load_trained(run)
    with torch.no_grad():
        output = Turned(trained.model)(batch(torch.from_numpy(image)[None]))
    centre, spread = trained.cfg.task.centre[0], trained.cfg.task.spread[0]
    np.testing.assert_allclose(mean, output[0, 0].numpy() * spread + centre, rtol=1e-4, atol=1e-3)


def test_a_task_without_maps_is_refused(tmp_path, run):
    import h5py

    with h5py.File(tmp_path / "i.h5", "w") as file:
        file["train"] = file["valid"] = np.random.default_rng(0).normal(0, 1, (8, 1, 16, 16)).astype("f4")
    words = [
        f"dataset.path={tmp_path / 'i.h5'}",
        "hparams.epochs=1",
        "hparams.batch_size=4",
        f"out_dir={tmp_path / 'C'}",
    ]
    contrastive = spectrain.train("contrastive", overrides=[*words, "general.device=cpu", "augmentation.crop=12"])
    with pytest.raises(RunError, match="no maps that could be turned"):
        spectrain.test(contrastive.folder, turns=True)
