"""A raw scene with the bands of a preparation: mixed resolutions, derived bands, the same whatever the window."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import rasterio
import torch
from rasters import write

from spectrain.core.errors import DataError
from spectrain.data.values import Values
from spectrain.preparation import open_scene
from spectrain.preparation.options import PrepareOptions
from spectrain.preparation.patterns import find_scenes
from spectrain.preparation.plan import make_plan
from spectrain.preparation.record import Preparation

FORMULA = "ndwi=(green-nir)/(green+nir) in -1..1"


def record(folder, **options):
    """Return the preparation of the scenes of a folder."""
    given = PrepareOptions(data_dir=str(folder), **options)
    return make_plan("scenes", given, find_scenes(folder, given.images), []).record


@pytest.fixture(scope="module")
def thailand(shared_data):
    return shared_data / "s2_majortom_thailand"


@pytest.fixture(scope="module")
def dem(thailand, tmp_path_factory):
    """Heights on a grid of 30 m, not aligned, made of a real band."""
    with rasterio.open(thailand / "B09.tif") as file:
        values = file.read(1).astype(np.float32) / 10
        a, b, c, d, e, f = tuple(file.transform)[:6]
        place = rasterio.Affine(a, b, c - 77, d, e, f + 41)
        return write(tmp_path_factory.mktemp("dem") / "dem.tif", values, place, file.crs, nodata=-9999)


BANDS = ["B02", "B11", "B01", "ndvi", "relative_elevation", "slope", "ndwi"]


@pytest.fixture(scope="module")
def scene(thailand, dem):
    given = record(thailand, images=["*.tif"], bands=BANDS, formulas=[FORMULA], dem=str(dem), scale=1e-4)
    return open_scene(thailand, json.loads(json.dumps(given.to_json())))


def test_the_grid_is_that_of_the_finest_file(scene):
    assert scene.grid.size == (1068, 1068) and scene.grid.transform[0] == 10
    assert scene.bands.names == tuple(BANDS) and scene.dtype == np.uint16
    assert [round(band.resolution) for band in scene.bands][:3] == [10, 20, 60]


def test_the_same_pixels_in_any_window(scene):
    whole = scene.read(300, 400, 200, 220).image
    draw = np.random.default_rng(0)
    for _ in range(8):
        h, w = draw.integers(1, 90, 2)
        row, column = draw.integers(0, 200 - h), draw.integers(0, 220 - w)
        part = scene.read(300 + int(row), 400 + int(column), int(h), int(w))
        assert np.array_equal(part.image, whole[:, row : row + h, column : column + w])
        assert part.mask is None


def test_physical_values_come_back(scene, thailand):
    pixels = scene.read(100, 200, 64, 64)
    values, valid = Values(scene.bands).measure(torch.from_numpy(pixels.image[None]), None)
    own = {}
    for name in ("B02", "B03", "B04", "B08"):
        with rasterio.open(thailand / f"{name}.tif") as file:
            own[name] = file.read(1)[100:164, 200:264].astype(np.float64) * 1e-4
    np.testing.assert_allclose(values[0, 0], own["B02"], atol=1e-6)
    np.testing.assert_allclose(values[0, 3], (own["B08"] - own["B04"]) / (own["B08"] + own["B04"]), atol=3e-5)
    np.testing.assert_allclose(values[0, 6], (own["B03"] - own["B08"]) / (own["B03"] + own["B08"]), atol=3e-5)
    assert valid is None or valid.all()
    assert (values[0, 5] >= 0).all() and (values[0, 5] <= 90).all()


def test_nothing_is_missing_at_the_edge_of_the_scene(scene):
    for place in ((0, 0), (1004, 1004)):
        pixels = scene.read(*place, 64, 64)
        _, valid = Values(scene.bands).measure(torch.from_numpy(pixels.image[None]), None)
        assert valid is None or valid[0, :4].all()


def test_one_file_of_the_scene_will_do(scene, thailand):
    other = open_scene(thailand / "B11.tif", scene.preparation)
    assert np.array_equal(other.read(5, 6, 20, 30).image, scene.read(5, 6, 20, 30).image)
    assert other.name == scene.name == "s2_majortom_thailand"


def test_another_elevation_is_taken(scene, thailand, dem, tmp_path):
    flat = tmp_path / "flat.tif"
    shutil.copy(dem, flat)
    with rasterio.open(flat, "r+") as file:
        file.write(np.full(file.shape, 7.0, np.float32), 1)
    pixels = open_scene(thailand, scene.preparation, dem=flat).read(0, 0, 9, 9)
    values, _ = Values(scene.bands).measure(torch.from_numpy(pixels.image[None]), None)
    np.testing.assert_allclose(values[0, 4:6], 0, atol=1e-4)


def test_raw_bands_of_one_type_keep_it(shared_data):
    folder = shared_data / "s2_barkbeetle"
    given = record(folder, images=["scenes_2020/{scene}.tif"], bands=["B04", "B08"])
    site = open_scene(folder / "scenes_2020" / "205232.tif", given)
    with rasterio.open(folder / "scenes_2020" / "205232.tif") as file:
        assert np.array_equal(site.read(0, 0, 85, 67).image, file.read([4, 8]))
    assert site.dtype == np.uint16 and [band.nodata for band in site.bands] == [0, 0]
    assert site.name == "205232"


def test_a_band_without_range_makes_all_decimals(shared_data):
    folder = shared_data / "s1s2_flood_spain"
    given = record(folder, images=["S2Hand.tif", "S1Hand.tif"], bands=["B4", "VV_dB"], scale=1e-4)
    scene = open_scene(folder, given)
    image = scene.read(0, 0, 30, 40).image
    with rasterio.open(folder / "S2Hand.tif") as one, rasterio.open(folder / "S1Hand.tif") as two:
        np.testing.assert_allclose(image[0], one.read(4)[:30, :40] * 1e-4, rtol=1e-6)
        assert np.array_equal(image[1], two.read(1)[:30, :40], equal_nan=True)
    assert scene.dtype == np.float32 and scene.bands[0].scale == 1


def test_signed_bands_beside_made_ones_come_back(shared_data):
    folder = shared_data / "s1s2_flood_spain"
    given = record(folder, images=["S2Hand.tif"], bands=["B4", "ndvi"], scale=1e-4)
    scene = open_scene(folder, given)
    pixels = scene.read(0, 0, 64, 64)
    values, _ = Values(scene.bands).measure(torch.from_numpy(pixels.image[None]), None)
    with rasterio.open(folder / "S2Hand.tif") as file:
        np.testing.assert_allclose(values[0, 0], file.read(4)[:64, :64] * 1e-4, atol=1e-6)
    assert scene.dtype == np.uint16


def test_missing_bands_and_elevations_are_named(shared_data, thailand, scene):
    with pytest.raises(DataError, match=r"no band 'B4'.*") as caught:
        record(shared_data / "s2_barkbeetle", images=["scenes_2020/{scene}.tif"], bands=["B4"])
    assert "B04" in str(caught.value)
    with pytest.raises(DataError, match="'dem', which 'slope' needs"):
        record(thailand, images=["*.tif"], bands=["slope"])
    with pytest.raises(DataError, match="tcvis-dir"):
        record(thailand, images=["*.tif"], bands=["tc_wetness"])
    with pytest.raises(DataError, match="no such scene"):
        open_scene(thailand / "none.tif", scene.preparation)


def test_a_scene_that_lacks_a_file_of_its_pattern(thailand, scene, tmp_path):
    shutil.copy(thailand / "B02.tif", tmp_path)
    with pytest.raises(DataError, match="no band 'B11'"):
        open_scene(tmp_path, scene.preparation)


def test_a_newer_record_is_refused(scene):
    newer = scene.preparation.to_json() | {"format": {"name": "spectrain.preparation", "version": 2}}
    with pytest.raises(DataError, match="newer spectrain"):
        Preparation.from_json(newer)
    with pytest.raises(DataError, match="no record"):
        Preparation.from_json({"x": 1})
    with pytest.raises(DataError, match="damaged"):
        Preparation.from_json({"format": {"name": "spectrain.preparation", "version": 1}})


def test_tasselled_cap_of_other_rasters(thailand, tmp_path):
    with rasterio.open(thailand / "B8A.tif") as file:
        values, place, crs = (file.read(1) // 32).clip(0, 255).astype(np.uint8), file.transform, file.crs
    names = ["tc_brightness", "tc_greenness", "tc_wetness"]
    write(tmp_path / "tc" / "a.tif", np.stack([values] * 3), place, crs, descriptions=names)
    given = record(thailand, images=["*.tif"], bands=["B02", "tc_greenness"], tcvis_dir=str(tmp_path / "tc"))
    pixels = open_scene(thailand, given).read(101, 100, 40, 40)
    found, _ = Values(given.bands).measure(torch.from_numpy(pixels.image[None]), None)
    assert given.bands[1].limits == (0, 255)
    assert abs(float(found[0, 1].mean()) - values[50:71, 50:70].mean()) < 1.5
    pixels = open_scene(thailand, given, aux=tmp_path / "tc").read(101, 100, 40, 40)
    assert pixels.image[1].std() > 0


def test_wavelengths_of_a_table_beside(shared_data):
    folder = shared_data / "enmap_potsdam"
    given = record(folder, images=["images/{scene}.tif"])
    assert len(given.bands) == 218 and given.dtype == "int16"
    assert given.bands[0].wavelength == pytest.approx(418, abs=1) and given.bands[217].wavelength > 2400
