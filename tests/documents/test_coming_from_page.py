"""The page for those who come from elsewhere: each command composes, and (slow) each is run on small data."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from blocks import DOCS

from spectrain.cli import main
from spectrain.cli.app import app

PAGE = (DOCS / "coming-from.md").read_text()
ROWS = [line.split("|")[3] for line in PAGE.splitlines() if line.startswith("| ")][1:]
COMMANDS = [command for row in ROWS for command in re.findall(r"`(spectrain [^`]+)`", row)]
ELSEWHERE = ("prepare planet", "sweep")
"""Run as they are in test_prepare_page.py (on real scenes) and in test_sweep_document.py."""
SMALL = ["hparams.epochs=1", "trackers=[]", "general.device=cpu", "hparams.plot_interval=0", "general.threads=1"]


def run(words: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert not stopped.value.code, shlex.join(words)


def test_each_system_has_its_rows():
    systems = re.findall(r"^\| \*\*(.+?)\*\*", PAGE, re.MULTILINE)
    assert systems == ["Nenya", "SpectralEye", "DARTS", "AGB U-Net", "TorchGeo"]
    assert len(ROWS) == 15 and len(COMMANDS) == 15


@pytest.mark.parametrize("command", dict.fromkeys(COMMANDS))
def test_a_command_is_understood(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command)[1:]
    write_files(tmp_path)
    if words[0] == "train":
        run([*words, "--cfg", "job"])
        assert capsys.readouterr().out.startswith("# The whole configuration")
    else:
        called, bound, unused = app.parse_args(words, print_error=False, exit_on_error=False)[:3]
        assert bound.arguments and not unused, called


def write_files(folder: Path) -> None:
    """The options files that the commands name, as the documents print them."""
    from test_spectral_mae_page import FOLDER

    here = Path(__file__).parent
    shutil.copy(here / "nenya_options.json", folder / "opts.json")
    for name, text in FOLDER.items():
        (folder / "conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "conf" / name).write_text(text)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with small data of every kind that the commands name."""
    import h5py
    import numpy as np
    import regression_runs as pairs
    import torch
    from published import write_published
    from published_unet import published_weights
    from test_spectral_mae_runs import cubes

    folder = tmp_path_factory.mktemp("from")
    write_files(folder)
    draw = np.random.default_rng(0)
    with h5py.File(folder / "images.h5", "w") as file:
        for split in ("train", "valid"):
            file[split] = draw.normal(size=(6, 1, 42, 42)).astype(np.float32)
    write_published(folder / "last.pth", "resnet18")
    cubes(folder, 4, 20)
    for name, old, new in (
        ("config.yaml", "  device_ids: [0, 1, 2]  # Multi-GPU setup\n", ""),
        ("model/mae_medium.yaml", "[25, 5]", "[10, 5]"),
        ("dataset/segmentation_dataset.yaml", "/path/to/dataset.csv", "cubes.csv"),
    ):
        text = (folder / "conf" / name).read_text()
        assert old in text
        (folder / "conf" / name).write_text(text.replace(old, new))
    write_rasters(folder / "tiles", "images", "masks")
    write_rasters(folder / "data", "scenes", "masks")
    images, labels = pairs.write_pairs(folder, counts=(4, 3, 2))
    images.rename(folder / "images")
    labels.rename(folder / "labels")
    pairs.write_scene(folder / "scene.tif", 20, 30)
    torch.save(published_weights(3), folder / "checkpoint.pth")
    return folder


def write_rasters(folder: Path, images: str, masks: str) -> None:
    """Six rasters of four bands, far from each other, and where the last of them is bright."""
    import numpy as np
    import rasterio

    draw = np.random.default_rng(0)
    for name in (images, masks):
        (folder / name).mkdir(parents=True)
    for number in range(6):
        image = draw.integers(1, 2500, (4, 32, 32)).repeat(8, 1).repeat(8, 2).astype(np.uint16)
        place = rasterio.Affine(10, 0, 400_000 + 20_000 * number, 0, -10, 5_500_000)
        grid = {"driver": "GTiff", "height": 256, "width": 256, "crs": "EPSG:32633", "transform": place}
        with rasterio.open(folder / images / f"{number}.tif", "w", count=4, dtype="uint16", nodata=0, **grid) as out:
            out.write(image)
        with rasterio.open(folder / masks / f"{number}.tif", "w", count=1, dtype="uint8", **grid) as out:
            out.write((image[3] > 1500).astype(np.uint8), 1)


OF_RECIPE = {
    "contrastive": ["model.stem=large"],
    "mae": ["model.encoder_depth=1", "model.decoder_depth=1", "metric.ssim=false", "dataset.valid_fraction=0.25"],
    "segmentation": ["hparams.batch_size=2", "hparams.valid_interval=1"],
    "regression": ["hparams.batch_size=2"],
}


def made_small(words: list[str]) -> list[str]:
    """A training that is over in seconds: the words of the page, and others besides."""
    more = [*SMALL, *OF_RECIPE[words[1]]]
    if words[1] == "mae" and "--config" not in words:  # whose file says it
        more.append("model.patch_size=[10,5]")
    return [*words, *more]


@pytest.mark.slow
def test_the_commands_run_one_after_the_other(place, monkeypatch):
    monkeypatch.chdir(place)
    prepare = shlex.split(COMMANDS[-1])[1:]
    run([*prepare[:-1], "prepared", "test-val-split=0.2"])  # for `darts train-smp`
    latest = None
    for command in COMMANDS:
        words = [str(latest) if word == "RUN" else word for word in shlex.split(command)[1:]]
        if " ".join(words).startswith(ELSEWHERE):
            continue
        run(made_small(words) if words[0] == "train" else words)
        if words[0] == "train":
            latest = max(place.rglob("run.json"), key=lambda path: path.stat().st_mtime_ns).parent
            assert (latest / "curves.h5").is_file() and (latest / "report.html").is_file()
        if words[0] == "test":
            assert next(latest.glob("test/*/tests.json")).is_file()
    for made in ("nenya.pt", "patches/cross-val.zarr", "map.tif", "weights/epoch_0001.pt"):
        assert (place / made).exists(), made
