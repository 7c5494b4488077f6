"""A training that is killed at any moment continues exactly: weights, optimiser and curves, bit for bit."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from steps_of import TASKS
from warm_processes import Command, run

from spectrain.cli import main
from spectrain.runs.curves import read_curves, write_curves
from spectrain.training.checkpoint import load_checkpoint

EPOCHS = 30


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("resume") / "images.h5"
    image = np.random.default_rng(0).normal(10, 2, (70, 2, 16, 16)).astype(np.float32)
    image[::3, :, :4] = np.nan
    with h5py.File(path, "w") as file:
        file["train"], file["valid"] = image, image[:20] + 1
    return path


def command(data: Path, out: Path, *more: str, epochs: int = EPOCHS) -> list[str]:
    options = [
        f"dataset.path={data}",
        f"out_dir={out}",
        "model=toy_net",
        "model.embed=true",
        "model.standardise=mean_std",
        "optimizer=adamw",
        "scheduler=plateau",
        "scheduler.patience=2",
        "augmentation.crop=12",
        "augmentation.jitter=2",
        "augmentation.noise=0.1",
        "metric=embedding",
        "show_prediction=none",
        "hparams.batch_size=8",
        f"hparams.epochs={epochs}",
        "hparams.checkpoint_every=3",
        "hparams.log_every=4",
        "hparams.valid_interval=2",
        "general.threads=1",
        "general.device=cpu",
        *more,
    ]
    return ["train", "contrastive", "--plugin", str(TASKS), *options]


def resume(out: Path, *more: str) -> list[str]:
    return ["train", "--resume", str(out), "--plugin", str(TASKS), *more]


def finished(words: list[str]) -> subprocess.CompletedProcess[str]:
    done = run(words)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done


def here(words: list[str], monkeypatch) -> int:
    """Run a command in this process, where nothing depends on its own; return its exit code."""
    monkeypatch.delenv("SPECTRAIN_CONFIG", raising=False)
    with pytest.raises(SystemExit) as stopped:
        main(words)
    return int(stopped.value.code or 0)


def kill_while_running(words: list[str], out: Path, after: float) -> bool:
    """Start the training, kill it ``after`` seconds from its first log line; say whether it was still running."""
    log = out / "metrics.jsonl"
    size = log.stat().st_size if log.is_file() else 0
    process = Command(words)
    while process.poll() is None and (not log.is_file() or log.stat().st_size <= size):
        time.sleep(0.01)
    time.sleep(after)
    alive = process.poll() is None
    if alive:
        process.kill()
    process.wait()
    return alive


def assert_equal_runs(first: Path, second: Path) -> None:
    one, two = (load_checkpoint(out / "checkpoints" / "last.pt") for out in (first, second))
    for part in ("model", "optimizer", "curves"):
        assert_same(one[part], two[part], part)
    progress = [{k: v for k, v in record["progress"].items() if k != "schedule"} for record in (one, two)]
    assert progress[0] == progress[1]
    assert one["progress"]["schedule"] == two["progress"]["schedule"]
    with h5py.File(first / "curves.h5") as a, h5py.File(second / "curves.h5") as b:
        assert set(a) == set(b)
        for name in a:
            np.testing.assert_array_equal(a[name][()], b[name][()])
    assert (first / "metrics.csv").read_text() == (second / "metrics.csv").read_text()


def assert_same(one, two, where: str) -> None:
    assert type(one) is type(two), where
    if isinstance(one, torch.Tensor):
        assert torch.equal(one.nan_to_num(7.7), two.nan_to_num(7.7)), where
    elif isinstance(one, dict):
        assert list(one) == list(two), where
        for key in one:
            assert_same(one[key], two[key], f"{where}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(two), where
        for number, (a, b) in enumerate(zip(one, two, strict=True)):
            assert_same(a, b, f"{where}[{number}]")
    else:
        assert one == two or (one != one and two != two), where


@pytest.fixture(scope="module")
def unbroken(data, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("unbroken") / "run"
    finished(command(data, out))
    return out


def killed_and_resumed(data: Path, out: Path, kills: int, seed: int, workers: int) -> int:
    chance = random.Random(seed)
    words = command(data, out, f"general.num_workers={workers}")
    killed = 0
    for _ in range(kills):
        if not kill_while_running(words, out, chance.uniform(0, 0.6)):
            break
        killed += 1
        words = resume(out)
    finished(resume(out))
    return killed


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_killed_and_resumed_is_bit_identical(data, unbroken, tmp_path, workers):
    out = tmp_path / "run"
    assert killed_and_resumed(data, out, kills=2, seed=workers, workers=workers) >= 1
    assert_equal_runs(unbroken, out)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("seed", range(5))
def test_ten_times_killed_at_random_moments(data, unbroken, tmp_path, seed, workers):
    out = tmp_path / "run"
    assert killed_and_resumed(data, out, kills=4, seed=100 + seed, workers=workers) >= 1
    assert_equal_runs(unbroken, out)


def test_a_stop_request_writes_a_checkpoint_and_the_rest_is_identical(data, unbroken, tmp_path):
    out = tmp_path / "run"
    process = Command(command(data, out))
    while not (out / "metrics.jsonl").is_file():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in said
    step = load_checkpoint(out / "checkpoints" / "last.pt")["progress"]["step"]
    before = load_checkpoint(out / "checkpoints" / "last.pt")["model"]
    finished(resume(out))
    after = load_checkpoint(out / "checkpoints" / "last.pt")
    assert after["progress"]["step"] > step
    assert any(not torch.equal(before[name], value) for name, value in after["model"].items())
    assert_equal_runs(unbroken, out)


def test_curves_of_a_training_that_died_after_its_last_checkpoint_are_those_of_the_checkpoint(
    data, tmp_path, monkeypatch
):
    class Died(BaseException):
        pass

    def dies_at_the_second(path, curves):
        if len(curves["loss_train"]) == 2:
            raise Died
        write_curves(path, curves)

    out = tmp_path / "run"
    with monkeypatch.context() as patched, pytest.raises(Died):
        patched.setattr("spectrain.runs.run.write_curves", dies_at_the_second)
        main(command(data, out, epochs=2))
    assert load_checkpoint(out / "checkpoints" / "last.pt")["progress"]["epoch"] == 2
    assert len(read_curves(out / "curves.h5")["loss_train"]) == 1
    assert here(resume(out), monkeypatch) == 0
    found = read_curves(out / "curves.h5")
    assert len(found["loss_train"]) == 2
    assert len(found["loss_step_train"]) == load_checkpoint(out / "checkpoints" / "last.pt")["progress"]["step"]


def test_other_threads_are_said(data, tmp_path, monkeypatch):
    out = tmp_path / "run"
    assert here(command(data, out, epochs=2), monkeypatch) == 0
    said = finished(resume(out, "hparams.epochs=3", "general.threads=2"))
    assert "continues, not bit-identically: threads 1 → 2" in said.stderr
    assert load_checkpoint(out / "checkpoints" / "last.pt")["progress"]["epoch"] == 3


def test_changed_data_and_other_models_are_refused(data, tmp_path, monkeypatch, capsys):
    out, copy = tmp_path / "run", tmp_path / "images.h5"
    copy.write_bytes(data.read_bytes())
    assert here(command(copy, out, epochs=1), monkeypatch) == 0
    words = resume(out, "hparams.epochs=2", "model.batch_norm=false")
    refused = run(words)
    assert refused.returncode == 1
    assert "another model" in refused.stderr
    assert "Traceback" not in refused.stderr
    with h5py.File(copy, "r+") as file:
        file["train"][0] = 3
    capsys.readouterr()
    assert here(resume(out, "hparams.epochs=2"), monkeypatch) == 1
    assert "the data changed since the run began" in capsys.readouterr().err
