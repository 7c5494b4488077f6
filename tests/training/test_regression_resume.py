"""A regression that is killed goes on bit for bit, to the same recalibration and the same test."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import regression_runs as small
import torch

import spectrain
from spectrain.training import conclusion
from spectrain.training.checkpoint import load_checkpoint

PLUGIN = Path(small.__file__)


EPOCHS = 40


def words(place, out):
    return [
        f"dataset.path={place / 'A'}", f"dataset.labels_path={place / 'B'}", f"out_dir={out}", "model=pixel_net",
        f"hparams.epochs={EPOCHS}", "hparams.batch_size=2", "hparams.checkpoint_every=1", "hparams.save_freq=0",
        "show_prediction=none", "trackers=[]", "general.device=cpu", "general.threads=1", "optimizer.lr=3e-2",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    small.write_pairs(folder, counts=(8, 4, 3))
    return folder


@pytest.fixture(scope="module")
def whole(place):
    return spectrain.train("regression", overrides=words(place, place / "whole")).folder


def assert_same(one, other):
    for name in ("best", "last"):
        a, b = (load_checkpoint(folder / "checkpoints" / f"{name}.pt") for folder in (one, other))
        assert all(torch.equal(a["model"][key], b["model"][key]) for key in a["model"])
        assert a["meta"].get("recalibration") == b["meta"].get("recalibration")
    assert (one / "metrics.csv").read_text() == (other / "metrics.csv").read_text()
    assert json.loads((one / "test_results.json").read_text()) == json.loads((other / "test_results.json").read_text())
    np.testing.assert_array_equal(np.load(one / "variances.npy"), np.load(other / "variances.npy"))


@pytest.mark.slow  # as of the other recipes, whose loop it is
def test_killed_in_its_steps(place, whole, tmp_path):
    out, last = tmp_path / "killed", tmp_path / "killed" / "checkpoints" / "last.pt"
    start = [sys.executable, "-m", "spectrain", "train", "regression", "--plugin", str(PLUGIN)]
    process = subprocess.Popen([*start, *words(place, out)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not last.is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 0 < load_checkpoint(last)["progress"]["step"] < 4 * EPOCHS
    assert_same(whole, spectrain.train(resume=out).folder)


@pytest.mark.slow
def test_stopped_in_its_test(place, whole, tmp_path, monkeypatch):
    """All epochs are there, and what was to come after them is not: it comes by resuming."""

    def stop(*args, **options):
        raise KeyboardInterrupt

    real = conclusion.test
    monkeypatch.setattr(conclusion, "test", stop)
    assert spectrain.train("regression", overrides=words(place, tmp_path / "run")).status == "interrupted"
    assert not (tmp_path / "run" / "results.txt").exists()
    monkeypatch.setattr(conclusion, "test", real)
    again = spectrain.train(resume=tmp_path / "run")
    assert again.status == "finished"
    assert_same(whole, again.folder)
