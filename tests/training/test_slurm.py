"""A training that srun started: its processes know of each other by SLURM's variables alone."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import h5py
import numpy as np
import pytest
from steps_of import TASKS, write_data
from warm_processes import Command

from spectrain.core.errors import RunError
from spectrain.core.launched import FIRST_PORT, PORTS, first_host, launched_world, meeting_place
from spectrain.runs.run import Run
from spectrain.training.processes.parallel import process_group

OTHERS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def step(number: int, tasks: int = 2, **changes: str) -> dict[str, str]:
    """Return what srun sets for one of its tasks on one machine."""
    return {
        "SLURM_JOB_ID": str(4_000_000 + os.getpid()),
        "SLURM_JOB_NODELIST": "localhost",
        "SLURM_LOCALID": str(number),
        "SLURM_NNODES": "1",
        "SLURM_NODEID": "0",
        "SLURM_NODELIST": "localhost",
        "SLURM_NTASKS": str(tasks),
        "SLURM_PROCID": str(number),
        "SLURM_STEP_ID": "0",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_STEP_NUM_TASKS": str(tasks),
        "SLURM_STEPID": "0",
    } | changes


@pytest.fixture
def slurm(monkeypatch):
    """Set what SLURM would, after taking away what is there of it or of torchrun."""
    for name in [name for name in os.environ if name.startswith("SLURM_") or name in OTHERS]:
        monkeypatch.delenv(name)

    def set_all(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("node[01-03,7]", "node01"),
        ("node7", "node7"),
        ("gpu1,gpu[3-4]", "gpu1"),
        ("a[2,5-9],b1", "a2"),
        ("rack[1-2]n[001-004]", "rack1n001"),
        ("n[3-5]-ib,m1", "n3-ib"),
        ("node-a.cluster.org,node-b.cluster.org", "node-a.cluster.org"),
        (" localhost ", "localhost"),
    ],
)
def test_the_first_host_of_a_list(nodes, first):
    assert first_host(nodes) == first


def test_a_task_of_a_step_is_one_of_many(slurm):
    slurm(**step(3, 4, SLURM_LOCALID="1", SLURM_NTASKS="8"))
    assert launched_world() == (3, 1, 4)


@pytest.mark.parametrize(
    "variables",
    [
        {"SLURM_JOB_ID": "5", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NTASKS": "8"},
        step(0, 1, SLURM_NTASKS="8"),
        {},
    ],
    ids=["the script of a batch job", "the shell of an allocation", "no SLURM at all"],
)
def test_what_is_started_once_is_alone(slurm, variables):
    slurm(**variables)
    assert launched_world() == (0, 0, 1)


def test_they_meet_where_the_step_begins_at_a_port_of_their_own(slurm):
    slurm(**step(1, SLURM_JOB_NODELIST="n[1-4]", SLURM_STEP_NODELIST="n[3-4]", SLURM_JOB_ID="77"))
    place, port = meeting_place().rsplit(":", 1)
    assert place == "tcp://n3"
    assert FIRST_PORT <= int(port) < FIRST_PORT + PORTS
    slurm(SLURM_STEP_ID="1")
    assert meeting_place() == f"tcp://n3:{int(port) + 1}"
    slurm(SLURM_JOB_ID="78", SLURM_STEP_ID="0")
    assert meeting_place() == f"tcp://n3:{int(port) + 101}"
    slurm(MASTER_PORT="4711")
    assert meeting_place() == "tcp://n3:4711"
    slurm(MASTER_ADDR="elsewhere")
    assert meeting_place() is None


def test_torchrun_inside_a_step_decides(slurm):
    slurm(**step(0), RANK="5", LOCAL_RANK="1", WORLD_SIZE="6")
    assert launched_world() == (5, 1, 6)
    assert meeting_place() is None


def test_a_port_that_is_taken_is_said_with_its_mend(slurm):
    with socket.create_server(("localhost", 0)) as taken:
        slurm(**step(0), MASTER_PORT=str(taken.getsockname()[1]))
        with pytest.raises(RunError, match="process 0 of 2 does not find the others") as error, process_group("cpu"):
            pass
    assert "MASTER_PORT" in str(error.value.fix)


def start(data: Path, out: Path, tasks: int = 2, **changes: str) -> list[Command]:
    """Start a training of two steps as srun would: one process a task, each with its variables."""
    clean = {name: v for name, v in os.environ.items() if not name.startswith("SLURM_") and name not in OTHERS}
    options = ["task=toy_mean", "model=toy_net", "model.outputs=2", "augmentation=none", "optimizer=sgd", "metric=none"]
    options += ["show_prediction=none", "trackers=[]", "hparams.batch_size=4", "hparams.epochs=1", "general.threads=1"]
    options += ["general.device=cpu", f"dataset.path={data}", f"out_dir={out}"]
    words = ["train", "contrastive", "--plugin", str(TASKS), *options]
    return [Command(words, env=clean | step(number, tasks, **changes)) for number in range(tasks)]


def ended(processes: list[Command]) -> list[tuple[int, str]]:
    """Return code and text of each; none outlives the test."""
    try:
        texts = ["".join(process.communicate(timeout=60)) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, text) for process, text in zip(processes, texts, strict=True)]


def test_two_tasks_of_a_step_train_together(tmp_path):
    data, out = write_data(tmp_path / "toy.h5"), tmp_path / "run"
    found = ended(start(data, out))
    assert [code for code, _ in found] == [0, 0], found
    run = Run.open(out)
    assert (run.info["status"], run.info["processes"], run.info["steps"]) == ("finished", 2, 2)
    with h5py.File(out / "curves.h5") as file:
        assert len(file["loss_step_train"]) == 2 and np.isfinite(file["loss_step_train"]).all()
    assert "2 steps an epoch" in found[0][1]
    assert not found[1][1].strip(), "the second process stays quiet"


def test_data_that_are_not_there_end_both_tasks(tmp_path):
    found = ended(start(tmp_path / "none.h5", tmp_path / "run"))
    assert [code for code, _ in found] == [1, 1], found
    assert all("there is no such file or folder" in text for _, text in found)
