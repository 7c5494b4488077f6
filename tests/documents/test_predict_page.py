"""Every command and the Python of the page on maps, with small runs, and the figures that it states."""

from __future__ import annotations

import re
import shlex

import geopandas
import map_runs as small
import pytest
import rasterio
from blocks import DOCS, Block, blocks_of, commands

import spectrain
from spectrain.cli import main
from spectrain.inference.mapping.tiles import spacing

PAGE = "predict.md"
SHELL = [(block, command) for block in blocks_of(PAGE) if block.language == "sh" for command in commands(block)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predict_page")
    data = small.write_training(folder / "data")
    for seed, name in enumerate(("RUN", "OTHER")):
        small.train(data, folder / name, f"general.seed={seed}")
    small.write_scene(folder / "scene.tif", small.field(90, 130, seed=3))
    return folder


@pytest.mark.parametrize(("block", "command"), SHELL, ids=[command[:60] for _, command in SHELL])
def test_the_commands_of_the_page(folder, block: Block, command: str, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    words = shlex.split(command)
    assert words[:2] == ["spectrain", "predict"]
    with pytest.raises(SystemExit) as stopped:
        main(words[1:])
    assert not stopped.value.code
    written = capsys.readouterr().out.split()
    assert words[words.index("-o") + 1] in written
    for path in written:
        if path.endswith(".tif"):
            with rasterio.open(path) as file:
                assert file.shape == (90, 130)
        elif path.endswith(".parquet"):
            assert (geopandas.read_parquet(path)["area_m2"] >= 500).all()
        else:
            assert len(geopandas.read_file(path)) > 0


def test_the_files_are_those_of_the_page(folder, tmp_path):
    made = spectrain.predict([folder / "RUN", folder / "OTHER"], folder / "scene.tif", tmp_path / "map.tif")
    assert {path.name: layers for path, layers in made.maps.items()} == {
        "map.tif": ("class",),
        "map_probability.tif": ("probability", "spread"),
    }


def test_the_python_of_the_page(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    for block in blocks_of(PAGE):
        if block.language == "python":
            exec(compile(block.text, f"{PAGE}:{block.line}", "exec"), {})
    assert capsys.readouterr().out.startswith("python.tif ('class',)")


def test_the_table_of_halos():
    found = re.findall(r"^\| (\d+), (\d+).*\| (\d+) \| ([\d.]+) \|$", (DOCS / PAGE).read_text(), flags=re.MULTILINE)
    assert len(found) == 4
    for window, halo, stride, times in found:
        assert spacing(int(window), int(halo))[1] == int(stride)
        assert f"{(int(window) / int(stride)) ** 2:.1f}" == times
