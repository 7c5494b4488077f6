"""Runs commands in processes that are forked from one that has imported everything: that costs seconds, once.

They see a small disk besides (a tmpfs in a namespace of their own, so nothing stays mounted), and are killed where that
is asked for.

    python commands.py

A line of the input is a JSON table, a line of the answer another: see `served`.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from forked import used

NEEDED = """
alembic.command geopandas map_runs matplotlib.pyplot optuna.storages pyogrio rasterio.features
sqlalchemy.dialects.sqlite spectrain.cli.app spectrain.inference.embed spectrain.inference.export
spectrain.inference.predict spectrain.preparation.run spectrain.runs.report spectrain.sweeps.api spectrain.training.api
"""
NAMESPACE = ["unshare", "--mount", "--map-root-user"]
LONGEST = 240.0
"""Seconds that a command may take, by the clock."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (below 0 for a signal), its seconds of computing, and what it said."""

    code: int
    seconds: float
    said: str

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Commands:
    """The server, as tests see it.

    Args:
        folder: of its own.
        disk: a small disk is wanted, which is mounted at ``disk``.
    """

    def __init__(self, folder: Path, disk: bool = False) -> None:
        self.folder, self.disk = folder, folder / "disk"
        self.disk.mkdir()
        words = [*(NAMESPACE if disk else []), sys.executable, str(Path(__file__))]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
        environment.pop("SPECTRAIN_CONFIG", None)
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder
        )

    def run(self, *words: object, at: Path, kill: float | None = None) -> Ended:
        """Run a command in a folder to its end, or kill it and its children after some seconds of computing."""
        log = self.folder / "said.txt"
        asked = {"words": [str(word) for word in words], "at": str(at), "log": str(log), "kill": kill}
        code, seconds = self._ask(asked)
        return Ended(code, seconds, log.read_text(errors="replace"))

    def size(self, size: int | None, fresh: bool = True) -> None:
        """Give the disk a size in bytes, empty or with what is on it; None takes it away."""
        self._ask({"disk": str(self.disk), "size": size, "fresh": fresh})

    def seen(self, path: Path) -> Path:
        """Return where this process sees a file on the disk."""
        return Path(f"/proc/{self.process.pid}/root{path}")

    def taken(self) -> int:
        """Return the bytes that are in use on the disk."""
        found = os.statvfs(self.seen(self.disk))
        return (found.f_blocks - found.f_bfree) * found.f_frsize

    def _ask(self, asked: dict):
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def no_disk() -> str | None:
    """Return why no small disk can be mounted here; None where it can."""
    if shutil.which("unshare") is None:
        return "there is no unshare"
    words = [*NAMESPACE, "mount", "-t", "tmpfs", "-o", "size=1m", "none", "/mnt"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else None


def warm() -> None:
    """Import what the commands do."""
    for name in NEEDED.split():
        importlib.import_module(name)


def served() -> None:
    """Answer each line: a command with its exit code and seconds, a disk with null."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warm()
    for line in sys.stdin:
        asked = json.loads(line)
        answer = mounted(**asked) if "disk" in asked else ended(**asked)
        print(json.dumps(answer), file=answers, flush=True)


def mounted(disk: str, size: int | None, fresh: bool) -> None:
    """Mount, resize or take away the disk."""
    if fresh or size is None:
        subprocess.run(["umount", "--lazy", disk], capture_output=True, check=False)
    if size is not None:
        options = f"{'' if fresh else 'remount,'}size={size}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", disk], check=True)


def ended(words: list[str], at: str, log: str, kill: float | None) -> tuple[int, float]:
    """Run a command in a child that leads a group of its own."""
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        command(words, at, log)
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        # a machine with much else to do shall not shift the moment: it is told by the time of the processor
        if time.monotonic() - begun > LONGEST or (kill is not None and used(child) > kill):
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
        time.sleep(0.001)
    seconds = used(child)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), seconds


def command(words: list[str], at: str, log: str) -> None:
    """Be the command; does not return."""
    code = 70
    try:
        os.setpgid(0, 0)
        os.chdir(at)
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(file, 1), os.dup2(file, 2)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        from spectrain.cli import main

        main(words)
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    served()
    os._exit(0)  # libraries that were imported wait half a minute for threads that did nothing here
