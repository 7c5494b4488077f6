"""Points as labels: kinds of files, filters, pixels, footprints, and what is refused; on real laser shots."""

from __future__ import annotations

import logging
import shutil

import geopandas
import h5py
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from rasters import write

from spectrain.core.errors import DataError
from spectrain.data.opening import open_patches
from spectrain.data.scene import SceneGrid
from spectrain.data.sparse_labels import SparseLabels
from spectrain.preparation import prepare
from spectrain.preparation.affine import apply
from spectrain.preparation.points import columns as point_columns
from spectrain.preparation.points.dealt import STORED, PointOptions, deal
from spectrain.preparation.points.labels import PointLabels, merge

FILTER = "l4_quality_flag == 1 and agbd_se / agbd < 0.5 and beam in ['BEAM0101', 'BEAM0110', 'BEAM1000', 'BEAM1011']"
GOOD = ("BEAM0101", "BEAM0110", "BEAM1000", "BEAM1011")


@pytest.fixture(scope="module")
def shots(shared_data):
    return pd.read_csv(shared_data / "gedi_footprints" / "gedi_l4a_agbd.csv")


@pytest.fixture(scope="module")
def grid(shots):
    """100 m of UTM around the densest place of one granule."""
    here = shots[shots["granule"] == shots["granule"].mode()[0]]
    place = geopandas.GeoSeries(geopandas.points_from_xy(here["lon"], here["lat"]), crs=4326)
    crs = place.estimate_utm_crs()
    x, y = place.to_crs(crs).x.median(), place.to_crs(crs).y.median()
    return SceneGrid((400, 500), crs.to_wkt(), (100.0, 0.0, round(x) - 25000.0, 0.0, -100.0, round(y) + 20000.0))


def taken(shots):
    se = shots["agbd_se"] / shots["agbd"]
    good = (shots["l4_quality_flag"] == 1) & (se < 0.5) & shots["beam"].isin(GOOD) & (shots["agbd"] != -9999)
    return shots[good]


def expected(shots, grid):
    """The mean of each pixel by pandas and rasterio."""
    good = taken(shots)
    place = geopandas.GeoSeries(geopandas.points_from_xy(good["lon"], good["lat"]), crs=4326).to_crs(grid.crs)
    row, column = rasterio.transform.rowcol(rasterio.Affine(*grid.transform), place.x, place.y)
    table = pd.DataFrame({"row": row, "column": column, "value": good["agbd"].to_numpy()})
    table = table[table["row"].between(0, grid.size[0] - 1) & table["column"].between(0, grid.size[1] - 1)]
    found = np.full(grid.size, np.nan, "f4")
    for (r, c), value in table.groupby(["row", "column"])["value"].mean().items():
        found[r, c] = value
    return found, len(table)


def as_csv(shots, folder):
    shots.rename(columns={"lat": "lat_lowestmode", "lon": "lon_lowestmode"}).to_csv(folder / "p.csv", index=False)
    return folder / "p.csv"


def as_semicolons(shots, folder):
    shots.to_csv(folder / "p.csv", index=False, sep=";", encoding="utf-8-sig")
    return folder / "p.csv"


def located(shots, crs=4326):
    place = geopandas.points_from_xy(shots["lon"], shots["lat"])
    return geopandas.GeoDataFrame(shots.drop(columns=["lat", "lon"]), geometry=place, crs=4326).to_crs(crs)


def as_geoparquet(shots, folder):
    located(shots, 3857).to_parquet(folder / "p.parquet")
    return folder / "p.parquet"


def as_parquet(shots, folder):
    shots.to_parquet(folder / "p.parquet")
    return folder / "p.parquet"


def as_geopackage(shots, folder):
    located(shots).to_file(folder / "p.gpkg")
    return folder / "p.gpkg"


def as_hdf5(shots, folder):
    """As the archive has it: a group a beam, places in a group of it, texts as bytes."""
    with h5py.File(folder / "p.h5", "w") as file:
        file["METADATA/agbd_note"] = "no column"
        for beam, rows in shots.groupby("beam"):
            group = file.create_group(beam)
            for name in ("agbd", "agbd_se", "l4_quality_flag"):
                group[name] = rows[name].to_numpy()
            group["agbd_prediction/agbd"] = np.zeros(len(rows))
            group["beam"] = rows["beam"].to_numpy().astype("S8")
            group["agbd"].attrs["_FillValue"] = np.array([-9999.0])
            group["geolocation/lon_lowestmode"] = rows["lon"].to_numpy()
            group["geolocation/lat_lowestmode"] = rows["lat"].to_numpy()
    return folder / "p.h5"


WRITERS = [as_csv, as_semicolons, as_geoparquet, as_parquet, as_geopackage, as_hdf5]


@pytest.mark.parametrize("writer", WRITERS, ids=lambda one: one.__name__)
def test_all_kinds_of_files_give_the_same_labels(shots, grid, tmp_path, writer, monkeypatch):
    monkeypatch.setattr(point_columns, "BLOCK", 700)
    for name in ("tables", "hdf5"):
        monkeypatch.setattr(f"spectrain.preparation.points.{name}.BLOCK", 700)
    options = PointOptions((str(writer(shots, tmp_path)),), "agbd", FILTER, ignored=(-9999,))
    dealt = deal(options, {"here": grid, "nowhere": SceneGrid((9, 9), grid.crs, (1, 0, 0, 0, -1, 0))}, tmp_path)
    wanted, count = expected(shots, grid)
    labels = PointLabels(dealt.of("here"), grid)
    np.testing.assert_allclose(labels.read(0, 0, *grid.size), wanted, rtol=1e-6)
    assert (labels.count, labels.pixels) == (count, np.isfinite(wanted).sum()) and count > 20
    assert dealt.of("nowhere") is None and np.isnan(PointLabels(None, grid).read(0, 0, 9, 9)).all()
    assert dealt.lines == (f"1764 points read, {len(taken(shots))} pass the filter, {count} lie on scenes",)


def test_a_value_may_be_reckoned_and_its_rows_hold_several_numbers(shots, grid, tmp_path):
    with h5py.File(tmp_path / "l2.h5", "w") as file:
        for number, (_, rows) in enumerate(shots.groupby("beam")):
            file[f"gt{number}/land/rh"] = np.stack([rows["agbd"] - 1, rows["agbd"] * 100], axis=1)
            file[f"gt{number}/land/longitude"], file[f"gt{number}/land/latitude"] = rows["lon"], rows["lat"]
            file[f"gt{number}/flags/l4_quality_flag"] = rows["l4_quality_flag"].to_numpy()
    rule = "`flags/l4_quality_flag` == 1 and rh[0] > 0"
    options = PointOptions((str(tmp_path / "l2.h5"),), "rh[1] / 100", rule, xy=("land/longitude", "land/latitude"))
    found = PointLabels(deal(options, {"a": grid}, tmp_path).of("a"), grid).read(0, 0, *grid.size)
    plain = PointOptions((str(as_parquet(shots, tmp_path)),), "agbd", "l4_quality_flag == 1 and agbd > 1")
    wanted = PointLabels(deal(plain, {"a": grid}, tmp_path).of("a"), grid).read(0, 0, *grid.size)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    with pytest.raises(DataError, match=r"shape \(\d+, 2\)(.|\n)*rh\[0\]"):
        deal(PointOptions(options.files, "rh"), {"a": grid}, tmp_path)


def made(points, grid, tmp_path, **options):
    path = tmp_path / "made.bin"
    np.array(points, dtype=STORED).tofile(path)
    return PointLabels(path, grid, **options)


METRES = SceneGrid((40, 50), "EPSG:32633", (10.0, 0.0, 500000.0, 0.0, -10.0, 5500000.0))


@pytest.mark.parametrize(("how", "wanted"), [("mean", 3.0), ("median", 1.5), ("max", 8.0)])
def test_several_points_in_a_pixel(how, wanted, tmp_path):
    labels = made(
        [(3.1, 5.9, 2), (3.9, 5.1, 8), (3.5, 5.5, 1), (3.0, 5.0, 1), (4.0, 5.0, 7)], METRES, tmp_path, merge=how
    )
    found = labels.read(0, 0, 40, 50)
    assert found[5, 3] == wanted and found[5, 4] == 7 and np.isfinite(found).sum() == 2
    assert (labels.count, labels.pixels) == (5, 2)


@pytest.mark.parametrize("how", ["mean", "median", "max"])
def test_merging_is_that_of_pandas(how):
    draw = np.random.default_rng(0)
    place, value = draw.integers(0, 99, 800), draw.normal(size=800).astype("f4")
    pixel, found = merge(place, value, how)
    wanted = getattr(pd.Series(value.astype(float)).groupby(place), how)()
    assert np.array_equal(pixel, wanted.index)
    np.testing.assert_allclose(found, wanted)


def test_a_footprint_holds_the_pixels_whose_centre_lies_in_it(tmp_path):
    draw = np.random.default_rng(0)
    points = [(*draw.uniform(-3, 53, 2), value) for value in range(60)]
    labels = made(points, METRES, tmp_path, diameter=45.0, merge="max")
    whole = labels.read(0, 0, 40, 50)
    wanted = np.full((40, 50), np.nan)
    centres = np.stack(np.meshgrid(np.arange(50) + 0.5, np.arange(40) + 0.5), -1)
    east, north = apply(METRES.transform, centres[..., 0], centres[..., 1])
    for x, y, value in points:  # metres of this map are those of the ground to 0.04 %
        px, py = apply(METRES.transform, x, y)
        inside = np.hypot(east - px, north - py) <= 22.5
        wanted = np.where(inside, np.fmax(wanted, value), wanted)
        if 0 <= y < 40 and 0 <= x < 50:
            wanted[int(y), int(x)] = np.fmax(wanted[int(y), int(x)], value)
    assert (np.nan_to_num(whole, nan=-1) != np.nan_to_num(wanted, nan=-1)).sum() <= 1
    for row, column, h, w in ((0, 0, 7, 9), (13, 21, 20, 20), (30, 40, 10, 10)):
        found = labels.read(row, column, h, w)
        np.testing.assert_array_equal(found, whole[row : row + h, column : column + w])


def test_a_footprint_smaller_than_a_pixel_is_the_pixel_that_holds_it(tmp_path):
    found = made([(7.05, 3.9, 5)], METRES, tmp_path, diameter=4.0).read(0, 0, 40, 50)
    assert found[3, 7] == 5 and np.isfinite(found).sum() == 1


def test_a_footprint_reaches_into_the_scene_from_beside_it(tmp_path):
    x, y = apply(METRES.transform, -0.8, 20.5)
    geopandas.GeoDataFrame({"v": [7.0]}, geometry=[shapely.Point(x, y)], crs=32633).to_file(tmp_path / "p.gpkg")
    inner = geopandas.GeoDataFrame({"v": [1.0]}, geometry=[shapely.Point(x + 300, y)], crs=32633)
    inner.to_file(tmp_path / "q.gpkg")
    options = PointOptions((str(tmp_path / "p.gpkg"), str(tmp_path / "q.gpkg")), "v", diameter=30.0)
    dealt = deal(options, {"a": METRES}, tmp_path)
    found = PointLabels(dealt.of("a"), METRES, diameter=30.0).read(0, 0, 40, 50)
    assert found[20, 0] == 7 and np.isnan(found[20, 1]) and "2 points read, 1 lie on scenes" in dealt.lines[0]


def test_longitudes_may_count_from_zero_and_scenes_lie_across_the_date_line(tmp_path):
    table = pd.DataFrame({"lon": [179.95, -179.95, 180.05, 90.0], "lat": [10.0] * 4, "v": [1.0, 2.0, 4.0, 9.0]})
    table.to_csv(tmp_path / "p.csv", index=False)
    grid = SceneGrid((10, 20), "EPSG:4326", (0.01, 0, 179.9, 0, -0.01, 10.05))
    found = PointLabels(deal(PointOptions((str(tmp_path / "p.csv"),), "v"), {"a": grid}, tmp_path).of("a"), grid)
    values = found.read(0, 0, 10, 20)
    assert values[5, 5] == 1 and values[5, 14:16][np.isfinite(values[5, 14:16])].tolist() == [3] and found.count == 3


CALLS = {
    "a column": ({"value": "agdb"}, r"no column 'agdb'; did you mean 'agbd'(.|\n)*columns are granule, beam"),
    "a column of the filter": ({"filter": "quality_flag == 1"}, "no column 'quality_flag'; did you mean '"),
    "nothing passes": (
        {"filter": "agbd > 1e9"},
        "the filter leaves none of 1764 points(.|\n)*points_filter=agbd > 1e9",
    ),
    "no value": ({"filter": "agbd == -9999", "ignored": (-9999,)}, "none of .* points has a value"),
    "elsewhere": ({}, r"none of 1764 points lies on any of 1 scenes(.|\n)*points-crs"),
    "texts": ({"value": "beam"}, "a label is no number"),
    "texts in a filter": ({"filter": "beam > 3"}, r"texts \(beam\) are taken for numbers"),
    "a wrong system": ({"crs": "EPSG:1"}, "coordinate system is none"),
    "swapped": ({"xy": ("lat", "lon")}, "nobody says in which coordinate system 'lat' and 'lon' are"),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_cannot_be(name, shots, tmp_path):
    given, message = CALLS[name]
    path = tmp_path / "p.csv"
    shots.to_csv(path, index=False)
    options = PointOptions(**{"files": (str(path),), "value": "agbd", **given})
    with pytest.raises(DataError, match=message):
        deal(options, {"a": METRES}, tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["p.csv"]


def broken(name, shots, folder):
    path = folder / name
    if name == "header.csv":
        shots.iloc[:0].to_csv(path, index=False)
    elif name == "empty.gpkg":
        located(shots).iloc[:0].to_file(path)
    elif name == "nothing.csv":
        path.write_bytes(b"")
    elif name == "areas.geojson":
        located(shots).to_crs(3857).buffer(9).to_frame("geometry").assign(agbd=1.0).to_file(path)
    elif name == "cut.parquet":
        shots.to_parquet(path)
        path.write_bytes(path.read_bytes()[:-200])
    elif name == "cut.h5":
        path = as_hdf5(shots, folder)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif name == "unequal.h5":
        path = as_hdf5(shots, folder)
        with h5py.File(path, "a") as file:
            del file["BEAM0101/agbd"]
            file["BEAM0101/agbd"] = np.zeros(3)
    elif name == "ragged.csv":
        path.write_text("lon,lat,agbd\n1,2,3\n1,2,3,4,5\n")
    elif name == "wide.csv":
        path.write_text("lon,lat,agbd\n1,2,3,4\n1,2,3,4\n")
    elif name == "words.csv":
        path.write_text("lon,lat,agbd\neast,2,3\n")
    return path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("header.csv", "there is no point in it"),
        ("empty.gpkg", "there is no point in it"),
        ("nothing.csv", "no column 'agbd'"),
        ("areas.geojson", "geometries are no points, the first is a Polygon"),
        ("cut.parquet", "the points cannot be read"),
        ("cut.h5", "the file is damaged"),
        ("unequal.h5", "columns differ in length"),
        ("ragged.csv", "the points cannot be read"),
        ("wide.csv", "a row has more cells"),
        ("words.csv", "the column 'lon' is no number"),
        ("absent.csv", "No such file|cannot be read"),
    ],
)
def test_files_that_cannot_be_read(name, message, shots, tmp_path):
    path = broken(name, shots, tmp_path)
    with pytest.raises(DataError, match=message) as raised:
        deal(PointOptions((str(path),), "agbd"), {"a": METRES}, tmp_path)
    assert path.name in str(raised.value)


@pytest.fixture(scope="module")
def place(shared_data, tmp_path_factory):
    """Real heights under a real track, as points beside their image."""
    folder = tmp_path_factory.mktemp("points")
    source = shared_data / "regression_dem"
    with rasterio.open(source / "s2_santarem_srtm_sparse.tif") as file:
        heights, transform = file.read(1), file.transform
    row, column = np.nonzero(np.isfinite(heights))
    lon, lat = apply(tuple(transform)[:6], column + 0.5, row + 0.5)
    table = pd.DataFrame({"lon": lon, "lat": lat, "height": heights[row, column], "flag": (row % 7 > 0).astype(int)})
    table.to_csv(folder / "shots.csv", index=False)
    (folder / "images").mkdir()
    with rasterio.open(source / "s2_santarem_image.tif") as file:
        image = file.read([2, 3, 4])
        write(folder / "images" / "west.tif", image[:, :, :120], file.transform, file.crs)
        east = file.transform @ rasterio.Affine.translation(120, 0)
        write(folder / "images" / "east.tif", image[:, :, 120:], east, file.crs)
    return folder, heights


WORDS = {"labels": "points", "points": ["shots.csv"], "points_value": "height", "patch_size": 16, "test_val_split": 0.5}


def test_a_whole_preparation(place, tmp_path, monkeypatch, caplog):
    folder, heights = place
    monkeypatch.chdir(folder)
    with caplog.at_level(logging.INFO):
        done = prepare("scenes", data_dir="images", train_data_dir=str(tmp_path / "out"), **WORDS)
    said = str(done)
    assert "190 points read, 190 lie on scenes" in said and "points lie in 190 pixels" in said and "no label" in said
    count = 0
    for split in done.patches:
        patches = open_patches(tmp_path / "out" / f"{split}.zarr", "all")
        table = patches.metadata()
        for number, row in enumerate(table.itertuples()):
            start = row.column + 120 * (row.scene == "east")
            wanted = heights[row.row : row.row + 16, start : start + 16]
            stored = patches.labels(np.array([number]))
            assert isinstance(stored, SparseLabels)
            found = np.asarray(stored)[0]
            np.testing.assert_array_equal(found, wanted)
            count += np.isfinite(found).sum()
            assert np.isfinite(found).any()
    assert patches.preparation["labels"]["kind"] == "values" and count >= 190
    assert not (tmp_path / "out" / ".parts").exists()
    monkeypatch.setattr("spectrain.preparation.run.deal", None)  # nothing is read again
    prepare("scenes", data_dir="images", train_data_dir=str(tmp_path / "out"), **WORDS)


def test_windows_without_points_stay_where_asked(place, tmp_path, monkeypatch):
    folder, _ = place
    monkeypatch.chdir(folder)
    done = prepare("scenes", data_dir="images", train_data_dir=str(tmp_path / "out"), **WORDS, min_labelled=0)
    assert done.dropped == {} and sum(done.patches.values()) == 15 * (8 + 8)


def test_points_in_the_folder_of_the_scenes_by_a_pattern(place, tmp_path):
    folder, _ = place
    shutil.copytree(folder, tmp_path / "data")
    rows = (folder / "shots.csv").read_text().splitlines(keepends=True)
    for part in (0, 1):
        (tmp_path / "data" / f"shots_{part}.csv").write_text(rows[0] + "".join(rows[1 + part :: 2]))
    words = {**WORDS, "points": ["shots_*.csv"], "points_filter": "flag == 1"}
    data, out = str(tmp_path / "data"), str(tmp_path / "out")
    done = prepare("scenes", data_dir=data, images=["images/{scene}.tif"], train_data_dir=out, **words)
    assert "190 points read" in str(done) and "pass the filter" in str(done)
    with pytest.raises(DataError, match=r"no such file of points; did you mean 'shots.csv'"):
        prepare("scenes", data_dir=data, train_data_dir=out, **{**WORDS, "points": [f"{data}/shot.csv"]})


def test_a_cache_keeps_the_parts_and_not_the_points(place, tmp_path, monkeypatch):
    folder, _ = place
    monkeypatch.chdir(folder)
    cache = tmp_path / "cache"
    for number in (0, 1):
        words = {**WORDS, "preprocess_cache": str(cache), "seed": number}
        prepare("scenes", data_dir="images", train_data_dir=str(tmp_path / f"out{number}"), **words)
        assert len(list(cache.iterdir())) == 2 and not (tmp_path / f"out{number}" / ".parts").exists()
