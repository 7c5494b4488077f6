"""Commands that are disturbed: the words of each, what of it must be whole at any moment, and how it is gone on with.

Folders are given twice where a command sees a disk that the tests do not: where the command has it, where they see it.
"""

from __future__ import annotations

import csv
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import map_runs as small
import numpy as np
import rasterio
from commands import Commands, Ended
from test_resume import assert_equal_runs
from test_resuming import digest

from spectrain.data.opening import open_patches
from spectrain.runs.curves import read_curves
from spectrain.runs.run import Run
from spectrain.runs.tables import read_epochs
from spectrain.training.checkpoint import load_checkpoint

PLUGIN = ("--plugin", "map_runs")
QUICK = [word for word in small.QUICK if not word.startswith("hparams.epochs")]
OF_SWEEPS = [word for word in QUICK if not word.startswith(("hparams.monitor", "general.device"))]
SWEEP = """\
name: tiny
method: grid
metric: {name: loss_valid, goal: minimize}
parameters:
  optimizer.lr: {values: [0.001, 0.05]}
"""
READY = {"finished", "running", "failed", "interrupted"}


@dataclass(frozen=True)
class Made:
    """What the commands are given: training scenes, a run, a scene to map, a sweep file."""

    data: Path
    run: Path
    scene: Path
    sweep: Path


def made_in(folder: Path) -> Made:
    """Write it; the run is trained by whoever calls."""
    data = small.write_training(folder / "data")
    scene = small.write_scene(folder / "scene.tif", small.field(40, 40))
    (folder / "sweep.yaml").write_text(SWEEP)
    return Made(data, folder / "run", scene, folder / "sweep.yaml")


@dataclass(frozen=True)
class Fault:
    """A command that is disturbed.

    Attributes:
        begin: its words, in the folder that it is started in.
        again: the words to go on with, by what is there.
        whole: raises where something is there that is not whole; also says what is finished and must stay as it is.
        same: raises where what two folders hold in the end differs.
    """

    begin: Callable[[Made], list[object]]
    again: Callable[[Made, Path], list[object]]
    whole: Callable[[Path], dict[str, object]]
    same: Callable[[Path, Path], None]

    def go_on(self, commands: Commands, made: Made, at: Path, seen: Path) -> Ended:
        """Go on, and return how that ended; what was finished before is still as it was."""
        before = self.whole(seen)
        done = commands.run(*self.again(made, seen), at=at)
        after = self.whole(seen)
        assert before.items() <= after.items(), f"{before}\n{after}"
        return done


# -- training --------------------------------------------------------------------------------------------------------


def training(made: Made) -> list[object]:
    given = [*QUICK, "hparams.epochs=3", "hparams.checkpoint_every=2", "trackers=[]", "out_dir=run"]
    return ["train", "segmentation", *PLUGIN, f"dataset.path={made.data}", *given]


def training_again(made: Made, seen: Path) -> list[object]:
    return ["train", *PLUGIN, "--resume", "run"] if (seen / "run" / "run.json").is_file() else training(made)


def whole_run(seen: Path, name: str = "run") -> dict[str, object]:
    run = seen / name
    for path in run.glob("checkpoints/[!.]*"):
        load_checkpoint(path)
    if (run / "run.json").is_file():
        assert Run.open(run).info["status"] in READY
    if (run / "metrics.csv").is_file():
        read_epochs(run / "metrics.csv")
    if (run / "curves.h5").is_file():
        read_curves(run / "curves.h5")
    if (run / "report.html").is_file():
        assert (run / "report.html").read_text().rstrip().endswith("</html>")
    return {}


def same_run(one: Path, two: Path) -> None:
    assert_equal_runs(one / "run", two / "run")
    assert {Run.open(folder / "run").info["status"] for folder in (one, two)} == {"finished"}


# -- prepare, predict ------------------------------------------------------------------------------------------------


def preparation(made: Made) -> list[object]:
    given = ["images=[a=images/{scene}.tif]", "labels=labels/{scene}.tif", "patch_size=16", "overlap=0"]
    given += ["test_val_split=0.3", "bands=[a_B02,a_B03]", "train_data_dir=out"]
    return ["prepare", "scenes", f"data_dir={made.data / 'train'}", *given]


def whole_patches(seen: Path) -> dict[str, object]:
    found = {}
    for path in sorted((seen / "out").glob("*.zarr")):
        patches = open_patches(path, path.stem)
        patches.check()
        patches.read(np.arange(len(patches)))
        patches.labels(np.arange(len(patches)))
        assert len(patches.metadata()) == len(patches) > 0
        found[path.name] = digest(path)
    return found


def same_patches(one: Path, two: Path) -> None:
    assert digest(one / "out") == digest(two / "out")


def mapping(made: Made) -> list[object]:
    return ["predict", made.run, made.scene, "-o", "out/map.tif", "--overwrite", *PLUGIN]


def maps_in(seen: Path) -> dict[str, np.ndarray]:
    found = {}
    for path in (seen / "out").glob("*.tif"):
        with rasterio.open(path) as file:
            found[path.name] = file.read()
    return found


def whole_maps(seen: Path) -> dict[str, object]:
    return {name: values.tobytes() for name, values in maps_in(seen).items()}


def same_maps(one: Path, two: Path) -> None:
    found = whole_maps(one)
    assert len(found) == 2 and found == whole_maps(two)


# -- sweep -----------------------------------------------------------------------------------------------------------


def sweeping(made: Made) -> list[object]:
    words = ["--recipe", "segmentation", "--sweep-id", "s1", "--n-folds", "1", "--n-randoms", "1", "--device", "cpu"]
    given = [*OF_SWEEPS, "hparams.epochs=1", "trackers=[]", "artifact_dir=runs"]
    return ["sweep", made.sweep, *PLUGIN, *words, f"dataset.path={made.data}", *given]


def whole_sweep(seen: Path) -> dict[str, object]:
    """Return the trials that are complete, with their values, and the moment at which their runs were finished."""
    if not (seen / "runs" / "s1" / "study.db").is_file():
        return {}
    for run in (seen / "runs" / "s1").glob("tiny-*/[!.]*"):
        whole_run(run.parent, run.name)
    found = {}
    # of a copy: SQLite mends what was interrupted as it opens a file, for which a full disk has no room
    with tempfile.TemporaryDirectory() as copy, closing(sqlite3.connect(f"{copy}/study.db")) as base:
        for file in (seen / "runs" / "s1").glob("study.db*"):
            shutil.copy(file, copy)
        assert base.execute("pragma integrity_check").fetchone() == ("ok",)
        if not base.execute("select 1 from sqlite_master where name = 'trial_values'").fetchone():
            return {}
        question = "select number, value from trials join trial_values using (trial_id) where state = 'COMPLETE'"
        for number, value in base.execute(question):
            runs = (seen / "runs" / "s1" / f"tiny-{number}").glob("[!.]*/checkpoints/last.pt")
            found[f"trial {number}"] = value, [run.stat().st_mtime_ns for run in runs]
    return found


def same_sweep(one: Path, two: Path) -> None:
    a, b = ({name: found[0] for name, found in whole_sweep(folder).items()} for folder in (one, two))
    assert len(a) == 2 and a == b
    for folder in (one, two):
        for table in (folder / "runs" / "s1").glob("tiny-*/[!.]*/metrics.csv"):
            with table.open() as file:
                assert [row["epoch"] for row in csv.DictReader(file)] == ["1"]
        assert len(list((folder / "runs" / "s1").glob("tiny-*/[!.]*"))) == 2


FAULTS = {
    "training": Fault(training, training_again, whole_run, same_run),
    "prepare": Fault(preparation, lambda made, seen: preparation(made), whole_patches, same_patches),
    "predict": Fault(mapping, lambda made, seen: mapping(made), whole_maps, same_maps),
    "sweep": Fault(sweeping, lambda made, seen: sweeping(made), whole_sweep, same_sweep),
}
