"""What a validation says, in one process or under torchrun; the tests compare.

torchrun --nproc-per-node 2 tests/training/validation_of.py OUT.json CASES.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch


def validation_of(overrides: list[str]) -> dict[str, float]:
    """Return losses, metrics and probes of a model that has learned nothing yet."""
    from spectrain.config import load_config
    from spectrain.training.evaluate import evaluate
    from spectrain.training.session import build_session

    session = build_session(load_config("contrastive", overrides=overrides, use_personal=False))
    found = evaluate(session, session.valid, session.valid_order).values("valid")
    probes = session.probe(session) if session.probe is not None else {}
    session.close()
    return found | probes


def main() -> None:
    from spectrain.core.distributed import rank
    from spectrain.training.processes.parallel import process_group

    torch.set_num_threads(1)
    with process_group("cpu"):
        cases = json.loads(Path(sys.argv[2]).read_text())
        found = {name: validation_of(words) for name, words in cases.items()}
        if rank() == 0:
            Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
