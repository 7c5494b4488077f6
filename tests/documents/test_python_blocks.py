"""The Python of the README and of the page on the native form, run as it is printed."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from blocks import blocks_of

from spectrain.core.bands import Band, Bands
from spectrain.data.native.writer import NativeWriter
from spectrain.data.patches import Rows
from spectrain.data.sparse_labels import SparseLabels


def run(page: str) -> dict[str, object]:
    """Run the Python blocks of a page, one after the other; return the names that they leave."""
    names: dict[str, object] = {}
    found = [block for block in blocks_of(page) if block.language == "python"]
    assert found, f"{page} has no Python"
    for block in found:
        exec(compile(block.text, f"{page}:{block.line}", "exec"), names)
    return names


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch) -> Path:
    """A folder with personal defaults that make every training tiny."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPECTRAIN_CONFIG", raising=False)
    tiny = {"model.stem": "large", "hparams.plot_interval": 0, "general.device": "cpu", "general.debug": True}
    lines = [f"{json.dumps(key)} = {json.dumps(value)}" for key, value in tiny.items()]
    Path("spectrain.toml").write_text("\n".join(["[spectrain]", *lines]))
    return tmp_path


def test_readme():
    with h5py.File("my_images.h5", "w") as file:
        for split, count in (("train", 4), ("valid", 2)):
            file[split] = np.random.default_rng(0).normal(size=(count, 1, 32, 32)).astype(np.float32)
    options = {"ssl_method": "SimCLR", "ssl_model": "resnet18", "data_folder": ".", "images_file": "my_images.h5"}
    Path("opts.json").write_text(json.dumps({**options, "random_cropjitter": [24, 2]}))
    names = run("../README.md")
    assert names["run"].info["status"] == "finished"
    assert sum(one.numel() for one in names["model"].parameters()) > 1e7


def test_the_native_form():
    draw = np.random.default_rng(0)
    labels = np.full((9, 8, 8), np.nan, np.float32)
    labels[:, 2, 3] = np.arange(9)
    table = pd.DataFrame({"patch_id": [f"p{number}" for number in range(9)]})
    image = draw.integers(0, 99, (9, 2, 8, 8)).astype(np.uint16)
    with NativeWriter(Path("patches.zarr"), Bands([Band("red"), Band("nir")])) as writer:
        writer.append(Rows(image, None, SparseLabels.from_dense(labels)), table)
        writer.commit()
    names = run("native-format.md")
    np.testing.assert_array_equal(names["labels"], labels[7])
    np.testing.assert_array_equal(names["group"]["x"][0], image[0])
