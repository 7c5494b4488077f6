"""Wavelengths given beside the data, for every reader, and the small tables they come from."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from spectrain.config.schema import DatasetOptions
from spectrain.core.errors import DataError
from spectrain.data.band_table import in_nm, read_band_table
from spectrain.data.csv_table import csv_header, read_csv_table, typed
from spectrain.data.opening import open_patches


@pytest.fixture
def path(tmp_path):
    with h5py.File(tmp_path / "sea.h5", "w") as file:
        file["train"] = np.arange(2 * 3 * 4 * 4, dtype="f4").reshape(2, 3, 4, 4)
        file["train"].attrs["wavelength_nm"] = [1.0, 2.0, 3.0]
    return tmp_path / "sea.h5"


@pytest.mark.parametrize("given", [[490, 560.5, 665], [0.49, 0.5605, 0.665]])
def test_a_list(path, given):
    bands = open_patches(path, "train", DatasetOptions(wavelengths=given)).bands
    assert [band.wavelength for band in bands] == [490, 560.5, 665] and bands.names == ("band_1", "band_2", "band_3")


def test_bands_without_a_wavelength(path):
    bands = open_patches(path, "train", DatasetOptions(wavelengths=[490, float("nan"), 665])).bands
    assert [band.wavelength for band in bands] == [490, None, 665]


@pytest.mark.parametrize(
    ("text", "width", "names"),
    [
        ("wavelength\n490\n560\n665\n", [None] * 3, ("band_1", "band_2", "band_3")),
        ("band,wavelength_nm,width_nm\nB2,490,65\nB3,560,35\nB4,665,\n", [65, 35, None], ("B2", "B3", "B4")),
        (
            "\ufeffName;Wavelength;FWHM\r\nb;0.49;0.065\r\ng;0.56;0.035\r\n\r\nr;0.665;0.03\r\n",
            [65, 35, 30],
            tuple("bgr"),
        ),
        ("band,wavelength\n3,490\n4,560\n7,665\n", [None] * 3, ("band_3", "band_4", "band_7")),
    ],
)
def test_a_table(path, text, width, names):
    table = path.with_name("bands.csv")
    table.write_text(text, newline="")
    bands = open_patches(path, "train", DatasetOptions(wavelengths=str(table))).bands
    assert [band.wavelength for band in bands] == [490, 560, 665]
    assert [band.width for band in bands] == width
    assert bands.names == names


def test_they_are_of_the_bands_of_the_data_and_follow_those_taken(path):
    options = DatasetOptions(wavelengths=[490, 560, 665], bands=["band_3", "band_1"])
    patches = open_patches(path, "train", options)
    assert [band.wavelength for band in patches.bands] == [665, 490]
    assert (
        patches.fingerprint() != open_patches(path, "train", DatasetOptions(bands=["band_3", "band_1"])).fingerprint()
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([490, 560], r"dataset\.wavelengths lists 2 wavelengths for 3 bands(.|\n)*give 3"),
        ([490, 560, -1], "-1 is no wavelength"),
        ("none.csv", r"cannot be read: No such file(.|\n)*none\.csv"),
        ("name\na\n", r"no column wavelength_nm or wavelength(.|\n)*its columns are name"),
        ("wavelength\n490\nblue\n665\n", r"'blue' in the column 'wavelength' is no length(.|\n)*line 3"),
        ("wavelength\n490\n560\n", "lists 2 wavelengths for 3 bands"),
        ("wavelength,a\n490\n", r"the row has 1 cells, the header 2(.|\n)*line 2"),
        ("a,a\n1,1\n", "column 'a' occurs twice"),
        ("", "table is empty"),
    ],
)
def test_what_is_wrong_is_said(path, given, message):
    if isinstance(given, str) and given != "none.csv":
        path.with_name("bands.csv").write_text(given)
        given = str(path.with_name("bands.csv"))
    with pytest.raises(DataError, match=message):
        open_patches(path, "train", DatasetOptions(wavelengths=given))


def test_tables_that_are_no_text(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    assert csv_header(tmp_path / "a.csv") == []
    with pytest.raises(DataError, match="not UTF-8 text"):
        read_csv_table(tmp_path / "a.csv")


def test_units():
    assert in_nm([0.49, None, 2.2]) == ((490, None, 2200), 1000)
    assert in_nm([490.0, 9.0]) == ((490, 9), 1)
    assert in_nm([9.6, 11.2], "Micrometers") == ((9600, 11200), 1000)
    assert in_nm([5.0], "nm") == ((5,), 1) and in_nm([None]) == ((None,), 1)


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["1", "-20"], [1, -20]),
        (["1", "2.5e3"], [1, 2500]),
        (["007", "8"], ["007", "8"]),
        (["a", "1"], ["a", "1"]),
        (["", ""], ["", ""]),
        ([".5", "-1."], [0.5, -1]),
    ],
)
def test_columns_get_their_type(texts, values):
    assert typed(texts) == values and [type(one) for one in typed(texts)] == [type(typed(texts)[0])] * len(texts)


def test_a_real_table(shared_data):
    table = read_band_table(shared_data / "enmap_potsdam" / "bands.csv")
    assert len(table.wavelength) == 218 and table.wavelength[0] == 418.24 and table.width[0] == 6.99561
