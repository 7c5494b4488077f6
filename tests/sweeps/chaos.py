"""Runners that are killed: a warm process forks them, kills them at seeded moments, and starts them again.

    python chaos.py '{"url": ..., "folder": ..., ...}'

Their trainings are small but real enough: epochs that depend on those before, a checkpoint, a folder that one process
holds at a time. What was trained is written to a log beside them, so that a second time shows.
"""

from __future__ import annotations

import csv
import hashlib
import importlib
import json
import os
import random
import signal
import sys
import time
import traceback
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from types import SimpleNamespace
from typing import Any

from spectrain.core.atomic import append, atomic_write
from spectrain.sweeps import locks, runner, store
from spectrain.sweeps.plan import Plan, run_id
from spectrain.sweeps.runner import Runner
from spectrain.sweeps.store import PARAMETERS, RUNS, RunRecord, Store
from spectrain.training import whole_run

SWEEP = """\
name: small
method: random
metric: {name: jaccard_valid, goal: maximize}
parameters:
  optimizer.lr: {min: 0.001, max: 0.1, distribution: log_uniform_values}
  hparams.batch_size: {values: [2, 4, 8]}
"""
EPOCHS = 3
SWEEPS = {"random": SWEEP, "bayes": SWEEP.replace("random", "bayes"),
          "grid": SWEEP.replace("random", "grid").replace("{min: 0.001, max: 0.1, distribution: log_uniform_values}",
                                                          "{values: [0.1, 0.2, 0.3, 0.4]}")}  # fmt: skip


@dataclass
class Chaos:
    """One wild sweep.

    Attributes:
        url: of the database.
        folder: of the runs.
        method: of the sweep.
        runners: at a time.
        total: trials.
        kills: how often one is killed.
        stops: how often one is stopped for longer than its lease, and then goes on.
        lives: seconds that one lives before it is killed, at least and at most.
        notice: a dead process of this machine is known as such; else only by its lease.
        seed: of the moments.
        epoch: seconds of one.
        randoms: seeds; there are two folds.
    """

    url: str
    folder: str
    method: str = "random"
    runners: int = 4
    total: int = 10
    kills: int = 40
    stops: int = 0
    lives: tuple[float, float] = (0.1, 1.2)
    notice: bool = True
    seed: int = 0
    epoch: float = 0.03
    randoms: int = 2


class SmallPlan(Plan):
    """A plan whose configurations cost nothing."""

    def trial_config(self, number: int, parameters: Any, run: RunRecord, device: Any, *_: Any) -> Any:
        name = f"small-{number}"
        return SimpleNamespace(
            artifact_dir=self.config_name, trial_name=name, run_name=f"{name}-{run.key}",
            run_id=run_id(self.sweep_id, number, run), task=SimpleNamespace(name="segmentation"),
            parameters=parameters, run=run, trackers=[],
        )  # fmt: skip


def plan(chaos: Chaos) -> SmallPlan:
    return SmallPlan(
        "s1", "segmentation", "sweep.yaml", SWEEPS[chaos.method],
        folds=2, randoms=chaos.randoms, config_name=chaos.folder,
    )  # fmt: skip


def value_after(parameters: dict[str, Any], run: RunRecord, epochs: int) -> float:
    """Return the score of an epoch: a function of the parameters, the seed, the fold, and all epochs before."""
    state = json.dumps([sorted(parameters.items()), run.seed, run.fold]).encode()
    for _ in range(epochs):
        state = hashlib.blake2b(state, digest_size=8).digest()
    return int.from_bytes(state, "big") / 2**64


def small_training(epoch: float) -> Any:
    """Return what stands for `train_run`."""

    def train_run(cfg: Any) -> Path:
        root = Path(cfg.artifact_dir).absolute()
        folder = root / cfg.trial_name / f"{cfg.run_name}-{cfg.run_id}"
        folder.parent.mkdir(parents=True, exist_ok=True)
        with whole_run._alone(folder):
            folder.mkdir(exist_ok=True)
            if (folder / "run.json").is_file():
                return folder
            table = folder / "metrics.csv"
            if not table.is_file():
                atomic_write(table, "epoch,step,jaccard_valid\n")
            done = len(table.read_text().splitlines()) - 1
            append(root / "trained.log", f"{folder.name} from {done}\n")
            for number in range(done + 1, EPOCHS + 1):
                time.sleep(epoch)
                value = value_after(cfg.parameters, cfg.run, number)
                append(table, f"{number},{number},{value!r}\n")  # the checkpoint as well: one write
            atomic_write(folder / "run.json", '{"status": "finished"}')
            append(root / "trained.log", f"{folder.name} finished\n")
        return folder

    return train_run


def expected(chaos: Chaos, parameters: dict[str, Any]) -> dict[str, float]:
    """Return the score of each run of a trial that nobody disturbed."""
    return {one.key: max(value_after(parameters, one, epochs) for epochs in range(1, EPOCHS + 1))
            for one in plan(chaos).runs}  # fmt: skip


def settle(chaos: Chaos) -> None:
    """Make time pass quicker than in a sweep of days."""
    runner.BEAT, store.GRACE, runner.PAUSE, runner.FOLDER_WAIT, locks.HUNG = 0.2, 1.5, 0.05, 0.5, 4.0
    runner.ATTEMPTS = 10_000
    runner.train_run = small_training(chaos.epoch)
    if not chaos.notice:
        store._is_dead = lambda owner: False


def work(chaos: Chaos, name: str) -> int:
    """Be one runner; return how many trials failed."""
    return Runner(Store(chaos.url, "s1", patience=60), plan(chaos), name, "cpu", None, chaos.total).work()


def forked(action: Any) -> int:
    """Run an action in a process of its own; return its id."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        code = action()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(code)


def run(chaos: Chaos) -> dict[str, int]:
    """Let runners work, and die, until the sweep is done; return how often they did."""
    for name in ("alembic.command", "psycopg", "sqlalchemy.dialects.postgresql", "sqlalchemy.dialects.sqlite"):
        importlib.import_module(name)  # once, and not in each that is forked
    settle(chaos)
    moments = random.Random(chaos.seed)
    counts = {"kills": 0, "stops": 0, "starts": 0, "failed": 0}
    alive: dict[int, tuple[str, float]] = {}  # process: name, when it dies
    asleep: dict[int, float] = {}

    def start(name: str) -> None:
        counts["starts"] += 1
        process = forked(lambda: work(chaos, name))
        alive[process] = (name, time.monotonic() + moments.uniform(*chaos.lives))

    for number in range(chaos.runners):
        start(f"r{number}")
    while alive:
        time.sleep(0.005)
        now = time.monotonic()
        for process, (name, dies) in list(alive.items()):
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                del alive[process]
                counts["failed"] += status != 0
            elif process in asleep:
                if now > asleep[process]:
                    del asleep[process]
                    os.kill(process, signal.SIGCONT)
                    alive[process] = (name, now + moments.uniform(*chaos.lives))
            elif now > dies and counts["stops"] < chaos.stops and moments.random() < 0.3:
                counts["stops"] += 1
                os.kill(process, signal.SIGSTOP)
                asleep[process] = now + moments.uniform(1.6, 4.0)
            elif now > dies and counts["kills"] < chaos.kills:
                counts["kills"] += 1
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
                del alive[process]
                print(f"kill {counts['kills']}", flush=True)
                start(name)
    return counts


def check(chaos: Chaos) -> None:
    """Raise an AssertionError where anything was lost, doubled or different."""
    trials = Store(chaos.url, "s1").trials()
    assert [one.number for one in trials] == list(range(chaos.total)), [one.number for one in trials]
    assert {one.state.name for one in trials} == {"COMPLETE"}, [one.state.name for one in trials]
    one_plan = plan(chaos)
    space, seen = one_plan.definition.space, set()
    for trial in trials:
        parameters = trial.user_attrs[PARAMETERS]
        if chaos.method != "bayes":
            drawn = space.grid(trial.number) if chaos.method == "grid" else space.random(one_plan.seed, trial.number)
            assert parameters == drawn, (trial.number, parameters, drawn)
        scores = expected(chaos, parameters)
        records = [RunRecord.from_json(one) for one in trial.user_attrs[RUNS].values()]
        assert {one.key: (one.state, one.scores) for one in records} == {
            key: ("done", (score,)) for key, score in scores.items()
        }
        assert trial.values == [mean(scores.values())]
        for record in records:
            assert record.folder is not None
            assert record.folder not in seen
            seen.add(record.folder)
            with (Path(chaos.folder) / record.folder / "metrics.csv").open() as file:
                assert [int(row["epoch"]) for row in csv.DictReader(file)] == list(range(1, EPOCHS + 1))
    on_disk = {str(path.parent.relative_to(chaos.folder)) for path in Path(chaos.folder).glob("*/*/metrics.csv")}
    assert on_disk == seen
    finished: set[str] = set()
    for line in (Path(chaos.folder) / "trained.log").read_text().splitlines():
        name, _, what = line.partition(" ")
        assert name not in finished, f"{line}: it was finished before"
        finished |= {name} if what == "finished" else set()


def make(chaos: Chaos) -> None:
    Path(chaos.folder).mkdir(parents=True, exist_ok=True)
    Store(chaos.url, "s1").create(plan(chaos).to_json(), ["maximize"])


STEPS = {
    "create_new_trial", "set_trial_user_attr", "set_trial_param", "set_trial_state_values",
    "set_trial_intermediate_value",
}  # fmt: skip
"""What is written to a study."""


def dying(chaos: Chaos, at: int) -> int:
    """Be a runner that dies at the step of that number: before or after anything is written, in database or folder."""
    passed = 0

    def step() -> None:
        nonlocal passed
        passed += 1
        if passed == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched(action: Any) -> Any:
        def watching(*given: Any, **named: Any) -> Any:
            step()
            result = action(*given, **named)
            step()
            return result

        return watching

    one = Runner(Store(chaos.url, "s1", patience=60), plan(chaos), "dies", "cpu", None, chaos.total)
    for name in STEPS:
        setattr(one.store.storage, name, watched(getattr(one.store.storage, name)))
    one.store.lock.held = watched(one.store.lock.held)  # type: ignore[method-assign]
    globals()["append"], globals()["atomic_write"] = watched(append), watched(atomic_write)
    return one.work()


def points(chaos: Chaos) -> dict[str, int]:
    """Kill a runner at each step of a small sweep, each time of a new one; another does the rest. Return how many."""
    settle(chaos)
    at = 0
    while True:
        at += 1
        one = replace(chaos, url=chaos.url.replace("NUMBER", str(at)), folder=f"{chaos.folder}/{at}")

        def made(one: Chaos = one) -> int:
            make(one)
            return 0

        def rest(one: Chaos = one) -> int:
            failed = work(one, "other")
            check(one)
            return failed

        assert os.waitpid(forked(made), 0)[1] == 0
        _, status = os.waitpid(forked(lambda one=one, at=at: dying(one, at)), 0)  # type: ignore[misc]
        assert status in (0, signal.SIGKILL), status
        assert os.waitpid(forked(rest), 0)[1] == 0, f"killed at step {at}"
        if status == 0:
            return {"points": at - 1}


__all__ = ["Chaos", "asdict", "check", "make", "points", "replace", "run", "settle", "work"]

if __name__ == "__main__":
    given = Chaos(**json.loads(sys.argv[1]))
    print(json.dumps((points if "points" in sys.argv else run)(given)))
