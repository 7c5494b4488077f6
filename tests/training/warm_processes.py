"""Processes of their own for commands and for what trains together, forked from one that has imported everything once.

A new interpreter needs seconds of imports each time, of which no test asks. What does ask how a process starts, is
found, or is launched by `torchrun` has tests that start real ones.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from multiprocessing import forkserver
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from spectrain.models import resnet, unet

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "hydra.plugins",
        "spectrain.cli.app",
        "spectrain.data.hdf5",
        "spectrain.inference.predict",
        "spectrain.preparation.run",
        "spectrain.runs.report",
        "spectrain.training.api",
        "torch._dynamo",
        "torch.distributed.fsdp",
    ]
)


@atexit.register
def _end() -> None:
    """End the server by force: one of the libraries that it has imported takes its leave with a page of text."""
    number = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    if number is not None:
        os.kill(number, signal.SIGKILL)


def environment() -> dict[str, str]:
    """Return the variables of this process, but for the personal defaults of whoever runs the tests."""
    return {name: value for name, value in os.environ.items() if name != "SPECTRAIN_CONFIG"}


class Command:
    """``spectrain WORDS``, running; asked as a `subprocess.Popen`.

    Args:
        words: after the name of the program.
        env: all variables of its environment; None for those here, but for personal defaults.
        cwd: its folder; None for the one here.
    """

    def __init__(self, words: Sequence[object], env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
        self.words = [str(word) for word in words]
        self._folder = TemporaryDirectory()
        self._said = Path(self._folder.name)
        env = environment() if env is None else env
        given = self.words, dict(env), str(cwd or "."), self._said, _widths()
        self._process = CONTEXT.Process(target=_command, args=given)
        self._process.start()

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: int) -> None:
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """Kill it with its workers."""
        if self.returncode is not None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:  # it leads no group yet
            os.kill(self._process.pid, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; return its exit code.

        Raises:
            subprocess.TimeoutExpired: it did not end.
        """
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.words, timeout or 0)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait as `wait`; return what it said, and what it said of failures."""
        self.wait(timeout)
        out, err = ((self._said / name).read_text(errors="replace") for name in ("out", "err"))
        return out, err


def run(words: Sequence[object], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run ``spectrain WORDS`` to its end."""
    process = Command(words, **options)
    said = process.communicate()
    return subprocess.CompletedProcess(process.words, process.returncode, *said)


def together(work: Callable[..., None], *given: object, world: int = 2) -> None:
    """Do work in each process of a world, whose variables are those that `torchrun` gives.

    Raises:
        AssertionError: one failed; the others are ended.
    """
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    names = {"WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world, "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    with ExitStack() as stack:
        said = [Path(stack.enter_context(TemporaryDirectory())) for _ in range(world)]
        processes = []
        for rank in range(world):
            own = {name: str(value) for name, value in {**names, "RANK": rank, "LOCAL_RANK": rank}.items()}
            for_it = work, given, {**os.environ, **own}, said[rank], _widths()
            processes.append(CONTEXT.Process(target=_rank, args=for_it))
            processes[-1].start()
        while any(one.exitcode is None for one in processes) and not any(one.exitcode for one in processes):
            time.sleep(0.02)
        failed = [rank for rank, one in enumerate(processes) if one.exitcode]
        for one in processes:
            one.kill()
            one.join()
        assert not failed, (said[failed[0]] / "err").read_text()[-3000:]


def _widths() -> tuple[int, int]:
    """Return how wide networks are here, where a test may have asked for narrow ones."""
    return resnet.WIDTH, unet.WIDTH


def _alone(env: dict[str, str], said: Path, widths: tuple[int, int]) -> None:
    """Be a process like one that a shell starts, with an environment, a group and output of its own, and our widths."""
    resnet.WIDTH, unet.WIDTH = widths
    os.setpgid(0, 0)
    os.environ.clear()
    os.environ.update(env)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(said / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    multiprocessing.process._parent_process = None  # type: ignore[attr-defined]
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _command(words: list[str], env: dict[str, str], folder: str, said: Path, widths: tuple[int, int]) -> None:
    _alone(env, said, widths)
    os.chdir(folder)
    sys.argv = ["spectrain", *words]
    from spectrain.cli import main

    main(words)


def _rank(
    work: Callable[..., None], given: Sequence[object], env: dict[str, str], said: Path, widths: tuple[int, int]
) -> None:
    import torch

    _alone(env, said, widths)
    torch.set_num_threads(1)
    work(*given)
