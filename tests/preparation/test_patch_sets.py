"""`spectrain prepare patches`: what the readers' contract does not say; that the content is the same is there."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from test_prepared import FOLDS, published, splits

from spectrain.config.schema import DatasetOptions
from spectrain.core.errors import ConfigError, DataError
from spectrain.data.opening import open_patches
from spectrain.preparation import prepare


def compressed(path, **more):
    """Write a compressed HDF5 file with two splits."""
    random = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for split, count in (("train", 9), ("valid", 4)):
            images = random.integers(0, 99, (count, 3, 8, 8)).astype("int16")
            file.create_dataset(split, data=images, compression="gzip", chunks=(1, 3, 8, 8))
            for name, make in more.items():
                file[f"{split}_{name}"] = make(count)
    return path


def ids(path, split="train", **options):
    return open_patches(path, split, DatasetOptions(**options)).metadata()["patch_id"].tolist()


def test_every_split_and_what_is_said_of_the_bands_goes_along(tmp_path):
    file = compressed(tmp_path / "a.h5")
    words = ["dataset.path=" + str(file), "bands=[red,green,nir]", "scale=0.5", "nodata=7"]
    made = prepare("patches", overrides=words, train_data_dir=str(tmp_path / "out"))
    assert str(made) == f"{tmp_path / 'out'}: train 9, valid 4"
    for split in ("train", "valid"):
        options = DatasetOptions(bands=["red", "green", "nir"], scale=0.5, nodata=7)
        one, two = open_patches(file, split, options), open_patches(tmp_path / "out", split)
        assert two.bands == one.bands and two.bands[0].scale == 0.5
        index = np.arange(len(one))
        assert np.array_equal(one.physical(index), two.physical(index), equal_nan=True)
        assert np.isnan(two.physical(index)).any()


def test_a_file_without_images_is_told_and_what_is_none_beside_images_is_left(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["clouds"], file["none"] = np.zeros((2, 4, 5), bool), np.zeros((0, 4, 5), np.uint8)
    with pytest.raises(DataError, match="there is no split in it"):
        prepare("patches", path=str(tmp_path / "a.h5"), output=str(tmp_path / "out"))
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["train"] = np.zeros((2, 4, 5), np.uint8)
    assert prepare("patches", path=str(tmp_path / "a.h5"), output=str(tmp_path / "out")).patches == {"train": 2}


def test_splits_and_folds_of_a_file_beside_the_data_go_along(tmp_path):
    file = compressed(tmp_path / "a.h5")
    names = ids(file)
    content = {
        "format": {"name": "spectrain.splits", "version": 1},
        "splits": {"train": names[:6], "test": names[6:]},
        "folds": [{"train": names[:4], "valid": names[4:6]}],
    }
    (tmp_path / "splits.json").write_text(json.dumps(content))
    made = prepare("patches", path=str(file), output=str(tmp_path / "out"))
    assert made.patches == {"train": 6, "test": 3, "valid": 4}
    assert ids(tmp_path / "out") == names[:6] and ids(tmp_path / "out", "test") == names[6:]
    assert ids(tmp_path / "out", "valid") == ids(file, "valid")
    assert ids(tmp_path / "out", "valid", fold=0) == names[4:6]


def test_three_sets_stay_three_sets_with_their_folds(tmp_path):
    path = published(tmp_path / "published", names=("cross-val", "val-test", "test"))
    folds = [([f"cross-val/{one[1:]}" for one in a], [f"cross-val/{one[1:]}" for one in b]) for a, b in FOLDS]
    (path / "splits.json").write_text(json.dumps(splits([f"cross-val/{row}" for row in range(11)], folds)))
    prepare("patches", path=str(path), output=str(tmp_path / "out"))
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == ["cross-val.zarr", "test.zarr", "val-test.zarr"]
    for split in ("train", "valid", "test", "val-test"):
        assert ids(tmp_path / "out", split, fold=1) == ids(path, split, fold=1)
    with pytest.raises(DataError, match="something at this place"):
        prepare("patches", path=str(path), output=str(tmp_path / "out"))


@pytest.mark.parametrize(("share", "files"), [(0.05, {"y_index", "y_value", "y_start"}), (0.5, {"y"})])
def test_labels_of_few_pixels_become_index_and_value(tmp_path, share, files):
    def labels(count):
        random = np.random.default_rng(1)
        return np.where(random.random((count, 8, 8)) < share, 3.5, np.nan).astype("float32")

    file = compressed(tmp_path / "a.h5", labels=labels)
    prepare("patches", path=str(file), output=str(tmp_path / "out"))
    assert {one.name for one in (tmp_path / "out").glob("y*")} == files
    before, after = open_patches(file).labels(np.arange(9)), open_patches(tmp_path / "out").labels(np.arange(9))
    dense = after if share == 0.5 else after.dense()
    assert np.array_equal(before, dense, equal_nan=True)


def test_what_a_killed_call_left_is_removed(tmp_path):
    file = compressed(tmp_path / "a.h5")
    (tmp_path / ".out.partial-1-abc").mkdir()
    prepare("patches", path=str(file), output=str(tmp_path / "out"))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.h5", "out"]


def test_all_mistakes_are_named_at_once(tmp_path):
    with pytest.raises(ConfigError) as failed:
        prepare("patches", overrides=["patch_size=4", "windw=3", "stride=-1"])
    said = str(failed.value)
    assert "did you mean window?" in said and "patch_size" in said and "stride" in said
    with pytest.raises(ConfigError, match=r"path(.|\n)*train_data_dir"):
        prepare("patches")
    with pytest.raises(ConfigError, match="did you mean patches"):
        prepare("patchs")
    with pytest.raises(DataError, match="no such file or folder"):
        prepare("patches", path=str(tmp_path / "none"), output=str(tmp_path / "out"))
