"""Resampling: equal to a second implementation, the same in any window, and holes stay holes."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from rasterio.warp import Resampling, reproject
from rasters import write

from spectrain.data.raster.rasters import read_raster
from spectrain.data.scene import SceneGrid
from spectrain.preparation.resampling import axis_taps
from spectrain.preparation.sources import Mosaic, RasterSource

UTM = rasterio.crs.CRS.from_epsg(32648)


def image(shared, name="B01"):
    with rasterio.open(shared / "s2_majortom_thailand" / f"{name}.tif") as file:
        return file.read(), file.transform, file.crs


def grid_of(transform, size, crs):
    return SceneGrid(size, crs.to_wkt(), tuple(transform)[:6])


def raster(tmp_path, values, transform, crs, nodata=None):
    return read_raster(write(tmp_path / "a.tif", values, transform, crs, nodata=nodata))


def scaled(transform, scale):
    a, b, c, d, e, f = tuple(transform)[:6]
    return rasterio.Affine(a * scale, b, c, d, e * scale, f)


def moved(transform, columns, rows, scale):
    return scaled(
        (transform.a, 0, transform.c + columns * transform.a, 0, transform.e, transform.f + rows * transform.e), scale
    )


CASES = {
    "60 m to 10 m": (0, 0, 1 / 6, 32648),
    "half a pixel off": (0.5, 0.25, 1, 32648),
    "aligned, shifted": (7, -3, 1, 32648),
    "3 to 1": (1, 2, 3, 32648),
    "2.5 to 1": (0.3, 0.7, 2.5, 32648),
    "another system": (2, 2, 0.5, 3857),
    "another system, coarser": (2, 2, 3, 3857),
}


def case(shared, tmp_path, name, method, holes=False):
    values, transform, crs = image(shared)
    if holes:
        values = values.copy()
        values[np.random.default_rng(1).random(values.shape) < 0.2] = 0
    source = raster(tmp_path, values, transform, crs, nodata=0 if holes else None)
    columns, rows, scale, epsg = CASES[name]
    target = moved(transform, columns, rows, scale)
    size = (int(120 / max(scale, 0.5)), int(130 / max(scale, 0.5)))
    system = rasterio.crs.CRS.from_epsg(epsg)
    if epsg != 32648:
        low = rasterio.warp.transform(crs, system, [target.c], [target.f])
        target = rasterio.Affine(target.a, 0, low[0][0], 0, target.e, low[1][0])
    return RasterSource(source, grid_of(target, size, system), [1], method), values, transform, crs, target, system


@pytest.mark.parametrize("method", ["nearest", "bilinear", "cubic"])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("holes", [False, True])
def test_the_same_pixels_in_any_window(shared_data, tmp_path, name, method, holes):
    source, *_ = case(shared_data, tmp_path, name, method, holes)
    height, width = source.grid.size
    whole = source.read(-5, -5, height + 10, width + 10)
    draw = np.random.default_rng(2)
    for _ in range(12):
        h, w = draw.integers(1, 40, 2)
        row, column = draw.integers(-5, height + 5 - h), draw.integers(-5, width + 5 - w)
        part = source.read(int(row), int(column), int(h), int(w))
        here = (slice(None), slice(row + 5, row + 5 + h), slice(column + 5, column + 5 + w))
        assert np.array_equal(part.valid, whole.valid[here])
        assert np.array_equal(part.values[part.valid], whole.values[here][part.valid])
    assert whole.valid.any() and not whole.valid.all()


ORACLE = {"nearest": Resampling.nearest, "bilinear": Resampling.bilinear, "cubic": Resampling.cubic}


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name][2] <= 1])
@pytest.mark.parametrize("method", ORACLE)
def test_equal_to_gdal_where_it_goes_up(shared_data, tmp_path, name, method):
    source, values, transform, crs, target, system = case(shared_data, tmp_path, name, method)
    height, width = source.grid.size
    wanted = np.zeros((height, width), np.float32)
    arguments = {"src_transform": transform, "src_crs": crs, "dst_transform": target, "dst_crs": system}
    reproject(values[0].astype(np.float32), wanted, **arguments, resampling=ORACLE[method], tolerance=0)
    found = source.read(0, 0, height, width)
    inner = (slice(12, -12), slice(12, -12))
    both = found.valid[0][inner] & (wanted[inner] > 0)
    assert both.mean() > 0.5
    difference = np.abs(found.values[0][inner].astype(np.float64) - wanted[inner])[both]
    if name == "another system":  # GDAL finds its places by approximation
        assert (difference < 1e-3 * wanted.max()).mean() > 0.98
    else:
        assert difference.max() < (1e-6 if method == "nearest" else 1e-3)


def test_coming_down_is_the_mean(shared_data, tmp_path):
    values, transform, crs = image(shared_data, "B02")
    values = values[:, :300, :300]
    source = RasterSource(
        raster(tmp_path, values, transform, crs),
        grid_of(scaled(transform, 3), (100, 100), crs),
        [1],
        "bilinear",
    )
    wanted = values[0].reshape(100, 3, 100, 3).mean(axis=(1, 3))
    found = source.read(0, 0, 100, 100)
    assert found.valid.all()
    np.testing.assert_allclose(found.values[0], wanted, rtol=1e-6)


def test_means_of_parts_of_pixels_weigh_them(shared_data, tmp_path):
    values, transform, crs = image(shared_data)
    target = scaled(transform, 2.5)
    source = RasterSource(raster(tmp_path, values, transform, crs), grid_of(target, (71, 71), crs), [1], "bilinear")
    wanted = np.zeros((71, 71), np.float32)
    arguments = {"src_transform": transform, "src_crs": crs, "dst_transform": target, "dst_crs": crs}
    reproject(values[0].astype(np.float32), wanted, **arguments, resampling=Resampling.average, tolerance=0)
    np.testing.assert_allclose(source.read(0, 0, 71, 71).values[0], wanted, rtol=1e-4)


def test_a_hole_is_not_mixed_into_its_neighbours(tmp_path):
    values = np.full((1, 6, 6), 100, np.uint16)
    values[0, 3, 3] = 0
    place = rasterio.Affine(10, 0, 500000, 0, -10, 1000000)
    source = RasterSource(
        raster(tmp_path, values, place, UTM, nodata=0),
        grid_of(scaled(place, 0.5), (12, 12), UTM),
        [1],
        "bilinear",
    )
    found = source.read(0, 0, 12, 12)
    assert (found.values[found.valid] == 100).all()
    assert not found.valid[0, 6:8, 6:8].any()
    assert found.valid.sum() == 144 - 4


def test_an_edge_has_the_values_of_its_pixel(tmp_path):
    values = np.arange(1, 10, dtype=np.uint16).reshape(1, 3, 3)
    place = rasterio.Affine(60, 0, 500000, 0, -60, 1000000)
    source = RasterSource(
        raster(tmp_path, values, place, UTM),
        grid_of(scaled(place, 1 / 6), (18, 18), UTM),
        [1],
        "bilinear",
    )
    found = source.read(-1, -1, 20, 20)
    assert found.valid[0, 1:-1, 1:-1].all() and found.valid.sum() == 18 * 18
    assert found.values[0, 1, 1] == 1 and found.values[0, 18, 18] == 9


def test_weights_of_a_row_add_up_to_one():
    for scale in (0.1, 0.5, 1, 1.7, 4):
        for method in ("nearest", "bilinear", "cubic"):
            taps = axis_taps(-3, 50, scale, 0.3, 20, method)
            np.testing.assert_allclose(taps.weight.sum(axis=0)[taps.inside], 1, atol=1e-6)


def test_the_first_raster_of_a_mosaic_is_on_top(tmp_path):
    place = rasterio.Affine(10, 0, 500000, 0, -10, 1000000)
    grid = grid_of(place, (4, 8), UTM)
    one = np.full((1, 4, 5), 1.0, np.float32)
    one[0, 0, 0] = np.nan
    left = read_raster(write(tmp_path / "l.tif", one, place, UTM))
    right = read_raster(write(tmp_path / "r.tif", np.full((1, 4, 5), 2.0, np.float32), moved(place, 3, 0, 1), UTM))
    found = Mosaic([RasterSource(each, grid, [1], "bilinear") for each in (left, right)]).read(0, 0, 4, 8)
    assert found.values[0, 1].tolist() == [1] * 5 + [2] * 3
    assert not found.valid[0, 0, 0] and found.valid.sum() == 31
