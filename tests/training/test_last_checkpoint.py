"""``last`` is there as soon as anything else is, so that a killed run loses little."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from interrupted import Killed, trained
from steps_of import write_data

from spectrain.training.checkpoint import load_checkpoint
from spectrain.training.loop import Training


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_data(tmp_path_factory.mktemp("toy") / "toy.h5", size=8)


def at_each_end(monkeypatch, then) -> None:
    """Call ``then`` with the training after each epoch."""
    end = Training.end_epoch
    monkeypatch.setattr(Training, "end_epoch", lambda self: (end(self), then(self)))


def end_here(*_) -> None:
    raise Killed


def test_a_run_killed_after_its_first_epoch_goes_on_from_it(data, tmp_path, monkeypatch):
    whole = trained(data, tmp_path / "whole")
    with monkeypatch.context() as patched, pytest.raises(Killed):
        at_each_end(patched, end_here)
        trained(data, tmp_path / "run")
    last = load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")
    assert (last["progress"]["epoch"], last["progress"]["best_epoch"]) == (1, 1)
    again = trained(data, tmp_path / "run", goes_on_from="last")
    one, two = (load_checkpoint(run.checkpoint("last"))["model"] for run in (whole, again))
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    assert (whole.folder / "metrics.csv").read_text() == (again.folder / "metrics.csv").read_text()


def test_last_is_as_new_as_any_other_checkpoint(data, tmp_path, monkeypatch):
    found = []

    def look(training: Training) -> None:
        last = training.run.checkpoint("last")
        found.append(last.samefile(training.run.checkpoint(f"epoch_{training.state.progress.epoch:04d}")))

    at_each_end(monkeypatch, look)
    trained(data, tmp_path / "run", "hparams.save_freq=1", f"all_checkpoint_dir={tmp_path / 'all'}")
    assert found == [True] * 4


def test_without_links_last_is_written_when_its_time_has_come(data, tmp_path, monkeypatch):
    """Writing the best takes 400 of the 600 seconds, by this clock: it must not put off the last."""
    now = itertools.count(step=400)
    monkeypatch.setattr("spectrain.training.loop.time", SimpleNamespace(monotonic=lambda: next(now)))
    monkeypatch.setattr(os, "link", no_links)
    found = []
    at_each_end(monkeypatch, lambda training: found.append(training.run.checkpoint("last").is_file()))
    trained(data, tmp_path / "run", "hparams.epochs=2")
    assert found[0]


def no_links(*_) -> None:
    raise OSError("no links here")
