"""One options file for several commands: each leaves alone what is another's."""

from __future__ import annotations

from spectrain.config import load_config
from spectrain.config.aliases.elsewhere import ELSEWHERE
from spectrain.config.option import options_of
from spectrain.preparation.options import PrepareOptions
from spectrain.sweeps.options import SweepOptions


def test_a_file_of_prepare_serves_a_training_too(write):
    """config/ may not import preparation/, so its options are written down there once more."""
    assert ELSEWHERE["prepare"] == {*options_of(PrepareOptions), "sentinel2_dir"}
    text = "[darts]\nlabels = 'points'\npoints = ['a.csv']\npoints-value = 'h'\ncrs = 'EPSG:32633'\nworkers = 2\n"
    cfg = load_config("regression", config=write("a.toml", text), use_personal=False)
    assert {"points", "points_value", "crs", "workers"} <= set(cfg.left_alone)


def test_a_file_of_sweep_serves_its_trainings(write):
    """config/ may not import sweeps/ either."""
    assert ELSEWHERE["sweep"] == set(options_of(SweepOptions))
    text = "[darts]\nn_trials = 2\ntotal-trials = 3\nrunner = 'a'\nscore = 'last'\nsweep-seed = 1\n"
    cfg = load_config("segmentation", config=write("a.toml", text), use_personal=False)
    assert {"n_trials", "total_trials", "runner", "score", "sweep_seed"} <= set(cfg.left_alone)
