"""The folders of the published regression: sparse labels of the same names in a second root, and what lies about."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from spectrain.config.schema import DatasetOptions
from spectrain.core.batch import Batch
from spectrain.core.errors import DataError
from spectrain.core.registry import lookup
from spectrain.data.opening import open_patches
from spectrain.inspection.data_set import inspect
from spectrain.losses.regression import RegressionLoss
from spectrain.tasks.regression import Regression
from spectrain.training.inputs.label_statistics import label_statistics

SIZE = (14, 12, 10)


def hierarchy(root, splits=("train", "val", "test"), count=4, label=None):
    """Inputs [14,H,W] and labels [1,H,W] with a few measured pixels, NaN elsewhere; the last one has none."""
    draw = np.random.default_rng(0)
    for split in splits:
        for kind in ("input", "label"):
            (root / kind / split).mkdir(parents=True)
        for row in range(count):
            image = draw.random(SIZE, dtype=np.float32)
            sparse = np.full((1, *SIZE[1:]), np.nan, np.float32)
            if row + 1 < count:
                sparse[0, row, 2:5] = row + 0.5
            image[3, row, :2] = np.nan
            np.save(root / "input" / split / f"t{row}.npy", image)
            np.save(root / "label" / split / f"t{row}.npy", sparse if label is None else label(sparse, row))
    return root / "input", DatasetOptions(labels_path=str(root / "label"))


FORMS = {
    "[1,H,W]": None,
    "[H,W]": lambda sparse, row: sparse[0],
    "[H,W,1]": lambda sparse, row: np.ascontiguousarray(sparse.transpose(1, 2, 0)),
    "both": lambda sparse, row: sparse[0] if row % 2 else sparse,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_labels_of_any_form_are_maps_with_nan_where_nothing_was_measured(tmp_path, form, split):
    path, options = hierarchy(tmp_path, label=FORMS[form])
    rows = open_patches(path, split, options).read(np.arange(4))
    assert rows.image.shape == (4, *SIZE) and rows.labels.shape == (4, *SIZE[1:])
    assert np.isfinite(rows.labels).sum(axis=(1, 2)).tolist() == [3, 3, 3, 0]
    assert rows.labels[1, 1, 2:5].tolist() == [1.5] * 3
    assert np.isnan(rows.image[2, 3, 2, :2]).all() and np.isnan(rows.image).sum() == 8  # missing stays missing


def test_what_is_no_array_is_left_alone_and_named_once(tmp_path, caplog):
    path, options = hierarchy(tmp_path)
    for name in (".DS_Store", "._t0.npy", "notes.txt", "bands.txt"):
        (path / "train" / name).write_bytes(b"\0\5")
    (path / "train" / ".ipynb_checkpoints").mkdir()
    (path / "train" / ".ipynb_checkpoints" / "t0-checkpoint.npy").write_bytes(b"")
    (tmp_path / "label" / "train" / ".DS_Store").write_bytes(b"\0")
    with caplog.at_level(logging.INFO):
        assert len(open_patches(path, "train", options)) == len(open_patches(path, "train", options)) == 4
    said = [record.getMessage() for record in caplog.records if "left alone" in record.getMessage()]
    assert len(said) == 2
    assert said[0].endswith("input/train: 4 other files are left alone: .DS_Store, ._t0.npy, bands.txt, notes.txt")
    assert said[1].endswith("label/train: 1 other files are left alone: .DS_Store")


def test_a_split_without_labels_is_named(tmp_path):
    path, options = hierarchy(tmp_path, splits=("train", "test"))
    (path / "val").mkdir()
    np.save(path / "val" / "a.npy", np.zeros(SIZE, "f4"))
    with pytest.raises(DataError, match=r"labels of train, test, and none of the split valid(.|\n)*folder valid"):
        open_patches(path, "valid", options)


def test_names_of_both_roots_that_have_no_partner(tmp_path):
    path, options = hierarchy(tmp_path)
    (path / "train" / "t1.npy").unlink()
    (tmp_path / "label" / "train" / "t3.npy").unlink()
    with pytest.raises(DataError, match="1 images without label: t3; 1 labels without image: t1"):
        open_patches(path, "train", options)


def test_other_sizes_are_named_by_their_file(tmp_path):
    path, options = hierarchy(tmp_path, label=lambda sparse, row: sparse[:, : 12 - (row == 2)])
    with pytest.raises(DataError, match=r"labels have shape \(1, 11, 10\), their image \(14, 12, 10\)(.|\n)*t2\.npy"):
        open_patches(path, "train", options)
    np.save(path / "val" / "t1.npy", np.zeros((14, 12, 11), "f4"))
    np.save(tmp_path / "label" / "val" / "t1.npy", np.zeros((12, 11), "f4"))
    with pytest.raises(DataError, match=r"t1\.npy"):
        open_patches(path, "valid", options)


def test_whole_numbers_are_labels_as_they_are(tmp_path):
    path, options = hierarchy(tmp_path, label=lambda sparse, row: np.nan_to_num(sparse * 2, nan=-1).astype("i2"))
    patches = open_patches(path, "train", options)
    labels = patches.read(np.arange(4)).labels
    assert labels.dtype == np.int16 and labels[1, 1, 2:5].tolist() == [3] * 3 and (labels[3] == -1).all()
    assert label_statistics(patches, ()).count.tolist() == [labels.size]
    assert label_statistics(patches, (-1,)).count.tolist() == [(labels != -1).sum()]


def test_patches_without_a_label_are_counted_and_said_once(tmp_path, caplog, monkeypatch):
    path, options = hierarchy(tmp_path)
    patches = open_patches(path, "train", options)
    monkeypatch.setattr("spectrain.training.inputs.measured_labels.PIXELS", 3 * patches.shape[2] * patches.shape[3])
    label_statistics(patches, ())
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "1 of 4 patches have no labelled pixel" in record.getMessage()


def test_the_folders_are_recognised_and_their_splits_found(tmp_path):
    path, _ = hierarchy(tmp_path)
    reader = lookup("reader", "npy_pairs")
    assert reader.recognises(path) and reader.splits(path) == ["train", "valid", "test"]


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (np.zeros(120, "f4"), r"labels have shape \(120,\), their image \(14, 12, 10\)"),
        (np.zeros((1, 1, 12, 10), "f4"), r"labels have shape \(1, 1, 12, 10\)"),
        (np.zeros((10, 12), "f4"), r"labels have shape \(10, 12\)"),
        (np.zeros((1, 12, 11), "f4"), r"labels have shape \(1, 12, 11\)"),
    ],
)
def test_labels_of_another_form_are_named_with_their_image(tmp_path, label, message):
    path, options = hierarchy(tmp_path)
    np.save(tmp_path / "label" / "train" / "t2.npy", label)
    with pytest.raises(DataError, match=message) as raised:
        open_patches(path, "train", options)
    assert "label/train/t2.npy" in str(raised.value)


def test_names_that_do_not_match_are_counted_and_the_first_listed_of_both(tmp_path):
    path, options = hierarchy(tmp_path)
    for number in range(10, 18):
        np.save(path / "train" / f"a{number}.npy", np.zeros(SIZE, "f4"))
        np.save(tmp_path / "label" / "train" / f"b{number}.npy", np.zeros((1, *SIZE[1:]), "f4"))
    with pytest.raises(DataError) as raised:
        open_patches(path, "train", options)
    said = str(raised.value)
    assert (
        "8 images without label: a10, a11, a12, a13, a14, ...; 8 labels without image: b10, b11, b12, b13, b14" in said
    )
    assert "input/train (12 files)" in said and "label/train (12 files)" in said


def test_folders_without_arrays(tmp_path):
    path, options = hierarchy(tmp_path)
    for file in (tmp_path / "label" / "train").glob("*.npy"):
        file.unlink()
    (tmp_path / "label" / "train" / ".DS_Store").write_bytes(b"\0")
    with pytest.raises(DataError, match=r"no \.npy file of labels|none of the split train"):
        open_patches(path, "train", options)
    (tmp_path / "nothing" / "train").mkdir(parents=True)
    with pytest.raises(DataError, match=r"of no known kind|is empty"):
        open_patches(tmp_path / "nothing", "train", options)


def test_inspect_counts_tiles_without_labels_and_without_values(tmp_path):
    path, _ = hierarchy(tmp_path, splits=("train", "val"))
    image = np.load(path / "train" / "t0.npy")
    np.save(path / "train" / "t0.npy", np.full_like(image, np.nan))
    train, valid = inspect(path, labels=tmp_path / "label").splits
    assert (train.bare, train.empty, valid.empty) == (1, 1, 0)
    text = str(inspect(path, labels=tmp_path / "label"))
    assert "1 of 4 patches have no labelled pixel" in text and "1 of 4 patches have no valid value" in text
    assert "spectrain train regression" in text


def test_a_tile_without_any_value_counts_for_nothing(tmp_path):
    path, options = hierarchy(tmp_path)
    np.save(path / "train" / "t1.npy", np.full(SIZE, np.nan, "f4"))
    patches = open_patches(path, "train", options)
    rows = patches.read(np.array([0, 1]))
    task = Regression(RegressionLoss("gaussian_nll", low=-30, high=30))
    image = torch.from_numpy(np.array(rows.image))
    valid = torch.isfinite(image)
    batch = Batch(image, valid, task.targets(rows.labels), torch.arange(2), all_valid=False)
    found = task._found(torch.zeros(2, 2, *SIZE[1:]), batch)
    both, seen = np.isfinite(np.asarray(rows.labels)), valid.any(1)
    assert int(found.valid.sum()) == (both.reshape(2, *SIZE[1:]) & seen.numpy()).sum() and not seen[1].any()
