"""What the two documents on contrastive learning promise, and every block of code on our page about it."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from blocks import Block, blocks_of, commands

import spectrain
from spectrain.cli import main
from spectrain.config import load_config

pytestmark = pytest.mark.usefixtures("narrow")

HERE = Path(__file__).parent
PAGE = "contrastive.md"
QUICK = {"hparams.epochs": "1", "model.stem": "large", "general.device": "cpu", "hparams.plot_interval": "0"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder as the page supposes it: images with labels and metadata, three bands with gaps, an options file."""
    folder = tmp_path_factory.mktemp("page")
    rng = np.random.default_rng(0)
    rows = []
    with h5py.File(folder / "images.h5", "w") as file:
        for split, count in (("train", 8), ("valid", 6)):
            file[split] = rng.normal(size=(count, 1, 42, 42)).astype(np.float32)
            file[f"{split}_labels"] = np.arange(count) % 2
            depth = rng.normal(size=count)
            rows.append(pd.DataFrame({"split": split, "index_in_split": np.arange(count), "depth": depth}))
    pd.concat(rows).to_csv(folder / "images_meta.csv", index=False)
    with h5py.File(folder / "colour.h5", "w") as file:
        for split in ("train", "valid"):
            images = rng.lognormal(size=(6, 3, 42, 42)).astype(np.float32)
            images[rng.random(images.shape) < 0.3] = np.nan
            file[split] = images
    shutil.copy(HERE / "nenya_options.json", folder / "opts.json")
    return folder


@pytest.fixture(scope="module")
def run(folder) -> Path:
    words = [f"dataset.path={folder / 'images.h5'}", f"artifact_dir={folder / 'runs'}"]
    quick = [f"{key}={value}" for key, value in QUICK.items()]
    return spectrain.train("contrastive", overrides=[*words, *quick, "model.feat_dim=16"]).folder


@pytest.mark.parametrize("name", ["nenya_options.json", "nenya_options_older.json"])
def test_the_options_train_as_printed(folder, name, monkeypatch, caplog):
    monkeypatch.chdir(folder)
    assert load_config("contrastive", config=HERE / name).model.backbone == "resnet50"
    backbone = "resnet18" if "older" in name else "resnet50"  # once is enough for what takes so long
    words = ["dataset.path=images.h5", f"model.backbone={backbone}"]
    run = spectrain.train("contrastive", config=HERE / name, overrides=words, debug=True)
    assert run.info["status"] == "finished"
    if backbone == "resnet50":
        published = spectrain.SupConResNet("resnet50", feat_dim=128, in_channels=1)  # 27.958 million in full width
        assert run.info["parameters"] == sum(one.numel() for one in published.parameters())
    assert run.folder.is_relative_to(folder / "models" / "v5")
    derived = f"SimCLR_{backbone}_lr_0.05_decay_0.0001_bsz_64_temp_0.07_trial_0_cosine"
    assert run.info["derived_names"]["model_name"] == derived
    with h5py.File(run.folder / "curves.h5") as file:
        assert {"loss_train", "loss_step_train", "loss_avg_train"} <= set(file)
        assert {"loss_valid", "loss_step_valid", "loss_avg_valid"} <= set(file)
        assert file["loss_train"].shape == (2,)
        assert file["loss_step_train"].shape == file["loss_avg_train"].shape == (2,)  # one step an epoch
        assert np.isfinite(file["loss_valid"]).all()
    assert ("under a quarter" in caplog.text) == ("older" in name)


def test_supcon_trains_with_labels_from_the_file(folder, tmp_path):
    options = json.loads(json.dumps({"ssl_method": "SupCon", "ssl_model": "resnet18", "images_file": "images.h5"}))
    (tmp_path / "opts.json").write_text(json.dumps({**options, "data_folder": str(folder)}))
    quick = [f"{key}={value}" for key, value in QUICK.items()]
    run = spectrain.train("contrastive", config=tmp_path / "opts.json", overrides=[*quick, f"out_dir={tmp_path / 'r'}"])
    assert run.info["status"] == "finished"


PYTHON = [block for block in blocks_of(PAGE) if block.language == "python"]
SHELL = [(block, command) for block in blocks_of(PAGE) if block.language == "sh" for command in commands(block)]


def test_the_python_of_the_page(folder, monkeypatch):
    """One block after the other, as a reader would type them; only the size of the model is smaller."""
    monkeypatch.chdir(folder)
    options = (HERE / "nenya_options.json").read_text().replace("resnet50", "resnet18")
    Path("opts.json").write_text(options)
    Path("spectrain.toml").write_text('[spectrain]\n"model.stem" = "large"\n')
    names: dict[str, object] = {}
    try:
        for block in PYTHON:
            exec(compile(block.text, f"{PAGE}:{block.line}", "exec"), names)
    finally:
        Path("spectrain.toml").unlink()
        Path("opts.json").write_text((HERE / "nenya_options.json").read_text())
    assert len(names["losses_step"]) == len(names["losses_avg"]) == len(names["loader"])
    assert names["meter"].avg == names["loss_train"].mean() or names["meter"].count == 64
    assert names["loss_step_train"].shape == names["loss_avg_train"].shape
    np.testing.assert_allclose(np.linalg.norm(names["latents"], axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("block", "command"),
    [
        pytest.param(
            block, command, id=command[:60], marks=[pytest.mark.slow] if command.startswith("torchrun") else []
        )
        for block, command in SHELL
    ],
)
def test_the_commands_of_the_page(folder, run, block: Block, command: str, monkeypatch, request, capsys):
    monkeypatch.chdir(folder)
    words = shlex.split(command.replace("RUN", str(run)))
    assert words[0] in ("spectrain", "torchrun")
    if "last.pth" in command:
        from published import write_published

        write_published(folder / "last.pth", "resnet18")
    if "nenya.pt" in command and "import-weights" not in command:
        assert (folder / "nenya.pt").is_file()  # made by the command before
    if words[1] == "train":
        given = {word.split("=", 1)[0] for word in words}
        words += [f"{key}={value}" for key, value in QUICK.items() if key not in given and "nenya.pt" not in command]
        if "nenya.pt" in command:
            words += ["hparams.epochs=1", "general.device=cpu", "hparams.plot_interval=0"]
        elif "model.backbone" not in given:
            words.append("model.backbone=resnet18")
    if words[0] == "torchrun":
        at = words.index("-m") + 2
        more = [*words[at:], *(f"{key}={value}" for key, value in QUICK.items()), "model.backbone=resnet18"]
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", *words[1:at], *more]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return
    succeeds(words[1:])
    assert "nan" not in capsys.readouterr().err


def succeeds(words: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert not stopped.value.code


def test_every_option_of_the_documents_is_on_the_page():
    import json5

    text = (HERE.parents[1] / "docs" / PAGE).read_text()
    for name in ("nenya_options.json", "nenya_options_older.json"):
        for key in json5.loads((HERE / name).read_text()):
            assert f"`{key}" in text or f"{key}`" in text or f", `{key}" in text, key
