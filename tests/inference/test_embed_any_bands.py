"""`spectrain embed` by a model for any bands: its own mixture, other sensors, rasters, images with little in them."""

from __future__ import annotations

import logging
import re
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

import spectrain
from spectrain.core.bands import Bands
from spectrain.core.batch import Batch
from spectrain.core.errors import SpectrainError
from spectrain.core.targets import NoTarget
from spectrain.data.opening import open_patches
from spectrain.data.statistics import patches_statistics
from spectrain.data.values import Values
from spectrain.training.trained.model import load_trained, model_for

WORDS = [
    "model=mae_spectral",
    "model.patch_size=[4,3]",
    "model.embed_dim=16",
    "model.encoder_depth=1",
    "model.encoder_num_heads=2",
    "model.decoder_depth=1",
    "model.decoder_num_heads=2",
    "dataset.window=16",
    "trackers=[]",
    "show_prediction=none",
    "hparams.batch_size=4",
    "hparams.epochs=1",
    "hparams.valid_interval=1",
    "general.device=cpu",
]


def write(path, bands, offset=0.0, height=64):
    rng = np.random.default_rng(bands)
    with h5py.File(path, "w") as file:
        file["cube"] = (rng.random((bands, height, 64)) + offset).astype("float32")
        file["wavelength_nm"] = np.linspace(450, 2200, bands)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("any")
    write(folder / "a.h5", 6)
    write(folder / "b.h5", 4, offset=5)
    return folder


@pytest.fixture(scope="module")
def run(folder):
    paths = f"dataset.path=[{folder / 'a.h5'},{folder / 'b.h5'}]"
    return spectrain.train("mae", overrides=[paths, *WORDS, f"out_dir={folder / 'run'}"]).folder


def batch_of(image, valid):
    return Batch(image, valid, NoTarget(), torch.arange(len(image)), all_valid=False)


def embedded(path):
    with h5py.File(path) as file:
        return {name: data[()] for name, data in file.items() if not name.endswith(("_ids", "pca"))}


def by_hand(model, patches):
    """Every token embedded, the mean over band groups and places."""
    rows = patches.read(np.arange(len(patches)))
    image = torch.from_numpy(rows.image).float()
    with torch.no_grad():
        return model.features(batch_of(image, image == image))[0][1].mean((2, 3)).numpy()


def test_each_data_set_of_a_mixture_has_its_file_and_its_own_statistics(folder, run):
    found = spectrain.embed(run)
    assert found.paths == [run / "embeddings" / "a.h5", run / "embeddings" / "b.h5"]
    trained = load_trained(run)
    for number, path in enumerate(found.paths):
        rows = embedded(path)
        assert list(rows) == ["train", "valid"]
        for split in rows:
            patches = open_patches(folder / f"{'ab'[number]}.h5", split, trained.cfg.dataset)
            model = trained.model.for_bands(patches.bands, trained.statistics[number])
            np.testing.assert_allclose(rows[split], by_hand(model, patches), rtol=1e-4, atol=1e-5)
    with pytest.raises(SpectrainError, match="do not go into one file"):
        spectrain.embed(run, output=folder / "both.h5")


def test_data_sets_of_one_name_do_not_meet(folder, run):
    (folder / "more").mkdir()
    write(folder / "more" / "a.h5", 6)
    found = spectrain.embed(run, [folder / "a.h5", folder / "more" / "a.h5"])
    assert [path.name for path in found.paths] == ["a_0.h5", "a_1.h5"]


def test_another_sensor_is_standardised_by_the_whole_of_its_data(folder, run, tmp_path, caplog):
    other = write(tmp_path / "other.h5", 9, offset=100)
    with caplog.at_level(logging.INFO):
        found = spectrain.embed(run, other, splits=["valid"])
    assert caplog.text.count("not trained on these 9 bands") == 1
    options = load_trained(run).cfg.dataset
    figures = patches_statistics((whole := open_patches(other, "all", options)), Values(whole.bands, "none"))
    patches = open_patches(other, "valid", options)
    model = load_trained(run).model.for_bands(patches.bands, figures)
    np.testing.assert_allclose(embedded(found.path)["valid"], by_hand(model, patches), rtol=1e-4, atol=1e-5)


def test_the_same_bands_stored_otherwise_keep_the_statistics_of_the_training(folder, run, caplog):
    trained = load_trained(run)
    patches = open_patches(folder / "a.h5", "valid", trained.cfg.dataset)
    patches.bands = Bands(replace(band, resolution=9.5, nodata=-1.0, scale=0.5) for band in patches.bands)
    with caplog.at_level(logging.INFO):
        model = model_for(trained, patches)
    assert "not trained on" not in caplog.text
    assert torch.equal(model.band_set(0).mean, trained.model.band_set(0).mean)
    assert model.band_set(0).resolution == 9.5


def test_places_without_a_valid_token_do_not_shrink_the_mean(run):
    model = load_trained(run).model
    image = torch.rand(3, 6, 16, 16)
    valid = torch.ones_like(image, dtype=torch.bool)
    valid[0, :, :, 8:] = False
    valid[1] = False
    valid[1, 0, 0, 0] = True  # one value is not half a token
    batch = batch_of(image, valid)
    with torch.no_grad():
        found, ((_, dense),) = model.pooled(batch), model.features(batch)
        torch.testing.assert_close(found[0], dense[0, :, :, :2].mean((1, 2)))
        torch.testing.assert_close(found[2], dense[2].mean((1, 2)))
    assert not dense[0, :, :, 2:].any() and found[0].norm() > 0.75 * found[2].norm()
    assert not found[1].any() and model.seen(batch).tolist() == [True, False, True]


def test_images_that_hold_too_little_are_nan(run, tmp_path, caplog):
    with h5py.File(write(tmp_path / "holes.h5", 6), "a") as file:
        file["cube"][:, :16, :16] = np.nan
        file["cube"][0, 0, 0] = 1
    found = spectrain.embed(run, tmp_path / "holes.h5", splits=["all"])
    assert np.isnan(embedded(found.path)["all"]).all(axis=1).tolist() == [True] + [False] * 15


def test_a_masked_autoencoder_has_no_projection(folder, run, tmp_path):
    with pytest.raises(SpectrainError, match=r"(?s)^MAESpectral has no projection: it returns \[.*leave --what out"):
        spectrain.embed(run, folder / "a.h5", tmp_path / "a.h5", what="projection")
    assert not (tmp_path / "a.h5").exists()


def test_a_list_of_cubes_with_splits_and_texts(run, tmp_path):
    lines = ["hs_file,split,participant,remark,rgb_file"]
    for number, split in enumerate(["train", "train", "valid"]):
        write(tmp_path / f"{number}.h5", 5, height=32)
        lines.append(f"{number}.h5,{split},p{number},a <b> & 'c',nothing.png")
    (tmp_path / "list.csv").write_text("\n".join(lines))
    found = spectrain.embed(run, tmp_path / "list.csv", explore=True, query=1)
    rows = embedded(found.path)
    assert {name: len(part) for name, part in rows.items()} == {"train": 16, "valid": 8}
    with h5py.File(found.path) as file:
        assert len(set(file["train_ids"].asstr()[:])) == 16
    assert "participant" in found.page.read_text()


@pytest.mark.parametrize("name", ["hyperspectral/jasper_ridge.h5", "hyperspectral/samson.h5", "enmap_potsdam"])
def test_real_sensors(shared_data, run, tmp_path, name):
    if not (shared_data / name).exists():
        pytest.skip(f"{name} is not among the shared data")
    found = spectrain.embed(run, shared_data / name, tmp_path / "e.h5", batch_size=64, explore=True, query=0, pca=2)
    for rows in embedded(found.path).values():
        assert rows.shape[1] == 16 and np.isfinite(rows).all() and rows.std(axis=0).min() > 0
    assert not re.search(r"b'\\x|b\"\\x|b&#39;", found.page.read_text())
    assert found.pictures[0].read_bytes()[:4] == b"\x89PNG"


def test_what_a_run_says_of_its_bands_is_for_the_same_bands_elsewhere_too(tmp_path, caplog):
    """Cubes that name no wavelengths, trained with those of the configuration: others like them get these as well."""
    for name in ("one", "two"):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["cube"] = np.random.default_rng(0).random((6, 64, 64)).astype("float32")
    listed = f"dataset.wavelengths=[{','.join(map(str, range(450, 750, 50)))}]"
    more = [f"dataset.path={tmp_path / 'one.h5'}", listed, f"out_dir={tmp_path / 'run'}"]
    run = spectrain.train("mae", overrides=[*more, *WORDS]).folder
    own = embedded(spectrain.embed(run).path)
    with caplog.at_level(logging.INFO):
        other = embedded(spectrain.embed(run, tmp_path / "two.h5").path)
    assert "not trained on" not in caplog.text
    assert np.array_equal(own["valid"], other["valid"])
    with h5py.File(tmp_path / "two.h5", "a") as file:  # as many bands, of another camera
        file["wavelength_nm"] = np.linspace(1000, 2000, 6)
    with caplog.at_level(logging.INFO):
        moved = embedded(spectrain.embed(run, tmp_path / "two.h5", tmp_path / "moved.h5").path)
    assert "not trained on these 6 bands" in caplog.text
    assert not np.allclose(own["valid"], moved["valid"])
