"""What a training says when it has ended, and what it leaves where it could not begin."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from steps_of import config, write_data

from spectrain.core.errors import RunError
from spectrain.runs.log import LogFile
from spectrain.runs.run import Run
from spectrain.training import api
from spectrain.training.api import ended, train_config
from spectrain.training.conclusion import conclude
from spectrain.training.state import Progress, State

HPARAMS = SimpleNamespace(epochs=60, skip_training=False, test_at_end=False, overfit_batches=0)
GENERAL = SimpleNamespace(debug=False)
SESSION = SimpleNamespace(cfg=SimpleNamespace(hparams=HPARAMS, general=GENERAL), monitor="jaccard_valid")


def said(**progress):
    return ended(SESSION, State(Progress(**progress)), SimpleNamespace(folder=Path("runs/a/b")))


def test_a_training_that_was_stopped_early_says_why_and_how_good_it_was():
    text = said(epoch=48, best=0.681, best_epoch=33, bad_validations=5, stopped=True)
    assert text == (
        "finished after epoch 48 of 60, stopped early: 5 validations were no better; best jaccard_valid 0.681 in epoch "
        "33; next: spectrain test runs/a/b"
    )


def test_one_without_validation_names_no_best():
    assert said(epoch=60, stopped=True) == "finished after epoch 60 of 60; next: spectrain test runs/a/b"


def test_one_that_is_tested_at_its_end_names_its_folder(monkeypatch):
    monkeypatch.setattr(HPARAMS, "test_at_end", True)
    assert said(epoch=60) == "finished after epoch 60 of 60 → runs/a/b"
    monkeypatch.setattr(GENERAL, "debug", True)
    assert said(epoch=2).endswith("next: spectrain test runs/a/b")  # what only tries the code is not tested
    monkeypatch.setattr(HPARAMS, "skip_training", True)
    assert said(epoch=0) == "nothing is trained, the weights are tested → runs/a/b"


def test_a_checkpoint_is_read_again_only_where_something_is_fitted_or_tested(tmp_path):
    def cfg(*, test_at_end=False, recalibrate=False):
        return SimpleNamespace(
            general=SimpleNamespace(debug=False, device="cpu", device_ids=[]),
            hparams=SimpleNamespace(overfit_batches=0, skip_training=False, test_at_end=test_at_end),
            task=SimpleNamespace(options=SimpleNamespace(recalibrate=recalibrate)),
            dataset=SimpleNamespace(valid_key="valid"),
        )

    nothing = SimpleNamespace(folder=tmp_path)  # with no checkpoint
    conclude(nothing, cfg())
    for asked in ({"test_at_end": True}, {"recalibrate": True}):
        with pytest.raises(RunError):
            conclude(nothing, cfg(**asked))


@pytest.mark.parametrize("place", [(api, "keep_folds"), (Run, "update_info"), (api, "describe")])
def test_what_fails_before_the_first_step_leaves_a_failed_run_and_no_log(tmp_path, monkeypatch, place):
    def full(*_, **__):
        raise RunError("the disk is full")

    cfg = config(write_data(tmp_path / "toy.h5", size=8), "toy_dense", f"out_dir={tmp_path / 'run'}")
    monkeypatch.setattr(*place, full)
    with pytest.raises(RunError, match="the disk is full"):
        train_config(cfg)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "failed"
    assert not [one for one in logging.getLogger("spectrain").handlers if isinstance(one, LogFile)]
