"""Polygons of a map: the same as of the whole raster at once, with area and mean probability."""

from __future__ import annotations

import itertools
import json

import geopandas
import map_runs as small
import numpy as np
import pytest
import rasterio
import rasterio.features
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

import spectrain
from spectrain.core.errors import RunError, SpectrainError
from spectrain.data.scene import SceneGrid
from spectrain.inference.mapping.polygons import Polygons, polygon_layer
from spectrain.tasks.layers import Layer, class_layers

GRID_CRS = rasterio.crs.CRS.from_epsg(32633).to_wkt()
PLACE = (10.0, 0.0, 400000.0, 0.0, -10.0, 5800000.0)


def grid_of(classes):
    return SceneGrid(classes.shape, GRID_CRS, PLACE)


def traced(classes, probability, cuts, names, **options):
    """Polygons of classes [H,W] that come in strips which begin at ``cuts``; 255 is missing."""
    layer = polygon_layer_of(names)
    found = Polygons(layer, grid_of(classes), **options)
    edges = sorted({0, *cuts, len(classes)})
    for low, high in itertools.pairwise(edges):
        maps = {"class": classes[None, low:high], "probability": probability[:, low:high]}
        found.write(low, maps, classes[low:high] != 255)
    return found.table()


def polygon_layer_of(names) -> Layer:
    return class_layers(names, 1)[0]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 29), max_size=6))
def test_strips_give_the_polygons_of_the_whole_raster(seed, cuts):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 3, (8, 10))
    classes = np.kron(coarse, np.ones((4, 4), int))[:30, :37].astype("u1")
    flip = rng.random(classes.shape) < 0.1
    classes[flip] = rng.integers(0, 3, flip.sum())
    classes[rng.random(classes.shape) < 0.05] = 255
    probability = rng.random((3, *classes.shape)).astype("f4")
    found = traced(classes, probability, cuts, ("a", "b", "c"))
    expected = [
        (shapely.geometry.shape(record), int(value))
        for record, value in rasterio.features.shapes(
            classes, mask=classes != 255, connectivity=4, transform=rasterio.Affine(*PLACE)
        )
    ]
    assert len(found) == len(expected)
    keyed = {shapely.normalize(shapely.simplify(one, 0)).wkb: value for one, value in expected}
    for geometry, value in zip(found.geometry, found["class"], strict=True):
        assert geometry.is_valid
        assert keyed[shapely.normalize(shapely.simplify(geometry, 0)).wkb] == value
    for row in range(0, len(found), 7):  # mean probability, by a mask of the polygon
        inside = rasterio.features.geometry_mask(
            [found.geometry[row]], classes.shape, rasterio.Affine(*PLACE), invert=True
        )
        value = found["class"][row]
        assert (classes[inside] == value).all()
        np.testing.assert_allclose(found["probability"][row], probability[value][inside].mean(), rtol=1e-5)


def test_of_two_classes_the_second_with_areas_on_the_ground():
    classes = np.zeros((20, 30), "u1")
    classes[2:6, 3:8] = classes[10:11, 20:21] = 1
    probability = np.where(classes == 1, 0.75, 0.1)[None].astype("f4")
    found = traced(classes, probability, [4], ("ground", "slide"))
    assert found["name"].tolist() == ["slide", "slide"]
    np.testing.assert_allclose(found["area_m2"], [2000, 100], rtol=2e-3)  # UTM's scale is 0.9996 to 1.0004
    np.testing.assert_allclose(found["probability"], 0.75)
    assert len(found.geometry[0].exterior.coords) == 5  # no corner is left where the strips met
    assert len(traced(classes, probability, [4], ("ground", "slide"), min_area=500)) == 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("polygons")


@pytest.fixture(scope="module")
def run(folder):
    return small.train(small.write_training(folder / "data"), folder / "run", "task.class_names=[ground,slide]")


@pytest.fixture(scope="module")
def scene(folder):
    return small.write_scene(folder / "scene.tif", small.field(90, 120, seed=3))


def test_both_formats(run, scene, tmp_path):
    for name in ("polygons.geojson", "polygons.parquet"):
        made = spectrain.predict(run, scene, tmp_path / "out.tif", polygons=tmp_path / name, overwrite=True)
        assert made.paths[-1] == tmp_path / name
    native = geopandas.read_parquet(tmp_path / "polygons.parquet")
    assert native.crs.to_epsg() == 32633
    degrees = geopandas.read_file(tmp_path / "polygons.geojson")
    assert degrees.crs.to_epsg() == 4326
    assert "crs" not in json.loads((tmp_path / "polygons.geojson").read_text()) or degrees.total_bounds[0] > 0
    assert list(native.columns) == list(degrees.columns) == ["class", "name", "area_m2", "probability", "geometry"]
    assert len(native) == len(degrees) > 3
    np.testing.assert_allclose(degrees.to_crs(32633).area, native.area, rtol=1e-3)
    with rasterio.open(tmp_path / "out.tif") as file:
        drawn = rasterio.features.geometry_mask(native.geometry, file.shape, file.transform, invert=True)
        np.testing.assert_array_equal(drawn, file.read(1) == 1)


def test_no_polygon_is_a_file_too(run, scene, tmp_path):
    for name in ("none.geojson", "none.parquet"):
        spectrain.predict(run, scene, tmp_path / "o.tif", polygons=tmp_path / name, min_area=1e9, overwrite=True)
    assert len(geopandas.read_parquet(tmp_path / "none.parquet")) == 0
    assert json.loads((tmp_path / "none.geojson").read_text())["features"] == []


def test_a_scene_without_any_pixel_has_none(run, tmp_path):
    scene = small.write_scene(tmp_path / "s.tif", np.zeros((3, 40, 40), "u2"), nodata=0)
    spectrain.predict(run, scene, tmp_path / "o.tif", polygons=tmp_path / "p.parquet")
    assert len(geopandas.read_parquet(tmp_path / "p.parquet")) == 0


def test_polygons_that_cannot_be(run, scene, tmp_path):
    layers = class_layers(("a", "b"), 1)
    placed, placeless = SceneGrid((4, 4), GRID_CRS, PLACE), SceneGrid((4, 4), None, PLACE)
    with pytest.raises(RunError, match=r"call it out\.geojson"):
        polygon_layer(tmp_path / "out.shp", layers, placed)
    with pytest.raises(RunError, match="have no place"):
        polygon_layer(tmp_path / "out.geojson", layers, placeless)
    with pytest.raises(RunError, match="values, not classes"):
        polygon_layer(tmp_path / "out.geojson", (Layer("mean", ("mean",)),), placed)
    with pytest.raises(SpectrainError, match="--min-area"):
        spectrain.predict(run, scene, tmp_path / "o.tif", min_area=10)
    (tmp_path / "there.geojson").write_text("mine")
    with pytest.raises(RunError, match="there already"):
        spectrain.predict(run, scene, tmp_path / "o.tif", polygons=tmp_path / "there.geojson")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there.geojson"]
