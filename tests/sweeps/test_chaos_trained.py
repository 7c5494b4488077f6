"""Real trainings of a sweep, killed in the middle: they go on from their last checkpoint, and come to the same."""

from __future__ import annotations

import csv
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

import spectrain.demos
from spectrain.sweeps.plan import Plan
from spectrain.sweeps.store import RUNS, Store

SWEEP = """\
name: small
method: random
metric: {name: loss_valid, goal: minimize}
parameters:
  optimizer.lr: {min: 0.001, max: 0.01, distribution: log_uniform_values}
"""
EPOCHS = 3
SMALL = [
    f"dataset.path={Path(spectrain.demos.__file__).parent}/indian_pines.h5",
    *("dataset.window=32", "dataset.stride=16", "dataset.valid_fraction=0.25", "trackers=[]", "model=mae_tiny"),
    *("model.patch_size=[4,5]", "model.embed_dim=24", "model.encoder_depth=1", "model.decoder_depth=1"),
    *("hparams.batch_size=4", "hparams.valid_interval=1", "hparams.plot_interval=0", "show_prediction=none"),
    *("scheduler.warmup_epochs=1", f"hparams.epochs={EPOCHS}", "general.threads=1"),
]


def plan():
    return Plan("s1", "mae", "sweep.yaml", SWEEP, overrides=tuple(SMALL), randoms=2)


def work(url, folder):
    import torch

    from spectrain.sweeps.runner import Runner

    torch.set_num_threads(1)
    os.chdir(folder)
    Runner(Store(url, "s1"), plan(), "r", "cpu", None, 2).work()


def result(folder, kills, url):
    """Let two runners do a sweep, each killed as soon as a training of its has an epoch done; return its scores."""
    folder.mkdir()
    store = Store(url, "s1")
    store.create(plan().to_json(), ["minimize"])
    context = multiprocessing.get_context("spawn")
    workers = []

    def start():
        workers.append(context.Process(target=work, args=(url, str(folder))))
        workers[-1].start()

    for _ in range(2 if kills else 1):
        start()
    seen = set()
    while any(worker.is_alive() for worker in workers):
        time.sleep(0.05)
        for table in folder.glob("runs/s1/*/*/metrics.csv"):
            if len(table.read_text().splitlines()) == 2 and table not in seen and len(seen) < kills:
                seen.add(table)
                for worker in [one for one in workers if one.is_alive()]:
                    os.kill(worker.pid, signal.SIGKILL)
                    worker.join()
                    start()
    assert len(seen) == kills
    for table in folder.glob("runs/s1/*/*/metrics.csv"):
        with table.open() as file:
            assert [int(row["epoch"]) for row in csv.DictReader(file)] == list(range(1, EPOCHS + 1))
    assert len(list(folder.glob("runs/s1/*/*/metrics.csv"))) == 4
    trials = store.trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 2
    return [[run["scores"] for run in trial.user_attrs[RUNS].values()] for trial in trials]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_trainings_killed_in_the_middle_come_to_the_same_scores(tmp_path, server):
    undisturbed = result(tmp_path / "a", 0, f"sqlite:///{tmp_path}/a.db")
    assert result(tmp_path / "b", 3, server.new_database()) == undisturbed
