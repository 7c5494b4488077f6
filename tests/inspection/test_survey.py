"""Commands that inspection prints are run: `prepare` writes patches, and `train` accepts what it wrote."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from small_rasters import write_planet, write_raster, write_s2

import spectrain
import spectrain.demos
from spectrain.cli import main
from spectrain.config.yaml_file import scalar
from spectrain.core.errors import DataError
from spectrain.data.opening import open_patches
from spectrain.inspection.commands import option, shell
from spectrain.inspection.guard import Guard
from spectrain.inspection.look import inspect
from spectrain.inspection.page import text_of
from spectrain.inspection.survey import survey

DEMO = Path(spectrain.demos.__file__).parent / "ocean_sst.h5"
ODD = [
    "plain",
    "a b",
    "it's",
    'say "x"',
    "two\nlines",
    "ünï→",
    "x[1]",
    "[a,b]",
    "{a: 1}",
    "a=b",
    "$HOME",
    "~",
    "null",
    " ",
]


@pytest.fixture(scope="module")
def guard():
    with Guard() as one:
        yield one


def run(words, monkeypatch, folder):
    """Run a command as a shell would; the exit code, 0 where it returns."""
    monkeypatch.chdir(folder)
    try:
        main(list(words[1:]))
    except SystemExit as end:
        return end.code or 0
    return 0


def go_on(found, monkeypatch, folder, capsys, most=3):
    """Run all commands that were found; the folders that were trained on, with their recipe."""
    trained = []
    for way in found.ways[:most]:
        for words in way.commands:
            if words[1] == "prepare":
                assert run(words, monkeypatch, folder) == 0, capsys.readouterr()
            else:
                assert run((*words, "--cfg", "job"), monkeypatch, folder) == 0, capsys.readouterr()
                path = scalar(words[3].removeprefix("dataset.path="))
                if not any(word.startswith(("dataset.train_key", "dataset.window")) for word in words):
                    assert len(open_patches(folder / path, "train")) > 0
                    assert len(open_patches(folder / path, "valid")) > 0
                trained.append((words[2], path))
    return trained


@pytest.mark.parametrize("text", ODD)
def test_options_are_read_back_whatever_they_hold(text):
    word = option("dataset.path", text)
    assert scalar(word.partition("=")[2]) == text
    listed = option("images", [text, "b{scene}.tif"]).partition("=")[2]
    assert scalar(listed) == [text, "b{scene}.tif"]
    line = shell(["printf", "%s", word])
    assert "\n" not in line
    assert subprocess.run(["bash", "-c", line], capture_output=True, check=True).stdout.decode() == word


def test_images_and_labels_with_odd_names(tmp_path, guard, monkeypatch, capsys):
    root = tmp_path / 'my "own" it\'s\n[files]*'
    for number, name in enumerate(["a b", "c=d", "é\n1", "q'u", "x[1]{2}|3"]):
        write_raster(root / "pics" / f"{name}.tif", 4, x=500_000 + 9000 * number)
        write_raster(root / "truth" / f"{name}.tif", 1, x=500_000 + 9000 * number, dtype="uint8", high=3)
    found = survey(root, guard, 600)
    assert [label.kind for label in found.projects[0].labels] == ["classes"]
    assert go_on(found, monkeypatch, tmp_path, capsys) == [("segmentation", "my-own-it-s-files-patches")]
    text = text_of(root, found)
    assert "5 files" not in text and "classes 0 3" in text
    assert "\n*" not in text and "\\n[files]*" in text


def test_a_reader_that_takes_images_alone_does_not_hide_labels_beside_them(tmp_path):
    for number in range(4):
        write_raster(tmp_path / "images" / f"{number}.tif", 3, x=500_000 + 9000 * number)
        write_raster(tmp_path / "damage" / f"{number}.tif", 1, x=500_000 + 9000 * number, dtype="uint8", high=2)
    answer = inspect(tmp_path)
    assert answer.usable
    assert "labels=damage/{scene}.tif" in str(answer)


def test_what_is_doubtful_is_said(tmp_path, guard):
    values = np.random.default_rng(0).integers(0, 9000, (4, 80, 80)).astype("int16")
    values[1], values[:, :30] = 7, 0
    write_raster(tmp_path / "in" / "a.tif", values=values)
    write_raster(tmp_path / "in" / "b.tif", values=values, x=600_000)
    write_raster(tmp_path / "in" / "c.tif", values=values, x=700_000, crs="EPSG:32634")
    write_raster(tmp_path / "mask" / "a.tif", values=(values[:1] > 8900).astype("uint8"), nodata=0)
    write_raster(tmp_path / "mask" / "z.tif", values=(values[:1] > 8900).astype("uint8"))
    (tmp_path / "in" / "cut.tif").write_bytes((tmp_path / "in" / "a.tif").read_bytes()[:9000])
    said = text_of(tmp_path, survey(tmp_path, guard, 600))
    for line in (
        "several coordinate systems: EPSG:32633 (2 files), EPSG:32634 (1 files)",
        "in/{scene}.tif",
        "is 0 in all bands and no nodata is declared",
        "1 labels match no image: z",
        "images have no label: b, c",
        "0 is declared as nodata, so pixels of class 0 count as not labelled",
        "in/cut.tif cannot be read: the file is cut short",
    ):
        assert line in said, (line, said)


def test_files_of_one_pattern_that_differ_in_bands_are_said(tmp_path, guard):
    names = {"a": ("red", "green", "nir"), "b": ("red", "green", "nir"), "c": ("red", "nir")}
    for number, (name, bands) in enumerate(names.items()):
        values = np.random.default_rng(number).integers(1, 9000, (len(bands), 64, 64)).astype("uint16")
        path = write_raster(tmp_path / f"{name}_ms.tif", values=values, x=500_000 + 9000 * number)
        write_raster(tmp_path / f"{name}_mask.tif", x=500_000 + 9000 * number, dtype="uint8", high=2)
        with rasterio.open(path, "r+") as file:
            file.descriptions = bands
    said = text_of(tmp_path, survey(tmp_path, guard, 600))
    assert "{scene}_ms.tif: several counts of bands: 3 (2 files), 2 (1 files)" in said, said
    assert "{scene}_ms.tif: bands are missing: green in 1 of 3 files" in said, said


def test_shares_of_classes_are_facts_and_rare_ones_doubts(tmp_path, guard):
    values = np.zeros((1, 100, 100), np.uint8)
    values[0, :50], values[0, 99, :20] = 1, 2
    write_raster(tmp_path / "image.tif", 4, 100)
    write_raster(tmp_path / "mask.tif", values=values)
    facts, _, doubtful = text_of(tmp_path, survey(tmp_path, guard, 600)).partition("doubtful")
    assert "mask.tif: classes 0 49.8%, 1 50.0%, 2 0.2%" in facts
    assert "mask.tif: rare classes: 2 (0.20%)" in doubtful and "classes 0" not in doubtful


def test_it_is_asked_whether_the_largest_class_0_means_not_labelled(tmp_path, guard):
    values = np.zeros((1, 100, 100), np.uint8)
    for name, classes in (("many", 3), ("few", 2)):
        for number in range(classes):
            values[0, 60 + 10 * number : 70 + 10 * number] = number + 1
        (tmp_path / name).mkdir()
        write_raster(tmp_path / name / "image.tif", 4, 100)
        write_raster(tmp_path / name / "mask.tif", values=values if classes == 3 else np.minimum(values, 2))
    asked = "class 0 covers 70%, more than any other: if it means 'not labelled', add ignored=[0] to `prepare`"
    assert f"mask.tif: {asked}" in text_of(tmp_path, survey(tmp_path / "many", guard, 600))
    assert "not labelled" not in text_of(tmp_path, survey(tmp_path / "few", guard, 600))


@pytest.mark.parametrize("layout", ["planet", "s2"])
def test_a_layout_of_prepare_is_told_and_its_command_works(tmp_path, guard, monkeypatch, capsys, layout):
    root = tmp_path / "mine"
    (write_planet if layout == "planet" else write_s2)(root)
    found = survey(root, guard, 600)
    (way,) = found.ways  # and none of `prepare scenes`, which would take one of the label files for those of all scenes
    assert way.commands[0][:3] == ("spectrain", "prepare", layout)
    assert not [line for line in found.doubts if "mask" in line or "Footprints" in line], found.doubts
    side = next(word for word in way.commands[0] if word.startswith("patch-size="))
    assert int(side.partition("=")[2]) <= 64  # the scenes are smaller than the preset's patches
    words = (*way.commands[0], "test-val-split=0.34")
    assert run(words, monkeypatch, tmp_path) == 0, capsys.readouterr()
    patches = open_patches(tmp_path / "mine-patches" / "cross-val.zarr", "cross-val")
    assert (patches.labels(np.arange(len(patches))) == 1).any()
    assert way.commands[1] == ("spectrain", "train", "segmentation", "dataset.path=mine-patches")


def test_scenes_of_a_layout_without_labels_have_a_recipe_without(tmp_path, guard):
    found = survey(write_planet(tmp_path / "bare", 2, labelled=False), guard, 600)
    assert [words[1:3] for words in found.ways[0].commands] == [("prepare", "planet"), ("train", "contrastive")]


def test_a_layout_that_prepare_refuses_is_a_doubt(tmp_path, guard):
    root = write_s2(tmp_path / "s2", 2)
    for path in root.rglob("*.shp"):
        path.write_bytes(b"no shapes")
    found = survey(root, guard, 600)
    assert any("scenes cannot be prepared" in line or "`prepare` would refuse it" in line for line in found.doubts)


def test_python_says_what_the_command_says(tmp_path, monkeypatch, capsys):
    write_raster(tmp_path / "own" / "image.tif", 3, 128)
    assert run(("spectrain", "inspect", str(tmp_path / "own")), monkeypatch, tmp_path) == 0
    said = capsys.readouterr().out
    images, data = (spectrain.inspect(path) for path in (tmp_path / "own", DEMO))
    assert said == f"{images}\n"
    for found in (images, data):
        assert found.usable and found.command.startswith("spectrain ")
        json.dumps(found.to_json())
    assert data.splits[0].shape == (387, 1, 64, 64) and data.splits[0].statistics.count[0] > 0
    with pytest.raises(DataError):
        spectrain.inspect(tmp_path / "nowhere")


def test_a_folder_of_rasters_is_looked_at_without_torch(tmp_path):
    """Importing it takes seconds, and most of what is said needs headers and a few pixels only."""
    for number, bands in enumerate((3, 4, 3)):
        write_raster(tmp_path / f"{number}.tif", bands, x=500_000 + 9000 * number)
    code = (
        "import sys; from spectrain.inspection import probes, look; from pathlib import Path\n"
        "try: probes.data_set(sys.argv[1])\n"
        "except Exception: pass\n"
        "probes.raster(sys.argv[1] + '/0.tif'); probes.places([sys.argv[1] + '/0.tif'])\n"
        "probes.plan('scenes', ['data-dir=' + sys.argv[1], 'images=0.tif', 'blocks=500', 'patch-size=32'])\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode == 0


@pytest.mark.parametrize("kind", ["empty", "texts", "labels alone"])
def test_nothing_to_go_on_with_is_said_and_the_command_fails(tmp_path, kind, capsys):
    root = tmp_path / kind
    root.mkdir()
    if kind == "texts":
        (root / "notes.txt").write_text("hello")
        (root / "t.csv").write_text("a,b\n1,2\n")
    if kind == "labels alone":
        (root / "plots.csv").write_text("lon,lat,height\n14.1,50.2,3.5\n14.2,50.3,4.5\n")
    with pytest.raises(SystemExit) as end:
        main(["inspect", str(root)])
    assert end.value.code == 1
    said = capsys.readouterr().out
    assert ("the scenes that they are of are missing" if kind == "labels alone" else "What can be read") in said


def test_points_on_scenes_become_targets(tmp_path, guard, monkeypatch, capsys):
    write_raster(tmp_path / "scene.tif", 3, 256)
    rows = [f"{15 + 0.0003 * n:.5f},{45.15 - 0.0002 * n:.5f},{n % 30}.5" for n in range(100)]
    (tmp_path / "shots.csv").write_text("lon,lat,height\n" + "\n".join(rows))
    found = survey(tmp_path, guard, 600)
    (way,) = found.ways
    assert "points-value=height" in way.lines()[0]
    assert way.commands[1][2] == "regression"


SHARED = {
    "elevation_buildings": ["segmentation", "segmentation"],
    "neon_chm": ["regression"],
    "s1s2_flood_spain": ["segmentation"],
    "s2_eopatch_slovenia": ["segmentation", "segmentation", "regression"],
    "regression_dem": ["segmentation", "regression", "regression"],
    "naip_nd": ["contrastive"],
    "s2_majortom_thailand": ["mae", "contrastive"],
    "s2_barkbeetle": ["segmentation", "segmentation"],
    "hyperspectral": ["segmentation", "mae", "segmentation"],
    "ocean_sst": ["contrastive", "contrastive"],
    "ocean_colour": ["contrastive"],
    "gedi_footprints": [],
    "rts_labels": [],
}
QUICK = ("elevation_buildings", "neon_chm", "gedi_footprints")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in SHARED]
)
def test_commands_for_shared_folders_work(shared_data: Path, name, guard, tmp_path, monkeypatch, capsys):
    found = survey(shared_data / name, guard, 600)
    assert found.usable == bool(SHARED[name])
    assert not found.unread
    ways = found.ways[:1] if name in QUICK else found.ways[:3]
    found.ways = ways
    recipes = [recipe for recipe, _ in go_on(found, monkeypatch, tmp_path, capsys)]
    assert recipes == SHARED[name][: len(recipes)] and (recipes or not SHARED[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["enmap_potsdam", "wv2_rotterdam", "."])
def test_folders_that_are_data_sets_or_hold_many(shared_data: Path, name):
    answer = inspect(shared_data / name)
    assert answer.usable
    lines = [
        shlex.split(line.removeprefix("train on it: "))
        for line in str(answer).splitlines()
        if "spectrain train" in line
    ]
    assert lines
