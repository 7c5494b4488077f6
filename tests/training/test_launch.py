"""Processes that train together and are started here: one message where one fails, and its exit code."""

from __future__ import annotations

import subprocess
import sys

import pytest

WORLD = ["--standalone", "--nproc-per-node", "2"]


@pytest.mark.parametrize(
    ("fate", "code", "said"),
    [
        ("print('no such data', file=sys.stderr); sys.exit(3)", 3, "no such data\n"),
        ("os.kill(os.getpid(), 9)", 137, "spectrain: process 1 of the training was ended by SIGKILL\n  mend:  the sys"),
        ("os.kill(os.getpid(), 11)", 139, "spectrain: process 1 of the training was ended by SIGSEGV\n"),
    ],
    ids=["said why", "killed", "crashed"],
)
def test_what_ends_one_process_is_said_once_and_ends_the_others(fate, code, said, tmp_path, monkeypatch):
    script = tmp_path / "training.py"
    script.write_text(f"import os, sys, time\nif os.environ['RANK'] == '1':\n    {fate}\ntime.sleep(60)\n")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    words = [sys.executable, "-m", "spectrain.training.processes.launch", *WORLD, str(script)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(said) and "Traceback" not in done.stderr and done.stderr.count("\n") <= 2
