"""`spectrain embed`: what it writes, of what, and what it refuses."""

from __future__ import annotations

import json
import logging
import shutil
import zlib
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

import spectrain
from spectrain.cli import main
from spectrain.core.errors import DataError, SpectrainError
from spectrain.core.targets import NoTarget
from spectrain.inference import embed as module
from spectrain.inference.embeddings.file import facts_of
from spectrain.training.trained.model import load_trained

pytestmark = pytest.mark.usefixtures("narrow")

QUICK = [
    "model.backbone=resnet18",
    "model.stem=large",
    "model.feat_dim=8",
    "augmentation.crop=12",
    "augmentation.jitter=2",
    "augmentation.noise=0.3",
    "hparams.batch_size=4",
    "hparams.epochs=1",
    "general.device=cpu",
    "show_prediction=none",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Images of two bands with holes; one of the validation images is nothing but holes, two are doubles."""
    folder = tmp_path_factory.mktemp("embed")
    rng = np.random.default_rng(0)
    with h5py.File(folder / "images.h5", "w") as file:
        for split, count in (("train", 11), ("valid", 7)):
            images = rng.normal(size=(count, 2, 16, 16)).astype(np.float32)
            images[rng.random(images.shape) < 0.2] = np.nan
            file[split] = images
        file["valid"][4] = np.nan
        file["valid"][6] = file["valid"][1]
    table = pd.DataFrame({"split": "train", "index_in_split": range(11), "depth": rng.normal(size=11)})
    more = pd.DataFrame({"split": "valid", "index_in_split": range(7), "depth": rng.normal(size=7)})
    pd.concat([table, more]).to_csv(folder / "images_meta.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def run(folder):
    words = [f"dataset.path={folder / 'images.h5'}", *QUICK, f"out_dir={folder / 'run'}"]
    return spectrain.train("contrastive", overrides=words).folder


def by_hand(run: Path, images: np.ndarray, what: str) -> np.ndarray:
    """The definition: holes out, the centre of 12 px zoomed to 16, mean of what is valid removed, model in eval."""
    model = load_trained(run).model
    augmentation = load_trained(run).cfg.augmentation.build(bands=model.bands)
    valid = torch.from_numpy(np.isfinite(images))
    image = torch.from_numpy(np.nan_to_num(images))
    batch = spectrain.Batch(image, valid, NoTarget(), torch.arange(len(images)), all_valid=False)
    view = augmentation.centred(batch)
    with torch.no_grad():
        if what == "projection":
            return model(view).numpy()
        return F.adaptive_avg_pool2d(model.features(view)[-1][1], 1).flatten(1).numpy()


@pytest.mark.parametrize(("what", "dim"), [("features", 64), ("projection", 8)])
def test_embeddings_of_every_split_in_order_with_their_ids(folder, run, tmp_path, what, dim):
    found = spectrain.embed(run, folder / "images.h5", tmp_path / "out.h5", what=what)
    with h5py.File(found.path) as file, h5py.File(folder / "images.h5") as data:
        assert [name for name in file if not name.endswith("_ids")] == ["train", "valid"]
        for split, count in (("train", 11), ("valid", 7)):
            assert file[split].shape == (count, dim) and file[split].dtype == np.float32
            assert file[f"{split}_ids"].asstr()[:].tolist() == [f"{split}/{i}" for i in range(count)]
            seen = np.isfinite(data[split][()]).any(axis=(1, 2, 3))
            wanted = by_hand(run, data[split][()], what)[seen]
            np.testing.assert_allclose(file[split][()][seen], wanted, rtol=1e-4, atol=1e-6 * np.abs(wanted).max())
            assert np.isnan(file[split][()][~seen]).all()
        if what == "projection":
            np.testing.assert_allclose(np.linalg.norm(file["train"][()], axis=1), 1, rtol=1e-5)
    assert facts_of(found.path)["what"] == what


@pytest.mark.parametrize("size", [1, 3, 100])
def test_the_batch_size_does_not_matter(folder, run, tmp_path, size):
    one = spectrain.embed(run, folder / "images.h5", tmp_path / "a.h5")
    other = spectrain.embed(run, folder / "images.h5", tmp_path / "b.h5", batch_size=size)
    with h5py.File(one.path) as first, h5py.File(other.path) as second:
        np.testing.assert_allclose(first["valid"][()], second["valid"][()], rtol=1e-4, atol=1e-5)


def test_an_image_that_holds_nothing_is_told_of(folder, run, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        spectrain.embed(run, folder / "images.h5", tmp_path / "a.h5")
    assert "valid: 1 images hold no valid pixel" in caplog.text


def test_chosen_splits_and_the_place_beside_the_run(folder, run):
    found = spectrain.embed(run, splits=["valid"])  # the data that it was trained on
    assert found.path == run / "embeddings" / "images.h5"
    with h5py.File(found.path) as file:
        assert set(file) == {"valid", "valid_ids"}


def test_principal_components_and_umap_are_added_to_what_is_there(folder, run, tmp_path):
    path = tmp_path / "a.h5"
    spectrain.embed(run, folder / "images.h5", path)
    with h5py.File(path) as file:
        before = file["train"][()]
    spectrain.embed(run, folder / "images.h5", path, pca=3)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["train"][()], before)
        components, mean = file["pca/components"][()], file["pca/mean"][()]
        assert components.shape == (3, 64)
        assert file["pca"].attrs["fitted_on"].tolist() == ["train"]
        np.testing.assert_allclose(file["train_pca"][()], (before - mean) @ components.T, atol=1e-4)
        assert np.isnan(file["valid_pca"][4]).all() and np.isfinite(file["valid_pca"][3]).all()
        ratio = file["pca/explained_variance_ratio"][()]
        assert (np.diff(ratio) <= 0).all() and 0 < ratio.sum() <= 1
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.h5"]  # nothing half-written is left


def test_the_nearest_images_are_drawn(folder, run, tmp_path):
    found = spectrain.embed(run, folder / "images.h5", tmp_path / "a.h5", splits=["valid"], query=1, top=3)
    (picture,) = found.pictures
    assert picture.name == "a_nearest_valid_1.png"
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_the_page_holds_every_image(folder, run, tmp_path):
    found = spectrain.embed(run, folder / "images.h5", tmp_path / "a.h5", explore=True)
    text = found.page.read_text()
    data = json.loads(text.partition('<script type="application/json">')[2].partition("</script>")[0])
    assert data["count"] == 18
    columns = {column["name"]: column for column in data["columns"]}
    assert columns["split"]["classes"] == ["train", "valid"]
    assert columns["patch_id"]["classes"][0].startswith("train/")
    assert "1, not on the map" in text
    few = spectrain.embed(run, folder / "images.h5", tmp_path / "a.h5", explore=True, explore_images=5)
    assert '"count":5' in few.page.read_text() and "5 of 18" in few.page.read_text()


def test_embeddings_that_are_there_are_used_and_others_never_overwritten(folder, run, tmp_path, caplog):
    path = tmp_path / "a.h5"
    spectrain.embed(run, folder / "images.h5", path)
    stamp = path.stat().st_mtime_ns
    with caplog.at_level(logging.INFO):
        spectrain.embed(run, folder / "images.h5", path)
    assert "holds these embeddings already" in caplog.text and path.stat().st_mtime_ns == stamp
    with pytest.raises(DataError, match="what differ"):
        spectrain.embed(run, folder / "images.h5", path, what="projection")
    with pytest.raises(DataError, match="holds something else than embeddings"):
        spectrain.embed(run, folder / "images.h5", folder / "images.h5")
    for text, message in (('{"name": "spectrain.embeddings", "version": 9}', "version 9"), ("{", "cannot be read")):
        shutil.copy(path, tmp_path / "c.h5")
        with h5py.File(tmp_path / "c.h5", "r+") as file:
            file.attrs["format"] = text
        with pytest.raises(SpectrainError, match=message):
            spectrain.embed(run, folder / "images.h5", tmp_path / "c.h5")
    (tmp_path / "b.h5").write_bytes(b"nothing")
    with pytest.raises(DataError, match="damaged"):
        spectrain.embed(run, folder / "images.h5", tmp_path / "b.h5")


def test_what_cannot_be_embedded(folder, run, tmp_path):
    with h5py.File(tmp_path / "three.h5", "w") as file:
        file["train"] = np.zeros((2, 3, 16, 16), np.float32)
    cases = [
        ((tmp_path / "three.h5",), {}, "trained on 2 bands, the data have 3"),
        ((folder / "images.h5",), {"splits": ["test"]}, "test"),
        ((folder / "images.h5",), {"query": 11}, "no image 11: the split 'train' has 11"),
        ((folder / "images.h5",), {"query": 1, "top": 0}, "0 nearest images"),
        ((folder / "images.h5",), {"what": "logits"}, "take one of features, projection"),
        ((tmp_path / "nothing.h5",), {}, "nothing.h5"),
    ]
    for place, options, words in cases:
        with pytest.raises(SpectrainError, match=words):
            spectrain.embed(run, *place, tmp_path / "out.h5", **options)
        assert not (tmp_path / "out.h5").exists()


def test_the_command(folder, run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["embed", str(run), str(folder / "images.h5"), "-o", "a.h5", "--query", "2", "--explore", "--pca", "2"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.split() == ["a.h5", "a_nearest_train_2.png", "a.html"]
    with pytest.raises(SystemExit) as stopped:
        main(["embed", str(run), "nothing.h5", "-o", "b.h5"])
    assert stopped.value.code == 1
    assert "nothing.h5" in capsys.readouterr().err


def test_the_checksum_of_weights_is_taken_in_blocks(tmp_path, monkeypatch):
    path, read, crc32 = tmp_path / "weights.pt", [], zlib.crc32
    path.write_bytes(np.random.default_rng(0).bytes(2500))
    whole = zlib.crc32(path.read_bytes())
    monkeypatch.setattr(module, "_BLOCK", 1000)
    monkeypatch.setattr(module.zlib, "crc32", lambda data, start=0: read.append(len(data)) or crc32(data, start))
    assert module._crc32(path) == whole and read == [1000, 1000, 500]
