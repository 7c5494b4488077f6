from __future__ import annotations

import errno
import json
import logging
import multiprocessing
import os
import re

import numpy as np
import pytest
from fake_config import FakeConfig, FakeGeneral

from spectrain.core.errors import RunError
from spectrain.runs.curves import read_curves
from spectrain.runs.folder import claim_folder
from spectrain.runs.info import RunInfo
from spectrain.runs.run import Run
from spectrain.runs.tables import read_epochs


def figure(colour="red"):
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(1, 1))
    drawing.add_subplot().set_facecolor(colour)
    return drawing


def info(run):
    return json.loads((run.folder / "run.json").read_text())


def train(run, epochs, start=0):
    for epoch in range(start + 1, start + epochs + 1):
        for step in (epoch * 2 - 1, epoch * 2):
            run.log_interval({"loss_train": 1 / step, "lr": 0.1}, step=step, epoch=epoch)
        run.log_epoch({"loss_train": 1 / epoch}, epoch=epoch, step=epoch * 2)
        run.picture("views", figure(), epoch=epoch)


def test_a_run_says_where_it_is_and_how_it_stands(cfg, tmp_path, monkeypatch):
    run = Run.create(cfg)
    run.finish("finished")
    monkeypatch.chdir(tmp_path)
    assert repr(run) == f"Run('runs/{run.run_name}/{run.run_id}', finished)"
    monkeypatch.chdir("/")
    assert repr(Run.open(run.folder)).startswith(f"Run('{run.folder.relative_to('/')}'")


def test_a_run_that_cannot_begin_leaves_no_log_open(cfg, monkeypatch):
    def fail(*_, **__):
        raise RunError("the disk is full")

    monkeypatch.setattr("spectrain.runs.run.Trackers", fail)
    logger = logging.getLogger("spectrain")
    before = list(logger.handlers), logger.level
    with pytest.raises(RunError, match="the disk is full"):
        Run.create(cfg)
    assert (logger.handlers, logger.level) == before


def test_names_and_places(cfg, tmp_path):
    run = Run.create(cfg)
    assert run.run_name == "contrastive-tiny_net"
    assert re.fullmatch("[0-9a-z]{8}", run.run_id)
    assert run.folder == tmp_path / "runs" / run.run_name / run.run_id
    assert run.checkpoint("last") == run.folder / "checkpoints" / "last.pt"
    assert run.checkpoint("last").parent.is_dir()

    trial = Run.create(cfg.but(trial_name="trial7", run_name="a", run_id="b"))
    assert trial.folder == tmp_path / "runs" / "trial7" / "a-b"

    own = Run.create(cfg.but(out_dir="mine", all_checkpoint_dir="all/epochs"))
    assert own.folder == tmp_path / "mine"
    assert own.checkpoint("epoch_0010") == tmp_path / "all" / "epochs" / "epoch_0010.pt"
    assert own.checkpoint("best") == tmp_path / "mine" / "checkpoints" / "best.pt"
    assert Run.open(own.folder).checkpoint("epoch_0010") == own.checkpoint("epoch_0010")


@pytest.mark.parametrize("change", [{"run_id": "same"}, {"out_dir": "same"}])
def test_a_folder_that_holds_a_run_is_refused(cfg, change):
    run = Run.create(cfg.but(**change))
    with pytest.raises(RunError) as caught:
        Run.create(cfg.but(**change))
    message = str(caught.value)
    assert "holds a run already" in message
    assert f"--resume {run.folder}" in message
    assert f"another {next(iter(change))}" in message


def test_a_folder_in_which_no_run_began_can_be_taken_again(cfg, monkeypatch, tmp_path):
    def full(*given):
        raise RunError("the disk is full")

    with monkeypatch.context() as patch, pytest.raises(RunError, match="disk is full"):
        patch.setattr(RunInfo, "create", full)
        Run.create(cfg.but(out_dir="mine"))
    Run.create(cfg.but(out_dir="mine"))
    (tmp_path / "other" / "checkpoints").mkdir(parents=True)  # killed between the folder and run.json
    with pytest.raises(RunError, match=r"killed as it began(.|\n)*remove .*checkpoints where no process is at it"):
        Run.create(cfg.but(out_dir="other"))


def test_an_out_dir_of_the_users_is_taken_with_what_is_in_it(cfg, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thoughts.txt").write_text("keep")
    Run.create(cfg.but(out_dir="mine"))
    assert (tmp_path / "mine" / "thoughts.txt").read_text() == "keep"
    with pytest.raises(RunError, match="holds a run already"):
        Run.create(cfg.but(out_dir="mine"))


@pytest.mark.parametrize("key", ["run_name", "run_id", "trial_name"])
@pytest.mark.parametrize("name", ["a/b", "..", "x" * 300])
def test_a_name_that_is_no_folder_name_is_refused(cfg, key, name):
    with pytest.raises(RunError, match="cannot be the name of a folder") as caught:
        Run.create(cfg.but(**{key: name}))
    assert caught.value.where == key


def claim(cfg, start, queue):
    start.wait()
    try:
        queue.put(str(claim_folder(cfg).folder))
    except RunError as error:
        queue.put(error.what)


@pytest.mark.parametrize("change", [{}, {"run_id": "one"}, {"out_dir": "one"}])
def test_processes_that_start_at_once_never_share_a_folder(cfg, change):
    context = multiprocessing.get_context("fork")
    start, queue = context.Event(), context.Queue()
    workers = [context.Process(target=claim, args=(cfg.but(**change), start, queue)) for _ in range(6)]
    for worker in workers:
        worker.start()
    start.set()
    results = [queue.get(timeout=30) for _ in workers]
    for worker in workers:
        worker.join()
    folders = [result for result in results if result.startswith("/")]
    assert len(set(folders)) == len(folders) == (1 if change else 6)


def test_run_json_says_what_the_result_depends_on(cfg):
    run = Run.create(cfg.but(general=FakeGeneral(notes="first <try>", seed=11)))
    run.update_info(fingerprint="abc", timings={"samples_per_s": np.float64(5.5)}, shape=(1, np.int64(2)))
    run.update_info(timings={"data_wait": float("nan")})
    facts = info(run)
    assert facts["format"] == {"name": "spectrain.run", "version": 1}
    assert facts["status"] == "running"
    assert facts["seeds"] == {"seed": 11}
    assert facts["notes"] == "first <try>"
    assert facts["fingerprint"] == "abc"
    assert facts["timings"] == {"samples_per_s": 5.5, "data_wait": None}
    assert facts["shape"] == [1, 2]
    assert {"python", "torch", "numpy"} <= set(facts["versions"])
    assert facts["hardware"]["cores"] >= 1
    assert facts["process"]["pid"] == os.getpid()
    assert facts["git"] is None  # the test's folder is no repository
    assert (run.folder / "config.yaml").read_text() == cfg.but(
        general=FakeGeneral(notes="first <try>", seed=11)
    ).to_yaml()


def test_a_run_has_its_configuration_before_its_facts(cfg, monkeypatch):
    """A process may be killed between the two, and what has a run.json is gone on with."""

    def killed(folder, facts):
        assert (folder / "config.yaml").is_file()
        raise KeyboardInterrupt

    monkeypatch.setattr(RunInfo, "create", killed)
    with pytest.raises(KeyboardInterrupt):
        Run.create(cfg)


def test_logging_goes_to_the_log_while_the_run_is_open(cfg):
    run = Run.create(cfg)
    logger = logging.getLogger("spectrain.training")
    logger.info("hello %d", 5)
    logger.debug("too much")
    run.finish("finished")
    logger.info("nobody listens")
    text = (run.folder / "log.txt").read_text()
    assert "INFO    spectrain.training: hello 5" in text
    assert "too much" not in text
    assert "nobody" not in text
    assert logging.getLogger("spectrain").level == logging.NOTSET

    debug = Run.create(cfg.but(general=FakeGeneral(debug=True)))
    logger.debug("all of it")
    debug.finish("finished")
    assert "all of it" in (debug.folder / "log.txt").read_text()


def test_metrics_curves_and_pictures(cfg):
    run = Run.create(cfg)
    run.log_interval({"loss_train": 0.1 + 0.2, "lr": float("nan")}, step=1, epoch=1)
    run.log_epoch({"loss_train": 0.1 + 0.2}, epoch=1, step=2)
    run.log_epoch({"loss_train": float("inf"), "loss_valid": float("nan")}, epoch=2, step=4)
    run.log_epoch({"loss_valid": 1e-30, "loss_train": 2}, epoch=3, step=6)
    path = run.picture("views", figure(), epoch=3)
    run.write_curves({"loss_train": np.array([1.0, np.nan]), "loss_valid": np.array([])})
    run.finish("finished")

    assert (run.folder / "metrics.csv").read_text() == (
        "epoch,step,loss_train,loss_valid\n1,2,0.30000000000000004,\n2,4,inf,nan\n3,6,2.0,1e-30\n"
    )
    line = json.loads((run.folder / "metrics.jsonl").read_text())
    assert (line["epoch"], line["step"], line["loss_train"], line["lr"]) == (1, 1, 0.1 + 0.2, None)
    assert path == run.folder / "plots" / "views_0003.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    curves = read_curves(run.folder / "curves.h5")
    np.testing.assert_array_equal(curves["loss_train"], [1.0, np.nan])
    assert curves["loss_valid"].shape == (0,)
    assert info(run)["status"] == "finished"
    assert (run.folder / "report.html").is_file()


def test_curves_are_plain_hdf5_that_the_documents_code_reads(cfg):
    import h5py

    run = Run.create(cfg)
    run.write_curves(
        {"loss_train": np.arange(2.0), "loss_step_train": np.arange(6.0), "loss_avg_train": np.arange(6.0)}
    )
    with h5py.File(run.folder / "curves.h5", "r") as f:
        assert sorted(f) == ["loss_avg_train", "loss_step_train", "loss_train"]
        assert f["loss_step_train"][:].tolist() == [0, 1, 2, 3, 4, 5]
        assert dict(f.attrs) == {"format_name": "spectrain.curves", "format_version": 1}


def test_cut_back_drops_what_came_after_the_checkpoint(cfg):
    run = Run.create(cfg)
    train(run, 3)
    (run.folder / "checkpoints" / ".last.pt.1-ab.tmp").write_text("half")
    with (run.folder / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 4, "st')  # killed while writing
    again = Run.open(run.folder, cfg)
    again.cut_back(epoch=1, step=3)
    assert [row["epoch"] for row in read_epochs(again.folder / "metrics.csv")] == [1]
    assert [json.loads(line)["step"] for line in (again.folder / "metrics.jsonl").read_text().splitlines()] == [1, 2, 3]
    assert [path.name for path in (again.folder / "plots").iterdir()] == ["views_0001.png"]
    assert not list((again.folder / "checkpoints").iterdir())
    train(again, 2, start=1)
    assert [row["epoch"] for row in read_epochs(again.folder / "metrics.csv")] == [1, 2, 3]


def test_cut_back_to_the_beginning_of_a_new_run(cfg):
    run = Run.create(cfg)
    run.cut_back(0, 0)
    train(run, 1)
    assert len(read_epochs(run.folder / "metrics.csv")) == 1


def test_open_takes_a_folder_or_a_checkpoint_and_says_what_is_wrong_otherwise(cfg, tmp_path):
    run = Run.create(cfg)
    run.checkpoint("last").write_bytes(b"x")
    for path in (run.folder, str(run.folder), run.checkpoint("last")):
        assert Run.open(path).run_id == run.run_id
    (tmp_path / "elsewhere.pt").write_bytes(b"x")
    for path, what in (
        (tmp_path / "none", "no such run"),
        (tmp_path, "not a run folder"),
        (tmp_path / "elsewhere.pt", "does not lie in a run folder"),
    ):
        with pytest.raises(RunError, match=what):
            Run.open(path)
    (run.folder / "run.json").write_text('{"form')
    with pytest.raises(RunError, match=r"run\.json cannot be read"):
        Run.open(run.folder)
    (run.folder / "run.json").write_text('{"format": {"name": "spectrain.run", "version": 99}}')
    with pytest.raises(RunError, match="version 99"):
        Run.open(run.folder)


def test_opening_changes_nothing(cfg):
    run = Run.create(cfg)
    train(run, 1)
    run.finish("finished")
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    opened = Run.open(run.folder)
    opened.finish("failed")
    assert {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()} == before


def test_status_follows_the_run_through_interruption_and_resume(cfg):
    run = Run.create(cfg)
    run.finish("interrupted")
    run.finish("finished")  # the second end does not count
    assert info(run)["status"] == "interrupted"
    again = Run.open(run.folder, cfg.but(general=FakeGeneral(notes="longer")))
    again.cut_back(0, 0)
    assert info(run)["status"] == "running"
    assert info(run)["ended"] is None
    assert '"longer"' in (run.folder / "config.yaml").read_text()
    again.finish("finished")
    assert info(run)["status"] == "finished"
    with pytest.raises(ValueError, match="none of"):
        again.finish("done")


def test_a_silent_run_writes_nothing_and_knows_the_places(cfg, tmp_path):
    run = Run.create(cfg.but(all_checkpoint_dir="all"))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    silent = Run.silent(cfg, run.folder)
    train(silent, 1)
    silent.cut_back(0, 0)
    silent.write_curves({"a": np.zeros(1)})
    silent.update_info(fingerprint="x")
    silent.finish("finished")
    assert (silent.run_name, silent.run_id) == (run.run_name, run.run_id)
    assert silent.checkpoint("epoch_0001") == run.checkpoint("epoch_0001")
    assert silent.picture("views", figure(), epoch=1) == run.folder / "plots" / "views_0001.png"
    nowhere = Run.silent(cfg, tmp_path / "other machine")
    nowhere.log_epoch({"loss_train": 1.0}, epoch=1, step=1)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "write",
    [
        lambda run: run.log_epoch({"loss_train": 1.0}, epoch=2, step=4),
        lambda run: run.log_epoch({"new": 1.0}, epoch=2, step=4),
        lambda run: run.write_curves({"loss_train": np.zeros(5)}),
        lambda run: run.picture("views", figure("blue"), epoch=1),
        lambda run: run.update_info(fingerprint="x"),
    ],
    ids=["row", "column", "curves", "picture", "info"],
)
def test_a_full_disk_is_one_clear_error_and_all_files_stay_as_they_were(cfg, monkeypatch, write):
    run = Run.create(cfg)
    train(run, 1)
    run.write_curves({"loss_train": np.ones(1)})
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}

    def full(_number):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="the disk is full"):
        write(run)
    assert {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()} == before


def test_a_report_that_fails_does_not_make_a_failure_of_the_run(cfg, monkeypatch):
    monkeypatch.setattr("spectrain.runs.report.write_report", lambda folders: 1 / 0)
    run = Run.create(cfg)
    run.finish("finished")
    assert info(run)["status"] == "finished"
    assert "could not be written" in (run.folder / "log.txt").read_text()


def test_a_tracker_that_is_not_there_stops_before_a_folder_is_made(cfg, tmp_path, monkeypatch):
    with pytest.raises(RunError, match="did you mean 'mlflow'"):
        Run.create(cfg.but(trackers=("mlflo",)))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"'wandb' is not installed(.|\n)*spectrain\[trackers\]"):
        Run.create(cfg.but(trackers=("wandb",)))
    assert not (tmp_path / "runs").exists()


def test_the_fake_stands_for_the_real_configuration():
    from spectrain.config.schema import General, Mlflow, Tensorboard, TopLevel, Wandb

    fake = FakeConfig(artifact_dir="runs")
    for real, stand_in in (
        (General, fake.general),
        (Mlflow, fake.mlflow),
        (Wandb, fake.wandb),
        (Tensorboard, fake.tensorboard),
    ):
        assert set(vars(stand_in)) <= set(real.__dataclass_fields__)
    assert {"trackers", "artifact_dir", "run_name", "run_id", "trial_name", "out_dir", "all_checkpoint_dir"} <= set(
        TopLevel.__dataclass_fields__
    )
