"""Relative elevation and slope: against slow references on a real elevation model."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio

from spectrain.preparation.terrain import disk_widths, relative_elevation, slope


@pytest.fixture(scope="module")
def dem(shared_data):
    with rasterio.open(shared_data / "elevation_buildings" / "dsm_dtm_hag_2m.tif") as file:
        found = file.read(2)[:90, :80]
    valid = np.isfinite(found)
    return np.where(valid, found, 0).astype(np.float32), valid


def slow_relative(dem, valid, outer, inner, size, halo):
    out = np.full(dem.shape, np.nan)
    rows, columns = np.mgrid[: dem.shape[0], : dem.shape[1]]
    for y in range(halo[0], dem.shape[0] - halo[0]):
        for x in range(halo[1], dem.shape[1] - halo[1]):
            away = np.hypot((rows - y) * size[0], (columns - x) * size[1])
            ring = (away <= outer + 1e-9) & valid & ((away > inner) if inner else True)
            if valid[y, x] and ring.any():
                out[y, x] = dem[y, x] - dem[ring].astype(np.float64).mean()
    return out[halo[0] : dem.shape[0] - halo[0], halo[1] : dem.shape[1] - halo[1]]


@pytest.mark.parametrize(("outer", "inner"), [(6, 0), (9, 4), (2, 0)])
@pytest.mark.parametrize("size", [(2.0, 2.0), (2.0, 1.5)])
def test_relative_elevation_is_the_height_over_the_mean_around(dem, outer, inner, size):
    heights, valid = dem[0][:40, :38], dem[1][:40, :38].copy()
    valid[np.random.default_rng(0).random(valid.shape) < 0.1] = False
    halo = (int(outer / size[0]) + 1, int(outer / size[1]) + 1)
    found, where = relative_elevation(heights, valid, halo, disk_widths(outer, inner, size))
    wanted = slow_relative(heights, valid, outer, inner, size, halo)
    assert np.array_equal(where, np.isfinite(wanted))
    np.testing.assert_allclose(found[where], wanted[where], atol=2e-3)


def test_relative_elevation_is_the_same_in_any_window(dem):
    heights, valid = dem
    runs = disk_widths(8, 0, (2, 2))
    whole, _ = relative_elevation(heights, valid, (5, 5), runs)
    part, _ = relative_elevation(heights[13:50, 21:60], valid[13:50, 21:60], (5, 5), runs)
    assert np.array_equal(part, whole[13 : 13 + 27, 21 : 21 + 29])


def test_runs_of_a_disk():
    assert disk_widths(1, 0, (1, 1)) == [(-1, 0, 0), (0, -1, 1), (1, 0, 0)]
    assert disk_widths(1, 0.5, (1, 1)) == [(-1, 0, 0), (0, -1, -1), (0, 1, 1), (1, 0, 0)]
    assert sum(last - first + 1 for _, first, last in disk_widths(50, 0, (1, 1))) == 7845


def test_slope_of_a_plane():
    y, x = np.mgrid[:9, :11].astype(np.float32)
    found, valid = slope(3 * x + 4 * y, np.ones((9, 11), bool), (1.0, 1.0))
    np.testing.assert_allclose(found, np.degrees(np.arctan(5)), rtol=1e-6)
    assert valid.all() and found.shape == (7, 9)
    flat, _ = slope(3 * x, np.ones((9, 11), bool), (1.0, 3.0))
    np.testing.assert_allclose(flat, 45, rtol=1e-6)


def test_slope_against_sums_over_neighbours(dem):
    heights = dem[0].astype(np.float64)
    found, _ = slope(dem[0], np.ones_like(dem[1]), (2.0, 2.0))
    kernel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    sums = [
        sum(k[i, j] * heights[i : i + 88, j : j + 78] for i in range(3) for j in range(3)) for k in (kernel, kernel.T)
    ]
    np.testing.assert_allclose(found, np.degrees(np.arctan(np.hypot(*sums) / 16)), atol=1e-4)


def test_slope_beside_a_hole_goes_on_as_a_plane():
    _, x = np.mgrid[:5, :5].astype(np.float32)
    valid = np.ones((5, 5), bool)
    valid[2, 3] = valid[0, 0] = False
    found, where = slope(np.where(valid, 2 * x, -9999), valid, (1.0, 1.0))
    np.testing.assert_allclose(found[where], np.degrees(np.arctan(2)), rtol=1e-6)
    assert not where[1, 2] and where.sum() == 8
