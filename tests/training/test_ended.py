"""What a training says when it has ended."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from spectrain.core.errors import RunError
from spectrain.training.api import ended
from spectrain.training.conclusion import conclude
from spectrain.training.state import Progress, State

HPARAMS = SimpleNamespace(epochs=60, skip_training=False, test_at_end=False)
SESSION = SimpleNamespace(cfg=SimpleNamespace(hparams=HPARAMS), monitor="jaccard_valid")


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
