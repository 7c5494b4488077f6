"""The rules that benchmarks hold a model against, what they count, and short runs of some."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


def module(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return a benchmark, which is none of the package's modules."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    sys.modules.pop(name, None)
    return importlib.import_module(name)


@pytest.fixture
def mixture(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return module("mixture", monkeypatch)


@pytest.fixture
def mae(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return module("mae", monkeypatch)


@pytest.mark.slow
def test_every_kind_of_row_of_the_mae_benchmark_runs_at_toy_size(mae):
    found = {row["row"]: row for row in mae.rows(toy=True)}
    kinds = ["full", "full, holes", "published loss", "cross", "resident", "end to end"]
    if not torch.cuda.is_available():
        kinds += ["published", "published, memory kept"]
    assert set(found) == set(kinds)
    assert all(row["median ms"] > 0 and list(row) == list(found["full"]) for row in found.values())
    assert found["resident"]["of resident"] == 1
    assert found["end to end"]["of resident"] > 0.1


def test_the_holes_of_the_mae_benchmark_are_a_tenth_in_blobs_alike_in_all_bands(mae):
    valid = mae.observed(mae.Case("any", (), 4.0, 3, 1, torch.device("cpu")))
    assert valid.shape == (3, mae.BANDS, 500, 500) and valid.stride(1) == 0
    one = ~valid[:, 0]
    assert torch.allclose(one.float().mean((1, 2)), torch.full((3,), 0.1), atol=1e-3)
    assert (one[:, :, 1:] & one[:, :, :-1]).sum() > 0.9 * one.sum()


def test_linear_is_what_numpy_interpolates_for_each_pixel(mixture):
    drawn = np.random.default_rng(0)
    nanometres = drawn.permutation(np.linspace(400, 900, 12)).astype(np.float32)
    values = drawn.normal(size=(2, 12, 3, 4)).astype(np.float32)
    visible = drawn.random(values.shape) < 0.3
    visible[0, :, 0, 0] = False
    otherwise = drawn.normal(size=12).astype(np.float32)
    found = mixture.linear(*(torch.from_numpy(one) for one in (values, visible, nanometres, otherwise))).numpy()
    order = np.argsort(nanometres)
    for b, y, x in np.ndindex(2, 3, 4):
        seen = [band for band in order if visible[b, band, y, x]]
        expected = np.interp(nanometres, nanometres[seen], values[b, seen, y, x]) if seen else otherwise
        np.testing.assert_allclose(found[b, :, y, x], expected, atol=1e-5)


def test_nearest_takes_the_same_band_of_the_nearest_visible_pixel(mixture):
    values = torch.arange(24.0).view(1, 2, 3, 4)
    visible = torch.zeros(1, 2, 3, 4, dtype=torch.bool)
    visible[0, 0, 0, 0] = visible[0, 0, 2, 3] = True
    found = mixture.nearest(values, visible)
    assert found[0, 0, 0].tolist() == [0.0, 0.0, 0.0, 11.0]
    assert found[0, 0, 2, 0] == 0
    assert not found[0, 1].any()  # no visible pixel: the band mean


def test_no_step_of_few_labels_waits_for_the_device_and_the_published_form_does(monkeypatch):
    sparse = module("sparse", monkeypatch)
    found = sparse.rows(side=32, rounds=1)
    assert [row["round trips"] for row in found] == [3, 0, 0] * 3 + [0, 0]
    assert all(row["gradient differs by"] < 1e-5 for row in found[:9])


def test_what_waits_is_counted(monkeypatch):
    sparse = module("sparse", monkeypatch)
    x = torch.arange(4.0)
    assert sparse.round_trips(lambda: (x.sum().item(), x[x > 1], x.nonzero(), x.cpu(), float(x[0]), x + 1)) == 5
    assert sparse.round_trips(lambda: torch.where(x > 1, x, 0.0)[:2].sum()) == 0


def test_squares_of_a_scene_share_no_pixel_and_lie_apart(monkeypatch, tmp_path):
    scenes = module("regression_scenes", monkeypatch)
    numbers = np.arange(2 * 27 * 33, dtype="f4").reshape(2, 27, 33)
    scenes.cut(tmp_path, {"x": numbers, "y": np.where(numbers[:1] % 3 == 0, numbers[:1], np.nan)})
    scene = scenes.Scene("made", tmp_path)
    seen = {split: set(scene.read(split)[0][:, 0].ravel()) for split in ("train", "val", "test")}
    assert {split: len(one) for split, one in seen.items()} == {"train": 375, "val": 125, "test": 125}
    assert len(set.union(*seen.values())) == 625
    third = numbers[0, :25, :25] % 3 == 0
    assert sum(scene.count(split) for split in seen) == third.sum()
    for kept in ("val", "test"):
        squares = [place for place in np.ndindex(5, 5) if scenes.split_of(*place) == kept]
        apart = [max(abs(a - c), abs(b - d)) for a, b in squares for c, d in squares if (a, b) != (c, d)]
        assert len(squares) == 5 and min(apart) == 2


def test_the_mean_of_the_labels_is_scored_as_a_model_is(monkeypatch, tmp_path):
    scenes = module("regression_scenes", monkeypatch)
    drawn = np.random.default_rng(0)
    x = drawn.normal(size=(2, 40, 40)).astype("f4")
    y = (100 + 5 * x[:1] + drawn.normal(size=(1, 40, 40))).astype("f4")
    scenes.cut(tmp_path, {"x": x, "y": y})
    scene = scenes.Scene("made", tmp_path)
    mean, linear = (scenes.Baseline(kind, scene).metrics(scene, "test", tmp_path / "y") for kind in ("mean", "linear"))
    assert mean["rmse"] == pytest.approx(26**0.5, rel=0.1) and mean["r2"] == pytest.approx(0, abs=0.02)
    assert linear["rmse"] == pytest.approx(1, rel=0.15) and linear["coverage_90"] == pytest.approx(0.9, abs=0.05)


@pytest.mark.slow
def test_a_short_regression_of_a_real_scene_has_all_rows(shared_data, monkeypatch, tmp_path):
    regression = module("regression", monkeypatch)
    scene = module("regression_scenes", monkeypatch).gulfport(tmp_path / "gulfport")
    rows = regression.of_scene(scene, tmp_path, {"small": regression.Candidate(regression.SMALL, 2)})
    assert [row["method"] for row in rows] == [*regression.BASELINES, "small", "small: best on validation, 3 seeds"]
    assert "±" in rows[-1]["RMSE"] and all(float(row["RMSE"].split()[0]) > 0 for row in rows)


@pytest.mark.slow
def test_one_pass_of_an_ensemble_is_what_several_make_when_merged(monkeypatch):
    ensemble_map = module("ensemble_map", monkeypatch)
    (row,) = ensemble_map.rows(speed=[("one layer", 300, 260)], memory=[], rounds=1)  # raises where they differ
    assert row["ratio"] > 0 and row["members"] == 5


@pytest.mark.slow
def test_a_short_run_has_a_row_for_each_sensor(mixture, shared_data, tmp_path):
    paths = [shared_data / "hyperspectral" / "samson.h5", shared_data / "enmap_potsdam"]
    run = mixture.pretrained(paths, tmp_path, 0, ["hparams.epochs=1"])
    for masking in mixture.MASKINGS:
        rows = mixture.table_of(mixture.filled_in(run, paths, "test", masking), ["samson", "enmap"], masking)
        assert [row["sensor"] for row in rows] == ["samson", "enmap"]
        assert all(np.isfinite(row["model"]) for row in rows)
