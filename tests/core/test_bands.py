from __future__ import annotations

import math

import pytest

from spectrain.core.bands import Band, Bands
from spectrain.core.errors import DataError

SENTINEL = Bands([Band("blue", 490, 65), Band("green", 560, 35), Band("vv", unit="dB", nodata=-9999)])


def test_bands_survive_json():
    assert Bands.from_json(SENTINEL.to_json()) == SENTINEL
    assert Bands([Band("sst", nodata=math.nan)]).to_json()[0]["nodata"] is None


def test_unknown_fields_of_a_band_are_named():
    with pytest.raises(DataError, match="wavelenght"):
        Bands.from_json([{"name": "a", "wavelenght": 3}])


def test_names_must_differ():
    with pytest.raises(DataError, match=r"twice: \['a'\]"):
        Bands([Band("a"), Band("b"), Band("a")])
    assert Bands.unnamed(2).names == ("band_1", "band_2")


def test_a_band_is_found_by_name_and_a_misspelt_one_suggested():
    assert SENTINEL.position("green") == 1
    with pytest.raises(DataError, match="did you mean 'green'"):
        SENTINEL.position("grene")
    with pytest.raises(DataError, match="blue, green, vv"):
        SENTINEL.position("thermal")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["blue", "green"], "missing: vv"),
        (["blue", "green", "vv", "vh"], "unknown: vh"),
        (["green", "blue", "vv"], "another order"),
    ],
)
def test_other_bands_than_the_models_are_refused_by_name(given, said):
    SENTINEL.require(SENTINEL, where="here")
    with pytest.raises(DataError, match=said) as caught:
        SENTINEL.require(Bands(Band(name) for name in given), where="scene.tif")
    assert "scene.tif" in str(caught.value)


def test_bands_of_the_same_names_elsewhere_in_the_spectrum_are_refused():
    def cube(*wavelengths):
        return Bands(Band(f"band_{number}", nm) for number, nm in enumerate(wavelengths, start=1))

    cube(443, 2202.4).require(cube(442, 2185.7), where="the twin")  # Sentinel-2A and 2B
    cube(443, 2202.4).require(cube(None, 2185.7), where="without")
    with pytest.raises(DataError, match="'band_2' at 560 nm, the data have it at 650 nm") as caught:
        cube(490, 560).require(cube(490, 650), where="other.h5")
    assert "other.h5" in str(caught.value) and "dataset.wavelengths" in str(caught.value)
