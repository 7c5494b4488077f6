"""Labels that are described in another coordinate system, or lie on a small part of their scene, lie where they lie."""

from __future__ import annotations

import geopandas
import numpy as np
import pandas as pd
import pyproj
import pytest
import shapely
from rasterio.transform import from_origin
from rasters import write

from spectrain.core.bands import Band, Bands
from spectrain.core.errors import DataError
from spectrain.data.ground import footprints, shared_pairs
from spectrain.data.opening import open_patches
from spectrain.data.raster.ground import RasterGround, outlines
from spectrain.data.scene import SceneGrid
from spectrain.preparation import prepare
from spectrain.preparation.job import scene_labels
from spectrain.preparation.labels import IGNORED, LabelOptions, RasterLabels, in_pixels
from spectrain.preparation.opening import build_scene
from spectrain.preparation.patterns import SceneFiles
from spectrain.preparation.plan import outline
from spectrain.preparation.record import Preparation

SIZE = 64
UTM = from_origin(500000, 6000000, 10, 10)


def scene_at(folder, transform, crs, name="s", size=SIZE):
    path = write(folder / f"{name}.tif", np.full((1, size, size), 7, np.uint8), transform, crs, descriptions=["red"])
    return build_scene(SceneFiles(name, (("", path),)), Preparation("scenes", Bands([Band("red")]), "uint8"))


def across(folder, shift=0.0):
    """A scene of the polar north whose middle column lies on the antimeridian, and the place of that middle."""
    x, y = pyproj.Transformer.from_crs(4326, 3413, always_xy=True).transform(180, 70)
    transform = from_origin(x - 320 + shift, y + 320, 10, 10)
    return scene_at(folder, transform, "EPSG:3413", f"s{shift:g}"), (x, y)


def vector(path, shapes, crs, **columns):
    geopandas.GeoDataFrame(columns, geometry=shapes, crs=crs).to_file(path)
    return path


def test_polygons_on_both_sides_of_the_antimeridian(tmp_path):
    scene, (x, y) = across(tmp_path)
    squares = [shapely.box(x + dx - 40, y - 40, x + dx + 40, y + 40) for dx in (-200, 200)]
    degrees = geopandas.GeoSeries(squares, crs=3413).to_crs(4326)
    assert degrees.bounds.minx.min() < -179 < 179 < degrees.bounds.maxx.max()
    path = vector(tmp_path / "labels.gpkg", degrees, 4326)
    labels, polygons = scene_labels(scene, SceneFiles("s", (), label=path), LabelOptions())
    found = labels.read(0, 0, SIZE, SIZE)
    assert len(polygons[0].rows) == 2
    assert found[28:36, 8:16].all() and found[28:36, 48:56].all() and found.sum() == 128


def test_scenes_across_the_antimeridian_share_ground_with_their_neighbours_alone(tmp_path):
    scenes = [across(tmp_path, shift)[0] for shift in (0.0, 320.0, 2000.0)]
    europe = scene_at(tmp_path, from_origin(500000, 7770000, 10, 10), "EPSG:32633", "europe")
    places = footprints(pd.DataFrame({"geometry": [outline(one) for one in (*scenes, europe)]}))
    assert shapely.area(places).max() < 1.1 * (SIZE * 10) ** 2
    pairs = {tuple(sorted(pair)) for pair in shared_pairs(places, places).tolist() if pair[0] != pair[1]}
    assert pairs == {(0, 1)}


def test_a_scene_of_the_whole_earth_is_left_as_it_is():
    ground = RasterGround((pyproj.CRS(4326).to_wkt("WKT1_GDAL"),), ((0.25, 0.0, -180.0, 0.0, -0.25, 90.0),))
    ring = ground.rings(np.zeros((1, 3), np.int64), np.array([[720, 1440]]))
    assert outlines(ring)[0].equals(shapely.polygons(ring)[0])


@pytest.mark.parametrize("lost", [np.nan, np.inf, -np.inf])
def test_points_beside_the_earth_are_left_out(lost):
    """The corners of a satellite's whole disk lie nowhere."""
    ring = np.array([[[0.0, 0], [4, 0], [4, 4], [2, 5], [0, 4]]])
    for points in ([3], [3, 4]):
        gone = ring.copy()
        gone[0, points, 0] = lost
        rest = np.delete(ring[0], points, axis=0)
        assert outlines(gone)[0].equals(shapely.polygons(rest))
    gone[0, 1:] = lost
    assert outlines(gone)[0].is_empty
    gone[:] = lost
    assert outlines(np.concatenate([ring, gone]))[1].is_empty


@pytest.mark.parametrize("north", [90.0, 54.1445])
def test_an_extent_of_half_the_earth_in_degrees(tmp_path, north):
    scene = scene_at(tmp_path, UTM, "EPSG:32633")
    polygon = [shapely.box(500100, 5999500, 500300, 5999900)]
    labels = vector(tmp_path / "labels.gpkg", polygon, 32633)
    extent = vector(tmp_path / "extent.geojson", [shapely.box(-180, -90, 180, north)], 4326)
    found, _ = scene_labels(scene, SceneFiles("s", (), label=labels), LabelOptions(extent=str(extent)))
    known = found.read(0, 0, SIZE, SIZE) != IGNORED
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    to_degrees = pyproj.Transformer.from_crs(32633, 4326, always_xy=True)
    latitude = to_degrees.transform(500000 + 10 * columns, 6000000 - 10 * rows)[1]
    assert (known == (latitude < north)).mean() > 0.999
    assert known.all() if north == 90 else 0.2 < known.mean() < 0.8


def test_polygons_of_the_same_system_keep_their_corners():
    square = shapely.box(500000, 5999000, 520000, 6000000)
    grid = SceneGrid((SIZE, SIZE), pyproj.CRS(32633).to_wkt(), (10.0, 0.0, 500000.0, 0.0, -10.0, 6000000.0))
    assert shapely.get_num_coordinates(in_pixels([square], pyproj.CRS(32633), grid)[0]) == 5


def test_labels_of_a_small_part_of_a_scene(tmp_path):
    scene = scene_at(tmp_path, UTM, "EPSG:32633", size=512)
    own = np.ones((1, 30, 30), np.uint8)
    path = write(tmp_path / "mask.tif", own, from_origin(500800, 5999200, 10, 10), "EPSG:32633")
    found = RasterLabels(path, scene.grid, LabelOptions()).read(0, 0, 512, 512)
    assert (found[80:110, 80:110] == 1).all() and (found != IGNORED).sum() == 900
    beyond = write(tmp_path / "far.tif", own, from_origin(600800, 5999200, 10, 10), "EPSG:32633")
    with pytest.raises(DataError, match="lies elsewhere"):
        RasterLabels(beyond, scene.grid, LabelOptions())


def test_255_means_not_labelled_without_being_said(tmp_path):
    scene = scene_at(tmp_path, UTM, "EPSG:32633")
    own = np.zeros((1, SIZE, SIZE), np.uint8)
    own[:, :5] = 255
    path = write(tmp_path / "mask.tif", own, UTM, "EPSG:32633")
    found = RasterLabels(path, scene.grid, LabelOptions(ignored=(3,))).read(0, 0, SIZE, SIZE)
    assert (found[:5] == IGNORED).all() and (found[5:] == 0).all()


def test_polygons_that_lie_elsewhere_are_noticed(tmp_path):
    for number in range(2):
        scene_at(tmp_path / "in", UTM, "EPSG:32633", name=f"s{number}")
    vector(tmp_path / "in" / "labels.gpkg", [shapely.box(10, 10, 11, 11)], 4326)
    options = {"data_dir": str(tmp_path / "in"), "labels": "labels.gpkg", "patch_size": 32, "folds": 0}
    made = prepare("scenes", train_data_dir=str(tmp_path / "out"), images=["{scene}.tif"], **options)
    assert any(line.startswith("no label polygon lies in any scene") and "labels.gpkg" in line for line in made.lines)


def test_an_empty_file_of_a_scene_says_that_there_was_nothing_to_find(tmp_path):
    folder = tmp_path / "in"
    for number in range(2):
        scene_at(folder, from_origin(500000 + 2000 * number, 6000000, 10, 10), "EPSG:32633", name=f"s{number}")
    (folder / "s0.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    vector(folder / "s1.geojson", [shapely.box(502100, 5999500, 502300, 5999900)], 32633, kind=["pond"])
    options = {"data_dir": str(folder), "labels": "{scene}.geojson", "patch_size": 32, "folds": 0, "test_val_split": 0}
    made = prepare("scenes", train_data_dir=str(tmp_path / "out"), images=["{scene}.tif"], **options)
    assert not made.failed and "1 scenes have no label polygon: all of them is background" in made.lines
    shares = (
        open_patches(made.folder / "cross-val.zarr", "cross-val").metadata().groupby("scene")["positive_share"].sum()
    )
    assert shares["s0"] == 0 < shares["s1"]
    named = {**options, "label_column": "kind", "train_data_dir": str(tmp_path / "named")}
    assert "holds nothing" in prepare("scenes", images=["{scene}.tif"], **named).failed["s0"]
