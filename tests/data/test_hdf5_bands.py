"""What attributes say of bands."""

from __future__ import annotations

import numpy as np
import pytest

from spectrain.core.bands import Band
from spectrain.core.errors import DataError
from spectrain.data.hdf5.bands import bands_from_attributes


def bands(attributes, channels, file=None, names=None):
    return bands_from_attributes([attributes, file or {}], channels, "a.h5: train", names=names)


def test_nothing_said_leaves_everything_open():
    assert bands({}, 2) == (Band("band_1"), Band("band_2"))


@pytest.mark.parametrize(
    "value",
    [
        "red [1], nir [dB]",
        b"red [1], nir [dB]",
        ["red [1]", "nir [dB]"],
        np.array([b"red [1]", b"nir [dB]"]),
        np.array(["red [1]", "nir [dB]"], dtype=object),
    ],
)
@pytest.mark.parametrize("key", ["channels", "bands", "band_names"])
def test_names_with_units(key, value):
    assert bands({key: value}, 2) == (Band("red", unit="1"), Band("nir", unit="dB"))


def test_a_unit_for_all_and_one_of_its_own():
    assert [band.unit for band in bands({"channels": "a, b [m]", "units": "degC"}, 2)] == ["degC", "m"]


@pytest.mark.parametrize(
    ("units", "expected"), [("m, s", ["m", "s"]), (["m", "s"], ["m", "s"]), (b"degC", ["degC", "degC"])]
)
def test_units_one_each_or_one_for_all(units, expected):
    assert [band.unit for band in bands({"units": units}, 2)] == expected


def test_a_unit_with_a_comma_stays_whole():
    assert [band.unit for band in bands({"units": "log10(mg m-3), base 10"}, 3)] == ["log10(mg m-3), base 10"] * 3


def test_wavelengths_and_widths():
    got = bands({"wavelength_nm": np.array([665.0, np.nan]), "fwhm_nm": [30.0, 20.0]}, 2)
    assert [(band.wavelength, band.width) for band in got] == [(665.0, 30.0), (None, 20.0)]


@pytest.mark.parametrize("as_stored", [float, lambda value: np.array([value]), np.float32])
def test_cf_attributes_of_all_bands(as_stored):
    attributes = {"scale_factor": as_stored(0.5), "add_offset": as_stored(-2.0), "_FillValue": as_stored(-8.0)}
    assert bands(attributes, 2) == tuple(Band(f"band_{n}", scale=0.5, offset=-2.0, nodata=-8.0) for n in (1, 2))


def test_cf_attributes_one_a_band():
    got = bands({"scale_factor": [0.1, 0.2], "missing_value": [-1, -2]}, 2)
    assert [(band.scale, band.nodata) for band in got] == [(0.1, -1.0), (0.2, -2.0)]


def test_a_fill_value_of_nan_is_none():
    assert bands({"_FillValue": np.float32(np.nan)}, 1)[0].nodata is None


def test_the_dataset_goes_before_the_file():
    got = bands({"channels": "own", "units": "m"}, 1, file={"channels": "general", "units": "s", "add_offset": 3})
    assert got == (Band("own", unit="m", offset=3.0),)


@pytest.mark.parametrize("key", ["channels", "wavelength_nm", "scale_factor"])
def test_a_list_of_another_length_is_refused(key):
    value = "a, b" if key == "channels" else [1.0, 2.0]
    with pytest.raises(DataError, match=rf"'{key}' describes 2 bands, the images have 3 channels") as caught:
        bands({key: value}, 3)
    assert "a.h5: train" in str(caught.value)


def test_names_of_the_options_help_where_the_attribute_is_of_something_else():
    assert bands({"channels": "a, b"}, 3, names=["x", "y", "z"]).names == ("x", "y", "z")
    assert bands({"channels": "a, b"}, 2, names=["b", "a"]).names == ("a", "b")
