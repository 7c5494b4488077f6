"""The files of the demos: readable, small, with source and licence, and made by the script beside them."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import spectrain.demos
from spectrain.core.errors import SpectrainError
from spectrain.demos import DATA, DEMOS, configuration
from spectrain.demos.build import DAYS, SEEN, SIDE, build
from spectrain.demos.chain import CHAINS
from spectrain.demos.ending import LEARNED, ended, positives

rasterio = pytest.importorskip("rasterio")
FOLDER = Path(spectrain.demos.__file__).parent
SOURCE = Path(__file__).resolve().parents[3] / "shared" / "data"
FILES = [name for chain in CHAINS.values() for name in chain.files]


def test_every_file_is_named_with_its_source_and_licence():
    page = (FOLDER / "README.md").read_text()
    sections = page.split("\n`")[1:]
    for path in FOLDER.iterdir():
        if path.suffix not in (".py", ".md", ".yaml") and path.is_file():
            (section,) = [one for one in sections if f"{path.name}`" in one.split(":")[0].replace("\n", " ")]
            assert "| taken from |" in section and ("MIT" in section or "BSD" in section), path.name


def test_the_scenes_are_small():
    assert sum((FOLDER / name).stat().st_size for name in FILES) < 400_000


def test_the_elevation_is_in_metres_and_says_what_is_missing():
    with rasterio.open(FOLDER / "buildings.tif") as file:
        values, missing = file.read(masked=True) * np.array(file.scales)[:, None, None], file.nodata
        assert file.descriptions == ("dsm", "dtm", "hag") and set(file.units) == {"m"} and missing == -32768
    assert 6 < values.min(axis=(1, 2))[0] < 8 and 50 < values.max() < 55
    assert values.mask.sum(axis=(1, 2)).tolist() == [0, 276, 0]


def test_pixels_that_are_given_lie_in_the_scene_and_are_few():
    with rasterio.open(FOLDER / "ndvi.tif") as file:
        assert file.descriptions == tuple(DAYS) and file.shape == (SIDE, SIDE)
        with (FOLDER / "ndvi_seen.csv").open(newline="") as table:
            rows = [[float(row[name]) for name in ("x", "y", "ndvi")] for row in csv.DictReader(table)]
        places = {file.index(x, y) for x, y, _ in rows}
        days = file.read() * 0.001
    assert len(places) == len(rows) == pytest.approx(SEEN * SIDE**2, rel=0.1)
    assert all(0 <= row < SIDE and 0 <= column < SIDE for row, column in places)
    found, day = np.array([row[2] for row in rows]), list(DAYS).index("ndvi_27nov")
    before = np.array([days[day, row, column] for row, column in places_of(rows)])
    assert np.corrcoef(found, before)[0, 1] > 0.7  # ten days lie between: it is the same ground


def places_of(rows):
    with rasterio.open(FOLDER / "ndvi.tif") as file:
        return [file.index(x, y) for x, y, _ in rows]


@pytest.mark.skipif(not (SOURCE / "elevation_buildings").is_dir(), reason=f"{SOURCE} is absent")
def test_the_script_makes_the_files_that_are_there(tmp_path):
    for made in build(SOURCE, tmp_path):
        if made.suffix == ".tif":
            with rasterio.open(made) as new, rasterio.open(FOLDER / made.name) as old:
                np.testing.assert_array_equal(new.read(), old.read())
                assert (new.crs, new.transform, new.scales) == (old.crs, old.transform, old.scales)
        else:
            assert made.read_text() == (FOLDER / made.name).read_text()


def test_every_demo_says_what_was_learned():
    assert set(LEARNED) == set(DEMOS) == {"contrastive", "mae", "segmentation", "regression"}


@pytest.mark.parametrize("task", CHAINS)
def test_a_demo_without_a_test_says_the_rest(tmp_path, monkeypatch, task):
    """As by hparams.test_at_end=false or general.debug=true."""
    monkeypatch.chdir(tmp_path)
    run = SimpleNamespace(
        folder=tmp_path / "runs" / "one", info={"status": "finished", "learned": LEARNED[task](tmp_path)}
    )
    lines = ended(task, run)
    assert lines[0] == "go on with:" and not any(line.startswith("the test") for line in lines)
    assert lines[-1] == "the report: runs/one/report.html"


@pytest.mark.parametrize(
    ("task", "word", "found"),
    [
        ("contrastive", "epochs=2", lambda cfg: cfg.hparams.epochs == 2 and cfg.model.options.feat_dim == 64),
        ("contrastive", "hparams.nb_epochs=2", lambda cfg: cfg.hparams.epochs == 2),
        ("contrastive", "images_file=mine.h5", lambda cfg: cfg.dataset.path == "mine.h5"),
        ("mae", "scheduler=none", lambda cfg: cfg.scheduler.name == "none"),
        ("mae", "model=mae_medium", lambda cfg: cfg.model.options.embed_dim != 96),
        ("segmentation", "model.encoder=resnet34", lambda cfg: cfg.model.options.encoder == "resnet34"),
        (
            "regression",
            "dataset.path=mine",
            lambda cfg: cfg.dataset.path == "mine" and cfg.task.options.names == ["ndvi"],
        ),
    ],
)
def test_the_words_of_the_user_win_over_those_of_the_demo(task, word, found):
    assert found(configuration(task, [word]))


def test_the_demo_takes_its_own_data_whatever_is_a_default_of_the_user(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("spectrain.toml").write_text("[spectrain.dataset]\npath = 'mine.h5'\n")
    assert configuration("contrastive").dataset.path == str(DATA["contrastive"])


def test_an_unknown_demo_names_those_that_there_are():
    with pytest.raises(SpectrainError) as caught:
        spectrain.demo("nosuch")
    assert all(name in str(caught.value) for name in DEMOS)


def test_the_share_of_positives_follows_from_three_rates():
    assert positives(0.5 * 0.25 + 0.9 * 0.75, 0.5, 0.9) == pytest.approx(0.25)
    assert np.isnan(positives(0.5, 0.5, 0.5))
