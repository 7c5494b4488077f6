"""One cube a file: windows that share no pixel between the splits, and what is said of other files."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from cube_files import pixels, write_cube
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spectrain.config.schema import DatasetOptions
from spectrain.core.errors import DataError
from spectrain.data.hdf5.one_cube import CubeReader
from spectrain.data.hdf5.patches import Hdf5Reader
from spectrain.data.opening import open_patches, recognise

SIDES = {"samson_30band": 16, "indian_pines": 32, "jasper_ridge": 16, "muufl_gulfport_sub": 16, "samson": 16}


@pytest.mark.parametrize("name", SIDES)
def test_real_cubes_are_cut_into_windows_equal_to_slices(shared_data, name):
    path = shared_data / "hyperspectral" / f"{name}.h5"
    assert recognise(path) is CubeReader and CubeReader.splits(path) == ["train", "valid"]
    with h5py.File(path) as file:
        cube, wavelengths = file["cube"][()], file["wavelength_nm"][()] if "wavelength_nm" in file else None
        labels = file["labels"][()] if "labels" in file else None
    seen = {}
    for split in ("train", "valid", "all"):
        patches = open_patches(path, split)
        side = SIDES[name]
        assert patches.shape[1:] == (len(cube), side, side) and patches.has_labels == (labels is not None)
        assert np.allclose([band.wavelength for band in patches.bands], wavelengths)
        index = np.random.default_rng(0).permutation(len(patches))
        rows = patches.read(index)
        seen[split] = np.zeros(cube.shape[1:], bool)
        for number, (_, row, column) in enumerate(patches.cut.places[index].tolist()):
            inside = (slice(row, row + side), slice(column, column + side))
            assert np.array_equal(rows.image[number], cube[:, *inside])
            assert labels is None or np.array_equal(rows.labels[number], labels[inside])
            seen[split][inside] = True
    assert not (seen["train"] & seen["valid"]).any() and seen["all"].all()
    assert (seen["train"] | seen["valid"]).all()


def test_splits_share_no_pixel(tmp_path):
    path = write_cube(tmp_path / "a.h5", pixels((1, 24, 61), "u4"))

    @settings(deadline=None, max_examples=40, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(1, 24), st.integers(1, 30), st.floats(0.01, 0.5), st.floats(0, 0.3))
    def check(window, stride, valid, test):
        options = DatasetOptions(window=window, stride=stride, valid_fraction=valid, test_fraction=test)
        names = ["train", "valid", *(["test"] if test else [])]
        try:
            parts = [open_patches(path, name, options) for name in names]
        except DataError as error:
            assert "too small" in error.what  # noqa: PT017
            return
        held = [set(part.read(np.arange(len(part))).image.ravel().tolist()) for part in parts]
        assert len(set.union(*held)) == sum(map(len, held))

    check()


def test_all_is_a_grid_over_the_whole(tmp_path):
    array = pixels((2, 10, 13))
    patches = open_patches(write_cube(tmp_path / "a.h5", array), "all", DatasetOptions(window=4, stride=3))
    assert set(patches.read(np.arange(len(patches))).image.ravel().tolist()) == set(array.ravel().tolist())
    table = patches.metadata()
    assert table["patch_id"].is_unique and set(table["column"]) == {0, 3, 6, 9} and set(table["row"]) == {0, 3, 6}


def test_labels_and_masks(tmp_path):
    array, labels, heights = pixels((2, 40, 40)), pixels((1, 40, 40))[0], pixels((3, 40, 40), "f4")
    mask = labels % 2
    path = write_cube(tmp_path / "a.h5", array, labels=labels, heights=heights, mask=mask, sea=mask == 0)
    for options, expected, observed in (
        (DatasetOptions(), labels[:, 0:8], mask == 1),
        (DatasetOptions(labels_key="heights", mask_key="sea"), heights[:, :, 0:8], mask == 0),
    ):
        patches = open_patches(path, "all", DatasetOptions(**{**vars(options), "window": 8}))
        rows = patches.read(np.array([0, 5]))
        assert np.array_equal(rows.labels[0], expected[..., 0:8, :])
        assert rows.mask.dtype == bool and np.array_equal(rows.mask[1, 0], observed[8:16, 0:8])
    with pytest.raises(DataError, match=r"no dataset 'height'; did you mean 'heights'(.|\n)*dataset\.labels_key"):
        open_patches(path, "all", DatasetOptions(labels_key="height"))


@pytest.mark.parametrize(
    ("beside", "message"),
    [
        ({"labels": np.zeros((9, 8))}, r"labels has shape \(9, 8\) and type float64, the cube shape \(3, 20, 26\)"),
        ({"mask": np.zeros((2, 20, 26), "u1")}, r"mask has shape \(2, 20, 26\)"),
        ({"labels": np.full((20, 26), b"x")}, r"labels has shape .* type \|S1"),
        ({"wavelength_nm": np.arange(1.0, 5)}, r"'wavelength_nm' describes 4 bands, the images have 3 channels"),
    ],
)
def test_what_does_not_fit_the_cube_is_named(tmp_path, beside, message):
    path = write_cube(tmp_path / "a.h5", **beside)
    with pytest.raises(DataError, match=message) as caught:
        open_patches(path, "all")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("attributes", "beside"),
    [
        ({"wavelength_nm": [450.0, 550.0, 650.0]}, {}),
        ({"wavelengths": [0.45, 0.55, 0.65]}, {}),
        ({}, {"wavelength_nm": [450.0, 550.0, 650.0]}),
        ({}, {"wavelength": [0.45, 0.55, 0.65]}),
        ({}, {"Cube__Wavelengths": [0.45, 0.55, 0.65], "fwhm_nm": [0.01, 0.01, 0.01]}),
    ],
)
def test_wavelengths_wherever_they_are(tmp_path, attributes, beside):
    bands = open_patches(write_cube(tmp_path / "a.h5", attributes=attributes, **beside), "all").bands
    assert [band.wavelength for band in bands] == [450, 550, 650]
    assert [band.width for band in bands] == [10.0 if "fwhm_nm" in beside else None] * 3


class TestWhichDataset:
    def test_files_with_a_dataset_a_split_are_not_cubes(self, tmp_path):
        path = write_cube(tmp_path / "a.h5", train=np.zeros((2, 4, 5)))
        assert recognise(path) is Hdf5Reader
        assert open_patches(path, "cube").shape == (3, 1, 20, 26)

    def test_by_the_option(self, tmp_path):
        path = write_cube(tmp_path / "a.h5", name="raw/data", other=np.zeros((2, 4, 5)), flat=np.zeros((4, 5)))
        assert open_patches(path, "all", DatasetOptions(cube_key="raw/data", window=20)).shape == (2, 3, 20, 20)
        with pytest.raises(DataError, match=r"no dataset 'raw/dat'; did you mean 'raw/data'(.|\n)*other \(2, 4, 5\)"):
            open_patches(path, "all", DatasetOptions(cube_key="raw/dat"))
        with pytest.raises(DataError, match=r"shape \(4, 5\) and type float64: this is no cube(.|\n)*raw/data"):
            open_patches(path, "all", DatasetOptions(cube_key="flat"))

    def test_the_known_name_goes_before_others(self, tmp_path):
        path = write_cube(tmp_path / "a.h5", Cube__Images=pixels((5, 20, 20)))
        assert open_patches(path, "all").shape[1] == 5


class TestSplits:
    def test_absent_ones_are_listed(self, tmp_path):
        path = write_cube(tmp_path / "a.h5")
        with pytest.raises(DataError, match=r"no split 'vaild'; did you mean 'valid'(.|\n)*train, valid; 'all'"):
            open_patches(path, "vaild")
        assert open_patches(path, "val").cut.places.tolist() == open_patches(path, "valid").cut.places.tolist()

    def test_a_cube_too_small_to_be_split(self, tmp_path):
        path = write_cube(tmp_path / "a.h5", pixels((2, 6, 7)))
        assert CubeReader.splits(path) == ["all"] and open_patches(path, "all").shape == (1, 2, 6, 7)
        with pytest.raises(DataError, match=r"6 × 7 is too small for the splits train, valid(.|\n)*dataset\.window"):
            open_patches(path, "train")
        assert open_patches(path, "train", DatasetOptions(window=3)).shape == (4, 2, 3, 3)

    def test_a_window_larger_than_the_cube(self, tmp_path):
        with pytest.raises(DataError, match=r"20 × 26 is smaller than the window of 21 × 21"):
            open_patches(write_cube(tmp_path / "a.h5"), "train", DatasetOptions(window=21))


def test_damaged_cubes_are_named(tmp_path):
    path = write_cube(tmp_path / "a.h5")
    content = path.read_bytes()
    path.write_bytes(content[:1500])
    with pytest.raises(DataError, match=r"truncated file(.|\n)*cut short") as caught:
        open_patches(path, "train")
    assert str(path) in str(caught.value)
