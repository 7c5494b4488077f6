"""From a path to a reader, a split or a fold, and the bands that the options ask for."""

from __future__ import annotations

import json
from dataclasses import dataclass

import h5py
import numpy as np
import pytest
from memory_patches import MemoryPatches

from spectrain.config.schema import DatasetOptions
from spectrain.core import registry
from spectrain.core.bands import Band, Bands
from spectrain.core.errors import DataError
from spectrain.data.opening import open_patches


@pytest.fixture
def path(tmp_path):
    with h5py.File(tmp_path / "sea.dat", "w") as file:
        file["train"] = np.arange(6 * 3 * 4 * 4, dtype="f4").reshape(6, 3, 4, 4)
        file["test"] = np.zeros((2, 3, 4, 4), "f4")
        file.attrs["channels"] = "red, green, nir"
    return tmp_path / "sea.dat"


def test_the_name_of_a_file_does_not_matter_nor_how_the_path_is_given(path, monkeypatch):
    monkeypatch.setenv("HOME", str(path.parent))
    for given in (path, str(path), [str(path)], "~/sea.dat", ["~/sea.dat"]):
        assert len(open_patches(given, "train", DatasetOptions())) == 6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "sea.data", r"no such file or folder; did you mean 'sea.dat'\?"),
        (lambda folder: folder / "none" / "sea.dat", "no such file or folder"),
        (lambda folder: (folder / "a.h5").write_bytes(b"") or folder / "a.h5", "the file is empty"),
        (lambda folder: (folder / "a.h5").write_bytes(b"text") and folder / "a.h5", "the file is of no known kind"),
        (lambda folder: (folder / "a").mkdir() or folder / "a", "the folder is empty"),
        (lambda folder: folder, "the folder is of no known kind"),
    ],
)
def test_what_cannot_be_read_is_said_with_what_can_be(path, make, message):
    place = make(path.parent)
    with pytest.raises(DataError, match=message) as caught:
        open_patches(place)
    assert str(place) in str(caught.value)
    if "no such" not in message:
        assert "HDF5 file with one dataset per split; folder of .npy" in str(caught.value)


def test_what_may_not_be_read_is_said(path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("spectrain.data.hdf5.patches.Hdf5Reader.recognises", refuse)
    with pytest.raises(DataError, match="cannot be read: Permission denied") as caught:
        open_patches(path)
    assert str(path) in str(caught.value)


def test_an_empty_list_of_places_is_refused():
    with pytest.raises(DataError, match=r"dataset\.path lists no data"):
        open_patches([])


def test_a_list_names_the_place_that_is_missing(path):
    with pytest.raises(DataError, match="there is no such file or folder") as caught:
        open_patches([path, path.parent / "absent"])
    assert "absent" in str(caught.value)


def test_readers_of_plugins_are_asked_first(path, monkeypatch):
    monkeypatch.setattr(registry, "_REGISTERED", {})

    @registry.register("reader", "sea")
    class SeaReader:
        @dataclass
        class Config:
            pass

        description = "a sea"
        pool = None

        @staticmethod
        def recognises(path):
            return path.name.startswith("sea")

        @staticmethod
        def open(path, split_key, options):
            return MemoryPatches(np.zeros((9, 1, 2, 2)), split=split_key)

    assert len(open_patches(path, "train")) == 9
    assert open_patches(path, "valid", DatasetOptions(bands=["sst"], scale=0.1)).bands == (Band("sst", scale=0.1),)
    other = path.with_name("a.h5")
    path.rename(other)
    assert len(open_patches(other, "train")) == 6
    with pytest.raises(DataError, match="known are: a sea; CSV"):
        open_patches(path.parent)


class TestSplitsFile:
    """Splits of an HDF5 file choose from the split that is trained on."""

    @pytest.fixture
    def content(self, path):
        return {
            "format": {"name": "spectrain.splits", "version": 1},
            "fingerprint": open_patches(path).fingerprint(),
            "splits": {"train": ["train/4", "train/0"], "hidden": ["train/5"]},
            "folds": [{"train": ["train/1"], "valid": ["train/2", "train/3"]}],
        }

    def write(self, path, content, name="splits.json"):
        file = path.with_name(name)
        file.write_text(json.dumps(content) if isinstance(content, dict) else content)
        return str(file)

    @pytest.mark.parametrize(("split", "rows"), [("train", [0, 4]), ("hidden", [5])])
    def test_a_split_by_name(self, path, content, split, rows):
        options = DatasetOptions(splits=self.write(path, content, "mine.json"))
        patches = open_patches(path, split, options)
        assert patches.split == split
        assert np.array_equal(patches.read(np.arange(len(rows))).image, open_patches(path).read(np.array(rows)).image)

    @pytest.mark.parametrize(("split", "ids"), [("train", ["train/1"]), ("valid", ["train/2", "train/3"])])
    def test_a_fold_of_the_file_beside(self, path, content, split, ids):
        self.write(path, content)
        assert open_patches(path, split, DatasetOptions(fold=0)).metadata()["patch_id"].tolist() == ids

    def test_a_split_of_the_file_beside_needs_no_fold(self, path, content):
        self.write(path, content)
        assert open_patches(path).metadata()["patch_id"].tolist() == ["train/0", "train/4"]
        assert open_patches(path, "hidden").metadata()["patch_id"].tolist() == ["train/5"]
        with h5py.File(path, "a") as file:
            file["more"] = file["train"]
        assert len(open_patches(path, "more")) == 6  # of which it says nothing

    def test_a_file_beside_that_is_of_other_data_is_left_alone_with_a_word(self, path, content, caplog):
        whole = len(open_patches(path))
        self.write(path, content | {"fingerprint": "0" * 32})
        assert len(open_patches(path)) == whole
        assert "splits.json is left alone: it was made for other data" in caplog.text

    def test_a_split_that_no_fold_has_is_taken_by_name(self, path, content):
        self.write(path, content)
        assert open_patches(path, "hidden", DatasetOptions(fold=0)).metadata()["patch_id"].tolist() == ["train/5"]

    def test_what_is_trained_on_may_have_another_name(self, path, content):
        with h5py.File(path, "a") as file:
            file["all_of_it"] = file["train"]
        content["folds"][0] = {"train": ["all_of_it/1"], "valid": ["all_of_it/2"]}
        self.write(path, content)
        options = DatasetOptions(fold=0, train_key="all_of_it", valid_key="check")
        assert open_patches(path, "all_of_it", options).metadata()["patch_id"].tolist() == ["all_of_it/1"]
        assert open_patches(path, "check", options).metadata()["patch_id"].tolist() == ["all_of_it/2"]

    @pytest.mark.parametrize(
        ("fold", "split", "message"),
        [
            (1, "train", r"no fold 1(.|\n)*has 1 folds, counted from 0"),
            (0, "hiden", r"did you mean 'hidden'(.|\n)*train \(2\), hidden \(1\)"),
        ],
    )
    def test_absent_folds_and_splits_list_those_present(self, path, content, fold, split, message):
        self.write(path, content)
        with pytest.raises(DataError, match=message):
            open_patches(path, split, DatasetOptions(fold=fold))

    def test_splits_of_other_data_are_refused(self, path, content):
        content["fingerprint"] = "0" * 32
        file = self.write(path, content)
        with pytest.raises(DataError, match="made for other data") as caught:
            open_patches(path, "train", DatasetOptions(splits=file))
        assert file in str(caught.value)

    def test_ids_that_the_data_do_not_have_are_refused(self, path, content):
        content |= {"fingerprint": None, "splits": {"train": ["elsewhere"]}}
        with pytest.raises(DataError, match="as 'elsewhere'"):
            open_patches(path, "train", DatasetOptions(splits=self.write(path, content)))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"format": {"name": "spectrain.splits", "version": 2}}, "newer spectrain: format version 2"),
            ({"format": {"name": "other", "version": 1}}, "not hold splits but 'other'"),
            ({"format": None}, "damaged"),
            ({"splits": []}, "damaged"),
            ({"splits": {"train": "train/1"}}, "not hold splits"),
            ({"folds": [{"train": []}]}, "damaged"),
        ],
    )
    def test_files_of_another_format_are_refused(self, path, content, change, message):
        file = self.write(path, content | change)
        with pytest.raises(DataError, match=message) as caught:
            open_patches(path, "train", DatasetOptions(splits=file))
        assert file in str(caught.value)

    def test_a_missing_or_damaged_file_is_named(self, path):
        with pytest.raises(DataError, match=r"cannot be read(.|\n)*splits\.json"):
            open_patches(path, "train", DatasetOptions(fold=0))
        with pytest.raises(DataError, match="splits file is damaged"):
            open_patches(path, "train", DatasetOptions(splits=self.write(path, "{")))


class TestBands:
    def test_channels_are_taken_in_the_order_given(self, path):
        whole = open_patches(path).read(np.array([2, 0])).image
        chosen = open_patches(path, "train", DatasetOptions(bands=["nir", "red"]))
        assert chosen.bands.names == ("nir", "red") and chosen.shape == (6, 2, 4, 4)
        assert np.array_equal(chosen.read(np.array([2, 0])).image, whole[:, [2, 0]])
        assert len(chosen.metadata()) == 6

    def test_all_of_them_as_they_are_change_nothing(self, path):
        options = DatasetOptions(bands=["red", "green", "nir"])
        assert type(open_patches(path, "train", options)) is type(open_patches(path))

    def test_an_unknown_band_names_the_nearest(self, path):
        with pytest.raises(DataError, match=r"no band 'gren'(.|\n)*did you mean 'green'"):
            open_patches(path, "train", DatasetOptions(bands=["gren"]))

    def test_bands_without_names_are_named(self, path):
        with h5py.File(path, "a") as file:
            del file.attrs["channels"]
        assert open_patches(path, "train", DatasetOptions(bands=list("abc"))).bands.names == ("a", "b", "c")
        assert open_patches(path, "train", DatasetOptions(bands=["band_3"])).bands.names == ("band_3",)
        with pytest.raises(DataError, match=r"dataset\.bands lists 2 values for 3 bands"):
            open_patches(path, "train", DatasetOptions(bands=["a", "b"]))

    @pytest.mark.parametrize("key", ["scale", "offset", "nodata"])
    def test_one_value_for_all_or_one_each(self, path, key):
        for given, expected in ((2, [2, 2, 2]), ([1, 2.5, 3], [1, 2.5, 3])):
            bands = open_patches(path, "train", DatasetOptions(**{key: given})).bands
            assert [getattr(band, key) for band in bands] == expected
        with pytest.raises(DataError, match=rf"dataset\.{key} lists 2 values for 3 bands"):
            open_patches(path, "train", DatasetOptions(**{key: [1, 2]}))

    def test_a_nodata_of_nan_means_that_only_nan_is_missing(self, path):
        with h5py.File(path, "a") as file:
            file["train"].attrs["_FillValue"] = np.float32(-9)
        assert open_patches(path).bands[0].nodata == -9
        assert open_patches(path, "train", DatasetOptions(nodata=float("nan"))).bands[0].nodata is None

    def test_masks_of_each_band_go_with_their_bands(self, path):
        mask = np.random.default_rng(0).integers(0, 2, (6, 3, 4, 4)).astype("u1")
        with h5py.File(path, "a") as file:
            file["train_mask"] = mask
            file["test_mask"] = np.ones((2, 1, 4, 4), "u1")
        options = DatasetOptions(bands=["nir", "red"])
        assert np.array_equal(open_patches(path, "train", options).read(np.arange(6)).mask, mask[:, [2, 0]] == 1)
        assert open_patches(path, "test", options).read(np.arange(2)).mask.shape == (2, 1, 4, 4)

    def test_the_fingerprint_follows_the_description(self, path):
        prints = {
            open_patches(path, "train", DatasetOptions(**options)).fingerprint()
            for options in ({}, {"bands": ["red"]}, {"bands": ["nir"]}, {"scale": 2.0}, {"nodata": 0.0})
        }
        assert len(prints) == 5
        assert Bands.unnamed(3).names != open_patches(path).bands.names
