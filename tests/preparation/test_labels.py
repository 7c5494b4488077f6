"""Labels of a scene: polygons and rasters, what they refuse, and that a window does not matter."""

from __future__ import annotations

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.features import rasterize
from rasters import write

from spectrain.core.errors import DataError
from spectrain.data.scene import SceneGrid
from spectrain.preparation.labels import LabelOptions, PolygonLabels, RasterLabels, WithinExtent, in_pixels
from spectrain.preparation.vectors import is_vector, read_polygons, read_table


@pytest.fixture(scope="module")
def buildings(shared_data):
    folder = shared_data / "elevation_buildings"
    with rasterio.open(folder / "building_mask.tif") as file:
        grid = SceneGrid(file.shape, file.crs.to_wkt(), tuple(file.transform)[:6])
        return folder, grid, file.read(1)


def test_polygons_are_burnt_where_pixels_have_their_centre(buildings):
    folder, grid, mask = buildings
    polygons = read_polygons(folder / "buildings.geojson")
    found = PolygonLabels([polygons], grid).read(0, 0, *grid.size)
    table = geopandas.read_file(folder / "buildings.geojson").to_crs(grid.crs)
    wanted = rasterize(table.geometry, out_shape=grid.size, transform=rasterio.Affine(*grid.transform))
    assert np.array_equal(found, wanted) and found.dtype == np.uint8
    assert (found == mask).mean() > 0.99


def test_polygons_are_the_same_in_any_window(buildings):
    folder, grid, _ = buildings
    labels = PolygonLabels([read_polygons(folder / "buildings.geojson")], grid)
    whole = labels.read(0, 0, *grid.size)
    draw = np.random.default_rng(0)
    for _ in range(40):
        h, w = draw.integers(1, 80, 2)
        row, column = draw.integers(0, grid.size[0] - h), draw.integers(0, grid.size[1] - w)
        found = labels.read(int(row), int(column), int(h), int(w))
        assert np.array_equal(found, whole[row : row + h, column : column + w])


def test_what_is_outside_the_extent_is_ignored(buildings):
    folder, grid, _ = buildings
    polygons = read_polygons(folder / "buildings.geojson")
    hull = shapely.convex_hull(shapely.geometrycollections(in_pixels(polygons.geometry, polygons.crs, grid)))
    labels = WithinExtent(PolygonLabels([polygons], grid), np.array([hull]))
    found = labels.read(0, 0, *grid.size)
    assert {0, 1, 255} == set(np.unique(found).tolist())
    assert (found == 255)[0].all() and (found == 1).sum() == (
        PolygonLabels([polygons], grid).read(0, 0, *grid.size)
    ).sum()


def test_raster_labels_of_another_grid_are_the_nearest(buildings, tmp_path):
    _, grid, mask = buildings
    coarse = write(
        tmp_path / "y.tif", mask[::2, ::2], rasterio.Affine(4, 0, grid.transform[2], 0, -4, grid.transform[5]), grid.crs
    )
    found = RasterLabels(coarse, grid, LabelOptions()).read(0, 0, *grid.size)
    assert np.array_equal(found, np.repeat(np.repeat(mask[::2, ::2], 2, 0), 2, 1)[: grid.size[0], : grid.size[1]])


def test_classes_that_mean_nothing_and_nodata_are_ignored(shared_data):
    path = shared_data / "s1s2_flood_spain" / "LabelHand.tif"
    with rasterio.open(path) as file:
        grid, own = SceneGrid(file.shape, file.crs.to_wkt(), tuple(file.transform)[:6]), file.read(1)
    found = RasterLabels(path, grid, LabelOptions()).read(0, 0, 512, 512)
    assert np.array_equal(found, np.where(own == -1, 255, own))
    found = RasterLabels(path, grid, LabelOptions(ignored=(1,))).read(0, 0, 512, 512)
    assert set(np.unique(found).tolist()) == {0, 255}


def test_decimals_are_values_with_nan(shared_data):
    path = shared_data / "regression_dem" / "s2_santarem_srtm_sparse.tif"
    with rasterio.open(path) as file:
        grid, own = SceneGrid(file.shape, file.crs.to_wkt(), tuple(file.transform)[:6]), file.read(1, masked=True)
    labels = RasterLabels(path, grid, LabelOptions())
    found = labels.read(0, 0, *grid.size)
    assert labels.values and found.dtype == np.float32
    assert np.array_equal(np.isfinite(found), np.isfinite(own.filled(np.nan)))


UTM = rasterio.crs.CRS.from_epsg(26918)


def write_vector(path, shapes, crs=UTM, **columns):
    geopandas.GeoDataFrame(columns, geometry=list(shapes), crs=crs).to_file(path)
    return path


def test_classes_are_words_or_numbers(tmp_path):
    shapes = [shapely.box(i, 0, i + 1, 1) for i in range(3)]
    path = write_vector(tmp_path / "a.gpkg", shapes, kind=["ice", "pond", "ice"], number=[3, 1, 3])
    words = read_polygons(path, "kind")
    assert words.classes.tolist() == [1, 2, 1] and words.names == ("background", "ice", "pond")
    assert read_polygons(path, "kind", ["none", "pond", "ice"]).classes.tolist() == [2, 1, 2]
    assert read_polygons(path, "number").classes.tolist() == [3, 1, 3]
    with pytest.raises(DataError, match="did you mean 'kind'"):
        read_polygons(path, "kinds")
    with pytest.raises(DataError, match="'ice' in 'kind' is not among label-names"):
        read_polygons(path, "kind", ["none", "pond"])


@pytest.mark.parametrize("kind", [["ice", None, "pond"], [1.0, None, 2.0]])
def test_polygons_without_a_class_are_named(tmp_path, kind):
    shapes = [shapely.box(i, 0, i + 1, 1) for i in range(3)]
    with pytest.raises(DataError, match="1 of 3 polygons have no class in 'kind', the first in row 1"):
        read_polygons(write_vector(tmp_path / "a.gpkg", shapes, kind=kind), "kind")


def test_classes_that_are_stored_as_decimals_are_numbers(tmp_path):
    shapes = [shapely.box(i, 0, i + 1, 1) for i in range(2)]
    found = read_polygons(write_vector(tmp_path / "a.shp", shapes, kind=[3.0, 1.0]), "kind")
    assert found.classes.tolist() == [3, 1] and found.names == ("0", "1", "2", "3")


def test_geometries_that_are_not_valid_are_mended_and_counted(shared_data):
    polygons = read_polygons(shared_data / "rts_labels" / "rts_polygons_dev.geojson")
    assert polygons.mended > 0 and shapely.is_valid(polygons.geometry).all()


def test_what_mending_leaves_of_lines_is_no_label(tmp_path):
    bow = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10), (0, 5), (-20, 5), (0, 5)])
    mixed = shapely.GeometryCollection([shapely.box(20, 0, 25, 5), shapely.LineString([(30, 0), (40, 9)])])
    path = write_vector(tmp_path / "bow.gpkg", [bow, mixed])
    polygons = read_polygons(path)
    grid = SceneGrid((12, 70), UTM.to_wkt(), (1.0, 0.0, -25.0, 0.0, -1.0, 11.0))
    found = PolygonLabels([polygons], grid).read(0, 0, 12, 70)
    assert polygons.mended == 1 and found[:, 25:36].any() and not found[:, :24].any()
    assert found[:, 44:51].sum() == 25 and not found[:, 52:].any()


def test_endings_in_capitals_are_read_too(tmp_path):
    table = geopandas.GeoDataFrame(geometry=[shapely.box(0, 0, 1, 1)], crs=32633)
    table.to_parquet(tmp_path / "A.PARQUET")
    assert is_vector(tmp_path / "A.PARQUET") and len(read_polygons(tmp_path / "A.PARQUET").geometry) == 1


def test_vector_files_that_cannot_be_used(tmp_path):
    empty = tmp_path / "empty.geojson"
    empty.write_text('{"type": "FeatureCollection", "features": []}')
    with pytest.raises(DataError, match="holds nothing"):
        read_polygons(empty)
    points = write_vector(tmp_path / "points.gpkg", [shapely.Point(1, 1)])
    with pytest.raises(DataError, match="holds no polygon"):
        read_polygons(points)
    torn = tmp_path / "torn.gpkg"
    torn.write_bytes(points.read_bytes()[:3000])
    with pytest.raises(DataError, match="cannot be read as a vector file"):
        read_table(torn)
    nowhere = write_vector(tmp_path / "nowhere.shp", [shapely.box(0, 0, 1, 1)])
    (tmp_path / "nowhere.prj").unlink()
    with pytest.raises(DataError, match="no coordinate system"):
        read_table(nowhere)
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_table(tmp_path / "none.gpkg")


def test_rasters_that_cannot_be_labels(buildings, tmp_path):
    _, grid, mask = buildings
    here = rasterio.Affine(*grid.transform)

    def labels(image, place=here, crs=grid.crs, **options):
        path = write(tmp_path / "y.tif", image, place, crs)
        return RasterLabels(path, grid, LabelOptions(**options)).read(0, 0, 40, 40)

    with pytest.raises(DataError, match="lies elsewhere"):
        labels(mask, rasterio.Affine(2, 0, 0, 0, -2, 0))
    with pytest.raises(DataError, match="has 2 bands"):
        labels(np.stack([mask, mask]))
    with pytest.raises(DataError, match="no coordinate system"):
        labels(mask, crs=None)
    with pytest.raises(DataError, match="class 300 is none of 0 to 254"):
        labels(np.full(mask.shape, 300, np.int16))
    with pytest.raises(DataError, match=r"class 0\.5 is none"):
        labels(np.full(mask.shape, 0.5, np.float32), kind="classes")
