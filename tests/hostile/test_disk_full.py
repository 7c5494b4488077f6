"""A disk that is full: one message that says so and where, nothing half-written that looks whole, and then on."""

from __future__ import annotations

import shutil

import h5py
import pytest
from commands import Commands, no_disk
from faults import FAULTS, PLUGIN

from spectrain.models.weights import read_tensors

PAGE, ROOMY = 4096, 64 << 20
PLACES = {"training": "run", "prepare": "out", "predict": "out/map", "sweep": "runs"}
"""What the message names at least."""


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    if reason := no_disk():
        pytest.skip(f"no small disk can be mounted here: {reason}")
    server = Commands(tmp_path_factory.mktemp("full"), disk=True)
    yield server
    server.close()


@pytest.fixture(scope="module")
def undisturbed(commands, made):
    """Return where a command ran to its end on a roomy disk, and the bytes that it took."""
    found = {}

    def run(name):
        if name not in found:
            commands.size(ROOMY)
            done = commands.run(*FAULTS[name].begin(made), at=commands.disk)
            assert done.code == 0, done.said
            folder = commands.folder / f"{name}-undisturbed"
            shutil.copytree(commands.seen(commands.disk), folder)
            found[name] = folder, commands.taken()
        return found[name]

    return run


def assert_said(done, place):
    """One message that says what is wrong and where; a run whose page alone finds no room is finished."""
    if done.code == 0:
        assert "the report of" in done.said and "could not be written: the disk is full" in done.said, done.said
        return
    assert done.code == 1, done.said
    assert "Traceback" not in done.said and "fault of spectrain" not in done.said, done.said
    last = done.said[done.said.rindex("spectrain: ") :]
    assert "the disk is full" in last and place in last, done.said


def filled(commands, made, undisturbed, name, share):
    whole, size = undisturbed(name)
    fault, seen = FAULTS[name], commands.seen(commands.disk)
    commands.size(max(PAGE, int(share * size) // PAGE * PAGE))
    assert_said(commands.run(*fault.begin(made), at=commands.disk), PLACES[name])
    fault.whole(seen)
    if name == "predict":
        assert not list((seen / "out").glob("*"))
    commands.size(ROOMY, fresh=False)
    again = fault.go_on(commands, made, commands.disk, seen)
    assert again.code == 0, again.said
    fault.same(seen, whole)


@pytest.mark.parametrize("name", ["training", "prepare", "predict"])
def test_a_full_disk(commands, made, undisturbed, name):
    filled(commands, made, undisturbed, name, 0.5)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("share", [0.05, 0.2, 0.35, 0.6, 0.75, 0.85, 0.95])
def test_a_disk_that_is_full_sooner_or_later(commands, made, undisturbed, name, share):
    filled(commands, made, undisturbed, name, share)


def whole_embeddings(path):
    with h5py.File(path) as file:
        return sorted(file)


MORE = {
    "embed": (["embed", "RUN", "-o", "DISK/e.h5"], "e.h5", whole_embeddings),
    "safetensors": (["export", "RUN", "--to", "safetensors", "-o", "DISK/model"], "model", read_tensors),
    "onnx": (["export", "RUN", "--to", "onnx", "-o", "DISK/model.onnx"], "model.onnx", None),
    "torch-export": (["export", "RUN", "--to", "torch-export", "-o", "DISK/model.pt2"], "model.pt2", None),
}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", MORE)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_embeddings_and_exports(commands, made, name, share):
    words, file, read = MORE[name]
    words = [word.replace("RUN", str(made.run)).replace("DISK", str(commands.disk)) for word in words] + [*PLUGIN]
    commands.size(ROOMY)
    done = commands.run(*words, at=commands.folder)
    assert done.code == 0, done.said
    commands.size(max(PAGE, int(share * commands.taken()) // PAGE * PAGE))
    assert_said(commands.run(*words, at=commands.folder), str(commands.disk / file))
    assert not list(commands.seen(commands.disk).iterdir())
    commands.size(ROOMY, fresh=False)
    assert commands.run(*words, at=commands.folder).code == 0
    if read is not None:
        read(commands.seen(commands.disk) / file)
