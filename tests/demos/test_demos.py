"""Each demo by the command in an empty folder: short in the quick set, whole in the slow one."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from html import escape
from pathlib import Path

import pytest
from warm_processes import run

pytest.importorskip("rasterio")
pytest.importorskip("segmentation_models_pytorch")


def demo(folder: Path, task: str, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "SPECTRAIN_CACHE": ""}
    return run(["demo", task, *words], cwd=folder, env=env)


def lines_of(folder: Path, task: str, *words: str) -> list[str]:
    """Run a demo and return what it printed at its end, after what holds for all: the page, named last, is there."""
    done = demo(folder, task, *words)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout[done.stdout.index("\nlearned") + 1 :].splitlines()
    assert lines[-1].startswith("the report: ")
    page = (folder / lines[-1].removeprefix("the report: ")).read_text()
    assert 10_000 < len(page) < 5_000_000
    assert escape(lines[0].removeprefix("learned")) in page
    assert ("<h3>Map</h3>" in page) == (task in ("segmentation", "regression"))
    return lines


@pytest.mark.parametrize(
    ("task", "maps"),
    [
        ("segmentation", {"map.tif", "map_probability.tif", "map.geojson"}),
        pytest.param("regression", {"map.tif"}, marks=pytest.mark.slow),  # half a minute for the same lines
    ],
)
def test_a_short_demo_leaves_pages_a_map_and_commands_that_are_right(tmp_path, task, maps):
    words = ["hparams.epochs=1", "hparams.valid_interval=1", "model=smp", "model.encoder=tu-mobilenetv3_small_050"]
    lines = lines_of(tmp_path, task, *words)
    assert {one.name for one in tmp_path.iterdir()} == {"runs", f"demo-{task}"}
    shown = dict(line.split(": ", 1) for line in lines if ": " in line and not line.startswith("learned"))
    assert (tmp_path / shown["the test"]).is_file()
    assert {Path(one).name for one in shown["the map"].split(", ")} == maps
    assert all((tmp_path / one).is_file() for one in shown["the map"].split(", "))
    commands = [shlex.split(line) for line in lines if line.startswith("  spectrain ")]
    assert [command[1] for command in commands] == ["train", "test", "predict"]
    done = run(commands[2][1:], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / commands[2][commands[2].index("-o") + 1]).is_file()


# --- whole


def numbers(line: str) -> list[float]:
    return [float(one) for one in re.findall(r"(?<![\w.])\d+(?:\.\d+)?", line)]


@pytest.mark.slow
def test_buildings_are_found(tmp_path):
    found, accuracy, _, background = numbers(lines_of(tmp_path, "segmentation")[0])
    assert found > 0.53 and accuracy > background + 0.03


@pytest.mark.slow
def test_the_greenness_of_a_day_is_told(tmp_path):
    count, error, mean, held, _ = numbers(lines_of(tmp_path, "regression")[0])
    assert count > 50 and error < 0.6 * mean and held >= 75


@pytest.mark.slow
def test_hidden_spectra_are_filled_in(tmp_path):
    error, mean = numbers(lines_of(tmp_path, "mae")[0])
    assert error < 0.7 * mean


@pytest.mark.slow
def test_features_of_the_ocean_tell_its_range(tmp_path):
    line = lines_of(tmp_path, "contrastive")[0]
    assert int(re.search(r"explains (\d+) %", line)[1]) > 70
