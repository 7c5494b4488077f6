"""`spectrain predict`: the map equals one pass over the scene, what is missing stays so, and files are right."""

from __future__ import annotations

import json
import shutil

import map_runs as small
import numpy as np
import pytest
import rasterio
import torch
from rio_cogeo.cogeo import cog_validate

import spectrain
from spectrain.cli import main
from spectrain.core.colours import TWO
from spectrain.inference.mapping.members import Member
from spectrain.inference.mapping.tiles import Axis

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("maps")


@pytest.fixture(scope="module")
def data(folder):
    return small.write_training(folder / "data")


@pytest.fixture(scope="module")
def run(folder, data):
    return small.train(data, folder / "run")


@pytest.fixture(scope="module")
def scene(folder):
    return small.write_scene(folder / "scene.tif", small.field(101, 153, seed=3))


def read(path, band=None):
    with rasterio.open(path) as file:
        return file.read(band) if band else file.read()


def test_the_map_is_that_of_one_pass_over_the_scene(run, scene, tmp_path):
    made = spectrain.predict(run, scene, tmp_path / "out.tif", batch_size=3)
    assert list(made.maps) == [tmp_path / "out.tif", tmp_path / "out_probability.tif"]
    logits = small.whole(run, read(scene))
    np.testing.assert_allclose(read(made.paths[1]), logits.sigmoid(), atol=1e-6)
    np.testing.assert_array_equal(read(made.paths[0]), logits >= 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.tif", "out_probability.tif"]


@pytest.mark.parametrize("size", [(32, 32), (20, 90), (90, 7), (1, 1)])
def test_scenes_as_large_as_a_window_and_smaller(run, tmp_path, size):
    image = small.field(*size)
    scene = small.write_scene(tmp_path / "scene.tif", image)
    spectrain.predict(run, scene, tmp_path / "out.tif", layers=["probability"])
    height, width = (max(side, small.WINDOW) for side in size)
    padded = np.zeros((3, height, width))
    padded[:, : size[0], : size[1]] = image
    valid = np.zeros((3, height, width), dtype=bool)
    valid[:, : size[0], : size[1]] = True
    expected = small.whole(run, padded, valid).sigmoid()[:, : size[0], : size[1]]
    np.testing.assert_allclose(read(tmp_path / "out.tif"), expected, atol=1e-6)


def test_what_is_missing_stays_missing(run, tmp_path):
    image = small.field(60, 80)
    image[:, 10:50, 20:70] = 0  # more than a window's core
    image[1:, 0:5] = 0  # one band is left
    scene = small.write_scene(tmp_path / "scene.tif", image, nodata=0)
    spectrain.predict(run, scene, tmp_path / "out.tif")
    seen = (image != 0).any(0)
    classes, probability = read(tmp_path / "out.tif")[0], read(tmp_path / "out_probability.tif")[0]
    np.testing.assert_array_equal(classes == 255, ~seen)
    np.testing.assert_array_equal(np.isnan(probability), ~seen)
    np.testing.assert_array_equal(read_mask(tmp_path / "out.tif"), seen)
    expected = small.whole(run, image, image != 0).sigmoid()[0]
    np.testing.assert_allclose(probability[seen], expected[seen], atol=1e-6)


def read_mask(path):
    with rasterio.open(path) as file:
        return file.read_masks(1) != 0


def test_no_model_looks_at_windows_without_a_pixel(run, tmp_path, monkeypatch):
    image = small.field(32, 400)
    image[:, :, :100] = image[:, :, 200:300] = 0
    scene = small.write_scene(tmp_path / "scene.tif", image, nodata=0)
    looked = []
    call = Member.__call__

    def counted(self, batch):
        looked.append(batch.valid.flatten(1).any(1).tolist())
        return call(self, batch)

    monkeypatch.setattr(Member, "__call__", counted)
    spectrain.predict(run, scene, tmp_path / "out.tif", batch_size=2)
    windows = [one for batch in looked for one in batch]
    assert windows[0] is False  # the first, to know what the model returns
    assert all(windows[1:])
    assert len(windows) < 20 < len(Axis.cover(400, small.WINDOW, 8).starts)
    expected = small.whole(run, image, image != 0).sigmoid()[0].numpy()
    np.testing.assert_allclose(read(tmp_path / "out_probability.tif")[0, :, 100:200], expected[:, 100:200], atol=1e-6)


def test_a_mask_in_the_scene_counts(run, tmp_path):
    image, mask = small.field(40, 50), np.ones((40, 50), dtype=bool)
    mask[:20, :25] = False
    scene = small.write_scene(tmp_path / "scene.tif", image, mask=mask)
    spectrain.predict(run, scene, tmp_path / "out.tif")
    np.testing.assert_array_equal(read(tmp_path / "out.tif")[0] != 255, mask)


def test_an_empty_scene(run, tmp_path, caplog):
    scene = small.write_scene(tmp_path / "scene.tif", np.zeros((3, 40, 50), "u2"), nodata=0)
    spectrain.predict(run, scene, tmp_path / "out.tif")
    assert (read(tmp_path / "out.tif") == 255).all()
    assert "the map is empty" in caplog.text


def test_the_file_is_cloud_optimised_and_says_what_it_is(run, tmp_path):
    image = small.field(600, 1300)
    scene = small.write_scene(tmp_path / "scene.tif", image, pixel=20.0)
    made = spectrain.predict(run, scene, tmp_path / "out.tif", window=256, halo=16)
    for path in made.paths:
        assert cog_validate(path, quiet=True) == (True, [], [])
        with rasterio.open(path) as file, rasterio.open(scene) as source:
            assert (file.crs, file.transform, file.shape) == (source.crs, source.transform, source.shape)
            assert file.overviews(1) == [2, 4]
            assert file.profile["tiled"]
            assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert file.tags()["SPECTRAIN_VERSION"] == spectrain.__version__
            assert file.tags()["SPECTRAIN_RUNS"].startswith("segmentation")
    with rasterio.open(made.paths[0]) as file:
        assert (file.dtypes, file.nodata, file.descriptions) == (("uint8",), 255, ("class",))
        assert file.colormap(1)[1][:3] == TWO[1]
        assert json.loads(file.tags()["CLASSES"]) == {"0": "class 0", "1": "class 1"}
        small_view = file.read(1, out_shape=(150, 325))
        assert set(np.unique(small_view)) <= {0, 1}  # the most frequent class, no mean of classes
    with rasterio.open(made.paths[1]) as file:
        assert (file.dtypes, file.units, file.descriptions) == (("float32",), ("1",), ("probability of class 1",))
        assert np.isnan(file.nodata)
        half = file.read(1).reshape(300, 2, 650, 2).mean((1, 3))
        np.testing.assert_allclose(file.read(1, out_shape=(300, 650)), half, atol=1e-5)


def test_an_ensemble_in_one_pass(folder, data, run, scene, tmp_path):
    other = small.train(data, folder / "other", "general.seed=1")
    made = spectrain.predict([run, other], scene, tmp_path / "out.tif")
    assert made.maps == {tmp_path / "out.tif": ("class",), tmp_path / "out_probability.tif": ("probability", "spread")}
    one, two = (small.whole(which, read(scene)).sigmoid()[0].numpy() for which in (run, other))
    probability, spread = read(made.paths[1])
    np.testing.assert_allclose(probability, (one + two) / 2, atol=1e-6)
    np.testing.assert_allclose(spread, np.abs(one - two) / 2, atol=1e-6)
    assert spread.max() > 0.01


def test_members_alike_share_their_batches(run, scene, tmp_path, monkeypatch):
    made = []
    batch = Member.batch
    monkeypatch.setattr(Member, "batch", lambda self, *read: made.append(1) or batch(self, *read))
    copies = [shutil.copy(run / "checkpoints" / "best.pt", tmp_path / f"{number}.pt") for number in range(3)]
    spectrain.predict(copies, scene, tmp_path / "out.tif")
    several = len(made)
    spectrain.predict(run, scene, tmp_path / "one.tif")
    assert len(made) == 2 * several


def test_members_that_take_other_bands(folder, data, run, scene, tmp_path):
    one_band = small.train(data, folder / "one_band", "dataset.bands=[B08]")
    spectrain.predict([run, one_band], scene, tmp_path / "out.tif", layers=["probability"])
    image = read(scene)
    expected = (small.whole(run, image).sigmoid() + small.whole(one_band, image[2:]).sigmoid()) / 2
    np.testing.assert_allclose(read(tmp_path / "out.tif"), expected, atol=1e-6)


def test_many_classes(folder, scene, tmp_path):
    data = small.write_training(folder / "three", classes=3)
    run = small.train(data, folder / "three_run", "task.class_names=[water,wood,field]")
    made = spectrain.predict(run, scene, tmp_path / "out.tif")
    logits = small.whole(run, read(scene))
    np.testing.assert_array_equal(read(made.paths[0])[0], logits.argmax(0))
    np.testing.assert_allclose(read(made.paths[1]), logits.softmax(0), atol=1e-6)
    with rasterio.open(made.paths[1]) as file:
        assert file.descriptions == tuple(f"probability of {name}" for name in ("water", "wood", "field"))


def test_values_with_their_uncertainty(folder, scene, tmp_path):
    """Any task: here mean and variance, put together over the members as variances are."""
    data = small.write_training(folder / "values", regression=True)
    words = ["task=map_regression"]
    runs = [small.train(data, folder / f"values_{seed}", *words, f"general.seed={seed}") for seed in (0, 1)]
    made = spectrain.predict(runs, scene, tmp_path / "out.tif")
    assert made.maps == {tmp_path / "out.tif": ("mean", "aleatoric", "epistemic", "predictive")}
    outputs = torch.stack([small.whole(run, read(scene)) for run in runs])
    mean, variance = outputs[:, 0], outputs[:, 1].exp()
    expected = [mean.mean(0), variance.mean(0).sqrt(), mean.std(0, correction=0)]
    expected.append((variance.mean(0) + mean.var(0, correction=0)).sqrt())
    np.testing.assert_allclose(read(tmp_path / "out.tif"), torch.stack(expected), atol=1e-5)
    with rasterio.open(tmp_path / "out.tif") as file:
        assert file.descriptions == ("mean", "aleatoric", "epistemic", "predictive")
        assert file.units == ("m",) * 4


def test_the_command(run, scene, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["predict", str(run), str(scene), "-o", str(tmp_path / "new" / "out.tif"), "--layers", "class"])
    assert not stopped.value.code
    assert capsys.readouterr().out.strip() == str(tmp_path / "new" / "out.tif")
