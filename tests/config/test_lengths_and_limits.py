"""Lists of the wrong length, numbers that do not divide: a mistake of the user's, said before anything is built."""

from __future__ import annotations

import json

import pytest

from spectrain.config import load_config


@pytest.mark.parametrize(
    ("words", "key", "what"),
    [
        (["optimizer=adam", "optimizer.betas=[0.9]"], "optimizer.betas", "must be a list of 2 values"),
        (["optimizer=adamw", "optimizer.betas=[0.9,0.95,0.99]"], "optimizer.betas", "must be a list of 2 values"),
        (["optimizer=adamw", "optimizer.betas=[0.9,1]"], "optimizer.betas", "must be less than 1"),
        (["loss.value_range=[]"], "loss.value_range", "must be a list of 2 values or null"),
        (["loss.value_range=[5]"], "loss.value_range", "must be a list of 2 values or null"),
        (["loss.value_range=[1,0]"], "loss.value_range", "must rise, not go from 1 to 0"),
        (["model=spectral_autoencoder", "model.widths=[]"], "model.widths", "must name a width"),
        (["model=dense", "model.width=100"], "model.width", "must be a multiple of 32, not 100"),
        (["model=dense_tokens", "model.width=100"], "model.width", "must be a multiple of 32, not 100"),
    ],
)
def test_what_cannot_be_built_is_said(mistakes, words, key, what):
    problem = mistakes(*words, recipe="mae")[key]
    assert problem.what.startswith(what)
    assert problem.origin == "command line"


def test_lists_in_files_are_read_as_before_and_written_as_lists(write):
    options = {"optimizer": "adamw", "betas": [0.8, 0.95], "value_range": [0, 2.5]}
    cfg = load_config("mae", config=write("a.json", json.dumps(options)))
    assert (cfg.optimizer.betas, cfg.loss.value_range) == ((0.8, 0.95), (0.0, 2.5))
    assert cfg.to_dict()["optimizer"]["betas"] == [0.8, 0.95]
    again = load_config(config=write("config.yaml", cfg.to_yaml()))
    assert again == cfg
    assert load_config("mae", overrides=["loss.value_range=null"]).loss.value_range is None
