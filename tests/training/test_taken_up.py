"""A run that goes back to an earlier checkpoint: ``best`` is of the course that it goes on with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from interrupted import Killed, trained
from steps_of import write_data

from spectrain.runs.run import Run
from spectrain.training import taken_up
from spectrain.training.checkpoint import load_checkpoint
from spectrain.training.loop import Training


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_data(tmp_path_factory.mktemp("toy") / "toy.h5", size=8)


def end_here(*_, **__) -> None:
    raise Killed


def no_links(*_) -> None:
    raise OSError("no links here")


FIRST = [5.0, 3.0, 4.0, 1.0]
"""The best of the epochs so far is the first, the second, the second, the fourth."""


@pytest.fixture
def run(data, tmp_path, monkeypatch) -> Run:
    monitor(monkeypatch, FIRST)
    return trained(data, tmp_path / "run", "hparams.save_freq=1")


def monitor(monkeypatch, values: list[float]) -> None:
    """Let the value that decides what is best be these, by epoch."""
    monkeypatch.setattr(Training, "monitored", lambda self, row: values[self.state.progress.epoch])


def best_of(run: Run) -> int:
    """Return the epoch of ``best``, which must be the one that run.json says."""
    said, held = run.info["best"]["epoch"], load_checkpoint(run.checkpoint("best"))
    assert held["progress"]["epoch"] == held["progress"]["best_epoch"] == said
    assert held["progress"]["best"] == run.info["best"]["value"]
    return int(said)


@pytest.mark.parametrize(
    ("back_to", "then", "best"), [("epoch_0002", 9.0, 2), ("epoch_0003", 9.0, 2), ("epoch_0002", 2.0, 3)]
)
def test_best_is_of_the_course_that_is_gone_on_with(data, run, monkeypatch, back_to, then, best):
    assert best_of(run) == 4
    monitor(monkeypatch, [*FIRST[: int(back_to[-1])], then, then, then])
    again = trained(data, run.folder, "optimizer.lr=1e-3", goes_on_from=back_to)
    assert best_of(again) == best
    if best == 2:
        one, two = (load_checkpoint(again.checkpoint(name))["model"] for name in ("best", "epoch_0002"))
        assert all(torch.equal(value, two[name]) for name, value in one.items())


def test_the_best_of_the_course_that_is_left_is_kept(data, run, monkeypatch, caplog):
    """It was once lost without a word, and with it the best weights that there were."""
    caplog.set_level("INFO", logger="spectrain")
    before = load_checkpoint(run.checkpoint("best"))["model"]
    run.checkpoint("epoch_0004").unlink()
    monitor(monkeypatch, [*FIRST[:2], 9.0])
    trained(data, run.folder, "hparams.epochs=3", goes_on_from="epoch_0002")
    assert f"epoch 4, is kept as {run.checkpoint('epoch_0004')}" in caplog.text
    kept = load_checkpoint(run.checkpoint("epoch_0004"))
    assert kept["progress"]["best"] == FIRST[3]
    assert all(torch.equal(value, kept["model"][name]) for name, value in before.items())


def test_a_best_epoch_whose_weights_are_gone_is_forgotten(data, run, monkeypatch, caplog):
    run.checkpoint("epoch_0002").unlink()
    monitor(monkeypatch, [*FIRST[:3], 9.0])
    again = trained(data, run.folder, goes_on_from="epoch_0003")
    assert "the weights of epoch 2" in caplog.text and "no longer there" in caplog.text
    assert best_of(again) == 4
    assert again.info["best"]["value"] == 9.0


def test_where_nothing_is_left_to_train_no_best_is_made_up(data, run):
    run.checkpoint("epoch_0002").unlink()
    again = trained(data, run.folder, "hparams.epochs=3", goes_on_from="epoch_0003")
    assert not again.checkpoint("best").exists()
    assert again.info["best"]["epoch"] == 0
    assert "value" not in again.info["best"]


@pytest.mark.parametrize("place", [(taken_up, "_is_best"), (Run, "cut_back")])
@pytest.mark.parametrize("links", [True, False])
def test_killed_while_it_goes_back_it_goes_on_from_there(data, run, monkeypatch, place, links):
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(*place, end_here)
        trained(data, run.folder, goes_on_from="epoch_0002")
    assert load_checkpoint(run.checkpoint("last"))["progress"]["epoch"] == 2
    monitor(monkeypatch, [*FIRST[:2], 9.0, 9.0])
    assert best_of(trained(data, run.folder, goes_on_from="last")) == 2
