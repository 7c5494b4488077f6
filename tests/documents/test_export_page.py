"""Every block of code on the page about exports, in its order."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from blocks import blocks_of, commands
from exported_runs import QUICK, train, write_patches

import spectrain
from spectrain.cli import main

PAGE = "export.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Patches, a run of them called slumps, and a scene."""
    folder = tmp_path_factory.mktemp("page")
    patches = write_patches(folder)
    train(patches, folder / "run", "run_name=slumps", "model.standardise=limits")
    rows = spectrain.open_patches(patches, "valid").read(np.array([0])).image[0]
    place = rasterio.transform.from_origin(360000, 5800000, 10, 10)
    profile = {"count": 4, "height": 64, "width": 64, "dtype": "uint16", "crs": "EPSG:32633", "transform": place}
    with rasterio.open(folder / "scene.tif", "w", "GTiff", **profile) as file:
        file.write(rows)
        file.scales, file.offsets = (1e-4, 1e-4, 1e-4, 1e-2), (0, 0, -1, 0)
        for number, name in enumerate(("red", "nir", "ndvi", "slope"), start=1):
            file.set_band_description(number, name)
    return folder


@pytest.mark.slow
def test_the_page(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    done = 0
    for block in blocks_of(PAGE):
        if block.language == "python":
            exec(compile(block.text, f"{PAGE}:{block.line}", "exec"), names)
            continue
        for command in commands(block):
            command = f"{command} "
            for name, value in {"RUN": "run", "DATA": "patches.zarr"}.items():
                command = command.replace(f" {name} ", f" {value} ").replace(f"={name} ", f"={value} ")
            (converted,) = list(Path("converted").glob("slumps_*.ckpt")) or [Path("none")]
            words = shlex.split(command.replace("converted/slumps_DATE.ckpt", str(converted)))
            if words[1] == "train":
                given = {word.partition("=")[0] for word in words}
                words += [word for word in QUICK if word.partition("=")[0] not in given]
                words.append(f"out_dir=trained_{done}")
            with pytest.raises(SystemExit) as stopped:
                main(words[1:])
            assert not stopped.value.code, (command, capsys.readouterr().err)
            done += 1
    assert done == 10
    assert names["bands"] == ["red", "nir", "ndvi", "slope"]
    assert names["logits"].shape == (1, 1, 100, 130) and np.isfinite(names["logits"]).all()
    assert names["logits_of_torch"].shape == (2, 1, 64, 64) and torch.isfinite(names["logits_of_torch"]).all()
    assert {"slumps", "slumps.onnx", "slumps.pt2", "converted", "darts.pt", "map.tif"} <= {
        path.name for path in folder.iterdir()
    }
