"""Start the processes of a training on this machine, one a device."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence


def launch(count: int, arguments: Sequence[str]) -> int:
    """Run the command with ``arguments`` in ``count`` processes that train together; return the exit code.

    They find each other as under ``torchrun --standalone``; for several machines use torchrun or SLURM itself.
    """
    starter = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    return subprocess.run([*starter, "-m", "spectrain", *arguments], check=False).returncode
