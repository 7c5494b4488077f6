"""The rules that benchmarks/mixture.py holds a model against, and a short run of it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def mixture(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, which is none of the package's."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    sys.modules.pop("mixture", None)
    return importlib.import_module("mixture")


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


@pytest.mark.slow
def test_a_short_run_has_a_row_for_each_sensor(mixture, shared_data, tmp_path):
    paths = [shared_data / "hyperspectral" / "samson.h5", shared_data / "enmap_potsdam"]
    run = mixture.pretrained(paths, tmp_path, 0, ["hparams.epochs=1"])
    for masking in mixture.MASKINGS:
        rows = mixture.table_of(mixture.filled_in(run, paths, "test", masking), ["samson", "enmap"], masking)
        assert [row["sensor"] for row in rows] == ["samson", "enmap"]
        assert all(np.isfinite(row["model"]) for row in rows)
