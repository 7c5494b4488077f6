"""What the options of a training do, seen in what a run leaves behind."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from steps_of import config, write_data

import spectrain
from spectrain.cli import main
from spectrain.core.errors import RunError
from spectrain.training.api import train_config
from spectrain.training.checkpoint import load_checkpoint
from spectrain.training.profiling import profiler


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_data(tmp_path_factory.mktemp("toy") / "toy.h5")


def trained(data: Path, out: Path, *more: str, kind: str = "toy_dense"):
    small = ["hparams.batch_size=4", "hparams.epochs=4", f"out_dir={out}"]
    changed = {item.split("=", 1)[0] for item in more}
    return train_config(config(data, kind, *(item for item in small if item.split("=", 1)[0] not in changed), *more))


def epochs(run) -> list[dict[str, str]]:
    with (run.folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("kind", ["toy_mean", "toy_class_map", "toy_dense", "toy_sparse"])
def test_each_kind_of_target_goes_through_the_whole_loop(data, tmp_path, kind):
    run = trained(data, tmp_path / "run", "hparams.epochs=8", "optimizer.lr=0.02", kind=kind)
    assert run.info["status"] == "finished"
    rows = epochs(run)
    assert len(rows) == 8
    assert float(rows[-1]["loss_train"]) < float(rows[0]["loss_train"])
    with h5py.File(run.folder / "curves.h5") as file:
        assert file["loss_train"].shape == (8,)
        assert file["loss_step_train"].shape == file["loss_avg_train"].shape == (32,)
        assert file["loss_valid"].shape == (8,)
        np.testing.assert_allclose(file["loss_train"][()], [float(row["loss_train"]) for row in rows], rtol=1e-9)
    assert (run.folder / "report.html").is_file()


def test_checkpoints_of_epochs_go_where_they_are_wanted(data, tmp_path):
    run = trained(data, tmp_path / "run", "hparams.save_freq=2", f"all_checkpoint_dir={tmp_path / 'all'}")
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == ["epoch_0002.pt", "epoch_0004.pt"]
    assert sorted(path.name for path in (run.folder / "checkpoints").iterdir()) == ["best.pt", "last.pt"]
    meta = load_checkpoint(tmp_path / "all" / "epoch_0002.pt")["meta"]
    assert [band["name"] for band in meta["bands"]] == ["band_1", "band_2"]
    assert {"fingerprint", "statistics", "config", "run_name", "run_id", "trial_name", "seed", "fold"} <= set(meta)


def test_a_checkpoint_of_the_same_moment_is_a_second_name_of_the_one_before(data, tmp_path, monkeypatch):
    more = ["hparams.save_freq=1", "hparams.epochs=2"]
    folder = trained(data, tmp_path / "run", *more).folder / "checkpoints"
    assert (folder / "last.pt").samefile(folder / "epoch_0002.pt")
    assert not (folder / "last.pt").samefile(folder / "epoch_0001.pt")
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("no links here")))
    other = trained(data, tmp_path / "other", *more).folder / "checkpoints"
    assert not (other / "last.pt").samefile(other / "epoch_0002.pt")
    for name in ("last", "epoch_0002"):
        one, two = (load_checkpoint(place / f"{name}.pt") for place in (folder, other))
        assert one["progress"] == two["progress"]
        assert all(torch.equal(value, two["model"][key]) for key, value in one["model"].items())


def test_best_is_the_lowest_monitored_value_and_patience_ends_the_run(data, tmp_path):
    more = ["hparams.epochs=50", "optimizer.lr=1e-9", "hparams.early_stopping_patience=3"]
    run = trained(data, tmp_path / "run", *more, "hparams.monitor=loss_train")
    values = [float(row["loss_train"]) for row in epochs(run)]
    best = run.info["best"]
    assert best["value"] == min(values)
    assert values[best["epoch"] - 1] == min(values)
    assert len(values) == best["epoch"] + 3 or len(values) == 50


def test_validation_comes_at_its_interval_and_at_the_end(data, tmp_path):
    run = trained(data, tmp_path / "run", "hparams.valid_interval=3")
    assert [row["loss_valid"] != "" for row in epochs(run)] == [False, False, True, True]


def test_a_few_batches_are_learned_by_heart(data, tmp_path):
    more = ["hparams.overfit_batches=1", "hparams.epochs=150", "optimizer=adamw", "optimizer.lr=0.02"]
    rows = epochs(trained(data, tmp_path / "run", *more))
    assert float(rows[-1]["loss_train"]) < 0.05 * float(rows[0]["loss_train"])


def test_debug_takes_two_batches_and_two_epochs(data, tmp_path):
    run = trained(data, tmp_path / "run", "general.debug=true", "hparams.batch_size=2", "hparams.epochs=9")
    assert [row["step"] for row in epochs(run)] == ["2", "4"]


def test_a_trace_is_written_on_request(data, tmp_path):
    run = trained(data, tmp_path / "run", "general.profile=true")
    assert traced_steps(run.folder) == 3


def traced_steps(folder: Path) -> int:
    """Return how many steps the trace holds, told by the optimiser's updates."""
    events = json.loads((folder / "trace.json").read_text())["traceEvents"]
    return sum(event["name"].startswith("Optimizer.step#") for event in events if event.get("ph") == "X")


@pytest.mark.parametrize(("steps", "traced"), [(1, 1), (2, 2), (4, 3), (5, 3)])
def test_a_training_of_less_than_six_steps_is_traced_too(tmp_path, steps, traced):
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters())
    with profiler(True, tmp_path, steps) as profile:
        for _ in range(steps):
            model(torch.ones(1, 2)).sum().backward()
            optimizer.step()
            profile.step()
    assert traced_steps(tmp_path) == traced


@pytest.mark.parametrize(("steps", "taken"), [(0, 0), (100, 2)])
def test_where_no_trace_is_written_a_warning_says_so(tmp_path, caplog, steps, taken):
    with profiler(True, tmp_path, steps) as profile:
        for _ in range(taken):
            profile.step()
    assert not (tmp_path / "trace.json").exists()
    assert "trace.json" in caplog.text


def test_clipping_bounds_the_step(data, tmp_path):
    more = ["hparams.gradient_clipping=1e-3", "hparams.epochs=1", "optimizer.momentum=0", "optimizer.weight_decay=0"]
    run = trained(data, tmp_path / "run", *more, "hparams.batch_size=16", "optimizer.lr=1", "scheduler=none")
    start = spectrain.build_model(run.cfg).state_dict()
    end = load_checkpoint(run.checkpoint("last"))["model"]
    names = [name for name in start if name.endswith(("weight", "bias"))]
    moved = torch.cat([(end[name] - start[name]).flatten() for name in names]).norm()
    assert 0 < float(moved) <= 1.01e-3


def test_an_unknown_value_to_monitor_leaves_no_folder(data, tmp_path):
    with pytest.raises(RunError, match="did you mean 'loss_valid'"):
        trained(data, tmp_path / "run", "hparams.monitor=loss_vald")
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_the_checkpoints(data, tmp_path):
    with pytest.raises(RunError, match="is not finite"):
        trained(data, tmp_path / "run", "optimizer.lr=1e30", "scheduler=none")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "failed"


def test_compiled_and_plain_models_agree(data, tmp_path):
    plain = trained(data, tmp_path / "plain", "hparams.epochs=1")
    compiled = trained(data, tmp_path / "compiled", "hparams.epochs=1", "general.compile=true")
    one, two = (load_checkpoint(run.checkpoint("last"))["model"] for run in (plain, compiled))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-4)


PLUGIN = Path(__file__).with_name("toy_plugin.py")


def command(*words: str) -> None:
    line = [sys.executable, "-m", "spectrain", "train", *words, "--plugin", str(PLUGIN)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stderr[:6000]}\n...\n{done.stderr[-2000:]}"  # the starter has the last words


@pytest.mark.parametrize("parallel", ["ddp", pytest.param("fsdp", marks=pytest.mark.slow)])
def test_one_process_a_device_is_started_and_another_number_continues_the_run(data, tmp_path, parallel, capsys):
    run = tmp_path / "run"
    words = [f"dataset.path={data}", "dataset.labels_key={split}_toy_dense", "task=toy_dense", "model=toy_net"]
    words += ["metric=none", "show_prediction=none", "augmentation=none", "hparams.epochs=2", "hparams.batch_size=4"]
    words += [
        "optimizer=adamw",
        "optimizer.lr=0.05",
        "general.device=cpu",
        "general.device_ids=[0,1]",
        f"general.parallel={parallel}",
    ]
    command("contrastive", *words, f"out_dir={run}")
    info = json.loads((run / "run.json").read_text())
    assert (info["processes"], info["steps"]) == (2, 4)
    more = ["hparams.epochs=3", "general.device_ids=[]", "hparams.batch_size=8"]
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--resume", str(run), *more, "--plugin", str(PLUGIN)])
    assert not stopped.value.code
    assert "processes 2 → 1" in capsys.readouterr().err
    record = load_checkpoint(run / "checkpoints" / "last.pt")
    assert record["progress"]["step"] == 6
    assert {float(state["step"]) for state in record["optimizer"]["state"].values()} == {6.0}
    losses = record["curves"]["epochs"]
    assert losses[2]["loss_train"] < losses[0]["loss_train"]


def test_the_parts_make_the_same_epoch_as_the_loop(data, tmp_path):
    run = trained(data, tmp_path / "run", "hparams.epochs=1")
    cfg = run.cfg
    loader, model, criterion = (
        spectrain.make_loader(cfg, "train"),
        spectrain.build_model(cfg),
        spectrain.build_loss(cfg),
    )
    optimizer = cfg.optimizer.build(parameters=model.parameters())
    loss, losses_step, losses_avg = spectrain.train_epoch(loader, model, criterion, optimizer, 0, cfg)
    with h5py.File(run.folder / "curves.h5") as file:
        np.testing.assert_allclose(losses_step, file["loss_step_train"][()], rtol=1e-6)
        np.testing.assert_allclose(losses_avg, file["loss_avg_train"][()], rtol=1e-6)
    assert loss == pytest.approx(float(epochs(run)[0]["loss_train"]))
    trained_model = spectrain.load_trained_model(run.folder)
    results = spectrain.evaluate_model_dataloader(
        trained_model, spectrain.make_loader(cfg, "valid"), tmp_path / "results"
    )
    assert results["loss"] == pytest.approx(float(epochs(run)[0]["loss_valid"]), rel=1e-5)
    assert (tmp_path / "results" / "metrics.csv").is_file()
    assert spectrain.learning_rate(cfg, 0, 4) == pytest.approx(0.05)
    assert sum(batch.image.shape[0] for batch in spectrain.make_loader(cfg, "train")) == 16
    meter = spectrain.Meter()
    meter.update(2.0, 1)
    meter.update(5.0, 2)
    assert (meter.val, meter.avg, meter.count) == (5.0, 4.0, 3)


def test_every_public_name_is_there():
    for name in spectrain.__all__:
        assert getattr(spectrain, name) is not None
    assert set(spectrain.__all__) <= set(dir(spectrain))


def test_pictures_come_in_the_wanted_format_and_as_png_for_the_report(data, tmp_path):
    more = ["show_prediction=views", "show_prediction.save_format=pdf", "hparams.epochs=2", "hparams.plot_interval=1"]
    run = trained(data, tmp_path / "run", *more, kind="contrastive")
    names = sorted(path.name for path in (run.folder / "plots").iterdir())
    assert names == [f"contrastive_000{epoch}.{kind}" for epoch in (1, 2) for kind in ("pdf", "png")]
    assert (run.folder / "plots" / "contrastive_0001.pdf").read_bytes().startswith(b"%PDF")
    run.cut_back(epoch=1, step=4)
    assert len(list((run.folder / "plots").iterdir())) == 2
    run.finish("interrupted")


def test_the_last_validation_is_drawn_whatever_the_interval(data, tmp_path):
    more = ["show_prediction=views", "hparams.epochs=4", "hparams.plot_interval=3"]
    run = trained(data, tmp_path / "run", *more, kind="contrastive")
    assert [path.stem[-1] for path in sorted((run.folder / "plots").iterdir())] == ["1", "4"]
    run = trained(data, tmp_path / "none", *more[:2], "hparams.plot_interval=0", kind="contrastive")
    assert not (run.folder / "plots").exists()
