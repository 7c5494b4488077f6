"""From scenes to a tested map: the commands of our page on segmentation, as they are printed."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import rasterio
from blocks import blocks_of, commands

from spectrain.cli import main

QUICK = ["hparams.epochs=1", "hparams.valid_interval=1", "hparams.batch_size=2", "hparams.plot_interval=0"]
SIDE = 64


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Scenes of four bands far from each other, in which what is bright in the infrared is of class 1."""
    folder, draw = tmp_path_factory.mktemp("chain"), np.random.default_rng(0)
    for name in ("scenes", "masks"):
        (folder / "data" / name).mkdir(parents=True)
    for number in range(8):
        coarse = draw.integers(200, 2500, (4, SIDE // 8, SIDE // 8)).repeat(8, 1).repeat(8, 2)
        image = (coarse + draw.normal(0, 40, coarse.shape)).clip(1).astype(np.uint16)
        grid = {
            "driver": "GTiff",
            "height": SIDE,
            "width": SIDE,
            "crs": "EPSG:32633",
            "transform": rasterio.Affine(10, 0, 400_000 + 20_000 * number, 0, -10, 5_500_000),
        }
        file = "new" if number == 7 else f"s{number}"
        with rasterio.open(
            folder / "data" / "scenes" / f"{file}.tif", "w", count=4, dtype="uint16", nodata=0, **grid
        ) as out:
            out.write(image)
            out.descriptions = ("blue", "green", "red", "nir")
        with rasterio.open(folder / "data" / "masks" / f"{file}.tif", "w", count=1, dtype="uint8", **grid) as out:
            out.write((coarse[3] > 1500).astype(np.uint8), 1)
    return folder


def run_in(folder: Path, words: list[str], monkeypatch) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert not stopped.value.code


def test_the_commands_of_the_page(place, monkeypatch, capsys):
    lines = commands(blocks_of("segmentation.md")[0])
    assert [line.split()[1] for line in lines] == ["prepare", "train", "test", "predict"]
    for line in lines:
        words = shlex.split(line)[1:]
        run = [str(path.parent) for path in place.glob("runs/*/*/run.json")]
        words = [run[0] if word == "RUN" else word for word in words]
        if words[0] == "prepare":
            words += ["patch-size=32", "folds=2"]
        run_in(place, words + (QUICK if words[0] == "train" else []), monkeypatch)
    (tests,) = place.glob("runs/*/*/test/*/tests.json")
    record = json.loads(tests.read_text())
    assert list(record["splits"]) == ["val-test"] and record["splits"]["val-test"]["intervals_over"] == "scene"
    assert (tests.parent / "index.html").stat().st_size > 10_000
    with rasterio.open(place / "map.tif") as found:
        classes = found.read(1)
        assert classes.shape == (SIDE, SIDE) and set(np.unique(classes)) <= {0, 1} and found.crs.to_epsg() == 32633


def test_the_examples_of_the_page(shared_data, tmp_path, monkeypatch, capsys):
    for name in ("s1s2_flood_spain", "elevation_buildings"):
        (tmp_path / name).symlink_to(shared_data / name)
    lines = commands(blocks_of("segmentation.md")[2])
    assert [line.split()[1] for line in lines] == ["prepare", "train", "test", "predict"] * 2
    for line in lines:
        words = [str(next(tmp_path.glob(word))) if word.startswith("runs/") else word for word in shlex.split(line)[1:]]
        more = {"train": ["--hparams.epochs", "1"], "predict": ["--halo", "0"]}.get(words[0], [])
        run_in(tmp_path, [word for word in words if "epochs" not in word] + more, monkeypatch)
    for name, file in (
        ("flood", "s1s2_flood_spain/LabelHand.tif"),
        ("buildings", "elevation_buildings/building_mask.tif"),
    ):
        with rasterio.open(tmp_path / f"{name}.tif") as found, rasterio.open(tmp_path / file) as labels:
            assert found.shape == labels.shape and found.crs == labels.crs
            assert np.allclose(found.transform, labels.transform, rtol=1e-5)
            assert found.read(1).max() <= 1
    assert (tmp_path / "outlines.geojson").is_file()


def test_the_other_command_names_a_pair_that_goes_together():
    from spectrain.config import load_config

    (line,) = commands(blocks_of("segmentation.md")[1])
    cfg = load_config("segmentation", overrides=[word for word in shlex.split(line) if "=" in word])
    assert cfg.model.arch == "UPerNet" and cfg.model.encoder == "tu-convnextv2_tiny"
