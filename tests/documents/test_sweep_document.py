"""What the document on segmentation promises of sweeps: its two files as printed, and which command begins what."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from test_segmentation_page import prepared as prepared

from spectrain.cli import main
from spectrain.runs.run import Run
from spectrain.sweeps.store import RUNS
from spectrain.sweeps.sweep import open_sweep

HERE = Path(__file__).parent
QUICK = ["hparams.epochs=1", "hparams.valid_interval=1", "general.num_workers=0"]
QUICK += ["trackers=[]", "general.compile=false", "augmentation=none"]


@pytest.fixture
def place(prepared, tmp_path, monkeypatch):
    """The folder that the document shows, with its two files; only the paths and the database are others."""
    monkeypatch.chdir(tmp_path)
    Path("configs").mkdir()
    shutil.copy(HERE / "planet-tcvis-sweep.yaml", "configs")
    text = (HERE / "planet-sweep-config.toml").read_text()
    for old, new in (
        ("/fast-storage/darts-nextgen/data/training/planet_native_tcvis_896_partial", str(prepared)),
        ("/large-storage/darts-nextgen/artifacts", "artifacts"),
        ("postgresql://pguser@localhost:5432/sweeps", f"sqlite:///{tmp_path}/sweeps.db"),
    ):
        assert old in text
        text = text.replace(old, new)
    Path("configs/planet-sweep-config.toml").write_text(text)
    return tmp_path


def sweep(*words):
    with pytest.raises(SystemExit) as stopped:
        main(["sweep", "--config", "configs/planet-sweep-config.toml", *words])
    return stopped.value.code or 0


def test_its_files_as_printed(place, capsys):
    # sweep-id is in the file, and no device: that is an error
    assert sweep() == 2
    assert "no device" in capsys.readouterr().err and not Path("artifacts").exists()
    # the first runner: the id is not there yet, so it begins; one run of the 3 × 3 is enough here
    assert sweep("--device", "cpu", "--n-trials", "1", "--n-randoms", "1", "--n-folds", "1", *QUICK) == 0
    found = open_sweep("sweep-cv-large-planet", artifact_dir="artifacts")
    assert found.plan.definition.method == "random" and found.folder == Path("artifacts/sweep-cv-large-planet")
    (trial,) = found.store.trials()
    (record,) = trial.user_attrs[RUNS].values()
    run = Run.open(found.folder / record["folder"])
    assert run.folder.parent.name == "planet-tcvis-large-0"
    assert run.folder.name.startswith("planet-tcvis-large-0-r42-")
    assert run.cfg.wandb.group == "sweep-cv-large-planet" and run.cfg.trial_name == "planet-tcvis-large-0"
    assert run.cfg.scheduler.gamma == 0.997 and run.cfg.hparams.batch_size == 6
    assert run.cfg.optimizer.lr == trial.params["learning_rate"] and 1e-5 <= trial.params["learning_rate"] <= 1e-3
    assert run.cfg.loss.gamma == trial.params["focal_loss_gamma"]
    assert trial.values[0] == max(float(row["jaccard_valid"]) for row in rows(run))
    # a second runner continues by the id
    assert sweep("--device", "cpu", "--n-trials", "1", "--n-randoms", "1", "--n-folds", "1", "--total-trials", "1") == 0
    assert len(found.store.trials()) == 1


def rows(run):
    import csv

    with (run.folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))
