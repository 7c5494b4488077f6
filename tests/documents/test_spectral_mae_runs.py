"""The document's command lines train, and what our page says of a finished run works as it is written there."""

from __future__ import annotations

import shlex
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from blocks import blocks_of, commands
from test_spectral_mae_page import COMMANDS

import spectrain
from spectrain import cli
from spectrain.demos import configuration
from spectrain.inference.embeddings import maps
from spectrain.runs.run import Run

SMALL = """\
dataset.csv_file: cubes.csv
dataset.valid_fraction: 0.25
hparams: {epochs: 2, valid_interval: 2}
metric.ssim: false
model.patch_size: [10, 5]
trackers: []
"""
SHALLOW = SMALL + "model.encoder_depth: 2\nmodel.decoder_depth: 1\n"
HUGE = {
    "model=mae_large",
    "model=mae_large hparams.batch_size=2",
    "model=mae_base",
    "model=mae_base hparams.batch_size=6",
}
"""Takes gigabytes of memory or checkpoints, and a quarter of a minute; the smaller sizes go the same way."""


def cubes(folder: Path, count: int, size: int) -> Path:
    """A list of cubes of 30 real bands, each of a participant of its own."""
    with h5py.File(Path(spectrain.demos.__file__).parent / "indian_pines.h5") as file:
        cube, wavelength = file["cube"][:30] / 1e4, file["wavelength_nm"][:30]
    rows = []
    for number in range(count):
        top, left = divmod(number * size, 140)
        window = np.resize(cube[:, top : top + size, left : left + size], (30, size, size))
        with h5py.File(folder / f"{number}.h5", "w") as file:
            file["Cube/Images"] = window.astype(np.float32)
            file["Cube/Wavelengths"] = wavelength
        rows.append({"ID": f"P{number:04d}", "label": "Control", "hs_file": f"{number}.h5"})
    pd.DataFrame(rows).to_csv(folder / "cubes.csv", index=False)
    return folder / "cubes.csv"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPECTRAIN_CONFIG", raising=False)
    cubes(tmp_path, 4, 20)
    return tmp_path


def main(words: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(words)
    assert not stopped.value.code


def run_of(folder: Path) -> Run:
    (place,) = [path.parent for path in folder.glob("runs/*/*/run.json")]
    return Run.open(place)


RUNNABLE = [line for line in COMMANDS if not line.startswith("general.device_ids")]


@pytest.mark.parametrize(
    "line", [pytest.param(line, marks=pytest.mark.slow) if line in HUGE else line for line in RUNNABLE]
)
def test_a_command_of_the_document_trains(here, line, capsys):
    (here / "small.yaml").write_text(SMALL if line.startswith("model=") else SHALLOW)
    words = [word for word in shlex.split(line) if "num_workers" not in word]  # sixteen processes for four cubes
    words = [word.replace("hparams.epochs=100", "hparams.epochs=2") for word in words]
    main(["train", "mae", *words, "--config", "small.yaml"])
    run = run_of(here)
    assert run.info["status"] == "finished" and run.info["steps"] >= 2
    table = pd.read_csv(run.folder / "metrics.csv")
    assert np.isfinite(table["loss_valid"].dropna()).all() and np.isfinite(table["loss_train"]).all()
    assert (run.folder / "report.html").is_file() and run.checkpoint("best").is_file()
    assert [*(run.folder / "plots").glob("mae_*.png")]


@pytest.mark.skipif(torch.cuda.is_available(), reason="they are there")
def test_gpus_that_are_not_there_are_named(here, capfd):
    (here / "small.yaml").write_text(SHALLOW)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["train", "mae", "general.device_ids=[0,1]", "--config", "small.yaml"])
    assert stopped.value.code
    said = capfd.readouterr().err
    assert said.count("the device 'cuda:0' is not there") == 1 and "general.device_ids" in said  # of two processes
    assert "Traceback" not in said and "****" not in said


@pytest.mark.slow
def test_a_full_size_step_of_tiny(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cubes(tmp_path, 2, 500)
    words = [
        "dataset.path=cubes.csv",
        "dataset.valid_fraction=0.5",
        "dataset.transform=log10_reflectance",
        "trackers=[]",
    ]
    words += ["hparams.epochs=1", "hparams.batch_size=1", "metric.ssim=false"]
    main(["train", "mae", "model=mae_tiny", *words])
    assert run_of(tmp_path).info["steps"] == 1


def lines() -> list[str]:
    """The commands of `docs/mae.md`."""
    return [line for block in blocks_of("mae.md") if block.language == "sh" for line in commands(block)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small run of the page's first command."""
    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        cubes(folder, 8, 20)
        with h5py.File(folder / "0.h5") as file:
            for name, step in (("cube.h5", 1), ("other_camera.h5", 2)):
                with h5py.File(folder / name, "w") as made:
                    made["cube"] = np.tile(file["Cube/Images"][::step], (1, 4, 4))
                    made["wavelength_nm"] = file["Cube/Wavelengths"][::step]
        line = next(line for line in lines() if line.startswith("spectrain train mae dataset.path=cube.h5"))
        less = ["model.encoder_depth=2", "model.decoder_depth=1", "hparams.epochs=1", "hparams.valid_interval=1"]
        main([*shlex.split(line)[1:], *less, "trackers=[]", "metric.ssim=false"])
        yield run_of(folder)


@pytest.mark.parametrize("line", [line for line in lines() if " RUN" in line])
def test_a_command_of_the_page_on_a_run(run, line, monkeypatch, tmp_path):
    monkeypatch.chdir(run.folder.parents[2])
    output = str(tmp_path / "embedded.h5")
    words = [str(run.folder) if word == "RUN" else word for word in shlex.split(line)[1:]]
    # of its own test is what it computes; its compiler takes a quarter of a minute
    monkeypatch.setattr(maps, "umap_positions", lambda rows, seed: np.zeros((len(rows), 2), np.float32))
    main([output if word == "embedded.h5" else word for word in words])
    if words[0] == "test":
        place = run.folder / "test" / ("other_camera" if "--data" in words else "cube")
        (folder,) = [path for path in place.iterdir() if path.is_dir()]
        assert (place / "index.html").is_file() and (place / "tests.json").is_file()
        left = {path.name for path in folder.iterdir()}
        assert {"metrics.csv", "images.csv", "wavelengths.csv", "pictures"} <= left
    if "--umap" in words:
        with h5py.File(output) as file:
            assert any(name.endswith("_umap") for name in file)


def test_the_python_of_the_page(run, monkeypatch):
    monkeypatch.chdir(run.folder.parents[2])
    (block,) = [block for block in blocks_of("mae.md") if block.language == "python"]
    names = {"RUN": run.folder}
    exec(compile(block.text, "docs/mae.md", "exec"), names)
    assert names["stride"] == 8 and names["features"].shape[1] == 192
    assert len(names["results"].wavelengths["rmse"]) == 30


def test_the_demo_is_a_configuration():
    cfg = configuration("mae")
    patches = spectrain.open_patches(cfg.dataset.path, "train", cfg.dataset)
    assert patches.shape[1:] == (50, 32, 32) and len(patches) > 100
