"""What a sweep costs beside its trainings, on each store.

One trial: claim, configuration, notes and end, with a training that takes no time, in a study that is new or holds
1,000 trials; the goal is under 0.5 s. Many runners: 16 processes that begin and end trials as fast as they can. Start:
from the start of a process to its first claim, beside `import torch` alone. PostgreSQL is one of the benchmark's own,
which flushes to the disk as a server does by default.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent / "tests" / "sweeps"
SWEEP = """\
name: small
method: random
metric: {name: jaccard_valid, goal: maximize}
parameters:
  optimizer.lr: {min: 0.001, max: 0.1, distribution: log_uniform_values}
  hparams.batch_size: {values: [2, 4, 8]}
"""
THERE = 1000
TRIALS = 8
RUNNERS = 16
EACH = 5
START = """
import sys
sys.path.insert(0, {here!r})
import sweep
sweep.runner({url!r})._claim()
"""


def plan():
    from spectrain.sweeps.plan import Plan

    return Plan("s1", "segmentation", "sweep.yaml", SWEEP)


def runner(url: str, total: int | None = None):
    from spectrain.sweeps.runner import Runner
    from spectrain.sweeps.store import Store

    return Runner(Store(url, "s1"), plan(), "r", "cpu", None, total)


def train_run(cfg) -> Path:
    folder = Path(cfg.artifact_dir).absolute() / cfg.trial_name / f"{cfg.run_name}-{cfg.run_id}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.csv").write_text("epoch,step,jaccard_valid\n1,1,0.5\n")
    return folder


def fill(store, count: int) -> None:
    """Put trials into a study that are over."""
    import optuna

    from spectrain.sweeps.store import LEASE, PARAMETERS, RUNNER, RUNS

    records = {f"f{fold}r42": {"seed": 42, "fold": fold, "state": "done", "scores": [0.5]} for fold in range(4)}
    attributes = {LEASE: {"owner": "r/h/m/1/x", "beat": 1.0}, RUNNER: "other", RUNS: records, PARAMETERS: {"x": 0.5}}
    template = optuna.create_trial(
        state=optuna.trial.TrialState.COMPLETE,
        value=0.5,
        params={"optimizer.lr": 0.01},
        distributions={"optimizer.lr": optuna.distributions.FloatDistribution(0.001, 0.1, log=True)},
        user_attrs=attributes,
    )
    for _ in range(count):
        store.storage.create_new_trial(store._study_id(), template_trial=template)


@contextmanager
def addresses(folder: str) -> Iterator[dict[str, list[str]]]:
    """Give two empty databases of each kind that is there."""
    found = {
        "SQLite": [f"sqlite:///{folder}/{number}.db" for number in range(2)],
        "journal": [f"journal:{folder}/{number}.log" for number in range(2)],
    }
    sys.path.insert(0, str(TESTS))
    with suppress(ImportError):
        from postgres_server import PostgresServer, binaries

        if binaries() is not None:
            server = PostgresServer(fsync=True)
            try:
                yield found | {"PostgreSQL": [server.new_database() for _ in range(2)]}
            finally:
                server.close()
            return
    yield found | {"PostgreSQL": []}


def one_trial(url: str, there: int) -> float:
    """Return the seconds of a trial beside its training."""
    from spectrain.sweeps import runner as module

    one = runner(url, there + TRIALS + 1)
    one.store.create(one.plan.to_json(), ["maximize"])
    fill(one.store, there - len(one.store.trials()))
    real, module.train_run = module.train_run, train_run
    times = []
    try:
        for _ in range(TRIALS + 1):
            begin = time.perf_counter()
            one._trial(one._claim())
            times.append(time.perf_counter() - begin)
        assert not one.failed
    finally:
        module.train_run = real
    return statistics.median(times[1:])  # the first imports, and reads what is there


def configuration() -> float:
    """Return the seconds that Hydra takes."""
    one, times = plan(), []
    for _ in range(6):
        begin = time.perf_counter()
        one.trial_config(0, {"optimizer.lr": 0.01}, one.runs[0], "cpu")
        times.append(time.perf_counter() - begin)
    return statistics.median(times[1:])


def begin_and_end(url: str, ready, go) -> None:
    one = runner(url)
    one.store.trials()
    ready.release()
    go.wait()
    for _ in range(EACH):
        held = one._claim()
        one.store.finish(held, one.owner, [0.5], "complete")


def many(url: str) -> float:
    """Return how many trials all runners together begin and end in a second."""
    context = multiprocessing.get_context("fork")  # torch's import, once
    ready, go = context.Semaphore(0), context.Event()
    workers = [context.Process(target=begin_and_end, args=(url, ready, go)) for _ in range(RUNNERS)]
    for worker in workers:
        worker.start()
    for _ in workers:
        ready.acquire()
    begin = time.perf_counter()
    go.set()
    for worker in workers:
        worker.join()
    return RUNNERS * EACH / (time.perf_counter() - begin)


def start(code: str) -> float:
    times = []
    for _ in range(4):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - begin)
    return statistics.median(times[1:])


def rows() -> list[dict[str, object]]:
    found: list[dict[str, object]] = []

    def add(what: str, value: object, unit: str) -> None:
        found.append({"what": what, "value": value, "unit": unit})

    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder, addresses(folder) as kinds:
        os.chdir(folder)
        try:
            add("the configuration of one run, which every trial's time holds", configuration(), "s")
            for name, urls in kinds.items():
                Path(name).mkdir()
                os.chdir(name)
                if not urls:
                    add(f"{name}: no server is installed here", "", "")
                for there, url in zip((0, THERE), urls, strict=True):
                    add(f"{name}: one trial, {there:,} there", one_trial(url, there), "s")
                if urls:
                    code = START.format(here=str(Path(__file__).resolve().parent), url=urls[1])
                    add(f"{name}: start of a runner to its first claim, {THERE:,} there", start(code), "s")
                    add(f"{name}: {RUNNERS} runners, begun and ended", many(urls[0]), "trials/s")
                os.chdir(folder)
            add("python -c 'import torch'", start("import torch"), "s")
        finally:
            os.chdir(here)
    return found


if __name__ == "__main__":
    from run import table

    print(table(rows()))
