"""Masked autoencoders train as every task does: in parts as in one, over processes, stopped and continued."""

from __future__ import annotations

import csv
import math
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import h5py
import numpy as np
import pytest
import small_mae
import torch
from small_mae import config, words
from steps_of import steps_of, steps_of_all
from test_equivalence import assert_same
from test_resume import assert_equal_runs
from warm_processes import environment, run, together

import spectrain
from spectrain.training.checkpoint import load_checkpoint
from spectrain.training.evaluate import evaluate, rehearse
from spectrain.training.session import build_session

MODELS = {
    "random": [],
    "tube, cross": ["model.masking=tube", "model.decoder=cross", "model.decode_ratio=0.5"],
    "all compared": ["loss.compare=all", "loss.spectral_sum_weight=0.1", "loss.normalise_tokens=true"],
    "mask channel": ["model.masking=spectral", "model.mask_channel=true", "model.class_token=true"],
}
HALF = ["hparams.batch_size=4"]
QUARTER = ["hparams.batch_size=2", "hparams.accumulate_grad_batches=2"]
FSDP = ["general.parallel=fsdp"]
AGAIN = ["general.recompute=true"]
PROCESSES = {
    "ddp": HALF,
    "fsdp": [*HALF, *FSDP],
    "ddp recomputed": [*HALF, *AGAIN],
    "fsdp recomputed, accumulated": [*QUARTER, *FSDP, *AGAIN],
    "ddp accumulated": QUARTER,
    "fsdp clipped": [*HALF, *FSDP, "hparams.gradient_clipping=0.1"],
}
CASES = [("holes", name) for name in PROCESSES]
CASES += [("mixture", name) for name in ("ddp", "fsdp", "fsdp recomputed, accumulated")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mae")
    small_mae.write_cubes(folder)
    return folder


def place(folder: Path, data: str) -> Path | list[Path]:
    names = ["holes", "other"] if data == "mixture" else [data]
    places = [folder / f"{name}.h5" for name in names]
    return places if len(places) > 1 else places[0]


def trained(path: Path | list[Path], out: Path, *more: str):
    return spectrain.train("mae", overrides=words(path, f"out_dir={out}", *more))


def curve(run, name: str) -> np.ndarray:
    with h5py.File(run.folder / "curves.h5") as file:
        return file[name][()]


@pytest.mark.parametrize("count", [2, 8])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("data", ["whole", "holes"])
def test_micro_batches_equal_one_batch(folder, data, model, count):
    path, more = place(folder, data), MODELS[model]
    parts = [f"hparams.batch_size={8 // count}", f"hparams.accumulate_grad_batches={count}"]
    whole = steps_of(path, "mae", more, steps=2, double=True)
    assert whole["own"][0] > 0
    assert_same(steps_of(path, "mae", [*more, *parts], steps=2, double=True), whole)


def test_micro_batches_of_a_mixture_equal_one_batch(folder):
    path = place(folder, "mixture")
    whole = steps_of(path, "mae", [], double=True)
    assert_same(
        steps_of(path, "mae", ["hparams.batch_size=2", "hparams.accumulate_grad_batches=4"], double=True), whole
    )


def test_recomputed_blocks_give_the_same_bits(folder):
    path = place(folder, "holes")
    for model in MODELS.values():
        one, other = (steps_of(path, "mae", [*model, *more], steps=2) for more in ([], AGAIN))
        assert one["losses"] == other["losses"]
        assert all(torch.equal(value, other["weights"][name]) for name, value in one["weights"].items())


@pytest.fixture(scope="module")
def two_processes(folder, tmp_path_factory):
    """Every case once in a world of two processes, in one start."""
    out = tmp_path_factory.mktemp("two")
    paths = {data: words(place(folder, data))[0] for data, _ in CASES}
    cases = {f"{data}: {case}": ("mae", [paths[data], *PROCESSES[case]]) for data, case in CASES}
    together(steps_of_all, folder / "holes.h5", cases, out / "out")
    return [torch.load(out / f"out.{rank}", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize(("data", "case"), CASES)
def test_two_processes_equal_one(folder, two_processes, data, case):
    more = [item for item in PROCESSES[case] if item.startswith("hparams.gradient_clipping")]
    whole = steps_of(place(folder, data), "mae", more, double=True)
    assert two_processes[0][f"{data}: {case}"]["weights"]
    for result in two_processes:
        assert_same(result[f"{data}: {case}"], whole)


@pytest.mark.slow  # its steps are compared above
def test_a_whole_run_in_two_processes_equals_one(folder, tmp_path):
    """With validation, statistics, checkpoint and the rest, sharded and recomputed; then one process tests it."""
    path = place(folder, "mixture")
    one = trained(path, tmp_path / "one", "hparams.epochs=2")
    more = [*HALF, *FSDP, *AGAIN, "hparams.epochs=2", f"out_dir={tmp_path / 'two'}"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "spectrain", "train", "mae", *words(path, *more)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    assert done.returncode == 0, done.stderr[-3000:]
    with h5py.File(one.folder / "curves.h5") as first, h5py.File(tmp_path / "two" / "curves.h5") as second:
        for name in ("loss_step_train", "loss_train", "loss_valid", "loss_sam_valid", "mse_masked_valid", "psnr_valid"):
            np.testing.assert_allclose(second[name][()], first[name][()], rtol=1e-4, err_msg=name)
        loss = second["loss_valid"][()].min()
    [found] = spectrain.test(tmp_path / "two")
    assert found["loss"] == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("data", ["holes", "mixture"])
def test_stopped_in_mid_epoch_and_continued_in_a_fresh_process_is_bit_identical(folder, tmp_path, data):
    from spectrain.training import loop

    path = place(folder, data)
    more = ["hparams.epochs=3", "hparams.batch_size=4", "augmentation=augment_basic", "hparams.log_every=2"]
    unbroken = trained(path, tmp_path / "unbroken", *more)
    real = loop.optimiser_step

    def stopping(session, raws, count, epoch, step):
        if step == 8:
            signal.raise_signal(signal.SIGINT)
        return real(session, raws, count, epoch, step)

    with patch.object(loop, "optimiser_step", stopping):
        stopped = trained(path, tmp_path / "stopped", *more)
    assert stopped.info["status"] == "interrupted"
    progress = load_checkpoint(stopped.checkpoint("last"))["progress"]
    assert progress["step"] == 9 and progress["step_in_epoch"] > 0
    done = run(["train", "--resume", stopped.folder])
    assert done.returncode == 0, done.stderr[-3000:]
    assert "not bit-identically" not in done.stderr
    assert_equal_runs(unbroken.folder, stopped.folder)


def test_one_batch_is_learned_by_heart(folder, tmp_path):
    more = ["hparams.overfit_batches=1", "hparams.batch_size=1", "hparams.epochs=120", "hparams.valid_interval=120"]
    more += ["model.embed_dim=64", "model.mask_ratio=0.5", "optimizer=adam", "optimizer.lr=0.005", "scheduler=cosine"]
    run = trained(place(folder, "whole"), tmp_path / "run", *more)
    loss = curve(run, "loss_train")
    assert loss[-1] < 0.01 * loss[0]


def test_debug_is_two_epochs_of_two_batches(folder, tmp_path):
    run = trained(place(folder, "mixture"), tmp_path / "run", "general.debug=true", "hparams.epochs=9")
    assert len(curve(run, "loss_train")) == 2
    assert len(curve(run, "loss_step_train")) <= 2 * 2 * 2  # two batches of each data set
    assert run.info["status"] == "finished"


def test_mixed_precision_on_a_cpu_is_near_float32(folder):
    found = [
        steps_of(place(folder, "holes"), "mae", [f"general.use_amp={amp}", *HALF], steps=1)["losses"][0]
        for amp in ("true", "false")
    ]
    (half, weight), (single, same) = found
    assert math.isfinite(half) and half != single
    assert half / weight == pytest.approx(single / same, rel=0.02)


@pytest.mark.parametrize("scheduler", ["cosine", "step", "plateau"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_every_optimizer_trains_under_every_schedule(folder, tmp_path, optimizer, scheduler):
    more = [f"optimizer={optimizer}", f"scheduler={scheduler}", "hparams.batch_size=64", "hparams.epochs=2"]
    more += ["scheduler.milestones=[1]"] if scheduler == "step" else []
    run = trained(place(folder, "holes"), tmp_path / "run", *more, "model.encoder_depth=1", "model.decoder_depth=1")
    weights = load_checkpoint(run.checkpoint("last"))["model"]
    fresh = build_session(config(place(folder, "holes"), "model.encoder_depth=1", "model.decoder_depth=1")).model
    assert run.info["steps"] == 2
    moved = [name for name, value in fresh.state_dict().items() if not torch.equal(value, weights[name])]
    assert len(moved) > len(weights) / 2
    assert np.isfinite(curve(run, "loss_step_train")).all()
    rates = curve(run, "lr")
    assert rates[1] < rates[0] if scheduler != "plateau" else rates[1] == rates[0]


def test_plateau_follows_validation(folder, tmp_path):
    more = ["scheduler=plateau", "scheduler.patience=0", "optimizer.lr=1e-9", "hparams.batch_size=64"]
    run = trained(place(folder, "whole"), tmp_path / "run", *more, "hparams.epochs=4", "optimizer.weight_decay=0")
    np.testing.assert_allclose(curve(run, "lr"), [1e-9, 1e-9, 1e-10, 1e-11], rtol=1e-6)


def hidden(session, epoch: int) -> list[torch.Tensor]:
    """Which tokens a training epoch predicts, of each batch of the first step."""
    plans = []
    for raw in session.train.loader.load(next(session.train_order.steps(0))):
        batch = session.training_batch(raw, session.train, epoch)
        tokens = session.model.tokens(batch)
        plans.append(session.model.net.plan(tokens, batch.key, batch.index).predicted)
    return plans


@pytest.mark.parametrize("data", ["whole", "holes", "mixture"])
def test_masks_belong_to_the_sample_and_in_training_to_the_epoch(folder, data):
    session = build_session(config(place(folder, data)))
    (first,), (again,), (later,) = hidden(session, 0), hidden(session, 0), hidden(session, 1)
    assert torch.equal(first, again)
    assert not torch.equal(first, later)

    def masks(size: int) -> dict[int, torch.Tensor]:
        from spectrain.data.mixture import eval_order

        found = {}

        def keep(step, batch):
            found.update(zip(batch.index.tolist(), step.output.masked, strict=True))

        evaluate(session, session.valid, eval_order(session.valid.patches, size), keep)
        return {index: mask for index, mask in found.items() if index >= 0}

    one, other = masks(8), masks(3)
    assert sorted(one) == sorted(other) == list(range(len(session.valid.patches)))
    assert all(torch.equal(one[index], other[index]) for index in one)
    session.close()


def test_validation_is_the_same_after_other_epochs(folder):
    session = build_session(config(place(folder, "mixture")))
    one, other = (evaluate(session, session.valid, session.valid_order).values("valid") for _ in range(2))
    assert one == other
    session.close()


def test_a_step_is_compiled_for_the_size_of_a_batch_after_the_rehearsal_too(folder):
    """The two samples of the rehearsal would make the batch a dimension that varies, for slower code."""
    torch._dynamo.reset()
    varies = []

    def noting(graph, inputs):
        sizes = [size for one in inputs for size in (one.shape if isinstance(one, torch.Tensor) else [one])]
        varies.append(any(isinstance(size, torch.SymInt) for size in sizes))
        return graph.forward

    session = build_session(config(place(folder, "whole")))
    session.model.compile(backend=noting)
    try:
        rehearse(session)
        assert varies == []
        (indices,) = next(session.train_order.steps(0))
        (raw,) = session.train.loader.load([indices])
        session.task.loss(session.model, session.training_batch(raw, session.train, 0))
        assert varies == [False]
    finally:
        session.close()
        torch._dynamo.reset()


def test_the_best_checkpoint_is_the_best_by_validation(folder, tmp_path):
    more = ["hparams.epochs=6", "optimizer.lr=0.1", "hparams.batch_size=4"]
    run = trained(place(folder, "whole"), tmp_path / "run", *more)
    loss = curve(run, "loss_valid")
    best = int(np.argmin(loss))
    assert 0 < best < 5, loss  # neither the first nor the last, so that something was chosen
    assert run.info["best"] == {"epoch": best + 1, "monitor": "loss_valid", "value": loss[best]}
    assert load_checkpoint(run.checkpoint("best"))["progress"]["best_epoch"] == best + 1
    session = build_session(config(place(folder, "whole"), *more), load_checkpoint(run.checkpoint("best")))
    found = evaluate(session, session.valid, session.valid_order).values("valid")
    session.close()
    assert found["loss_valid"] == loss[best]
    with (run.folder / "metrics.csv").open() as file:
        assert float(list(csv.DictReader(file))[best]["loss_valid"]) == loss[best]
