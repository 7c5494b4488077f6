"""A runner is killed (SIGKILL) in the second fold of its second trial, and the same command begun again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from leg import end, options
from sweep_data import steps, trials

FOLDS = 2


def main(given: dict[str, Any]) -> dict[str, Any]:
    script = Path(__file__).with_name(f"sweep_{given['by']}.py")
    fold = given["epochs"] * 2  # two steps an epoch
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, str(script), json.dumps(given | {"folder": name})]
        with (folder / "log").open("wb") as log:
            runner = subprocess.Popen(command, stdout=log, stderr=log)
            while steps(folder) < FOLDS * fold + fold + fold // 2:
                if runner.poll() is not None:
                    raise RuntimeError((folder / "log").read_text()[-2000:])
                time.sleep(0.01)
            os.kill(runner.pid, signal.SIGKILL)
            runner.wait()
            subprocess.run(command, stdout=log, stderr=log, check=False)
        database = next(folder.rglob("study.db"))
        states = [trial.state.name for trial in trials(database)]
        needed = given["trials"] * FOLDS * fold
        return {
            "complete": states.count("COMPLETE"),
            "running": states.count("RUNNING"),
            "repeated": (steps(folder) - needed) / fold,
        }


if __name__ == "__main__":
    end(main(options()))
