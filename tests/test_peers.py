"""What is measured beside spectrain's peers: the arithmetic of its tables, and spectrain's own part of it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import spectrain

PEERS = Path(__file__).resolve().parent.parent / "benchmarks" / "peers"
ROUNDS = {
    "ours": [{"rate": 40.0, "ms": 5.0}, {"rate": 20.0, "ms": 10.0}, {"rate": 44.0, "ms": 5.0}],
    "theirs": [{"rate": 20.0, "ms": 4.0}, {"rate": 20.0, "ms": 6.0}, {"rate": 11.0, "ms": 5.0}],
}
WHOLE = """
import json, sys
sys.path.insert(0, sys.argv[2])
import simclr_spectrain
print("FIGURES", json.dumps(simclr_spectrain.main(json.loads(sys.argv[1]))))
print("SLOW", sorted({"torch._dynamo", "sympy", "pandas", "pyarrow", "hydra"} & {*sys.modules}))
"""


def module(name: str):
    spec = importlib.util.spec_from_file_location(f"peers_{name}", PEERS / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found  # dataclasses look themselves up
    spec.loader.exec_module(found)
    return found


@pytest.fixture(scope="module")
def figures():
    return module("figures")


def test_a_ratio_is_of_medians_and_above_one_where_ours_is_better(figures):
    assert figures.ratios([40, 20], [20, 20], "high") == [2, 1]
    assert figures.ratios([5, 10], [4, 6], "low") == [0.8, 0.6]
    column = figures.Column("rate", "samples/s", "high")
    assert figures.verdict(ROUNDS, "ours", "theirs", column) == "2.00 × (1.00 to 4.00)"


def test_a_loss_is_bold_and_a_tie_is_none(figures):
    rounds = {"ours": [{"ms": 5.0}, {"ms": 10.0}, {"ms": 5.0}], "theirs": [{"ms": 4.0}, {"ms": 6.0}, {"ms": 4.0}]}
    lost = figures.verdict(rounds, "ours", "theirs", figures.Column("ms", "ms", "low"))
    assert lost == "**0.80 × (0.60 to 0.80), a loss**"
    even = {"ours": [{"ms": 1.02}], "theirs": [{"ms": 1.0}]}
    assert figures.verdict(even, "ours", "theirs", figures.Column("ms", "ms", "low")) == "0.98 ×"


def test_a_table_tells_medians_and_leaves_out_what_a_contestant_has_not(figures):
    columns = [figures.Column("rate", "samples/s", "high"), figures.Column("missing", "other", "low")]
    rounds = {**ROUNDS, "third": [{"missing": 2500.0}] * 3}
    lines = figures.table(rounds, "ours", columns).splitlines()
    assert lines[0] == "|  | samples/s | other |"
    assert lines[2] == "| ours | 40 |  |"
    assert lines[3] == "| theirs | 20; 2.00 × (1.00 to 4.00) |  |"
    assert lines[4] == "| third |  | 2,500 |"


def test_contestants_take_turns_and_every_other_round_goes_backwards(monkeypatch):
    monkeypatch.syspath_prepend(str(PEERS))
    rounds, seen = module("rounds"), []

    def once(contestant):
        seen.append(contestant.label)
        return {"number": len(seen)}

    both = [rounds.Contestant(name, "") for name in ("a", "b")]
    found, loads = rounds.alternate(both, 3, once, say=lambda text: None)
    assert seen == ["a", "b", "b", "a", "a", "b"]
    assert [one["number"] for one in found["b"]] == [2, 3, 6]
    assert len(loads) == 3


def test_contestants_without_a_mask_get_what_is_missing_filled_and_the_rest_as_spectrain_reads_it():
    """Once they, and the judge, got the land as -327.68 degrees."""
    data = module("data").sst()
    found = module("contestants/simclr_data").images(data, "valid")
    physical = spectrain.open_patches(data["h5"], "valid").physical(range(len(found)))
    known = np.isfinite(physical)
    np.testing.assert_allclose(found[known], physical[known], rtol=1e-6)
    assert not known.all()
    means = np.nanmean(physical, axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(found[~known], np.broadcast_to(means, found.shape)[~known], rtol=1e-4)


def test_spectrain_trains_beside_its_peers_and_imports_nothing_slow_to_do_so(tmp_path):
    data = tmp_path / "sst.h5"
    with h5py.File(data, "w") as file:
        file["train"] = np.random.default_rng(0).normal(size=(8, 1, 64, 64)).astype(np.float32)
    given = {"batch": 4, "warm": 1, "steps": 1, "images": 8, "seed": 0, "threads": 1, "quality": False}
    words = [json.dumps(given | {"data": {"h5": str(data)}}), str(PEERS / "contestants")]
    environment = os.environ | {"SPECTRAIN_CACHE": "", "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    output = subprocess.run(
        [sys.executable, "-c", WHOLE, *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    lines = {line.split()[0]: line for line in output.stdout.splitlines() if line.startswith(("FIGURES", "SLOW"))}
    assert output.returncode == 0, output.stderr
    assert lines["SLOW"] == "SLOW []"
    found = json.loads(lines["FIGURES"].removeprefix("FIGURES "))
    assert found["samples_per_s"] > 0
    assert len(found["shapes"]) == 100
