"""Killed at random points: what was committed is whole, and going on ends as if nothing had happened."""

from __future__ import annotations

import random

import pytest
from commands import Commands
from faults import FAULTS

POINTS = {"training": 16, "prepare": 14, "predict": 12, "sweep": 8}


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    server = Commands(tmp_path_factory.mktemp("killed"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def undisturbed(commands, made):
    """Return by name of a command where it ran to its end, and how long that took."""
    found = {}

    def run(name):
        if name not in found:
            folder = commands.folder / f"{name}-undisturbed"
            folder.mkdir()
            done = commands.run(*FAULTS[name].begin(made), at=folder)
            assert done.code == 0, done.said
            found[name] = folder, done.seconds
        return found[name]

    return run


def killed(commands, made, undisturbed, name, points, seed):
    """Kill a command at some points of its length, each time in a new folder; return how often it died."""
    whole, seconds = undisturbed(name)
    chance, deaths, fault = random.Random(f"{name} {seed}"), 0, FAULTS[name]
    for number in range(points):
        folder = commands.folder / f"{name}-{seed}-{number}"
        folder.mkdir()
        moment = chance.uniform(0, seconds)
        done = commands.run(*fault.begin(made), at=folder, kill=moment)
        assert done.killed or done.code == 0, done.said
        deaths += done.killed
        again = fault.go_on(commands, made, folder, folder)
        assert again.code == 0, f"killed after {moment:.2f} of {seconds:.2f} s of computing: {again.said}"
        fault.same(folder, whole)
    return deaths


@pytest.mark.parametrize(
    "name",
    # a killed runner is a quick test of sweeps
    [pytest.param(name, marks=pytest.mark.slow) if name == "sweep" else name for name in FAULTS],
)
def test_killed_once(commands, made, undisturbed, name):
    killed(commands, made, undisturbed, name, 1, 0)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", FAULTS)
def test_killed_at_fifty_points(commands, made, undisturbed, name):
    deaths = killed(commands, made, undisturbed, name, POINTS[name], 1)
    print(f"{name}: died at {deaths} of {POINTS[name]} points")
    assert deaths > POINTS[name] // 2
