"""TensorBoard, MLflow and Weights & Biases hold the same numbers as `metrics.csv`, each read back by its own means."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_config import FakeGeneral, FakeMlflow, FakeWandb
from matplotlib.figure import Figure

from spectrain.runs import trackers
from spectrain.runs.run import Run
from spectrain.runs.tables import read_epochs
from spectrain.runs.trackers import worker

ROWS = (
    {"loss_train": 0.1 + 0.2, "lr": 1e-3},
    {"loss_train": 1 / 3, "loss_valid": math.nan, "lr": 5e-324},
    {"loss_train": 123456.789, "loss_valid": -0.0, "lr": 1e300},
)


def train(run, first=1, last=3):
    for epoch in range(first, last + 1):
        run.log_interval({"loss_train": epoch / 7, "data_wait": 0.5}, step=10 * epoch - 5, epoch=epoch)
        run.log_epoch(ROWS[epoch - 1], epoch=epoch, step=10 * epoch)
        run.picture("views", Figure(figsize=(1, 1)), epoch=epoch)


def train_and_resume(cfg):
    """Train three epochs, be interrupted, go back to the end of the first and train the others again."""
    run = Run.create(cfg)
    train(run)
    run.finish("interrupted")
    again = Run.open(run.folder, cfg)
    again.cut_back(1, 10)
    train(again, first=2)
    again.finish("finished")
    return again


def same(first: float, second: float) -> bool:
    return first == second or (math.isnan(first) and math.isnan(second))


def check(run, held):
    """Compare what a tracker holds, ``{name: {epoch or step: value}}``, with the files."""
    rows = read_epochs(run.folder / "metrics.csv")
    assert len(rows) == 3
    names = {name for row in rows for name in row} - {"epoch", "step"}
    assert names == {name for name in held if not name.startswith("interval/")}
    for name in names:
        wanted = {row["epoch"]: row[name] for row in rows if name in row}
        assert wanted.keys() == held[name].keys()
        assert all(same(wanted[epoch], held[name][epoch]) for epoch in wanted), (name, wanted, held[name])
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert held["interval/loss_train"] == {line["step"]: line["loss_train"] for line in lines}


def test_tensorboard(cfg):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    run = train_and_resume(cfg.but(trackers=("tensorboard",)))
    events = EventAccumulator(str(run.folder / "log"), size_guidance={"tensors": 0, "images": 0})
    events.Reload()
    epoch_of = {int(row["step"]): row["epoch"] for row in read_epochs(run.folder / "metrics.csv")}
    held = {}
    for tag in events.Tags()["tensors"]:
        if tag.startswith("config"):
            assert "tiny_net" in tensor_util.make_ndarray(events.Tensors(tag)[0].tensor_proto).item().decode()
            continue
        points = [(point.step, tensor_util.make_ndarray(point.tensor_proto).item()) for point in events.Tensors(tag)]
        assert len(dict(points)) == len(points)  # the epochs that were trained twice are there once
        held[tag] = {step if tag.startswith("interval/") else epoch_of[step]: value for step, value in points}
    check(run, held)
    assert [image.step for image in events.Images("views")] == [10, 20, 30]
    assert len(list((run.folder / "log").glob("events.*"))) == 1


def mlflow_values(client, run_id, names):
    held = {}
    for name in names:
        points = sorted(client.get_metric_history(run_id, name), key=lambda point: point.timestamp)
        held[name] = {point.step: point.value for point in points}  # the last one counts
    return held


def test_mlflow_in_the_store_that_mlflow_ui_shows(cfg, tmp_path):
    import mlflow

    tags = FakeMlflow(tags={"version": "v1.0"}, run_name="named")
    general = FakeGeneral(experiment_name="sea/ice", notes="about <this>")
    run = train_and_resume(cfg.but(trackers=("mlflow",), mlflow=tags, general=general))
    ask = "from mlflow.tracking._tracking_service.utils import _get_default_tracking_uri as u; print(u())"
    shown = subprocess.run([sys.executable, "-c", ask], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "sqlite:///mlflow.db"

    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("sea/ice")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "named"
    assert found.info.run_id == Run.open(run.folder).info["trackers"]["mlflow"]["run_id"]
    assert found.data.params["general.seed"] == "3"
    assert found.data.tags["version"] == "v1.0"
    assert found.data.tags["mlflow.source.name"] == "spectrain train contrastive"
    assert found.data.tags["mlflow.user"]
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert found.data.tags["mlflow.note.content"] == "about <this>"
    check(run, mlflow_values(client, found.info.run_id, found.data.metrics))
    files = {file.path for file in client.list_artifacts(found.info.run_id)}
    assert {"config.yaml", "metrics.csv", "report.html", "plots"} <= files
    assert len(client.list_artifacts(found.info.run_id, "plots")) == 3


def test_mlflow_keeps_the_best_model_with_what_it_is(cfg, tmp_path):
    import mlflow

    def trained(cfg, *names):
        run = Run.create(cfg)
        for name in names:
            run.checkpoint(name).parent.mkdir(exist_ok=True)
            run.checkpoint(name).write_bytes(name.encode())
        run.log_epoch({"loss_valid": 0.25}, epoch=7, step=70)
        run.update_info(
            best={"epoch": 7, "monitor": "loss_valid", "value": 0.25},
            parameters=12,
            bands=[[{"name": "red", "wavelength": 650.0, "unit": None}]],
        )
        run.finish("finished")
        return Run.open(run.folder).info["trackers"]["mlflow"]["run_id"]

    cfg = cfg.but(trackers=("mlflow",))
    both, last, none = trained(cfg, "best", "last"), trained(cfg, "last"), trained(cfg)
    left_out = trained(cfg.but(mlflow=FakeMlflow(log_model=False)), "best")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")

    def kept(run_id):
        return {Path(file.path).name: file.path for file in client.list_artifacts(run_id, "model")}

    assert set(kept(both)) == {"best.pt", "model.json"}
    assert Path(client.download_artifacts(both, "model/best.pt")).read_bytes() == b"best"
    facts = json.loads(Path(client.download_artifacts(both, "model/model.json")).read_text())
    assert (facts["file"], facts["epoch"], facts["monitor"], facts["value"]) == ("best.pt", 7, "loss_valid", 0.25)
    assert (facts["parameters"], facts["model"]) == (12, "tiny_net")
    assert facts["bands"] == [[{"name": "red", "wavelength": 650.0}]]
    assert set(kept(last)) == {"last.pt", "model.json"}
    facts = json.loads(Path(client.download_artifacts(last, "model/model.json")).read_text())
    assert facts["epoch"] is None and facts["run_id"]
    assert kept(none) == kept(left_out) == {}


def test_mlflow_goes_on_in_an_mlruns_folder_that_is_there(cfg, tmp_path, monkeypatch):
    import mlflow

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow itself asks its users for it

    old = mlflow.MlflowClient((tmp_path / "mlruns").as_uri())
    old.create_experiment("before")
    run = Run.create(cfg.but(trackers=("mlflow",)))
    run.log_epoch({"loss_train": 0.25}, epoch=1, step=1)
    run.finish("failed")
    experiment = old.get_experiment_by_name("contrastive")
    (found,) = old.search_runs([experiment.experiment_id])
    assert found.data.metrics == {"loss_train": 0.25}
    assert found.info.status == "FAILED"
    assert not (tmp_path / "mlflow.db").exists()


def test_mlflow_out_of_reach_then_back(cfg, tmp_path, monkeypatch, caplog):
    import mlflow

    monkeypatch.setattr(worker, "FIRST_WAIT", 0.05)
    monkeypatch.setattr(trackers.Trackers.finish, "__defaults__", (1.0,))
    store = tmp_path / "disk" / "mlflow.db"
    cfg = cfg.but(trackers=("mlflow",), mlflow=FakeMlflow(tracking_uri=f"sqlite:///{store}"))
    (tmp_path / "disk").write_text("a file where the folder should be")
    run = Run.create(cfg)
    train(run)
    run.finish("interrupted")
    assert caplog.text.count("training goes on") == 1
    assert "9 entries stay in the journal" in caplog.text
    (tmp_path / "disk").unlink()
    (tmp_path / "disk").mkdir()
    monkeypatch.setattr(trackers.Trackers.finish, "__defaults__", (30.0,))
    again = Run.open(run.folder, cfg)
    again.cut_back(3, 30)
    again.finish("finished")
    client = mlflow.MlflowClient(f"sqlite:///{store}")
    run_id = Run.open(run.folder).info["trackers"]["mlflow"]["run_id"]
    check(again, mlflow_values(client, run_id, client.get_run(run_id).data.metrics))


def test_mlflow_refuses_one_name_and_takes_the_rest(cfg, tmp_path):
    import mlflow

    run = Run.create(cfg.but(trackers=("mlflow",)))
    run.log_epoch({"iou [sea]": 0.5}, epoch=1, step=1)
    run.log_epoch({"/": 0.5}, epoch=2, step=2)
    run.log_epoch({"loss_train": 0.25}, epoch=3, step=3)
    run.finish("finished")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    found = client.get_run(Run.open(run.folder).info["trackers"]["mlflow"]["run_id"])
    assert found.data.metrics == {"iou _sea_": 0.5, "loss_train": 0.25}
    assert "refuses an entry of step 2" in (run.folder / "log.txt").read_text()


@pytest.fixture
def offline(cfg):
    wandb = FakeWandb(project="sea", entity="nobody", group="all")
    return cfg.but(trackers=("wandb",), wandb=wandb, general=FakeGeneral(notes="n"), trial_name="trial-7")


def test_wandb_offline(offline, monkeypatch, capfd):
    import wandb_file

    monkeypatch.setenv("WANDB_API_KEY", "")
    run = train_and_resume(offline)
    files = sorted((run.folder / "wandb").glob(f"offline-run-*/run-{run.run_id}.wandb"))
    assert len(files) == 2  # a folder for each start
    held = {}
    steps = []
    for row in (row for file in files for row in wandb_file.history(file)):
        steps.append(row["_step"])
        for name, value in row.items():
            if name.startswith("_") or name in ("epoch", "step", "time") or name.startswith("plots/"):
                continue
            number = {"NaN": math.nan}.get(value, value)
            held.setdefault(name, {})[row["step" if name.startswith("interval/") else "epoch"]] = number
    del held["interval/data_wait"]
    check(run, held)
    assert steps == sorted(set(steps))
    assert wandb_file.config(files[0])["general.seed"] == 3
    place = wandb_file.run(files[0])
    assert (place.entity, place.project, place.display_name) == ("nobody", "sea", run.run_name)
    assert (place.run_id, place.run_group, place.job_type, place.notes) == (run.run_id, "all", "trial-7", "n")
    assert len(list((run.folder / "wandb").glob("offline-run-*/files/media/images/plots/views*.png"))) >= 3
    assert "Traceback" not in capfd.readouterr().err
    assert os.environ.get("WANDB_API_KEY") == ""
