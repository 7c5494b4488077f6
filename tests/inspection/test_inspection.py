from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

import spectrain.demos
from spectrain.core.errors import DataError, RunError
from spectrain.inspection import labels_seen
from spectrain.inspection.commands import without_labels
from spectrain.inspection.data_set import inspect
from spectrain.inspection.described import command
from spectrain.inspection.found import Inspection

DEMO = Path(spectrain.demos.__file__).parent / "ocean_sst.h5"


def test_the_demo_is_described_with_counts_bands_and_gaps(tmp_path):
    found = inspect(DEMO, output=tmp_path / "first.png")
    text = str(found)
    assert "train: 387 patches of 1 × 64 × 64, int16" in text
    assert "valid: 149 patches" in text
    assert "analysed_sst" in text
    assert "compressed (gzip)" in text
    with h5py.File(DEMO) as file:
        stored = file["train"][()]
    celsius = stored[stored != -32768] * 0.01
    facts = found.splits[0]
    assert facts.statistics.mean[0] == pytest.approx(celsius.mean(), rel=1e-5)
    assert facts.statistics.std[0] == pytest.approx(celsius.std(), rel=1e-4)
    assert facts.statistics.missing[0] == (stored == -32768).sum()
    assert (tmp_path / "first.png").read_bytes().startswith(b"\x89PNG")
    json.dumps(found.to_json())


def test_gaps_of_three_bands_are_counted(shared_data):
    found = inspect(shared_data / "ocean_colour" / "olci_sns_64px.h5", ["valid"])
    assert [facts.split for facts in found.splits] == ["valid"]
    assert all(0.01 < share < 0.3 for share in found.splits[0].statistics.missing_share)


def test_labels_wrong_units_constant_and_empty_bands_are_said(tmp_path):
    path = tmp_path / "odd.h5"
    image = np.random.default_rng(0).normal(290, 5, (6, 3, 8, 8)).astype(np.float32)
    image[:, 1], image[:, 2] = 7, np.nan
    with h5py.File(path, "w") as file:
        file["train"] = image
        file["train"].attrs["units"] = "degC"
        file["train_labels"] = np.array([0, 0, 0, 0, 0, 2])
    text = str(inspect(path))
    assert "labels: 0 83.3%, 2 16.7%" in text
    assert "said to be in degC, but its values go from 2" in text
    assert "'band_2' is constant (7)" in text
    assert "'band_3' has no valid value" in text


def test_measurements_are_counted(tmp_path):
    path = tmp_path / "sparse.h5"
    labels = np.full((4, 8, 8), np.nan, np.float32)
    labels[0, 0, :4] = 1, 2, 30, -9999
    with h5py.File(path, "w") as file:
        file["train"], file["train_labels"] = np.ones((4, 1, 8, 8), np.uint8), labels
    found = inspect(path)
    assert found.splits[0].labels == {"measured": 4, "not measured": 252}
    assert "measured labels: 4 from -9999 to 30, median 1.5\n" in str(found)
    (said,) = json.loads(json.dumps(found.to_json()))["splits"][0]["ranges"]
    assert said == {"count": 4, "minimum": -9999, "median": 1.5, "maximum": 30}


def test_whole_numbers_that_are_no_classes_and_several_layers_have_ranges_too(tmp_path):
    path = tmp_path / "whole.h5"
    with h5py.File(path, "w") as file:
        file["train"] = np.ones((2, 1, 8, 8), np.uint8)
        file["train_labels"] = np.arange(128, dtype=np.int16).reshape(2, 8, 8) * 10
    assert "measured labels: 128 from 0 to 1270, median 635\n" in str(inspect(path))
    with h5py.File(path, "a") as file:
        del file["train_labels"]
        layers = np.stack([np.full((2, 8, 8), 3.0), np.full((2, 8, 8), np.nan)], axis=1)
        file["train_labels"] = layers.astype(np.float32)
    text = str(inspect(path))
    assert "measured labels of layer 0: 128 from 3 to 3, median 3\n" in text
    assert "measured labels of layer 1: none\n" in text


def test_the_range_of_many_labels_is_of_all_of_them(monkeypatch):
    layer = labels_seen._Layer()
    monkeypatch.setattr(labels_seen, "KEPT", 50)
    values = np.random.default_rng(0).permutation(10_000).astype(np.float32)
    for part in np.split(values, [7, 1000, 1001, 6000]):
        layer.add(part)
    found = layer.found()
    assert (found.count, found.minimum, found.maximum) == (10_000, 0, 9999) and len(layer.held) <= 100
    np.testing.assert_array_equal(layer.held, values[:: layer.every])


def test_printing_what_a_run_is_looks_at_no_disk(tmp_path):
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    facts = {"format": {"name": "spectrain.run", "version": 1}, "recipe": "mae", "status": "finished"}
    (folder / "run.json").write_text(json.dumps(facts))
    with pytest.raises(RunError, match=r"no config\.yaml"):
        inspect(folder)
    for name in ("config.yaml", "checkpoints/last.pt", "checkpoints/best.pt"):
        (folder / name).write_text("")
    found = inspect(folder)
    shutil.rmtree(folder)
    for one in (found, Inspection.from_json(json.loads(json.dumps(found.to_json())))):
        assert str(one).endswith("  checkpoints: best.pt, last.pt")


@pytest.mark.parametrize("content", [None, b"", b"text"])
def test_what_cannot_be_looked_at_is_explained(tmp_path, content):
    path = tmp_path / "file.h5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError):
        inspect(path)


def test_labels_that_lie_apart_are_counted_and_named_in_the_command(tmp_path):
    for folder, value in (("inputs", np.ones((2, 8, 8), np.float32)), ("targets", np.eye(8, dtype=np.uint8))):
        (tmp_path / folder / "train").mkdir(parents=True)
        for name in "ab":
            np.save(tmp_path / folder / "train" / f"{name}.npy", value)
    found = inspect(tmp_path / "inputs", labels=tmp_path / "targets")
    assert found.splits[0].labels == {"0": 112, "1": 16}
    assert f"dataset.labels_path={tmp_path / 'targets'}" in found.command and "train segmentation" in found.command


def test_a_split_with_folds_is_trained_on_one_of_them():
    folds = [{"train": 3, "valid": 1}, {"train": 3, "valid": 1}]
    words = command(Path("x.zarr"), ["cross-val"], "segmentation", always_folded=False, folds=folds)
    assert words == ("spectrain", "train", "segmentation", "dataset.path=x.zarr", "dataset.fold=0")


@pytest.mark.parametrize(("bands", "recipe"), [(1, "contrastive"), (7, "contrastive"), (8, "mae")])
def test_images_of_few_bands_without_labels_are_for_contrastive_learning(tmp_path, bands, recipe):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["train"] = np.random.default_rng(0).normal(size=(9, bands, 8, 8)).astype(np.float32)
    assert inspect(tmp_path / "a.h5").words[2] == recipe
    assert without_labels(bands)[0] == recipe and ("mae" in without_labels(bands)) == (bands >= 8)
