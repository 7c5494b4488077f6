"""How trackers are fed: order, outages, crashes, resumes; with a tracker that fails when told to."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from datetime import date
from types import SimpleNamespace
from typing import ClassVar

import pytest
from fake_config import FakeGeneral
from matplotlib.figure import Figure

from spectrain.runs import trackers
from spectrain.runs.run import Run
from spectrain.runs.trackers import worker
from spectrain.runs.trackers.base import Refused, TrackedRun, Tracker


class FakeTracker(Tracker):
    title = "Fake"
    failures: ClassVar[list[str]] = []  # names of the calls that are to fail, each once
    told: ClassVar[list[tuple]] = []
    hold = threading.Event()
    refused: ClassVar[set[int]] = set()

    def _call(self, name, *facts):
        self.hold.wait(20)
        if name in self.failures:
            self.failures.remove(name)
            raise ConnectionError(f"no route to host ({name})\nand a long story")
        self.told.append((name, *facts))

    def start(self, run):
        self._call("start", dict(run.ids), run.options()["general.seed"])
        return {"id": f"fake-{run.run_id}"}

    def metrics(self, event):
        if event.step in self.refused:
            raise Refused("a bad name")
        self._call("metrics", event.kind, event.epoch, event.step, dict(event.values))

    def picture(self, event):
        self._call("picture", event.name, event.epoch, event.step, event.path.name)

    def finish(self, status):
        self._call("finish", status)


class ReplayingTracker(FakeTracker):
    replays = True


@pytest.fixture
def fake(monkeypatch, cfg):
    monkeypatch.setitem(trackers.TRACKERS, "fake", ("json", f"{__name__}:FakeTracker"))
    monkeypatch.setitem(trackers.TRACKERS, "replaying", ("json", f"{__name__}:ReplayingTracker"))
    monkeypatch.setattr(worker, "FIRST_WAIT", 0.01)
    FakeTracker.told, FakeTracker.failures, FakeTracker.refused = [], [], set()
    FakeTracker.hold.set()
    return cfg.but(trackers=("fake",))


def train(run, steps, start=0):
    for step in range(start + 1, start + steps + 1):
        run.log_interval({"loss": 1 / step}, step=step, epoch=step)
        run.log_epoch({"loss": 1 / step}, epoch=step, step=step)


def expected(steps, start=0):
    told = []
    for step in range(start + 1, start + steps + 1):
        told.append(("metrics", "interval", step, step, {"interval/loss": 1 / step}))
        told.append(("metrics", "epoch", step, step, {"loss": 1 / step}))
    return told


def started(ids=None):
    return ("start", ids or {}, 3)


def test_everything_arrives_in_order(fake):
    run = Run.create(fake)
    train(run, 2)
    run.picture("views", Figure(figsize=(1, 1)), epoch=2)
    run.finish("finished")
    assert FakeTracker.told == [
        started(),
        *expected(2),
        ("picture", "views", 2, 2, "views_0002.png"),
        ("finish", "finished"),
    ]
    assert Run.open(run.folder).info["trackers"] == {"fake": {"id": f"fake-{run.run_id}"}}


@pytest.mark.parametrize("call", ["start", "metrics", "picture", "finish"])
def test_a_failure_that_passes_costs_nothing_but_one_warning(fake, call, caplog):
    FakeTracker.failures = [call, call]
    run = Run.create(fake)
    train(run, 3)
    run.picture("views", Figure(figsize=(1, 1)), epoch=3)
    run.finish("finished")
    told = [entry for entry in FakeTracker.told if entry[0] == "metrics"]
    assert told == expected(3)
    assert ("finish", "finished") in FakeTracker.told
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "training goes on" in warnings[0]
    assert "long story" not in warnings[0]


def test_training_does_not_wait_for_a_tracker_that_hangs(fake):
    FakeTracker.hold.clear()
    run = Run.create(fake)
    began = time.monotonic()
    train(run, 50)
    assert time.monotonic() - began < 5
    assert FakeTracker.told == []
    FakeTracker.hold.set()
    run.finish("finished")
    assert FakeTracker.told == [started(), *expected(50), ("finish", "finished")]


def test_what_was_not_sent_is_sent_when_the_run_goes_on(fake, monkeypatch, caplog):
    monkeypatch.setattr(trackers.Trackers.finish, "__defaults__", (0.2,))
    FakeTracker.failures = ["metrics"] * 1000
    run = Run.create(fake)
    train(run, 2)
    run.finish("interrupted")
    assert "4 entries stay in the journal" in caplog.text
    FakeTracker.failures, FakeTracker.told = [], []
    time.sleep(0.05)  # the thread of the first run has seen its deadline
    again = Run.open(run.folder, fake)
    again.cut_back(2, 2)
    train(again, 1, start=2)
    again.finish("finished")
    assert FakeTracker.told == [started({"id": f"fake-{run.run_id}"}), *expected(3), ("finish", "finished")]


def test_a_run_that_was_killed_sends_the_rest_and_what_was_cut_is_told_again(fake):
    run = Run.create(fake)
    train(run, 3)
    run.finish("interrupted")
    FakeTracker.told.clear()
    journal = run.folder / "trackers" / "journal.jsonl"
    serials = [json.loads(line)["serial"] for line in journal.read_text().splitlines()]
    with journal.open("a") as file:
        file.write('{"serial": 6, "ki')  # killed while writing
    again = Run.open(run.folder, fake)
    again.cut_back(1, 1)
    train(again, 1, start=1)
    again.finish("finished")
    assert [entry for entry in FakeTracker.told if entry[0] == "metrics"] == expected(1, start=1)
    after = [json.loads(line)["serial"] for line in journal.read_text().splitlines()]
    assert after == [*serials[:2], 6, 7]  # numbers never come twice


def test_a_tracker_that_replays_is_told_everything_that_still_holds(fake):
    cfg = fake.but(trackers=("replaying",))
    run = Run.create(cfg)
    train(run, 3)
    run.finish("interrupted")
    FakeTracker.told.clear()
    again = Run.open(run.folder, cfg)
    again.cut_back(1, 1)
    train(again, 1, start=1)
    again.finish("finished")
    assert [entry for entry in FakeTracker.told if entry[0] == "metrics"] == expected(2)


def test_an_entry_that_is_refused_is_left_out_and_named(fake, caplog):
    FakeTracker.refused = {2}
    run = Run.create(fake)
    train(run, 3)
    run.finish("finished")
    assert [entry for entry in FakeTracker.told if entry[0] == "metrics"] == expected(1) + expected(1, start=2)
    assert "Fake refuses an entry of step 2: a bad name" in caplog.text


def test_a_picture_that_is_gone_is_left_out(fake):
    FakeTracker.hold.clear()
    run = Run.create(fake)
    run.picture("views", Figure(figsize=(1, 1)), epoch=1).unlink()
    FakeTracker.hold.set()
    run.finish("finished")
    assert FakeTracker.told == [started(), ("finish", "finished")]


def test_two_trackers_do_not_hold_each_other_up(fake, monkeypatch):
    monkeypatch.setattr(trackers.Trackers.finish, "__defaults__", (1.0,))
    FakeTracker.failures = ["start"] * 1000
    cfg = fake.but(trackers=("fake", "tensorboard"), general=FakeGeneral())
    run = Run.create(cfg)
    train(run, 2)
    run.finish("finished")
    assert set(Run.open(run.folder).info["trackers"]) == {"tensorboard"}
    FakeTracker.failures = []


def test_without_trackers_there_is_no_journal(cfg):
    run = Run.create(cfg)
    train(run, 1)
    run.finish("finished")
    assert not (run.folder / "trackers").exists()


@dataclass(frozen=True)
class FakeSized:
    name: str = "mae_spectral"
    variant: str = "mae_large"


@pytest.mark.parametrize(
    ("changes", "experiment", "title"),
    [
        ({}, "contrastive", "of-the-run"),
        ({"model": FakeSized()}, "mae_large", f"mae_large_{date.today():%Y-%m-%d}"),
        ({"model": FakeSized(variant="custom")}, "contrastive", "of-the-run"),
        ({"model": FakeSized(), "run_name": "of-the-run"}, "mae_large", "of-the-run"),
        ({"model": FakeSized(), "general": FakeGeneral(experiment_name="mine")}, "mine", None),
    ],
)
def test_names_of_experiment_and_run(cfg, changes, experiment, title):
    run = TrackedRun(cfg.but(**changes), cfg.artifact_dir, "of-the-run", "id", cfg.artifact_dir, {})
    assert run.experiment == experiment
    assert title is None or run.title == title


def test_a_service_that_needs_a_key_is_used_where_there_is_one(monkeypatch):
    cfg = SimpleNamespace(trackers=["tensorboard", "wandb"], wandb=SimpleNamespace(mode="key"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    assert trackers.wanted(cfg) == ["tensorboard"]
    monkeypatch.setenv("WANDB_API_KEY", "k")
    assert trackers.wanted(cfg) == ["tensorboard", "wandb"]
    monkeypatch.delenv("WANDB_API_KEY")
    cfg.wandb.mode = "offline"
    assert trackers.wanted(cfg) == ["tensorboard", "wandb"]
