"""The commands of docs/prepare.md, run as they are written on the real data that they name."""

from __future__ import annotations

import contextlib
import shlex

import numpy as np
import pandas as pd
import pytest
import rasterio
from blocks import blocks_of, commands
from test_presets import BANDS, CONFIG, planet

from spectrain.cli import main
from spectrain.data.opening import open_patches

COMMANDS = [line for block in blocks_of("prepare.md") if block.language == "sh" for line in commands(block)]
SETS = (
    "ocean_sst",
    "elevation_buildings",
    "s2_barkbeetle",
    "s1s2_flood_spain",
    "s2_majortom_thailand",
    "regression_dem",
)


@pytest.fixture(scope="module")
def folder(shared_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    for name in SETS:
        (folder / name).symlink_to(shared_data / name)
    with rasterio.open(shared_data / "regression_dem" / "s2_santarem_srtm_sparse.tif") as file:
        heights, place = file.read(1), file.transform
    row, column = np.nonzero(np.isfinite(heights))
    lon, lat = rasterio.transform.xy(place, row, column)
    shots = {"lon": lon, "lat": lat, "height": heights[row, column], "quality": 1, "sensitivity": 0.95}
    pd.DataFrame(shots).to_csv(folder / "shots.csv", index=False)
    planet(shared_data, folder / "large-storage")
    (folder / "configs").mkdir()
    text = CONFIG.format(bands=BANDS, folder="large-storage")
    (folder / "configs" / "planet-sweep-config.toml").write_text(text)
    return folder


def test_the_page_has_commands():
    assert len(COMMANDS) == 8


@pytest.mark.parametrize("line", COMMANDS)
def test_command(line, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    program, *words = shlex.split(line)
    assert program == "spectrain"
    with contextlib.suppress(SystemExit):  # where nothing failed
        main(words)
    said = capsys.readouterr().out
    assert "failed" not in said
    if words[1] == "patches":
        assert "train" in said and len(open_patches(folder / words[-1], "train"))
        return
    assert "cross-val" in said
    if "-o" in words:
        patches = open_patches(folder / words[-1] / "cross-val.zarr", "cross-val")
        assert len(patches) and patches.preparation is not None
