"""Scenes of runs whose data were prepared: opened by the recipe that the run keeps, each run by its own."""

from __future__ import annotations

import sys
from types import ModuleType

import map_runs as small
import numpy as np
import pytest
from test_predict import read

import spectrain
from spectrain.core.errors import DataError
from spectrain.data.scene import Pixels, RasterScene, SceneGrid
from spectrain.training.checkpoint import load_checkpoint, save_checkpoint
from spectrain.training.trained.model import checkpoint_of

IMAGE = small.field(60, 75, seed=4)


class Brighter(RasterScene):
    """A recipe: every value so much larger."""

    def __init__(self, path, recipe):
        super().__init__(path)
        self._more, cut = recipe["more"], recipe.get("cut", 0)
        self.grid = SceneGrid((self.grid.size[0] - cut, self.grid.size[1]), self.grid.crs, self.grid.transform)

    def read(self, row, column, height, width):
        found = super().read(row, column, height, width)
        return Pixels(found.image + np.uint16(self._more), found.mask)


@pytest.fixture
def opened(monkeypatch):
    """Stands for the package that prepares: what it was asked for, in order."""
    asked = []
    package = ModuleType("spectrain.preparation")

    def open_scene(path, preparation, *, dem=None, aux=None):
        asked.append((path, preparation, dem, aux))
        return Brighter(path, preparation)

    package.open_scene = open_scene
    monkeypatch.setitem(sys.modules, "spectrain.preparation", package)
    monkeypatch.setattr(spectrain, "preparation", package, raising=False)
    return asked


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    return small.train(small.write_training(folder / "data"), folder / "run")


def prepared(run, path, recipe):
    """Write the run's checkpoint as one whose data were prepared by a recipe."""
    record = load_checkpoint(checkpoint_of(run))
    meta = record.pop("meta") | {"preparation": recipe}
    save_checkpoint(path, {name: record[name] for name in ("model", "optimizer", "progress", "curves")}, meta)
    return path


def test_a_scene_is_opened_as_the_runs_data_were_prepared(run, opened, tmp_path):
    scene = small.write_scene(tmp_path / "s.tif", IMAGE)
    checkpoint = prepared(run, tmp_path / "a.pt", {"more": 200})
    spectrain.predict(
        checkpoint, scene, tmp_path / "out.tif", layers=["probability"], dem="dem.tif", aux=["a.tif", "b.tif"]
    )
    expected = small.whole(run, IMAGE + 200).sigmoid()
    np.testing.assert_allclose(read(tmp_path / "out.tif"), expected, atol=1e-6)
    ((path, recipe, dem, aux),) = opened
    assert (path, recipe) == (scene, {"more": 200})
    assert (str(dem), [str(one) for one in aux]) == ("dem.tif", ["a.tif", "b.tif"])


def test_each_run_of_an_ensemble_by_its_own_recipe(run, opened, tmp_path):
    scene = small.write_scene(tmp_path / "s.tif", IMAGE)
    runs = [
        prepared(run, tmp_path / "a.pt", {"more": 200}),
        run,
        prepared(run, tmp_path / "b.pt", {"more": 50}),
        prepared(run, tmp_path / "c.pt", {"more": 200}),
    ]
    spectrain.predict(runs, scene, tmp_path / "out.tif", layers=["probability"])
    found = [small.whole(run, IMAGE + more).sigmoid().numpy() for more in (200, 0, 50, 200)]
    np.testing.assert_allclose(read(tmp_path / "out.tif"), np.mean(found, axis=0), atol=1e-6)
    assert [recipe["more"] for _, recipe, _, _ in opened] == [200, 50]  # opened once where it is the same


def test_recipes_that_lead_to_different_grids(run, opened, tmp_path):
    scene = small.write_scene(tmp_path / "s.tif", IMAGE)
    runs = [run, prepared(run, tmp_path / "a.pt", {"more": 1, "cut": 8})]
    with pytest.raises(DataError, match="different grids"):
        spectrain.predict(runs, scene, tmp_path / "out.tif")
    assert not (tmp_path / "out.tif").exists()
