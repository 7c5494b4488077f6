from __future__ import annotations

import os

from spectrain.inspection.families import families
from spectrain.inspection.listing import listed
from spectrain.preparation.patterns import Pattern


def facts(bands=1, dtype="uint16", place=0):
    return {"bands": bands, "dtype": dtype, "crs": "EPSG:4326", "size": [8, 8], "transform": [1, 0, place, 0, -1, 0]}


def texts(files, known=None):
    return [family.texts[0] for family in families(files, known or {name: facts() for name in files})]


def test_files_of_one_kind_are_scenes():
    assert texts(["images/a.tif", "images/b.tif", "labels/a.tif", "labels/b.tif"]) == [
        "images/{scene}.tif",
        "labels/{scene}.tif",
    ]


def test_ends_and_beginnings_of_names_are_kinds():
    ends = [f"{scene}_{kind}.tif" for scene in ("Ghana_1", "Ghana_2", "Spain_7") for kind in ("S2Hand", "LabelHand")]
    assert texts(ends) == ["{scene}_LabelHand.tif", "{scene}_S2Hand.tif"]
    assert texts(["img_1.tif", "img_2.tif", "mask_1.tif", "mask_2.tif"]) == ["img_{scene}.tif", "mask_{scene}.tif"]


def test_folders_are_scenes_or_kinds():
    inside = [f"site{number}/{name}.tif" for number in range(3) for name in ("image", "mask")]
    known = {path: facts(4 if "image" in path else 1, place=int(path[4])) for path in inside}
    assert texts(inside, known) == ["{scene}/image.tif", "{scene}/mask.tif"]
    years = [f"{year}/{name}.tif" for year in (2019, 2020) for name in "abc"]
    known = {path: facts(4, place=ord(path[5])) for path in years}
    assert texts(years, known) == ["2019/{scene}.tif", "2020/{scene}.tif"]


def test_files_of_a_band_each_are_one_scene():
    bands = [f"B{number:02}.tif" for number in range(1, 13)]
    assert texts(bands) == ["*.tif"]
    tiles = [f"{tile}/{band}" for tile in ("48QUE", "33UVR") for band in bands]
    found = families(tiles, {name: facts() for name in tiles})
    assert [family.texts for family in found] == [("{scene}/*.tif",)]
    assert {scene: len(paths) for scene, paths in found[0].scenes.items()} == {"48QUE": 12, "33UVR": 12}


def test_files_of_several_kinds_without_common_names_stand_alone():
    known = {"dsm_2m.tif": facts(3, "float32"), "buildings.tif": facts(1, "uint8")}
    assert texts(list(known), known) == ["buildings.tif", "dsm_2m.tif"]


def test_patterns_match_files_whose_names_mean_something_in_a_pattern(tmp_path):
    names = ["x[1]{2}|3.tif", "a=b.tif"]
    for name in names:
        (tmp_path / name).touch()
    found = families(names, {names[0]: facts(1), names[1]: facts(3)})
    for family in found:
        files = Pattern.read(family.texts[0]).files(tmp_path)
        assert [path.name for paths in files.values() for path in paths] == family.files


def test_a_listing_enters_no_folder_twice_and_says_what_it_left_out(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.tif").write_text("x")
    (tmp_path / "in" / "loop").symlink_to(tmp_path)
    (tmp_path / "gone.tif").symlink_to("nowhere")
    (tmp_path / "round.tif").symlink_to("round.tif")
    (tmp_path / "none.tif").touch()
    os.mkfifo(tmp_path / "pipe.tif")
    (tmp_path / "x.zarr" / "c").mkdir(parents=True)
    for name in ("zarr.json", "c/0"):
        (tmp_path / "x.zarr" / name).write_text("{}")
    found = listed(tmp_path)
    assert (found.files, found.zarrs, found.whole) == (["in/a.tif"], ["x.zarr"], True)
    assert (found.broken, found.empty, found.special) == (["gone.tif", "round.tif"], ["none.tif"], ["pipe.tif"])
    for number in range(20):
        (tmp_path / f"{number}.txt").write_text("x")
    some = listed(tmp_path, most=5)
    assert (len(some.files), some.whole) == (5, False)
