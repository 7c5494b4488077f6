"""Scenes, labels and folders that cannot be used: what is said, and that the other scenes go on."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from rasters import naip, write

from spectrain.cli import main
from spectrain.core.errors import DataError
from spectrain.data.opening import open_patches
from spectrain.preparation import parts, prepare


@pytest.fixture
def scenes(shared_data, tmp_path):
    """Three scenes of a NAIP image side by side, with labels."""
    for number in range(3):
        image, place, crs = naip(shared_data, 0, 120 * number)
        write(
            tmp_path / "in" / "images" / f"s{number}.tif",
            image,
            place,
            crs,
            descriptions=["blue", "green", "red", "nir"],
        )
        write(tmp_path / "in" / "y" / f"s{number}.tif", (image[3] < 600).astype(np.uint8), place, crs)
    return tmp_path / "in"


def run(folder, **options):
    given = {"labels": "y/{scene}.tif", "patch_size": 40, "folds": 0, "test_val_split": 0}
    return prepare("scenes", data_dir=str(folder), train_data_dir=str(folder.parent / "out"), **(given | options))


def count(folder):
    path = folder.parent / "out" / "cross-val.zarr"
    return open_patches(path, "cross-val").metadata()["scene"].value_counts().to_dict()


def rewritten(path, crs="same", place="same", image="same", **profile):
    with rasterio.open(path) as file:
        own = {"crs": file.crs, "place": file.transform, "image": file.read()}
    given = {name: own[name] if isinstance(value, str) and value == "same" else value for name, value in (
        ("crs", crs), ("place", place), ("image", image))}  # fmt: skip
    path.unlink()
    write(path, given["image"], given["place"], given["crs"], **profile)


def damage(path):
    """Spoil a compressed block in the middle of a file, whose header stays as it is."""
    rewritten(
        path, descriptions=["blue", "green", "red", "nir"], compress="deflate", tiled=True, blockxsize=32, blockysize=32
    )
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 3)
        file.write(b"\xff" * (path.stat().st_size // 2))


def test_a_damaged_scene_fails_and_the_others_go_on(scenes):
    damage(scenes / "images" / "s1.tif")
    made = run(scenes)
    assert list(made.failed) == ["s1"] and "the file is damaged" in made.failed["s1"]
    assert "s1.tif" in made.failed["s1"] and "pixels from row" in made.failed["s1"]
    assert count(scenes) == {"s0": 9, "s2": 9}
    assert "1 scenes failed" in str(made)


def test_the_command_ends_with_1_and_names_it(scenes, capsys):
    damage(scenes / "images" / "s1.tif")
    out = scenes.parent / "out"
    words = ["prepare", "scenes", f"data_dir={scenes}", "labels=y/{scene}.tif", "patch_size=40", "-o", str(out)]
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr().out
    assert ended.value.code == 1 and "s1: cannot be read" in said


def test_a_mended_scene_is_done_by_the_same_command(scenes, caplog):
    good = (scenes / "images" / "s1.tif").read_bytes()
    damage(scenes / "images" / "s1.tif")
    run(scenes)
    (scenes / "images" / "s1.tif").write_bytes(good)
    caplog.set_level("INFO", "spectrain")
    made = run(scenes)
    assert "2 of 3 scenes are there already" in caplog.text and not made.failed
    assert count(scenes) == {"s0": 9, "s1": 9, "s2": 9} and not (scenes.parent / "out" / ".parts").exists()


def test_scenes_whose_header_is_wrong_fail_alone(scenes):
    whole = (scenes / "images" / "s0.tif").read_bytes()
    (scenes / "images" / "s0.tif").write_bytes(whole[: len(whole) // 2])
    rewritten(scenes / "images" / "s1.tif", crs=None)
    made = run(scenes)
    assert "s0.tif" in made.failed["s0"] and "no coordinate system" in made.failed["s1"] and count(scenes) == {"s2": 9}


def test_a_coordinate_system_may_be_given(scenes):
    with rasterio.open(scenes / "images" / "s1.tif") as file:
        crs = file.crs
    rewritten(scenes / "images" / "s1.tif", crs=None, descriptions=["blue", "green", "red", "nir"])
    assert "is no coordinate system" in run(scenes, crs="EPSG:x").failed["s1"]
    shutil.rmtree(scenes.parent / "out")
    assert not run(scenes, crs=crs.to_string()).failed


def test_labels_that_are_wrong_fail_with_their_scene(scenes):
    (scenes / "y" / "s0.tif").unlink()
    rewritten(scenes / "y" / "s1.tif", place=rasterio.Affine(5, 0, 0, 0, -5, 0))
    made = run(scenes)
    assert "has no labels" in made.failed["s0"] and "lies elsewhere" in made.failed["s1"]


def test_labels_of_another_kind_than_the_others(scenes):
    with rasterio.open(scenes / "y" / "s2.tif") as file:
        image = file.read().astype(np.float32)
    rewritten(scenes / "y" / "s2.tif", image=image)
    assert "labels are values, those of the other scenes classes" in run(scenes).failed["s2"]


def test_pixels_of_another_size(scenes):
    with rasterio.open(scenes / "images" / "s2.tif") as file:
        a, _, c, _, e, f = tuple(file.transform)[:6]
    rewritten(
        scenes / "images" / "s2.tif",
        place=rasterio.Affine(a * 2, 0, c, 0, e * 2, f),
        descriptions=["blue", "green", "red", "nir"],
    )
    assert "pixels are 10 m wide, those of s0 5 m" in run(scenes).failed["s2"]


def test_bands_that_one_scene_lacks(scenes):
    rewritten(scenes / "images" / "s1.tif", descriptions=["blue", "green", "red", "nix"])
    assert "no band 'nir'" in run(scenes).failed["s1"]


def test_a_scene_of_another_type(scenes):
    with rasterio.open(scenes / "images" / "s1.tif") as file:
        image = file.read().astype(np.float32)
    rewritten(scenes / "images" / "s1.tif", image=image, descriptions=["blue", "green", "red", "nir"])
    assert "is of type float32, that of s0 of uint16" in run(scenes).failed["s1"]


def test_a_mask_stored_in_the_file_counts(scenes):
    mask = np.full((120, 120), 255, np.uint8)
    mask[:7] = 0
    with rasterio.open(scenes / "images" / "s1.tif", "r+") as file, rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        file.write_mask(mask)
    assert not run(scenes).failed
    patches = open_patches(scenes.parent / "out" / "cross-val.zarr", "cross-val")
    table = patches.metadata()
    rows = patches.read(np.arange(len(table)))
    at = int(np.flatnonzero((table["scene"] == "s1") & (table["row"] == 0))[0])
    assert rows.mask.sum() == rows.mask.size - 3 * 40 * 7 and not rows.mask[at, 0, :7].any()
    assert (rows.labels[at, :7] == 255).all() and table["valid_share"][at] < 1


def test_a_scene_whose_missing_value_is_another(scenes):
    for number, nodata in ((0, 0), (1, 7)):
        with rasterio.open(scenes / "images" / f"s{number}.tif", "r+") as file:
            image = file.read()
            image[:, 5, 5] = nodata
            image[:, 6, 6] = 0 if nodata else 7
            file.nodata = nodata
            file.write(image)
    run(scenes)
    patches = open_patches(scenes.parent / "out" / "cross-val.zarr", "cross-val")
    table = patches.metadata()
    at = np.flatnonzero((table["row"] == 0) & (table["column"] == 0))
    image = patches.read(at).image
    assert [band.nodata for band in patches.bands] == [0] * 4
    assert (image[:2, :, 5, 5] == 0).all() and (image[0, :, 6, 6] == 7).all() and (image[1, :, 6, 6] == 1).all()


def test_words_mean_the_same_class_in_every_file(scenes):
    words = {0: ["pond", "ice"], 1: ["pond"], 2: ["ice", "rock"]}
    for number, kinds in words.items():
        with rasterio.open(scenes / "images" / f"s{number}.tif") as file:
            left, bottom, *_ = file.bounds
            crs = file.crs
        shapes = [shapely.box(left + 200 * i, bottom, left + 200 * i + 150, bottom + 500) for i in range(len(kinds))]
        geopandas.GeoDataFrame({"kind": kinds}, geometry=shapes, crs=crs).to_file(scenes / f"s{number}.gpkg")
    made = run(scenes, labels="{scene}.gpkg", label_column="kind", patch_size=120)
    assert "'rock' in 'kind' is not among label-names" in made.failed["s2"]
    patches = open_patches(scenes.parent / "out" / "cross-val.zarr", "cross-val")
    assert patches.preparation["labels"]["names"] == ["background", "ice", "pond"]
    rows = patches.labels(np.arange(2))
    assert (rows[0] == 2).sum() == 30 * 100 and (rows[1] == 2).sum() == 30 * 100 and not (rows[1] == 1).any()
    shutil.rmtree(scenes.parent / "out")
    names = ["none", "ice", "pond", "rock"]
    assert not run(scenes, labels="{scene}.gpkg", label_column="kind", patch_size=120, label_names=names).failed


def test_numbers_of_the_first_file_do_not_say_how_many_classes_there_are(scenes):
    for number in range(3):
        with rasterio.open(scenes / "images" / f"s{number}.tif") as file:
            square = shapely.box(file.bounds.left, file.bounds.bottom, file.bounds.left + 200, file.bounds.top)
            table = geopandas.GeoDataFrame({"kind": [number + 1]}, geometry=[square], crs=file.crs)
        table.to_file(scenes / "images" / f"s{number}.gpkg")
    run(scenes, labels="images/{scene}.gpkg", label_column="kind")
    patches = open_patches(scenes.parent / "out" / "cross-val.zarr", "cross-val")
    assert set(np.unique(patches.labels(np.arange(len(patches))))) == {0, 1, 2, 3}
    assert patches.preparation["labels"]["names"] == []


def test_scenes_without_any_patch(scenes):
    for number in (0, 1):
        rewritten(
            scenes / "images" / f"s{number}.tif",
            image=np.zeros((4, 120, 120), np.uint16),
            descriptions=["blue", "green", "red", "nir"],
            nodata=0,
        )
    made = run(scenes)
    assert made.dropped == {"nothing was measured": 18} and count(scenes) == {"s2": 9}
    (scenes / "images" / "s2.tif").unlink()
    shutil.rmtree(scenes.parent / "out")
    with pytest.raises(DataError, match=r"no patch is left .18 patches: nothing was measured"):
        run(scenes)
    assert not list((scenes.parent / "out").glob("*.zarr"))


def test_outputs_that_were_removed_are_made_again(scenes):
    run(scenes)
    shutil.rmtree(scenes.parent / "out" / "cross-val.zarr")
    run(scenes)
    assert count(scenes) == {"s0": 9, "s1": 9, "s2": 9}


def test_a_pattern_of_labels_that_names_none(scenes):
    with pytest.raises(DataError, match="has no labels"):
        run(scenes, labels="yy/{scene}.tif")


def test_nothing_can_be_used(scenes):
    with pytest.raises(DataError, match="did you mean 'in'"):
        run(scenes.parent / "inn")
    with pytest.raises(DataError, match="no file matches"):
        run(scenes, images=["img/{scene}.tif"])
    shutil.rmtree(scenes / "images")
    shutil.rmtree(scenes / "y")
    with pytest.raises(DataError, match="no raster in this folder"):
        run(scenes)


def test_a_file_of_a_pair_that_is_not_there(scenes):
    with pytest.raises(DataError, match=r"scene 's9' has no file"):
        shutil.copy(scenes / "images" / "s0.tif", scenes / "y" / "s9.tif")
        run(scenes, images=["a=images/{scene}.tif", "b=y/{scene}.tif"], labels=None)


def test_two_files_with_the_same_bands(scenes):
    shutil.copytree(scenes / "images", scenes / "other")
    with pytest.raises(DataError, match="tell them apart by a prefix"):
        run(scenes, images=["images/{scene}.tif", "other/{scene}.tif"])


def test_tables_of_splits_that_are_wrong(scenes):
    table = scenes / "splits.csv"
    table.write_text("id,splitt\ns0,train\n")
    with pytest.raises(DataError, match="did you mean 'splitt'"):
        run(scenes, split_table=str(table))
    table.write_text("id,split\ns0,trainn\n")
    with pytest.raises(DataError, match="no split 'trainn'"):
        run(scenes, split_table=str(table))
    table.write_text("id,split\nx0,train\n")
    with pytest.raises(DataError, match="names none of the 3 scenes"):
        run(scenes, split_table=str(table))
    table.write_text("id,split\ns0,train\n")
    assert any("2 scenes have no split" in line for line in run(scenes, split_table=str(table)).lines)


def test_a_table_that_says_two_things_of_a_scene(scenes):
    table = scenes / "splits.csv"
    table.write_text("scene,split\ns0,train\ns1,train\ns0,test\n")
    with pytest.raises(DataError, match="the scene 's0' is there twice, for 'train' and for 'test'"):
        run(scenes, split_table=str(table))
    table.write_text("scene,split\ns0,train\ns1,train\ns0.b,test\n")
    assert set(run(scenes, split_table=str(table)).patches) == {"cross-val"}  # s0.b is another scene


def test_a_folder_that_holds_something_else(scenes):
    (scenes.parent / "out" / "test.zarr").mkdir(parents=True)
    with pytest.raises(DataError, match="was not prepared here"):
        run(scenes)


def test_a_full_disk_ends_all_and_the_same_command_goes_on(scenes, monkeypatch):
    real, calls = os.fsync, []

    def full(number):
        calls.append(number)
        if len(calls) > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(number)

    monkeypatch.setattr(parts.os, "fsync", full)
    with pytest.raises(DataError, match="the disk is full"):
        run(scenes)
    monkeypatch.undo()
    left = sorted(path.name for path in (scenes.parent / "out").rglob("*.partial*"))
    assert left == [] and len(list((scenes.parent / "out" / ".parts").iterdir())) == 1
    assert not run(scenes).failed and count(scenes) == {"s0": 9, "s1": 9, "s2": 9}


def test_a_disk_that_is_full_at_the_end_is_told_as_of_this_command(scenes, monkeypatch):
    real = os.replace
    for name in ("bands.json", "prepared.json"):

        def full(one, other, name=name):
            if Path(other).name == name:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(one, other)

        monkeypatch.setattr(os, "replace", full)
        with pytest.raises(DataError, match="the disk is full") as caught:
            run(scenes, format="npy")
        assert "give the same command again" in str(caught.value) and "--resume" not in str(caught.value)
        monkeypatch.undo()
    assert run(scenes, format="npy").patches == {"cross-val": 27}


def test_an_input_that_changed_is_prepared_again(scenes):
    good = (scenes / "images" / "s2.tif").read_bytes()
    damage(scenes / "images" / "s2.tif")
    run(scenes)
    rewritten(scenes / "y" / "s1.tif", image=np.zeros((1, 120, 120), np.uint8))
    (scenes / "images" / "s2.tif").write_bytes(good)
    made = run(scenes)
    patches = open_patches(scenes.parent / "out" / "cross-val.zarr", "cross-val")
    table = patches.metadata()
    assert not made.failed and (table[table["scene"] == "s1"]["positive_share"] == 0).all()


def test_no_scheduler_answers(scenes):
    pytest.importorskip("distributed")
    with pytest.raises(DataError, match="no dask scheduler"):
        run(scenes, scheduler="nonsense://nowhere:1")
