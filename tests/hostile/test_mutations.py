"""Damaged files of each kind are read, or refused with a message that names them, in bounded time and memory.

`make fuzz` damages 10,000 of each kind. A failure names its seed; it is repeated by
``SPECTRAIN_FUZZ=1 SPECTRAIN_FUZZ_FIRST=SEED pytest tests/hostile/test_mutations.py -k KIND``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kinds import KINDS
from mutations import mutated

COUNT, FIRST = int(os.environ.get("SPECTRAIN_FUZZ", "200")), int(os.environ.get("SPECTRAIN_FUZZ_FIRST", "0"))
SLOW = (
    *("hdf5_gzip", "hdf5_lzf", "csv_cubes", "zarr_v2", "zarr_shards", "darts_table", "prepared"),
    *("options_json", "options_toml", "exported", "run"),
)
"""Kinds that are close to another one, of which fewer are damaged unless they are asked for."""
FEW = 40


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A process that has imported the readers once and forks those that read."""
    words = [sys.executable, str(Path(__file__).with_name("damaged.py")), str(tmp_path_factory.mktemp("damaged"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    errors = tmp_path_factory.mktemp("server") / "errors.txt"
    with (
        errors.open("w") as kept,
        subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=kept, text=True, env=environment
        ) as process,
    ):
        process.errors = errors
        yield process
        process.stdin.close()


@pytest.mark.timeout(0 if COUNT > 200 else 600)
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_read_or_refused(kind, server):
    count = min(COUNT, FEW) if kind in SLOW and COUNT <= 200 else COUNT
    server.stdin.write(json.dumps([kind, FIRST, count]) + "\n")
    server.stdin.flush()
    line = server.stdout.readline()
    assert line, f"the server ended with {server.wait()}: {server.errors.read_text()[-2000:]}"
    found = json.loads(line)
    print(kind, found["counts"], *found.get("native", []))
    assert not found["wrong"], "\n\n".join(found["wrong"][:3])
    assert sum(found["counts"].values()) == count
    assert found["counts"].get("refused", 0) or count < 40  # they do meet what is read


def test_the_same_seed_gives_the_same_damage():
    data = bytes(range(256)) * 4
    assert [mutated(data, seed) for seed in range(50)] == [mutated(data, seed) for seed in range(50)]
    assert (
        len({mutated(data, seed)[0] for seed in range(50)}) > 45 and len({mutated(data, s)[1] for s in range(90)}) == 8
    )
    assert mutated(b"", 3)[0] is not None


def test_what_dies_or_hangs_is_told(tmp_path):
    from forked import outcomes

    def work(item):
        if item == 1:
            os.kill(os.getpid(), 11)
        if item == 2:
            bytearray(1 << 33)
        while item == 3:
            pass

    found = list(outcomes(work, range(5), seconds=0.3))
    assert [one.kind for one in found] == ["fine", "died", "foreign", "hung", "fine"]
    assert "signal 11" in found[1].text and "MemoryError" in found[2].text
