"""A sweep that is really trained: two trials on two folds, in seconds."""

from __future__ import annotations

from map_runs import QUICK, field, write_scene, write_training

from spectrain.sweeps.plan import Plan
from spectrain.sweeps.runner import Runner
from spectrain.sweeps.store import Store
from spectrain.sweeps.sweep import Sweep

TEXT = """\
name: tiny
method: grid
metric: {name: loss_valid, goal: minimize}
parameters:
  optimizer.lr: {values: [0.001, 0.05]}
"""
SET_BY_SWEEPS = ("hparams.epochs", "hparams.monitor", "general.device")


def data(folder):
    """Write scenes for training, validation and tests; returns the folder."""
    write_training(folder)
    for number in range(2):
        image = field(48, 64, seed=50 + number)
        origin = (500000.0 + 9000 * number, 5400000.0)
        write_scene(folder / "test" / "images" / f"{number}.tif", image, origin=origin)
        label = (image[0] > 1000).astype("u1")
        write_scene(folder / "test" / "labels" / f"{number}.tif", label, names=(), origin=origin)
    return folder


def plan_of(folder, runs, *more, text=TEXT, folds=2, **changes):
    """Return the plan of a sweep over a data folder, whose runs lie in ``runs``."""
    words = [word for word in QUICK if not word.startswith(SET_BY_SWEEPS)]
    drawn = ["dataset.fold_method=group", "dataset.group=file", f"dataset.folds={folds}"] if folds > 1 else []
    overrides = (f"dataset.path={folder}", *words, "hparams.epochs=3", f"artifact_dir={runs}", *drawn, *more)
    return Plan(
        "s1", "segmentation", "sweep.yaml", text, overrides=overrides, plugins=("map_runs",), folds=folds, **changes
    )


def trained(plan, runs, total=None):
    """Train a sweep; returns it."""
    store = Store(f"sqlite:///{runs}/s1/study.db", "s1")
    store.create(
        plan.to_json(), ["maximize" if one.goal == "maximize" else "minimize" for one in plan.definition.metrics]
    )
    sweep = Sweep(store, plan, runs / "s1")
    sweep.note_place()
    assert Runner(store, plan, "r", "cpu", None, total).work() == 0
    return sweep
