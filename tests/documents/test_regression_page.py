"""From pairs to a map with its uncertainty: the commands of our page on regression, as they are printed."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from blocks import blocks_of, commands

from spectrain.cli import main

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))
import regression_runs as small

pytestmark = pytest.mark.usefixtures("undrawn")

QUICK = ["model=pixel_net", "hparams.epochs=2", "hparams.batch_size=2", "optimizer.lr=3e-2", "trackers=[]"]
QUICK += ["general.device=cpu", "hparams.plot_interval=0", "hparams.save_freq=0", "general.threads=1"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    images, labels = small.write_pairs(folder, counts=(4, 3, 2))
    shutil.move(images, folder / "images")
    shutil.move(labels, folder / "labels")
    small.write_scene(folder / "scene.tif", 20, 30)
    return folder


def follow(block: str, folder: Path, monkeypatch) -> list[str]:
    """Run the commands of a block in a folder; return their verbs."""
    monkeypatch.chdir(folder)
    verbs = []
    for line in commands(block):
        words = shlex.split(line)[1:]
        run = [str(path.parent) for path in folder.glob("runs/*/*/run.json")]
        words = [run[0] if word == "RUN" else word for word in words]
        words += QUICK if words[0] == "train" else ["--overwrite"] if words[0] == "predict" else []
        with pytest.raises(SystemExit) as stopped:
            main(words)
        assert not stopped.value.code, line
        verbs.append(words[0])
    return verbs


def bands(path: Path) -> tuple[str, ...]:
    with rasterio.open(path) as file:
        assert np.isfinite(file.read()).any()
        return tuple(str(name).split()[0] for name in file.descriptions)


def test_one_model(place, monkeypatch):
    assert follow(blocks_of("regression.md")[0], place, monkeypatch) == ["train", "test", "predict"]
    assert bands(place / "map.tif") == ("mean", "aleatoric", "lower", "upper")


def test_five_models_and_runs_of_ones_own(place, monkeypatch, tmp_path):
    assert follow(blocks_of("regression.md")[1], place, monkeypatch) == ["train", "predict"]
    assert bands(place / "map.tif") == ("mean", "aleatoric", "epistemic", "predictive", "lower", "upper")
    members = [str(place / "five" / f"model_{number}") for number in range(1, 6)]
    with pytest.raises(SystemExit) as stopped:
        main(["test", *members[:3], "-o", str(tmp_path / "folder")])
    assert not stopped.value.code and (tmp_path / "folder" / "tests.json").is_file()


def test_the_files_that_the_page_names(place, monkeypatch):
    folder = next(place.glob("runs/*/*/test/images/test"), None)
    if folder is None:
        follow(blocks_of("regression.md")[0], place, monkeypatch)
        folder = next(place.glob("runs/*/*/test/images/test"))
    for name in ("calibration.csv", "predictions.npy", "targets.npy", "variances.npy", "pictures"):
        assert (folder / name).exists()
