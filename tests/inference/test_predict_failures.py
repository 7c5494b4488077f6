"""What may be wrong with a scene, a run or a place for a map: one clear message each, and nothing half written."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys

import map_runs as small
import numpy as np
import pytest
import rasterio
from test_predict import read

import spectrain
from spectrain.core.bands import Bands
from spectrain.core.errors import DataError, RunError, SpectrainError
from spectrain.inference import predict as module
from spectrain.inference.mapping import raster as map_raster
from spectrain.inference.mapping.bands import choose_bands
from spectrain.inference.mapping.raster import _require_whole

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
IMAGE = small.field(60, 75, seed=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("failures")


@pytest.fixture(scope="module")
def data(folder):
    return small.write_training(folder / "data")


@pytest.fixture(scope="module")
def run(folder, data):
    return small.train(data, folder / "run")


@pytest.fixture(scope="module")
def scene(folder):
    return small.write_scene(folder / "scene.tif", IMAGE)


@pytest.fixture(scope="module")
def expected(run):
    return small.whole(run, IMAGE).sigmoid().numpy()


def probability(run, scene, tmp_path, **options):
    made = spectrain.predict(run, scene, tmp_path / "made.tif", layers=["probability"], **options)
    return read(made.paths[0])


def test_bands_in_another_order_and_more_of_them(run, expected, tmp_path):
    image = np.stack([IMAGE[2], IMAGE[0] // 2, IMAGE[1], IMAGE[0]])
    scene = small.write_scene(tmp_path / "s.tif", image, names=("B08", "B01", "B03", "B02"))
    np.testing.assert_allclose(probability(run, scene, tmp_path), expected, atol=1e-6)


def test_bands_that_are_missing_are_named_with_the_nearest(run, tmp_path):
    scene = small.write_scene(tmp_path / "s.tif", IMAGE, names=("B2", "B03", "NIR"))
    with pytest.raises(DataError, match="lacks 2 bands that the model was trained on: B02, B08") as raised:
        probability(run, scene, tmp_path)
    assert "'B02' may be 'B2'" in str(raised.value)
    assert "the scene has B2, B03, NIR" in str(raised.value)


def test_bands_without_names_are_taken_in_order_with_a_warning(run, expected, tmp_path, caplog):
    scene = small.write_scene(tmp_path / "s.tif", IMAGE, names=())
    np.testing.assert_allclose(probability(run, scene, tmp_path), expected, atol=1e-6)
    assert "the scene names no bands, so they are taken in order: B02, B03, B08" in caplog.text
    few = small.write_scene(tmp_path / "few.tif", IMAGE[:2], names=())
    with pytest.raises(DataError, match="2 bands without names"):
        spectrain.predict(run, few, tmp_path / "few_made.tif")


def test_a_folder_with_a_file_for_each_band(run, expected, tmp_path):
    for name, band in zip(small.NAMES, IMAGE, strict=True):
        small.write_scene(tmp_path / "scene" / f"T33UUU_20240612_{name}.tif", band, names=())
    small.write_scene(tmp_path / "scene" / "T33UUU_20240612_SCL.tif", IMAGE[0], names=())
    np.testing.assert_allclose(probability(run, tmp_path / "scene", tmp_path), expected, atol=1e-6)
    (tmp_path / "scene" / "T33UUU_20240612_B03.tif").unlink()
    with pytest.raises(DataError, match="no file is of the band 'B03'"):
        spectrain.predict(run, tmp_path / "scene", tmp_path / "x.tif")
    small.write_scene(tmp_path / "scene" / "B03.tif", IMAGE[1, :30], names=())
    with pytest.raises(DataError, match="another grid"):
        spectrain.predict(run, tmp_path / "scene", tmp_path / "x.tif")


def test_a_scene_that_says_how_it_is_stored(run, expected, tmp_path):
    """Values ten times as large with a scale of 0.1 are the same values."""
    path = small.write_scene(tmp_path / "s.tif", IMAGE * 10)
    with rasterio.open(path, "r+") as file:
        file.scales = (0.1, 0.1, 0.1)
    np.testing.assert_allclose(probability(run, path, tmp_path), expected, atol=1e-5)


def test_values_in_another_unit_are_a_warning(run, tmp_path, caplog):
    scene = small.write_scene(tmp_path / "s.tif", (IMAGE / 1e4).astype("f4"))
    probability(run, scene, tmp_path)
    assert "values unlike those of the training; are they in another unit? B02 0.1" in caplog.text
    caplog.clear()
    spectrain.predict(run, small.write_scene(tmp_path / "t.tif", IMAGE), tmp_path / "t_made.tif")
    assert "another unit" not in caplog.text


def test_windows_that_disagree_are_a_warning(run, scene, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(module, "DISAGREEMENT", 1e-3)
    spectrain.predict(run, scene, tmp_path / "a.tif", halo=0)  # the model sees 3 px to each side
    assert "a larger --window (now 32 px)" in caplog.text
    caplog.clear()
    spectrain.predict(run, scene, tmp_path / "b.tif", halo=3)
    assert "--window" not in caplog.text


def test_a_scene_that_does_not_is_stored_as_the_training_was():
    record = {"name": "B02", "scale": 1e-4, "offset": -0.1, "nodata": 0}
    trained, plain = Bands.from_json([record]), Bands.from_json([{"name": "B02"}])
    assert choose_bands(trained, plain, "scene").bands == trained
    said = Bands.from_json([{"name": "B02", "scale": 0.01, "nodata": -1}])
    assert choose_bands(trained, said, "scene").bands == said


def test_another_wavelength_under_the_same_name():
    trained = Bands.from_json([{"name": "band_1", "wavelength": 490.0}])
    with pytest.raises(DataError, match="at 490 nm, the data have it at 665 nm"):
        choose_bands(trained, Bands.from_json([{"name": "band_1", "wavelength": 665.0}]), "scene")


def test_bands_of_another_number_that_nothing_tells_apart(caplog):
    twelve, named = Bands.unnamed(12), Bands.from_json([{"name": name} for name in ("B02", "B03")])
    with pytest.raises(DataError, match="has 3 bands without names, and the model was trained on 12 without") as caught:
        choose_bands(twelve, Bands.unnamed(3), "scene")
    assert caught.value.fix == "give a scene of the 12 bands in the order of the training"
    with pytest.raises(DataError, match="has 2 bands, and the model was trained on 12 without names"):
        choose_bands(twelve, named, "scene")
    with pytest.raises(DataError, match="trained on 2: B02, B03") as caught:
        choose_bands(named, Bands.unnamed(3), "scene")
    assert "or describe the scene's bands by these names" in str(caught.value.fix)
    assert not caplog.records
    assert choose_bands(twelve, Bands.unnamed(14), "scene").channels == tuple(range(12))
    assert "the first 12 of 14 are taken" in caplog.text
    second = Bands([Bands.unnamed(3)[1]])
    assert choose_bands(second, Bands.unnamed(3), "scene").channels == (1,) and len(caplog.records) == 1


def test_a_scene_without_a_place(run, expected, tmp_path, caplog):
    scene = small.write_scene(tmp_path / "s.tif", IMAGE, crs=None)
    np.testing.assert_allclose(probability(run, scene, tmp_path), expected, atol=1e-6)
    assert "says not where it lies, so neither does the map" in caplog.text
    with rasterio.open(tmp_path / "made.tif") as file:
        assert file.crs is None
        assert file.transform.is_identity


def test_a_scene_that_is_not_there(run, scene, tmp_path):
    with pytest.raises(DataError, match=r"did you mean 'scene\.tif'"):
        spectrain.predict(run, scene.with_name("scenes.tif"), tmp_path / "out.tif")


def test_a_scene_that_is_damaged_in_the_middle(run, tmp_path):
    path = small.write_scene(tmp_path / "s.tif", IMAGE, tiled=True, blockxsize=16, blockysize=16, compress="deflate")
    with rasterio.open(path) as file:
        place = int(file.get_tag_item("BLOCK_OFFSET_2_2", "TIFF", bidx=1))
    with path.open("r+b") as raw:
        raw.seek(place)
        raw.write(b"\x00damaged" * 8)
    with pytest.raises(DataError, match="damaged") as raised:
        spectrain.predict(run, path, tmp_path / "out" / "map.tif")
    assert str(path) in str(raised.value)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("share", [0.3, 0.97, 1.1, 1.15])
def test_a_full_disk(run, tmp_path, share):
    """A limit on the size of files stands for it: as rows are written, as these are put in order, as files are closed.

    GDAL says nothing of what fails as it closes a file.
    """
    scene = small.write_scene(tmp_path / "scene.tif", small.field(200, 200))
    spectrain.predict(run, scene, tmp_path / "whole.tif", layers=["probability"])
    size = (tmp_path / "whole.tif").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    told = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(share * size), before[1]))
        with pytest.raises(RunError, match="the disk is full") as raised:
            spectrain.predict(run, scene, tmp_path / "out" / "map.tif", layers=["probability"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, told)
    assert "map.tif" in str(raised.value)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("lost", [100, 3000])
def test_a_file_whose_end_was_never_written(run, scene, tmp_path, lost):
    spectrain.predict(run, scene, tmp_path / "map.tif", layers=["probability"])
    _require_whole(tmp_path / "map.tif")
    with (tmp_path / "map.tif").open("r+b") as file:
        file.truncate((tmp_path / "map.tif").stat().st_size - lost)
    with pytest.raises(OSError, match="end was not written"):
        _require_whole(tmp_path / "map.tif")


def test_ctrl_c_leaves_what_was_there(run, scene, tmp_path, monkeypatch):
    (tmp_path / "out.tif").write_text("older map")
    made = []

    def stop(self, seen):
        made.append(len(seen))
        assert list(tmp_path.glob(".map-*.tmp/*"))  # it is being written
        if len(made) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(module._Progress, "rows", stop)
    with pytest.raises(KeyboardInterrupt):
        spectrain.predict(run, scene, tmp_path / "out.tif", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out.tif"]
    assert (tmp_path / "out.tif").read_text() == "older map"


def test_what_a_killed_process_left_is_removed_and_nothing_of_others(run, scene, tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / f"{map_raster._prefix()}{dead.pid}-abc.tmp"
    others = [tmp_path / f"{map_raster._prefix()}{os.getpid()}-abc.tmp", tmp_path / ".map-00000000-1-abc.tmp"]
    for folder in (left, *others):
        folder.mkdir()
        (folder / "out.tif").touch()
    spectrain.predict(run, scene, tmp_path / "out.tif")
    assert not left.exists() and all((folder / "out.tif").exists() for folder in others)


def test_a_file_that_is_there_is_replaced_only_when_asked(run, scene, tmp_path):
    (tmp_path / "out_probability.tif").write_text("mine")
    with pytest.raises(RunError, match="is there already"):
        spectrain.predict(run, scene, tmp_path / "out.tif")
    assert [path.name for path in tmp_path.iterdir()] == ["out_probability.tif"]
    spectrain.predict(run, scene, tmp_path / "out.tif", overwrite=True)
    assert read(tmp_path / "out_probability.tif").shape == (1, *IMAGE.shape[1:])


def test_places_that_are_none_for_a_map(run, scene, tmp_path):
    with pytest.raises(RunError, match="a map is a GeoTIFF"):
        spectrain.predict(run, scene, tmp_path / "out.png")
    with pytest.raises(RunError, match="would replace the scene"):
        spectrain.predict(run, scene, scene, overwrite=True)
    (tmp_path / "f.tif").mkdir()
    with pytest.raises(RunError, match="is a folder"):
        spectrain.predict(run, scene, tmp_path / "f.tif", overwrite=True)


def test_layers_that_are_not_there(run, scene, tmp_path):
    with pytest.raises(SpectrainError, match="did you mean 'probability'"):
        spectrain.predict(run, scene, tmp_path / "out.tif", layers=["probabilty"])
    with pytest.raises(SpectrainError, match="needs several runs"):
        spectrain.predict(run, scene, tmp_path / "out.tif", layers=["spread"])


def test_a_task_without_maps(folder, data, scene, tmp_path):
    run = small.train(data, folder / "no_maps", "task=map_less")
    with pytest.raises(RunError, match="the task 'map_less' has no maps") as raised:
        spectrain.predict(run, scene, tmp_path / "out.tif")
    assert "spectrain embed" in str(raised.value)


def test_runs_that_do_not_go_together(folder, data, run, scene, tmp_path):
    named = small.train(data, folder / "named", "task.class_names=[water,land]")
    with pytest.raises(RunError, match=r"draw different maps.*class 0.*water"):
        spectrain.predict([run, named], scene, tmp_path / "out.tif")
    values = small.train(data, folder / "values", "task=map_regression")
    with pytest.raises(RunError, match="different tasks: segmentation and map_regression"):
        spectrain.predict([run, values], scene, tmp_path / "out.tif")
    larger = small.train(data, folder / "larger", "dataset.window=40")
    with pytest.raises(RunError, match="32 × 32 and 40 × 40"):
        spectrain.predict([run, larger], scene, tmp_path / "out.tif")
    spectrain.predict([run, larger], scene, tmp_path / "out.tif", window=48)


def test_a_dem_that_nothing_asks_for(run, scene, tmp_path):
    with pytest.raises(DataError, match="leave --dem out"):
        spectrain.predict(run, scene, tmp_path / "out.tif", dem=scene)


def test_a_halo_too_wide(run, scene, tmp_path):
    with pytest.raises(SpectrainError, match="0 to 15 px"):
        spectrain.predict(run, scene, tmp_path / "out.tif", halo=16)
    assert list(tmp_path.iterdir()) == []


def test_a_raster_among_the_runs_is_said_to_be_one(run, scene, tmp_path):
    with pytest.raises(RunError, match="stands where runs are named") as caught:
        spectrain.predict([run, scene], "probability", tmp_path / "made.tif")
    assert "--layers is said again" in str(caught.value.fix)


def test_an_export_for_other_programs_is_no_run(scene, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"any")
    with pytest.raises(RunError, match="an export for other programs"):
        spectrain.predict(tmp_path / "model.onnx", scene, tmp_path / "made.tif")


def test_an_array_without_a_place_is_no_scene(run, tmp_path):
    np.save(tmp_path / "scene.npy", np.zeros((3, 8, 8), "f4"))
    with pytest.raises(DataError, match="cannot be opened as a raster") as caught:
        spectrain.predict(run, tmp_path / "scene.npy", tmp_path / "made.tif")
    assert "write it as a GeoTIFF" in str(caught.value.fix)
