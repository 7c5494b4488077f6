"""The whole of `prepare` on real scenes: splits, folds, labels, files, and what is left out."""

from __future__ import annotations

import json
import tomllib

import geopandas
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
import torch
import zarr
from rasters import naip, write

import spectrain
from spectrain.config.schema import DatasetOptions
from spectrain.core.errors import DataError
from spectrain.data.ground import footprints, shared_pairs
from spectrain.data.opening import open_patches
from spectrain.data.values import Values
from spectrain.preparation import prepare

PAIRS = ["y2019=scenes_2019/{scene}.tif", "y2020=scenes_2020/{scene}.tif"]


def ids(path, split):
    return set(open_patches(path, split).metadata()["patch_id"])


def share_ground(one, other):
    return len(shared_pairs(footprints(one), footprints(other)))


@pytest.fixture(scope="module")
def beetle(shared_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("beetle") / "out"
    data = shared_data / "s2_barkbeetle"
    made = prepare(
        "scenes",
        data_dir=str(data),
        train_data_dir=str(folder),
        images=PAIRS,
        bands=["y2019_B04", "y2020_B04", "y2020_B08"],
        labels="mask/{scene}.tif",
        label_names=["healthy", "damaged"],
        split_table=str(data / "sites.csv"),
        patch_size=48,
        scale=1e-4,
        limits=[0, 0.3],
    )
    return data, folder, made


def test_scenes_go_where_the_table_says(beetle):
    data, folder, made = beetle
    sites = pd.read_csv(data / "sites.csv").set_index("id")["split"]
    for split, given in (("cross-val", "train"), ("val-test", "valid")):
        table = open_patches(folder / f"{split}.zarr", split).metadata()
        assert {sites[int(scene)] for scene in table["scene"]} == {given}
        assert len(table) == made.patches[split]
    assert not (folder / "test.zarr").exists() and "no patches for test: not written" in str(made)


def test_patches_are_the_pixels_of_their_scene(beetle):
    data, folder, _ = beetle
    patches = open_patches(folder / "cross-val.zarr", "cross-val")
    table = patches.metadata()
    assert patches.dtype == np.uint16 and patches.bands[0].limits == (0, 0.3)
    for number in (0, 57, len(table) - 1):
        row = table.iloc[number]
        rows = patches.read(np.array([number]))
        for channel, (year, band) in enumerate(((2019, 4), (2020, 4), (2020, 8))):
            with rasterio.open(data / f"scenes_{year}" / f"{row['scene']}.tif") as file:
                own = file.read(band)[row["row"] : row["row"] + 48, row["column"] : row["column"] + 48]
            h, w = own.shape
            assert np.array_equal(rows.image[0, channel, :h, :w], own)
            assert (rows.image[0, channel, h:] == 0).all() and (rows.image[0, channel, :, w:] == 0).all()
        with rasterio.open(data / "mask" / f"{row['scene']}.tif") as file:
            own = file.read(1)[row["row"] : row["row"] + 48, row["column"] : row["column"] + 48]
        labelled = rows.labels[0, :h, :w] != 255
        assert np.array_equal(rows.labels[0, :h, :w][labelled], own[labelled])
        assert (rows.labels[0, h:] == 255).all()


def test_the_table_has_places_and_shares(beetle):
    _, folder, _ = beetle
    patches = open_patches(folder / "cross-val.zarr", "cross-val")
    table = patches.metadata()
    assert {"scene", "region", "row", "column", "lon_w", "lat_s", "lon_e", "lat_n", "geometry"} <= set(table)
    labels = patches.labels(np.arange(len(table)))
    said = labels != 255
    np.testing.assert_allclose(table["labelled_share"], said.mean(axis=(1, 2)))
    np.testing.assert_allclose(table["positive_share"], (labels == 1).sum((1, 2)) / np.maximum(said.sum((1, 2)), 1))
    _, valid = Values(patches.bands).measure(torch.from_numpy(patches.read(np.arange(20)).image), None)
    np.testing.assert_allclose(table["valid_share"][:20], valid.float().mean(dim=(1, 2, 3)), atol=1e-6)
    assert shapely.from_wkb(table["geometry"][0]).bounds[0] == pytest.approx(table["lon_w"][0])


def test_folds_hold_out_scenes_with_like_shares_of_positives(beetle):
    _, folder, _ = beetle
    path = folder / "cross-val.zarr"
    content = json.loads((path / "splits.json").read_text())
    table = open_patches(path, "cross-val").metadata().set_index("patch_id")
    assert len(content["folds"]) == 5 and content["method"] == "group"
    held = [set(fold["valid"]) for fold in content["folds"]]
    assert set().union(*held) == set(table.index) and sum(map(len, held)) == len(table)
    means = []
    for fold in content["folds"]:
        sides = [table.loc[fold[side]] for side in ("train", "valid")]
        assert not share_ground(*sides) and not set(sides[0]["scene"]) & set(sides[1]["scene"])
        means.append(sides[1]["positive_share"].mean())
    assert max(means) < 1.6 * min(means)
    assert len(open_patches(path, "valid", DatasetOptions(fold=2))) == len(held[2])


def test_no_two_splits_share_ground(beetle):
    _, folder, _ = beetle
    tables = [open_patches(folder / f"{split}.zarr", split).metadata() for split in ("cross-val", "val-test")]
    assert not share_ground(*tables)


def test_what_is_written_beside(beetle):
    data, folder, made = beetle
    config = tomllib.loads((folder / "config.toml").read_text())["darts"]
    assert config["bands"] == ["y2019_B04", "y2020_B04", "y2020_B08"] and config["n_patches"] == sum(
        made.patches.values()
    )
    assert config["data_dir"] == str(data) and config["test_val_split"] == 0.05 and config["mask_erosion_size"] == 0
    assert config["norm_factors"]["y2019_B04"] == pytest.approx(1 / 3000)
    patches = open_patches(folder / "cross-val.zarr", "cross-val")
    assert patches.preparation["format"] == {"name": "spectrain.preparation", "version": 1}
    assert patches.preparation["labels"] == {"kind": "classes", "names": ["healthy", "damaged"]}
    assert not (folder / ".parts").exists()


def test_the_scene_of_a_preparation_is_that_of_its_patches(beetle):
    data, folder, _ = beetle
    patches = open_patches(folder / "val-test.zarr", "val-test")
    row = patches.metadata().iloc[3]
    scene = spectrain.preparation.open_scene(data / "scenes_2020" / f"{row['scene']}.tif", patches.preparation)
    height, width = (min(48, side) for side in scene.grid.size)
    again = scene.read(row["row"], row["column"], height, width).image
    assert np.array_equal(again, patches.read(np.array([3])).image[0, :, :height, :width])


def test_the_same_again_has_nothing_to_do(beetle, caplog):
    _, folder, made = beetle
    config = folder / "config.toml"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    caplog.set_level("INFO", "spectrain")
    assert prepare("scenes", config).patches == made.patches
    assert "nothing to do" in caplog.text
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(DataError, match="with other options"):
        prepare("scenes", config, ["patch_size=32"])


@pytest.fixture(scope="module")
def flood(shared_data, tmp_path_factory):
    def made(name, **options):
        folder = tmp_path_factory.mktemp("flood") / name
        given = {"images": ["S2Hand.tif"], "bands": ["B2", "B8"], "labels": "LabelHand.tif", "patch_size": 64}
        return prepare(
            "scenes", data_dir=str(shared_data / "s1s2_flood_spain"), train_data_dir=str(folder), **(given | options)
        )

    return made


@pytest.mark.parametrize("overlap", [0, 16])
def test_one_scene_is_split_by_squares(flood, overlap):
    made = flood("a", blocks=1500, overlap=overlap, test_val_split=0.2, test_split=0.2)
    tables = {}
    for split in ("cross-val", "val-test", "test"):
        tables[split] = open_patches(made.folder / f"{split}.zarr", split).metadata()
        assert len(tables[split]) == made.patches[split] > 3
    assert not any(share_ground(tables[a], tables[b]) for a in tables for b in tables if a < b)
    content = json.loads((made.folder / "cross-val.zarr" / "splits.json").read_text())
    table = tables["cross-val"].set_index("patch_id")
    assert len(content["folds"]) == 5 and content["method"] == "block"
    for fold in content["folds"]:
        assert not share_ground(table.loc[fold["train"]], table.loc[fold["valid"]])
    assert any("squares on the ground" in line for line in made.lines)


def test_one_scene_without_squares_says_so(flood):
    made = flood("a", folds=0)
    assert list(made.patches) == ["cross-val"] and any("blocks=METRES" in line for line in made.lines)


def test_too_few_patches_for_folds_say_so(flood):
    made = flood("a", patch_size=256, test_val_split=0)
    assert any(line.startswith("no folds: there are fewer scenes or squares than 5 folds") for line in made.lines)
    assert json.loads((made.folder / "cross-val.zarr" / "splits.json").read_text())["folds"] == []


def test_squares_that_are_too_large_are_named(flood):
    with pytest.raises(DataError, match="'val-test' comes out empty: there are 64 patches") as refused:
        flood("a", blocks=50_000, test_val_split=0.2)
    assert refused.value.where == "blocks" and "smaller blocks" in refused.value.fix


def test_published_folds_are_runs_of_patches(flood):
    made = flood("a", fold_method="published", test_val_split=0)
    content = json.loads((made.folder / "cross-val.zarr" / "splits.json").read_text())
    order = open_patches(made.folder / "cross-val.zarr", "cross-val").metadata()["patch_id"].tolist()
    assert [one for fold in content["folds"] for one in fold["valid"]] == order
    assert any("may share pixels" in line for line in made.lines)


def test_without_shards_each_patch_is_a_file(flood):
    made = flood("a", no_shards=True, test_val_split=0)
    path = made.folder / "cross-val.zarr"
    patches = open_patches(path, "cross-val")
    plain = zarr.open_group(path)
    assert len(list((path / "x").glob("c.*"))) == len(list((path / "y").glob("c.*"))) == len(patches)
    index = np.arange(len(patches))
    assert plain["x"].chunks == (1, 2, 64, 64)
    assert np.array_equal(plain["x"][:], patches.read(index).image) and np.array_equal(
        plain["y"][:], patches.labels(index)
    )


def test_npy_pairs_are_physical_values(flood):
    options = {"blocks": 1500, "test_val_split": 0.2, "scale": 1e-4}
    made, other = flood("a", format="npy", **options), flood("b", **options)
    table = pd.read_parquet(made.folder / "patches.parquet")
    patches = open_patches(other.folder / "val-test.zarr", "val-test")
    own = patches.metadata()["patch_id"].tolist()
    assert table[table["split"] == "val"]["patch_id"].tolist() == own
    assert sorted(path.stem for path in (made.folder / "images" / "val").iterdir()) == sorted(own)
    images = np.stack([np.load(made.folder / "images" / "val" / f"{one}.npy") for one in own])
    labels = np.stack([np.load(made.folder / "labels" / "val" / f"{one}.npy") for one in own])
    rows = patches.read(np.arange(len(own)))
    values, valid = Values(patches.bands).measure(torch.from_numpy(rows.image), None)
    assert images.dtype == np.float32
    assert np.array_equal(np.isnan(images), ~valid.numpy())
    np.testing.assert_allclose(images[valid.numpy()], values.numpy()[valid.numpy()], rtol=1e-6)
    assert np.array_equal(labels, rows.labels)
    assert len(json.loads((made.folder / "splits.json").read_text())["folds"]) == 5


def test_without_labels_none_are_stored(flood):
    made = flood("a", labels=None, test_val_split=0)
    patches = open_patches(made.folder / "cross-val.zarr", "cross-val")
    assert not patches.has_labels and len(patches) == 64
    with pytest.raises(DataError, match="needs labels"):
        flood("b", labels=None, exclude_nopositive=True)


def test_polygons_are_written_once_with_their_split(shared_data, tmp_path):
    folder = shared_data / "elevation_buildings"
    vector = folder / "buildings.geojson"
    made = prepare(
        "scenes", data_dir=str(folder), train_data_dir=str(tmp_path / "out"), images=["dsm_dtm*.tif"],
        labels=str(vector), extent="hull", patch_size=32, test_val_split=0,
    )  # fmt: skip
    written, own = geopandas.read_file(tmp_path / "out" / "labels.geojson"), geopandas.read_file(vector)
    assert len(written) == len(own) and set(written["mode"]) == {"cross-val"} and written.crs == 4326
    assert written.geometry.geom_equals_exact(own.to_crs(4326).geometry, 1e-6).all()
    labels = open_patches(tmp_path / "out" / "cross-val.zarr", "cross-val").labels(np.arange(made.patches["cross-val"]))
    assert {0, 1, 255} == set(np.unique(labels).tolist())


def test_polygons_have_the_split_of_the_squares_that_they_lie_in(shared_data, tmp_path):
    folder = shared_data / "elevation_buildings"
    made = prepare(
        "scenes", data_dir=str(folder), train_data_dir=str(tmp_path / "out"), images=["dsm_dtm*.tif"],
        labels="buildings.geojson", blocks=100, patch_size=32, test_val_split=0.3, folds=0,
    )  # fmt: skip
    written = geopandas.read_file(tmp_path / "out" / "labels.geojson").to_crs(6933)
    places = {name: footprints(open_patches(made.folder / f"{name}.zarr", name).metadata()) for name in made.patches}
    for shape, mode in zip(written.geometry, written["mode"], strict=True):
        touched = [name for name in ("cross-val", "val-test") if shapely.intersects(places[name], shape).any()]
        assert mode == (touched or ["cross-val"])[-1]
    assert set(written["mode"]) == {"cross-val", "val-test"}


def test_labels_among_the_scenes_are_no_scene(shared_data, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("S2Hand.tif", "LabelHand.tif"):
        (folder / name).symlink_to(shared_data / "s1s2_flood_spain" / name)
    made = prepare(
        "scenes", data_dir=str(folder), train_data_dir=str(tmp_path / "out"), labels="LabelHand.tif",
        patch_size=256, folds=0,
    )  # fmt: skip
    patches = open_patches(made.folder / "cross-val.zarr", "cross-val")
    assert len(patches.bands) == 13 and set(patches.metadata()["scene"]) == {"S2Hand"} and not made.failed


def test_sparse_values_are_decimals_with_nan(shared_data, tmp_path):
    folder = shared_data / "regression_dem"
    made = prepare(
        "scenes", data_dir=str(folder), train_data_dir=str(tmp_path / "out"), images=["s2_santarem_image.tif"],
        labels="s2_santarem_srtm_sparse.tif", min_labelled=0, exclude_nopositive=True, patch_size=32, test_val_split=0,
    )  # fmt: skip
    patches = open_patches(tmp_path / "out" / "cross-val.zarr", "cross-val")
    labels = patches.labels(np.arange(len(patches)))
    assert labels.dtype == np.float32 and np.isfinite(labels).any(axis=(1, 2)).all() and np.isnan(labels).any()
    assert patches.preparation["labels"]["kind"] == "values" and made.dropped["no label"] > 0


@pytest.fixture
def scenes(shared_data, tmp_path):
    """Four scenes side by side of one NAIP image, with labels where the near infrared is dark."""
    for number in range(4):
        image, place, crs = naip(shared_data, 0, 120 * number)
        write(
            tmp_path / "in" / "images" / f"s{number}.tif",
            image,
            place,
            crs,
            descriptions=["blue", "green", "red", "nir"],
        )
        write(tmp_path / "in" / "y" / f"s{number}.tif", (image[3] < 600).astype(np.uint8), place, crs)

    def run(name="out", **options):
        given = {"labels": "y/{scene}.tif", "patch_size": 40, "folds": 0, "test_val_split": 0}
        return prepare(
            "scenes", data_dir=str(tmp_path / "in"), train_data_dir=str(tmp_path / name), **(given | options)
        )

    return run


def test_what_is_left_out_is_counted_by_reason(scenes, tmp_path):
    with rasterio.open(tmp_path / "in" / "images" / "s1.tif", "r+") as file:
        image = file.read()
        file.nodata = 0
        image[:, :, :40] = 0
        image[2, 50, 50] = 0
        file.write(image)
    with rasterio.open(tmp_path / "in" / "y" / "s1.tif", "r+") as file:
        file.write(np.ones((120, 120), np.uint8), 1)
    with rasterio.open(tmp_path / "in" / "y" / "s2.tif", "r+") as file:
        file.nodata = 9
        labels = file.read(1)
        labels[:40, :40] = 9
        labels[40:80, :] = 0
        file.write(labels, 1)
    made = scenes(exclude_nan=True, exclude_nopositive=True, nodata=0)
    assert made.dropped["nothing was measured"] == 3
    assert made.dropped["some value is missing"] == 1
    assert made.dropped["no positive label"] >= 3
    assert sum(made.patches.values()) + sum(made.dropped.values()) == 36
    made = scenes("other", nodata=0)
    assert made.dropped == {"nothing was measured": 3, "too little is labelled": 1}


def test_erosion_erodes_what_is_valid(scenes, tmp_path):
    for number in range(4):
        quality = np.ones((120, 120), np.uint8)
        quality[30, 30] = 3
        with rasterio.open(tmp_path / "in" / "y" / f"s{number}.tif") as file:
            write(tmp_path / "in" / "q" / f"s{number}.tif", quality, file.transform, file.crs)
    scenes(quality="q/{scene}.tif", mask_erosion_size=5, patch_size=120)
    patches = open_patches(tmp_path / "out" / "cross-val.zarr", "cross-val")
    rows = patches.read(np.array([0]))
    y, x = np.mgrid[:120, :120]
    assert np.array_equal(rows.labels[0] == 255, np.hypot(y - 30, x - 30) <= 5)
    assert np.array_equal(rows.mask[0, 0], quality == 1)
    small = scenes("small", quality="q/{scene}.tif", mask_erosion_size=5, patch_size=30)
    labels = open_patches(small.folder / "cross-val.zarr", "cross-val").labels(np.arange(16))
    whole = np.concatenate([np.concatenate(list(row), axis=1) for row in labels.reshape(4, 4, 30, 30)])
    assert np.array_equal(whole, rows.labels[0])
    assert small.patches == {"cross-val": 64}


def test_the_last_patches_are_moved_in(scenes, tmp_path):
    scenes(patch_size=50, overlap=10)
    table = open_patches(tmp_path / "out" / "cross-val.zarr", "cross-val").metadata()
    one = table[table["scene"] == "s0"]
    assert sorted(set(one["row"])) == [0, 40, 70] and len(one) == 9


def test_regions_are_for_test(scenes, tmp_path):
    with rasterio.open(tmp_path / "in" / "images" / "s2.tif") as file:
        middle = shapely.box(*file.bounds).buffer(-100)
        far = shapely.box(0, 0, 1000, 1000)
        table = {"shapeName": ["Nelson County", "Elsewhere"]}
        (tmp_path / "admin").mkdir()
        geopandas.GeoDataFrame(table, geometry=[middle, far], crs=file.crs).to_file(tmp_path / "admin" / "adm2.gpkg")
    made = scenes(test_regions=["Nelson County"], admin_dir=str(tmp_path / "admin"), test_val_split=0.3)
    test = open_patches(tmp_path / "out" / "test.zarr", "test").metadata()
    assert set(test["scene"]) == {"s2"} and set(test["region"]) == {"Nelson County"}
    assert made.patches == {"cross-val": 18, "val-test": 9, "test": 9}
    with pytest.raises(DataError, match="did you mean 'Nelson County'"):
        scenes("b", test_regions=["Nelson Country"], admin_dir=str(tmp_path / "admin"))
    with pytest.raises(DataError, match="no column 'name'"):
        scenes("b", test_regions=["x"], admin_dir=str(tmp_path / "admin"), region_column="name")


def test_dates_of_one_place_stay_together(scenes, shared_data, tmp_path):
    for number in range(4):
        image, place, crs = naip(shared_data, 3, 120 * number + 2, year="20120731")
        write(tmp_path / "in" / "images" / f"t{number}.tif", image, place, crs)
        write(tmp_path / "in" / "y" / f"t{number}.tif", (image[3] < 600).astype(np.uint8), place, crs)
    made = scenes(test_val_split=0.25, band_names=["blue", "green", "red", "nir"])
    assert made.patches == {"cross-val": 72} and any("no scene is left" in line for line in made.lines)
    names = [f"{letter}{number}" for letter in "st" for number in range(4)]
    rows = [f"{name},{'valid' if name == 't3' else 'train'}" for name in names]
    (tmp_path / "in" / "splits.csv").write_text("\n".join(["scene,split", *rows]))
    made = scenes("given", split_table=str(tmp_path / "in" / "splits.csv"), band_names=["blue", "green", "red", "nir"])
    assert made.patches["val-test"] == 9 and made.dropped["shares ground with another split"] >= 9
    tables = [open_patches(made.folder / f"{split}.zarr", split).metadata() for split in ("cross-val", "val-test")]
    assert not share_ground(*tables)


def test_scenes_smaller_than_a_patch_are_filled_up_and_not_left_out(scenes, tmp_path):
    made = scenes(patch_size=400)
    rows = open_patches(tmp_path / "out" / "cross-val.zarr", "cross-val").read(np.arange(4))
    assert made.patches == {"cross-val": 4} and any(
        "4 patches are larger than their scene" in line for line in made.lines
    )
    inside = np.zeros((400, 400), bool)
    inside[:120, :120] = True
    assert all(np.array_equal(mask[0], inside) for mask in rows.mask)
    assert (rows.labels[:, ~inside] == 255).all() and (rows.labels[:, inside] != 255).all()
