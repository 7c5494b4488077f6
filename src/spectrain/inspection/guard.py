"""A child process that reads files of unknown content, so that what crashes or hangs is not the command."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from ..core.errors import DataError

SECONDS, START_SECONDS = 20.0, 120.0
"""That a file may take, and a child to start on a busy machine."""
MEMORY_MB = 4096
"""That a child may have for itself; what it maps of files does not count."""


class UnreadError(DataError):
    """A file could not be looked at: its reader said why, crashed, or did not come back.

    Attributes:
        nothing: it is of another kind than was asked for, and no fault.
        late: it took too long.
        of_run: a run is not as it should be.
    """

    nothing = late = of_run = False


class Guard:
    """Asks a child process; starts it when it is first needed, and anew where it died.

    Args:
        memory_mb: the most memory that it may have.
        module: that is run.
    """

    def __init__(self, memory_mb: int = MEMORY_MB, module: str = f"{__package__}.child") -> None:
        self._memory_mb, self._module = memory_mb, module
        self._child: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str | None] = queue.Queue()

    def ask(self, what: str, seconds: float = SECONDS, **about: Any) -> Any:
        """Return what a function of `child.ASKED` found, as plain JSON values.

        Args:
            what: name of the function.
            seconds: that it may take.
            about: its arguments, plain JSON values.

        Raises:
            UnreadError: it failed, crashed, or took too long.
        """
        child = self._child or self._start()
        where = str(about.get("path", ""))
        assert child.stdin is not None
        try:
            child.stdin.write(json.dumps({"ask": what, **about}) + "\n")
            child.stdin.flush()
            line = self._lines.get(timeout=seconds)
        except (queue.Empty, OSError) as error:
            late = isinstance(error, queue.Empty)
            died = self.close()
            why = f"reading it took longer than {seconds:g} s and was ended" if late else died
            refused = UnreadError(why, where=where, fix="see that it is whole, else leave it out")
            refused.late = late
            raise refused from None
        if line is None:
            raise UnreadError(self.close(), where=where, fix="the file is damaged or hostile: leave it out")
        answer = json.loads(line)
        if "what" in answer:
            refused = UnreadError(answer["what"], where=answer["where"] or where, fix=answer["fix"])
            refused.nothing, refused.of_run = answer.get("nothing", False), answer.get("of_run", False)
            raise refused
        return answer["found"]

    def close(self) -> str:
        """End the child; return how it ended, where it had done so by itself."""
        child, self._child = self._child, None
        if child is None:
            return ""
        try:
            child.wait(0.5 if self._lines.empty() else 0)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        code = child.returncode
        name = signal.Signals(-code).name if code < 0 and -code in set(signal.Signals) else f"exit status {code}"
        return f"the library that reads it crashed ({name})"

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.kill()
            self.close()

    def _start(self) -> subprocess.Popen[str]:
        package = str(Path(__file__).resolve().parents[2])
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        # scenes may be virtual files that name others: nothing is fetched from a network to look at a folder
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "{none}"}
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", self._module, str(self._memory_mb)],  # -P: no module of the folder
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=env,
        )
        self._lines = queue.Queue()
        threading.Thread(target=_pass_on, args=(self._child, self._lines), daemon=True).start()
        try:
            if self._lines.get(timeout=START_SECONDS) is not None:
                return self._child
        except queue.Empty:
            pass
        self.close()
        raise UnreadError("the process that reads files did not start", fix="see that this machine has memory left")


def _pass_on(child: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    """Put each line that a child writes into a queue, and None at its end."""
    assert child.stdout is not None
    with child.stdout as output:
        for line in output:
            lines.put(line)
    lines.put(None)
