"""Contestants in turn, each a process of its own: what it says of itself, and what is seen of it from outside."""

from __future__ import annotations

import compileall
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SCRIPTS = HERE / "contestants"
LIMIT_S = 1800
EVERY_S = 0.02
"""Time from one look at a process's memory to the next."""


@dataclass(frozen=True)
class Contestant:
    """One row of a leg.

    Args:
        label: as the table has it.
        script: in ``contestants/``, or a command whose first word is "python" or a program beside it.
        ours: runs in the environment of this process, and not in that of the peers.
        options: beside those of the leg.
    """

    label: str
    script: str | tuple[str, ...]
    ours: bool = False
    options: dict[str, Any] = field(default_factory=dict)


class FailedError(Exception):
    """A contestant did not end well."""


def measure(contestant: Contestant, given: dict[str, Any], peers: Path, nice: int = 0) -> dict[str, Any]:
    """Run one contestant once and return its figures with ``whole_s``, ``cpu_s`` and ``peak_mib``.

    ``peak_mib`` is the largest sum of anonymous memory (RssAnon: neither shared nor mapped from files) of the process
    and its children, in MiB.

    Raises:
        FailedError: with the end of what it wrote.
    """
    binaries = Path(sys.executable).parent if contestant.ours else peers / "bin"
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as output:
        if isinstance(contestant.script, str):
            path = SCRIPTS / f"{contestant.script}.py"
            command = [str(binaries / "python"), str(path), json.dumps(given | contestant.options)]
        else:
            command = [str(binaries / contestant.script[0]), *contestant.script[1:]]
        before = os.times()
        begun = time.monotonic()
        environment = _environment(given["threads"], begun, folder)
        child = subprocess.Popen(
            command, stdout=output, stderr=output, cwd=folder, env=environment, start_new_session=True
        )
        _prefer(child.pid, nice)
        peak = _watched(child, begun)
        whole, after = time.monotonic() - begun, os.times()
        output.seek(0)
        text = output.read().decode(errors="replace")
    if child.returncode:
        raise FailedError(f"{contestant.label} ended with {child.returncode}:\n{text[-3000:]}")
    lines = [line for line in text.splitlines() if line.startswith("FIGURES ")]
    figures: dict[str, Any] = json.loads(lines[-1][8:]) if lines else {}
    spent = sum(after[2:4]) - sum(before[2:4])
    return figures | {"whole_s": whole, "cpu_s": spent, "peak_mib": peak}


def _environment(threads: int, begun: float, folder: str) -> dict[str, str]:
    """Return the environment of a contestant: nothing kept from earlier runs, warnings and colours off."""
    own = {
        "OMP_NUM_THREADS": str(threads),
        "PEERS_BEGUN": repr(begun),
        "SPECTRAIN_CACHE": "",
        "PYTHONWARNINGS": "ignore",
        "TMPDIR": folder,
        "NO_COLOR": "1",
    }
    path = os.pathsep.join(filter(None, [_compiled().name, os.environ.get("PYTHONPATH")]))
    return os.environ | own | {"PYTHONPATH": path}


@cache
def _compiled() -> tempfile.TemporaryDirectory[str]:
    """Return a folder with spectrain compiled to bytecode, as an installer leaves a package and as the peers' are."""
    folder = tempfile.TemporaryDirectory()
    shutil.copytree(ROOT / "src", folder.name, dirs_exist_ok=True)
    if not compileall.compile_dir(folder.name, quiet=1):
        raise FailedError("spectrain cannot be compiled")
    return folder


def _prefer(pid: int, nice: int) -> None:
    """Let the scheduler prefer a session of processes to others, where the system lets us."""
    path = Path(f"/proc/{pid}/autogroup")
    if nice and path.exists():
        path.write_text(str(nice))


def _watched(child: subprocess.Popen[bytes], begun: float) -> float:
    """Wait for the end; return the largest anonymous memory in MiB."""
    peak = 0.0
    while child.poll() is None:
        peak = max(peak, sum(map(_anonymous, _family(child.pid))))
        if time.monotonic() - begun > LIMIT_S:
            child.kill()
        time.sleep(EVERY_S)
    return peak / 1024


def _family(pid: int) -> list[int]:
    """Return a process and its children's children."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        children = []
    return [pid, *(one for child in children for one in _family(int(child)))]


def _anonymous(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(float(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def alternate(
    contestants: Sequence[Contestant],
    rounds: int,
    once: Callable[[Contestant], dict[str, Any]],
    say: Callable[[str], None] = print,
) -> tuple[dict[str, list[dict[str, Any]]], list[float]]:
    """Run all contestants in turn, round by round, every other round backwards; return figures, and load by round."""
    found: dict[str, list[dict[str, Any]]] = {one.label: [] for one in contestants}
    loads = []
    for number in range(rounds):
        for one in contestants if number % 2 == 0 else contestants[::-1]:
            found[one.label].append(once(one))
        loads.append(os.getloadavg()[0])
        say(f"  round {number + 1}: load {loads[-1]:.1f}")
    return found, loads
