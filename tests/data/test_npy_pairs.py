"""Folders of .npy files: the contract in every arrangement, where channels are, and what is said of names."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from reader_contract import CASES as ALL_CASES
from reader_contract import COUNT, Content, ReaderContract, _assert_same

from spectrain.config.schema import DatasetOptions
from spectrain.core.errors import DataError
from spectrain.data.npy.header import read_header
from spectrain.data.opening import open_patches, recognise
from spectrain.data.stored import loose_files

CASES = dict(ALL_CASES)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


class NpyContract(ReaderContract):
    """The contract in one arrangement of folders."""

    places = ("train/images/p{:02}.npy", "train/labels/p{:02}.npy", "train/mask/p{:02}.npy")

    def stored(self, image):
        return image

    def write(self, folder, content):
        path = folder / "pairs"
        for row, image in enumerate(content.image):
            save(path / self.places[0].format(row), self.stored(image))
            for place, values in ((self.places[1], content.labels), (self.places[2], content.mask)):
                if values is not None:
                    save(path / place.format(row), values[row])
        return path

    def plain(self, path):
        def read(place):
            files = sorted(path.glob(place.format(0).replace("p00", "p*")))
            return np.stack([np.load(file) for file in files]) if files else None

        image = read(self.places[0])
        return Content(self.back(image), read(self.places[2]), read(self.places[1]))

    def back(self, images):
        return images

    def file_to_cut(self, path):
        return path / self.places[0].format(COUNT - 1)


class TestFoldersOfKinds(NpyContract):
    pass


class TestFoldersOfKindsOutside(NpyContract):
    places = ("x/train/p{:02}.npy", "y/train/p{:02}.npy", "mask/train/p{:02}.npy")


class TestEndings(NpyContract):
    places = ("train/p{:02}_x.npy", "train/p{:02}_y.npy", "train/p{:02}_mask.npy")


class TestLabelsInAFolderBelowTheImages(NpyContract):
    places = ("train/p{:02}.npy", "train/labels/p{:02}.npy", "train/mask/p{:02}.npy")


class TestMoreFilesThanMayBeOpen(NpyContract):
    @pytest.fixture(autouse=True)
    def few(self, monkeypatch):
        monkeypatch.setattr(loose_files, "MOST_MAPPED", 2)


class TestChannelsLast(NpyContract):
    """What the images have last, masks of several channels have too; labels have quantities first."""

    @pytest.fixture(params=[one for name, one in CASES.items() if name != "mask a band, labels"])
    def case(self, request):
        return request.param

    def stored(self, image):
        return np.ascontiguousarray(image.transpose(1, 2, 0))

    def back(self, images):
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def images(folder, count=3, shape=(3, 8, 9), **beside):
    for row in range(count):
        save(folder / f"p{row}.npy", np.full(shape, row, "float32"))
    return folder


class TestTwoRoots:
    def test_labels_have_the_same_names_in_another_folder(self, tmp_path):
        for name in ("train", "val", "test"):
            images(tmp_path / "a" / name)
            for row in range(3):
                save(tmp_path / "b" / name / f"p{row}.npy", np.full((1, 8, 9), 10 + row, "float32"))
        options = DatasetOptions(labels_path=str(tmp_path / "b"))
        assert recognise(tmp_path / "a").splits(tmp_path / "a") == ["train", "valid", "test"]
        for split in ("train", "valid", "test"):
            rows = open_patches(tmp_path / "a", split, options).read(np.array([2, 0]))
            assert rows.labels.shape == (2, 8, 9) and rows.labels[:, 0, 0].tolist() == [12, 10]
            assert not open_patches(tmp_path / "a", split).has_labels

    def test_given_apart_and_with_folders_below(self, tmp_path):
        for name in ("p", "q"):
            images(tmp_path / "a" / "images" / name)
            images(tmp_path / "b" / name, shape=(8, 9))
        patches = open_patches(tmp_path / "a", "all", DatasetOptions(labels_path=str(tmp_path / "b")))
        assert len(patches) == 6 and patches.has_labels
        assert patches.metadata()["file"].tolist()[3] == "q/p0"

    def test_names_that_do_not_match_are_listed(self, tmp_path):
        images(tmp_path / "a" / "train", count=9)
        for name in ("p1", "other", "another"):
            save(tmp_path / "b" / "train" / f"{name}.npy", np.zeros((8, 9), "u1"))
        with pytest.raises(DataError) as caught:
            open_patches(tmp_path / "a", "train", DatasetOptions(labels_path=str(tmp_path / "b")))
        said = str(caught.value)
        assert "8 images without label: p0, p2, p3, p4, p5, ...; 2 labels without image: another, other" in said
        assert f"{tmp_path / 'a' / 'train'} (9 files) and {tmp_path / 'b' / 'train'} (3 files)" in said

    def test_a_folder_of_labels_that_is_not_there_is_missed(self, tmp_path):
        images(tmp_path / "a" / "train")
        with pytest.raises(DataError, match=r"no such folder(.|\n)*dataset.labels_path"):
            open_patches(tmp_path / "a", "train", DatasetOptions(labels_path=str(tmp_path / "b")))
        (tmp_path / "b").mkdir()
        with pytest.raises(DataError, match=r"no \.npy file of labels"):
            open_patches(tmp_path / "a", "train", DatasetOptions(labels_path=str(tmp_path / "b")))

    def test_other_data_have_no_second_folder(self, tmp_path):
        from test_native import write

        path = write(tmp_path / "a.zarr", ALL_CASES["one float band"])
        with pytest.raises(DataError, match=r"dataset.labels_path is for folders of \.npy files"):
            open_patches(path, "all", DatasetOptions(labels_path=str(tmp_path)))


class TestAxes:
    def test_the_labels_tell_where_the_smallest_axis_does_not(self, tmp_path):
        random = np.random.default_rng(0)
        first = random.random((20, 8, 9)).astype("f4")
        save(tmp_path / "images" / "a.npy", first)
        save(tmp_path / "labels" / "a.npy", np.zeros((8, 9), "u1"))
        assert open_patches(tmp_path, "all").shape == (1, 20, 8, 9)
        save(tmp_path / "images" / "a.npy", np.ascontiguousarray(first.transpose(1, 2, 0)))
        patches = open_patches(tmp_path, "all")
        assert patches.shape == (1, 20, 8, 9)
        _assert_same(patches.read(np.array([0])).image[0], first)

    def test_an_ambiguity_is_an_error_and_the_option_mends_it(self, tmp_path):
        save(tmp_path / "a.npy", np.zeros((8, 3, 8), "f4"))
        with pytest.raises(DataError, match=r"cannot be told(.|\n)*dataset.npy_axes=chw"):
            open_patches(tmp_path, "all")
        assert open_patches(tmp_path, "all", DatasetOptions(npy_axes="chw")).shape == (1, 8, 3, 8)
        assert open_patches(tmp_path, "all", DatasetOptions(npy_axes="hwc")).shape == (1, 8, 8, 3)

    def test_files_that_disagree_are_named(self, tmp_path):
        save(tmp_path / "a.npy", np.zeros((3, 8, 9), "f4"))
        save(tmp_path / "b.npy", np.zeros((8, 9, 3), "f4"))
        with pytest.raises(DataError, match=r"first in a\.npy and last in b\.npy"):
            open_patches(tmp_path, "all")

    def test_windows_of_images_of_several_sizes(self, tmp_path):
        random = np.random.default_rng(0)
        held = [random.random((12, 16, 3)).astype("f4"), random.random((10, 9, 3)).astype("f4")]
        for name, image in zip("ab", held, strict=True):
            save(tmp_path / "images" / f"{name}.npy", image)
            save(tmp_path / "labels" / f"{name}.npy", image[:, :, :1])
        with pytest.raises(DataError, match="several sizes"):
            open_patches(tmp_path, "all")
        patches = open_patches(tmp_path, "all", DatasetOptions(window=5))
        table = patches.metadata()
        rows = patches.read(np.arange(len(patches)))
        for place, (name, row, column) in enumerate(zip(table["file"], table["row"], table["column"], strict=True)):
            window = held["ab".index(name)][row : row + 5, column : column + 5]
            assert (rows.image[place] == window.transpose(2, 0, 1)).all()
            assert (rows.labels[place] == window[:, :, 0]).all()
        _assert_same(patches.labels(np.array([3])), rows.labels[3:4])


def test_what_a_preparation_leaves_beside_is_read(tmp_path):
    names = ["c7", "a1", "b2"]
    for name in names:
        save(tmp_path / "images" / "train" / f"{name}.npy", np.zeros((2, 4, 4), "f4"))
    import pandas as pd

    from spectrain.core.bands import Band, Bands
    from spectrain.data.patch_table import write_patch_table

    table = pd.DataFrame({"patch_id": [*names, "z"], "scene": ["s7", "s1", "s2", "s9"]})
    write_patch_table(table, tmp_path / "patches.parquet")
    bands = Bands([Band("red", 665.0, scale=1e-4, nodata=0), Band("nir", 842.0, scale=1e-4, nodata=0)])
    (tmp_path / "bands.json").write_text(json.dumps(bands.to_json()))
    (tmp_path / "preparation.json").write_text('{"labels": {"kind": "values"}}')
    patches = open_patches(tmp_path, "train")
    assert patches.metadata()[["patch_id", "scene"]].to_numpy().tolist() == [["a1", "s1"], ["b2", "s2"], ["c7", "s7"]]
    assert patches.bands == Bands([replace(band, scale=1.0, nodata=None) for band in bands])  # values are physical
    assert patches.preparation == {"labels": {"kind": "values"}}


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array(["a"], dtype=object), "holds object"),
        (np.asfortranarray(np.zeros((3, 8, 9))), "Fortran order"),
        (np.zeros((2, 3, 8, 9)), r"has shape \(2, 3, 8, 9\)"),
        (np.zeros((4, 8, 9), "f4"), "holds 4 channels of float32, the first one, p0.npy, 3 of float32"),
        (np.zeros((3, 8, 9), "u2"), "holds 3 channels of uint16"),
    ],
)
def test_files_that_do_not_fit_are_explained(tmp_path, array, said):
    images(tmp_path)
    np.save(tmp_path / "p2.npy", array)
    with pytest.raises(DataError, match=said) as caught:
        open_patches(tmp_path, "all")
    assert "p2.npy" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "cut short"), (b"text", r"not a \.npy file"), (b"\x93NUMPY\x01\0\xff\xff", "cut short")]
)
def test_what_is_no_npy_file_is_said(tmp_path, content, said):
    images(tmp_path)
    (tmp_path / "p1.npy").write_bytes(content)
    with pytest.raises(DataError, match=said):
        open_patches(tmp_path, "all")


def test_labels_of_another_size_are_refused(tmp_path):
    images(tmp_path / "images")
    for row in range(3):
        save(tmp_path / "labels" / f"p{row}.npy", np.zeros((8, 8 + (row == 1)), "u1"))
    with pytest.raises(DataError, match=r"the labels have shape \(8, 8\), their image \(3, 8, 9\)"):
        open_patches(tmp_path, "all")


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_both_versions_of_the_header(tmp_path, version):
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array(file, np.arange(6, dtype=">i2").reshape(2, 3), version=version)
    found = read_header(tmp_path / "a.npy")
    assert (found.shape, found.dtype.str) == ((2, 3), ">i2")
    assert found.size == (tmp_path / "a.npy").stat().st_size and found.offset == found.size - 12
