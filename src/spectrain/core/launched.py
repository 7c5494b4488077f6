"""How this process was started: alone, by torchrun, or by SLURM's srun; and where its processes meet.

Names and meaning of the variables are those of the torchrun page of PyTorch and of the srun and sbatch manuals.
"""

from __future__ import annotations

import os
import re

FIRST_PORT, PORTS = 12000, 20000
"""Ports of the meeting place under SLURM: below those that Linux gives to connections of its own (from 32768)."""


def launched_world() -> tuple[int, int, int]:
    """Return (rank, local rank, world size) as torchrun or srun set them; (0, 0, 1) where neither did.

    The script of a batch job and the shell of an allocation are no training of many, though SLURM tells them how many
    tasks the job has: what counts is the tasks of the step that this process is of.
    """
    env = os.environ
    if "RANK" in env and "WORLD_SIZE" in env:
        return int(env["RANK"]), int(env.get("LOCAL_RANK", 0)), int(env["WORLD_SIZE"])
    if "SLURM_PROCID" in env and _step() is not None:
        tasks = int(env.get("SLURM_STEP_NUM_TASKS") or env.get("SLURM_NTASKS") or 1)
        if tasks > 1:
            return int(env["SLURM_PROCID"]), int(env.get("SLURM_LOCALID", 0)), tasks
    return 0, 0, 1


def meeting_place() -> str | None:
    """Return the ``tcp://host:port`` where the processes of an srun find each other; None where the environment says.

    Without ``MASTER_ADDR`` it is the first host of the step, where SLURM puts the first process; without
    ``MASTER_PORT`` a port that job and step determine, so that two trainings on one machine have two.
    """
    env = os.environ
    if ("RANK" in env and "WORLD_SIZE" in env) or ("MASTER_ADDR" in env and "MASTER_PORT" in env):
        return None
    hosts = next(
        (env[name] for name in ("SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST") if env.get(name)),
        "localhost",
    )
    job, step = (int(re.sub(r"\D", "", text) or 0) for text in (env.get("SLURM_JOB_ID", ""), _step() or ""))
    port = FIRST_PORT + (job * 101 + step) % PORTS
    return f"tcp://{env.get('MASTER_ADDR') or first_host(hosts)}:{env.get('MASTER_PORT') or port}"


def first_host(nodes: str) -> str:
    """Return the first host of a list as SLURM writes it: ``node[01-03,7],login1`` is ``node01``."""
    # the first comma outside brackets ends the first entry, and each bracket begins with its first number
    entry = re.match(r"(?:[^,\[]|\[[^\]]*\])*", nodes.strip())
    return re.sub(r"\[([^\],-]*)[^\]]*\]", r"\1", entry.group() if entry else "")


def _step() -> str | None:
    return os.environ.get("SLURM_STEP_ID", os.environ.get("SLURM_STEPID"))
