"""The layouts of the presets, built as real GeoTIFFs, shapefiles and GeoPackages of real images."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import rasterio.warp
import shapely
import torch
from rasters import naip, write

from spectrain.core.errors import DataError
from spectrain.data.opening import open_patches
from spectrain.data.values import Values
from spectrain.preparation import open_scene, prepare
from spectrain.preparation.written import norm_factors

BANDS = [
    "blue",
    "green",
    "red",
    "nir",
    "ndvi",
    "tc_brightness",
    "tc_greenness",
    "tc_wetness",
    "relative_elevation",
    "slope",
]


def box(transform, row, column, height, width):
    return shapely.box(
        transform.c + column * transform.a, transform.f + (row + height) * transform.e,
        transform.c + (column + width) * transform.a, transform.f + row * transform.e,
    )  # fmt: skip


def auxiliary(shared, folder):
    """Write an elevation model of 10 m and tasselled cap of 30 m, in another coordinate system, under both halves."""
    image, place, crs = naip(shared, 0, 0, 300, 560)
    coarse = rasterio.Affine(10, 0, place.c - 300, 0, -10, place.f + 300)
    heights = 400 + 30 * np.sin(np.mgrid[:220, :330][1] / 9).astype(np.float32) + image[3, ::2, ::2].mean() / 999
    write(folder / "dem" / "west.tif", heights[:, :200], coarse, crs, nodata=-9999)
    east = rasterio.Affine(10, 0, coarse.c + 1900, 0, -10, coarse.f)
    write(folder / "dem" / "deeper" / "east.tif", heights[:, 190:], east, crs, nodata=-9999)
    low = rasterio.warp.transform(crs, "EPSG:3857", [place.c - 400], [place.f + 400])
    tc = np.stack([np.full((110, 150), value, np.uint8) for value in (100, 50, 25)])
    names = ["tc_brightness", "tc_greenness", "tc_wetness"]
    place = rasterio.Affine(45, 0, low[0][0], 0, -45, low[1][0])
    write(folder / "tcvis" / "a.tif", tc, place, "EPSG:3857", descriptions=names)


def planet(shared, folder):
    """Write data and labels as the document has them; return the scenes' names."""
    auxiliary(shared, folder)
    footprints, labels = [], []
    names = ["20210701_1_a_3B", "20210701_2_b_3B", "20220702_3_c_3B"]
    for number, name in enumerate(names):
        image, place, crs = naip(shared, 10, 130 * number)
        image[:, :9, :9] = 0
        inner = Path("iteration001", "deep") if number == 1 else Path(f"iteration00{number + 2}")
        clip = "_clip" if number == 2 else ""
        at = folder / "planet" / inner / name
        write(at / f"{name}_AnalyticMS_SR{clip}.tif", image, place, crs, nodata=0)
        udm = np.zeros((8, 120, 120), np.uint8)
        udm[0] = 1
        udm[0, 60:70, 60:70], udm[5, 60:70, 60:70] = 0, 1
        write(at / f"{name}_udm2{clip}.tif", udm, place, crs)
        footprints.append(box(place, 0, 0, 120, 120))
        labels.append((name, box(place, 20, 20, 15, 25)))
        labels.append((name, box(place, 90, 80, 11, 11)))
    pieces = [("TrainingLabels", 1, labels[::2]), ("TrainingLabels", 2, labels[1::2])]
    for name, number, shapes in (*pieces, ("ImageFootprints", 1, list(zip(names, footprints, strict=True)))):
        table = geopandas.GeoDataFrame({"image_id": [a for a, _ in shapes]}, geometry=[b for _, b in shapes], crs=crs)
        (folder / "labels" / f"deliver{number}").mkdir(parents=True, exist_ok=True)
        table.to_crs(3413).to_file(folder / "labels" / f"deliver{number}" / f"{name}_v1.gpkg")
    return names


CONFIG = """
[darts.training_preprocess]
ee-project = "your-ee-project"
tpi-outer-radius = 100
tpi-inner-radius = 0
bands = {bands}
patch-size = 60
overlap = 0
exclude-nopositive = false
exclude-nan = false
test-val-split = 0.34
test-regions = []
[darts.paths]
data-dir = "{folder}/planet"
labels-dir = "{folder}/labels"
arcticdem-dir = "{folder}/dem"
tcvis-dir = "{folder}/tcvis"
train-data-dir = "{folder}/out"
preprocess-cache = "{folder}/cache"
[darts.sweep]
n-trials = 100
"""


@pytest.fixture(scope="module")
def prepared(shared_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("planet")
    names = planet(shared_data, folder)
    (folder / "c.toml").write_text(CONFIG.format(bands=BANDS, folder=folder.as_posix()))
    return folder, names, prepare("planet", folder / "c.toml", ["mask_erosion_size=2", "min_labelled=0"])


def test_planet_scenes_of_all_levels(prepared):
    folder, names, made = prepared
    assert made.patches == {"cross-val": 8, "val-test": 4} and not made.failed
    found = {
        scene: open_patches(folder / "out" / f"{split}.zarr", split)
        for split in made.patches
        for scene in open_patches(folder / "out" / f"{split}.zarr", split).metadata()["scene"]
    }
    assert set(found) == set(names)
    assert len(list((folder / "cache").iterdir())) == 3


def test_planet_labels_are_those_of_the_image(prepared):
    folder, _, _ = prepared
    for split in ("cross-val", "val-test"):
        patches = open_patches(folder / "out" / f"{split}.zarr", split)
        table = patches.metadata()
        for name in set(table["scene"]):
            rows = patches.read(np.flatnonzero(table["scene"] == name))
            y = np.concatenate([np.concatenate(list(pair), axis=1) for pair in rows.labels.reshape(2, 2, 60, 60)])
            wanted = np.zeros((120, 120), np.uint8)
            wanted[20:35, 20:45] = wanted[90:101, 80:91] = 1
            ignored = y == 255
            assert np.array_equal(y[~ignored], wanted[~ignored])
            assert ignored[:11, :9].all() and ignored[58:72, 60:70].all() and not ignored[75:].any()
            mask = np.concatenate(
                [np.concatenate(list(pair), axis=1) for pair in rows.mask[:, 0].reshape(2, 2, 60, 60)]
            )
            assert not mask[60:70, 60:70].any() and mask[70:].all()


def test_what_is_beyond_the_footprint_of_an_image_is_not_labelled(prepared, shared_data, tmp_path):
    names = planet(shared_data, tmp_path)
    file = next((tmp_path / "labels").rglob("ImageFootprints*.gpkg"))
    table = geopandas.read_file(file)[:2]  # the third image was labelled everywhere
    west = table.to_crs(26914).geometry[0].bounds
    table.loc[0, "geometry"] = geopandas.GeoSeries(
        [shapely.box(west[0], west[1], west[0] + 300, west[3])], crs=26914
    ).to_crs(3413)[0]
    file.unlink()
    table.to_file(file)
    (tmp_path / "c.toml").write_text(CONFIG.format(bands=BANDS, folder=tmp_path.as_posix()))
    words = ["mask_erosion_size=0", "min_labelled=0", "test_val_split=0", "quality=null"]
    shares = {}
    for extent in ("footprints", "null"):
        out = tmp_path / extent
        prepare("planet", tmp_path / "c.toml", [*words, f"extent={extent}", f"train_data_dir={out}"])
        patches = open_patches(out / "cross-val.zarr", "cross-val")
        known = (patches.labels(np.arange(len(patches))) != 255).mean((1, 2))
        shares[extent] = [known[patches.metadata()["scene"].to_numpy() == name].mean() for name in names]
    assert np.allclose(shares["footprints"][1:], shares["null"][1:])
    assert np.isclose(shares["footprints"][0] / shares["null"][0], 0.5, atol=0.02)  # 60 of 120 columns of 5 m


def test_planet_bands_are_physical(prepared, shared_data):
    folder, names, _ = prepared
    patches = open_patches(folder / "out" / "cross-val.zarr", "cross-val")
    table = patches.metadata()
    rows = patches.read(np.arange(len(table)))
    values, valid = Values(patches.bands).measure(torch.from_numpy(rows.image), torch.from_numpy(rows.mask))
    number = int(np.flatnonzero((table["row"] == 60) & (table["column"] == 0))[0])
    at = names.index(table["scene"][number])
    own = naip(shared_data, 10, 130 * at)[0][:, 60:, :60].astype(np.float64) * 1e-4
    np.testing.assert_allclose(values[number, :4], own, atol=1e-6)
    np.testing.assert_allclose(values[number, 4], (own[3] - own[2]) / (own[3] + own[2]), atol=6e-5)
    np.testing.assert_allclose(values[number, 5:8].mean(dim=(1, 2)), [100, 50, 25], atol=1e-3)
    assert valid[number].all() and patches.dtype == np.uint16
    assert float(values[number, 8].abs().max()) < 60 and 0 <= float(values[number, 9].min()) < 45
    assert [band.limits for band in patches.bands] == [(0, 0.3)] * 4 + [(-1, 1)] + [(0, 255)] * 3 + [(-50, 50), (0, 90)]
    assert patches.bands[3].wavelength == 865


def test_published_normalisation(prepared):
    """Limits make of our physical values what the published factors make of the published numbers."""
    folder, _, _ = prepared
    config = tomllib.loads((folder / "out" / "config.toml").read_text())["darts"]
    patches = open_patches(folder / "out" / "cross-val.zarr", "cross-val")
    factors = norm_factors(patches.bands)
    assert config["norm_factors"] == pytest.approx(factors)
    physical = {"blue": 0.12, "ndvi": 0.4, "tc_wetness": 51.0, "relative_elevation": 20.0, "slope": 30.0}
    published = {"blue": 1200, "ndvi": 1.4e4, "tc_wetness": 51.0, "relative_elevation": 70 * 300, "slope": 30.0}
    for band in patches.bands:
        if band.name in physical:
            low, high = band.limits
            wanted = published[band.name] * factors[band.name]
            assert (physical[band.name] - low) / (high - low) == pytest.approx(wanted)


def test_planet_labels_once_each(prepared):
    folder, names, _ = prepared
    written = geopandas.read_file(folder / "out" / "labels.geojson")
    assert sorted(written["image_id"]) == sorted(names * 2) and set(written["mode"]) == {"cross-val", "val-test"}
    modes = written.groupby("image_id")["mode"].nunique()
    assert (modes == 1).all()


def test_a_new_planet_scene_is_opened_by_its_folder(prepared):
    folder, _, _ = prepared
    patches = open_patches(folder / "out" / "cross-val.zarr", "cross-val")
    row = patches.metadata().iloc[0]
    at = next((folder / "planet").rglob(row["scene"]))
    for path in (at, next(at.glob("*_SR*.tif"))):
        pixels = open_scene(path, patches.preparation).read(row["row"], row["column"], 60, 60)
        rows = patches.read(np.array([0]))
        assert np.array_equal(pixels.image, rows.image[0]) and np.array_equal(pixels.mask, rows.mask[0])
    next(at.glob("*_udm2*")).rename(folder / "away.tif")
    with pytest.raises(DataError, match="no quality mask"):
        open_scene(at, patches.preparation)
    (folder / "away.tif").rename(at / f"{at.name}_udm2.tif")


def test_the_cache_is_used_for_other_splits_and_not_for_other_bands(prepared, caplog):
    folder, _, _ = prepared
    caplog.set_level("INFO", "spectrain")
    words = ["mask_erosion_size=2", "min_labelled=0", f"train_data_dir={folder / 'other'}"]
    made = prepare("planet", folder / "c.toml", [*words, "test_val_split=0"])
    assert made.patches == {"cross-val": 12} and "3 of 3 scenes are there already" in caplog.text
    caplog.clear()
    prepare("planet", folder / "c.toml", [*words[:2], f"train_data_dir={folder / 'third'}", "bands=[nir,red]"])
    assert "already" not in caplog.text and len(list((folder / "cache").iterdir())) == 6


def sentinel(shared, folder, count=3):
    for number in range(count):
        image, place, crs = naip(shared, 10, 130 * number)
        tile = f"T12345_{number}"
        at = folder / "s2" / f"2021_{tile}"
        write(at / f"2021_{tile}_SR.tif", image, place, crs, descriptions=["B2", "B3", "B4", "B8"])
        scl = np.full((60, 60), 4, np.uint8)
        scl[10:12, 10:12] = 9
        write(at / f"2021_{tile}_SCL.tif", scl, rasterio.Affine(10, 0, place.c, 0, -10, place.f), crs)
        geopandas.GeoDataFrame({"id": [1]}, geometry=[box(place, 50, 50, 10, 10)], crs=crs).to_file(at / f"{tile}.shp")


def test_s2_scenes(shared_data, tmp_path):
    sentinel(shared_data, tmp_path)
    words = [f"sentinel2_dir={tmp_path / 's2'}", f"train-data-dir={tmp_path / 'out'}", "patch-size=120", "overlap=0"]
    made = prepare("s2", None, [*words, "bands=[red,nir,ndvi]", "test_val_split=0", "folds=3", "mask_erosion_size=3"])
    patches = open_patches(tmp_path / "out" / "cross-val.zarr", "cross-val")
    rows = patches.read(np.array([0]))
    assert made.patches == {"cross-val": 3} and patches.shape == (3, 3, 120, 120)
    assert (rows.labels[0] == 1).sum() == 100 and rows.labels[0, 55, 55] == 1
    assert not rows.mask[0, 0, 20:24, 20:24].any() and rows.mask.sum() == 120 * 120 - 16
    assert (rows.labels[0, 18:26, 20:24] == 255).all()
    assert len(json.loads((tmp_path / "out" / "cross-val.zarr" / "splits.json").read_text())["folds"]) == 3
    assert patches.bands[0].wavelength == 664.6 and patches.bands[0].scale == 1e-4 and patches.bands[0].nodata == 0


def test_an_s2_scene_without_labels_is_named(shared_data, tmp_path):
    sentinel(shared_data, tmp_path, 2)
    for path in (tmp_path / "s2" / "2021_T12345_1").glob("T*"):
        path.unlink()
    words = [
        f"sentinel2_dir={tmp_path / 's2'}",
        f"train-data-dir={tmp_path / 'out'}",
        "patch-size=60",
        "test_val_split=0",
    ]
    made = prepare("s2", None, words)
    assert list(made.failed) == ["2021_T12345_1"] and "has no labels" in made.failed["2021_T12345_1"]
    assert made.patches == {"cross-val": 9}


def test_a_scene_that_is_there_twice(shared_data, tmp_path):
    names = planet(shared_data, tmp_path)
    image, place, crs = naip(shared_data)
    write(tmp_path / "planet" / "iteration009" / names[0] / "x_SR.tif", image, place, crs)
    with pytest.raises(DataError, match="is there twice"):
        prepare("planet", data_dir=str(tmp_path / "planet"), train_data_dir=str(tmp_path / "out"))
