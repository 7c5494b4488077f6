"""Runners that come, die and return, on every store: nothing is lost, nothing is doubled, nothing is different."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from chaos import Chaos, check, make

DRIVER = Path(__file__).with_name("chaos.py")


def driven(chaos, *words, outage=None):
    """Let the driver run; with ``outage``, a server is stopped once in between."""
    command = [sys.executable, str(DRIVER), json.dumps(asdict(chaos)), *words]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        last = ""
        for number, line in enumerate(process.stdout):
            last = line
            if number == 5 and outage is not None:
                outage.stop(immediate=True)
                time.sleep(1)
                outage.start()
    assert process.returncode == 0
    return json.loads(last)


def wild(tmp_path, url, **changes):
    chaos = Chaos(url, str(tmp_path / "runs"), **changes)
    make(chaos)
    return chaos


@pytest.mark.timeout(300)
def test_four_runners_on_postgresql_are_killed_and_the_server_too(tmp_path, server):
    chaos = wild(tmp_path, server.new_database(), runners=4, kills=25, stops=2, total=8)
    counts = driven(chaos, outage=server)
    assert counts["kills"] > 15 and counts["failed"] == 0
    check(chaos)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("url", ["sqlite:///{}/study.db", "journal:{}/study.log"])
def test_two_runners_on_a_file_are_killed(tmp_path, url):
    chaos = wild(tmp_path, url.format(tmp_path), runners=2, kills=10, stops=1, total=6, epoch=0.06)
    counts = driven(chaos)
    assert counts["kills"] > 4 and counts["failed"] == 0
    check(chaos)


@pytest.mark.timeout(300)
def test_a_runner_is_killed_at_each_step(tmp_path):
    chaos = Chaos(f"journal:{tmp_path}/NUMBER.log", str(tmp_path / "runs"), total=1, randoms=1, epoch=0.0)
    assert driven(chaos, "points")["points"] > 50


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("method", "total"), [("random", 12), ("bayes", 12), ("grid", 12)])
@pytest.mark.parametrize("kind", ["sqlite", "journal", "postgres"])
def test_for_longer(tmp_path, request, kind, method, total):
    """Also where a dead process is told by nothing but its lease."""
    server = request.getfixturevalue("server") if kind == "postgres" else None
    url = {"sqlite": f"sqlite:///{tmp_path}/study.db", "journal": f"journal:{tmp_path}/study.log"}.get(kind)
    runners = 2 if server is None else 4
    chaos = wild(
        tmp_path, url or server.new_database(),
        method=method, runners=runners, kills=60, stops=8, total=total, notice=False, seed=7, epoch=0.08,
    )  # fmt: skip
    assert driven(chaos, outage=server)["failed"] == 0
    check(chaos)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("method", ["random", "bayes"])
def test_each_step_on_a_database_and_of_a_search_by_optuna(tmp_path, method):
    for url in (f"sqlite:///{tmp_path}/NUMBER.db", f"journal:{tmp_path}/b-NUMBER.log"):
        folder = tmp_path / url.partition(":")[0]
        chaos = Chaos(url, str(folder), method=method, total=1, randoms=1, epoch=0.0)
        assert driven(chaos, "points")["points"] > 50
