"""Files of every version that was ever written can be read. A new version adds its files; the old ones stay."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from spectrain.core.errors import DataError, RunError
from spectrain.data import splits_file
from spectrain.data.splits_file import read_splits
from spectrain.runs import curves, info
from spectrain.runs.curves import read_curves
from spectrain.runs.info import RunInfo
from spectrain.runs.report import write_report
from spectrain.runs.run import Run
from spectrain.training import checkpoint
from spectrain.training.checkpoint import load_checkpoint
from spectrain.training.trained import exported
from spectrain.training.trained.exported import read_description

GOLDEN = Path(__file__).parent / "golden"
NEWEST = {
    "run": info.FORMAT_VERSION,
    "curves": curves.FORMAT_VERSION,
    "checkpoint": checkpoint.VERSION,
    "splits": splits_file.VERSION,
    "model": exported.VERSION,
}


def versions(kind):
    found = [re.fullmatch(rf"{kind}_v(\d+)\.\w+", path.name) for path in GOLDEN.iterdir()]
    return sorted(int(match[1]) for match in found if match)


@pytest.mark.parametrize("kind", NEWEST)
def test_each_version_has_a_golden_file(kind):
    assert versions(kind) == list(range(1, NEWEST[kind] + 1))


@pytest.mark.parametrize("version", versions("run"))
def test_runs(version, tmp_path):
    shutil.copy(GOLDEN / f"run_v{version}.json", tmp_path / "run.json")
    run = Run.open(tmp_path)
    assert (run.run_name, run.run_id) == ("contrastive-supcon_resnet", "a1b2c3d4")
    assert run.info["format"] == {"name": "spectrain.run", "version": NEWEST["run"]}
    assert "some processor" in write_report([tmp_path]).read_text()


def test_a_run_of_today_still_has_the_facts_of_the_golden_one(cfg):
    run = Run.create(cfg)
    run.finish("finished")
    golden = json.loads((GOLDEN / f"run_v{NEWEST['run']}.json").read_text())
    assert golden.keys() <= RunInfo.read(run.folder).facts().keys()  # one that goes needs a new version


@pytest.mark.parametrize("version", versions("curves"))
def test_curves(version):
    found = read_curves(GOLDEN / f"curves_v{version}.h5")
    np.testing.assert_array_equal(found["loss_step_train"], [2.5, 1.5, 1.25, 0.75])
    np.testing.assert_array_equal(found["loss_valid"], [np.nan, 1.5])
    assert set(found) == {"loss_train", "loss_step_train", "loss_valid"}


@pytest.mark.parametrize("version", versions("checkpoint"))
def test_checkpoints(version):
    found = load_checkpoint(GOLDEN / f"checkpoint_v{version}.pt")
    assert torch.equal(found["model"]["weight"], torch.arange(4.0).reshape(2, 2))
    assert found["progress"]["step"] == 2
    assert found["meta"]["run_id"] == "a1b2c3d4"


@pytest.mark.parametrize("version", versions("splits"))
def test_splits(version):
    found = read_splits(GOLDEN / f"splits_v{version}.json")
    assert found["splits"] == {"train": ["p1", "p2"], "valid": ["p3"]}


@pytest.mark.parametrize("version", versions("model"))
def test_exported_models(version, tmp_path):
    shutil.copy(GOLDEN / f"model_v{version}.json", tmp_path / "model.json")
    found = read_description(tmp_path)
    assert (found["run_id"], found["activation"], found["bands"][0]["name"]) == ("a1b2c3d4", "logits", "nir")


def newer(path: Path) -> None:
    if path.suffix == ".json":
        record = json.loads(path.read_text())
        record["format"]["version"] = 99
        path.write_text(json.dumps(record))
    elif path.suffix == ".h5":
        import h5py

        with h5py.File(path, "r+") as file:
            file.attrs["format_version"] = 99
    else:
        record = torch.load(path, weights_only=True)
        record["format"]["version"] = 99
        torch.save(record, path)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("run_v1.json", lambda path: Run.open(path.rename(path.with_name("run.json")).parent)),
        ("curves_v1.h5", read_curves),
        ("checkpoint_v1.pt", load_checkpoint),
        ("splits_v1.json", read_splits),
        ("model_v1.json", lambda path: read_description(path.rename(path.with_name("model.json")).parent)),
    ],
)
def test_a_file_from_the_future_is_refused_by_its_version(tmp_path, name, read):
    path = Path(shutil.copy(GOLDEN / name, tmp_path))
    newer(path)
    with pytest.raises((RunError, DataError), match=r"version 99"):
        read(path)


def test_damaged_curves_are_one_clear_error(tmp_path):
    (tmp_path / "curves.h5").write_bytes((GOLDEN / "curves_v1.h5").read_bytes()[:500])
    with pytest.raises(RunError, match="curves cannot be read"):
        read_curves(tmp_path / "curves.h5")
    assert read_curves(tmp_path / "none.h5") == {}
