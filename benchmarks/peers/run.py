"""Measures spectrain beside its peers and writes the tables of benchmarks/peers/README.md.

    make peers                                      the peers' environment, .peers
    python benchmarks/peers/run.py                  all legs but those of quality
    python benchmarks/peers/run.py --only simclr    one; the others' tables stay as they are

Runs in spectrain's own environment. Contestants run in turn, each a process of its own, A B C, C B A, ..., so that a
machine that is busy now and then slows all of them.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "src")]

from figures import table  # noqa: E402
from legs import LEGS, Leg  # noqa: E402
from rounds import ROOT, Contestant, FailedError, alternate, measure  # noqa: E402

PAGE = HERE / "README.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
ROUNDS = 5


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    usual = [name for name, leg in LEGS.items() if not leg.by_name]
    parser.add_argument("--only", nargs="+", choices=LEGS, default=usual, help="legs to measure")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--peers", type=Path, default=ROOT / ".peers", help="the peers' environment")
    parser.add_argument("--nice", type=int, default=0, help="priority of what is measured, where the system allows it")
    chosen = parser.parse_args()
    if not (chosen.peers / "bin" / "python").exists():
        print(f"there is no {chosen.peers}: make peers", file=sys.stderr)
        return 2
    failed = False
    for name in chosen.only:
        print(f"{name} ...", flush=True)
        try:
            section = measured(LEGS[name], chosen.rounds, chosen.peers, chosen.nice)
        except FailedError as error:
            print(error, file=sys.stderr)
            failed = True
            continue
        print(section, flush=True)
        PAGE.write_text(with_section(PAGE.read_text(), name, section))
    return int(failed)


def measured(leg: Leg, rounds: int, peers: Path, nice: int) -> str:
    """Return the section of a leg: what it is, when and where it was measured, the table."""
    given = leg.given()
    if given is None:
        return f"{leg.about}\n\nNot measured: the data are not here."
    seed = iter(range(10**6))

    def once(contestant: Contestant) -> dict[str, Any]:
        number = next(seed) // len(leg.contestants) if leg.seeds else 0
        return measure(contestant, given | {"seed": number}, peers, nice)

    found, loads = alternate(leg.contestants, leg.rounds or rounds, once, say=lambda text: print(text, flush=True))
    if leg.alike:
        check_alike(found)
    about = leg.about.format(**given.get("data", {})) if "{" in leg.about else leg.about
    load = ", ".join(f"{one:.1f}" for one in loads)
    facts = f"*{when_and_where()}, {given['threads']} threads, {len(loads)} rounds, load {load}*"
    return f"{about}\n\n{facts}\n\n{table(found, leg.contestants[0].label, leg.columns)}"


def check_alike(found: dict[str, list[dict[str, Any]]]) -> None:
    """Raise a `FailedError` where two contestants trained other models."""
    (first, *_), *others = found.values()
    for one, *_ in others:
        if one["shapes"] != first["shapes"]:
            raise FailedError(f"other models: {len(first['shapes'])} tensors and {len(one['shapes'])}")


def with_section(page: str, name: str, section: str) -> str:
    """Return the page with one leg's section between the marks, in the order of the legs; the others stay."""
    before, rest = page.split(BEGIN)
    there, after = rest.split(END)
    parts = re.split(r"^## (\w+)\n\n", there, flags=re.MULTILINE)
    sections = {key: text.strip() for key, text in zip(parts[1::2], parts[2::2], strict=True)} | {name: section}
    body = "\n\n".join(f"## {key}\n\n{sections[key]}" for key in LEGS if key in sections)
    return f"{before}{BEGIN}\n\n{body}\n\n{END}{after}"


def when_and_where() -> str:
    """Return date, machine and commit, without the machine's name or paths."""
    spec = importlib.util.spec_from_file_location("benchmarks_run", HERE.parent / "run.py")
    assert spec is not None
    assert spec.loader is not None
    beside = importlib.util.module_from_spec(spec)  # a module of the same name
    spec.loader.exec_module(beside)
    return str(beside.facts()).strip("*").rsplit(", load", 1)[0]


if __name__ == "__main__":
    sys.exit(main())
