"""Start the processes of a training on this machine, one a device.

Run as a module it is torchrun, with one clear message where that would show its own traceback below those of ours.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence


def launch(count: int, arguments: Sequence[str]) -> int:
    """Run the command with ``arguments`` in ``count`` processes that train together; return the exit code.

    They find each other as under ``torchrun --standalone``; for several machines use torchrun or SLURM itself.
    """
    words = ["--standalone", "--nproc-per-node", str(count), "-m", "spectrain", *arguments]
    # what torchrun sets too, after a banner that says so
    environment = {"OMP_NUM_THREADS": "1"} | dict(os.environ)
    return subprocess.run([sys.executable, "-m", __name__, *words], env=environment, check=False).returncode


def main(words: Sequence[str]) -> int:
    """Be torchrun with its words; return the exit code of the process that failed first, which has said why.

    One that could not say it, as it was ended by a signal, is named here.
    """
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.disable(logging.ERROR)  # of torchrun's own loggers each has a level; the training's are in its processes
    try:
        torchrun.run(torchrun.parse_args(list(words)))  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode >= 0:
            return int(failure.exitcode)
        name = signal.Signals(-failure.exitcode).name
        said = "  mend:  the system does so where memory runs out\n" if name == "SIGKILL" else ""
        print(f"spectrain: process {rank} of the training was ended by {name}\n{said}", end="", file=sys.stderr)
        return 128 - int(failure.exitcode)
    except SignalException as stopped:
        return 128 + int(stopped.sigval)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
