"""What a validation says, in one process or in one of several; the tests compare."""

from __future__ import annotations

import json
from pathlib import Path


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


def validation_of_all(cases: dict[str, list[str]], out: Path) -> None:
    """Be one process of a world; the first writes what is found of each case."""
    from spectrain.core.distributed import rank
    from spectrain.training.processes.parallel import process_group

    with process_group("cpu"):
        found = {name: validation_of(words) for name, words in cases.items()}
        if rank() == 0:
            out.write_text(json.dumps(found))
