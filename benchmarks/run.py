"""Runs every benchmark, one process each, and writes the tables to benchmarks/README.md.

    python benchmarks/run.py             all of them
    python benchmarks/run.py step views  some; the others' tables stay as they are

Each benchmark module has a docstring (what is measured, how, which goal) and ``rows()``, a list of dicts with the same
keys. Ratios come from runs that alternate side by side in one process; absolute figures are of that machine that day.
"""

from __future__ import annotations

import ast
import json
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE / "README.md"
NAMES = [
    "reading",
    "views",
    "step",
    "profiles",
    "sparse",
    "mae",
    "mae_memory",
    "memory",
    "predict",
    "ensemble_map",
    "caching",
    "startup",
    "embeddings",
    "mixture",
    "transfer",
    "prepare",
    "sweep",
    "barkbeetle",
    "regression",
]
BY_NAME = {"mae_memory", "embeddings", "mixture", "transfer", "barkbeetle", "regression"}
"""Only run where it is named."""


def main(names: list[str]) -> int:
    measured = {}
    failed = []
    for name in names or [name for name in NAMES if name not in BY_NAME]:
        print(f"{name} ...", flush=True)
        code = f"import json, sys; sys.path.insert(0, {str(HERE)!r})\n"
        code += f"import {name}; print('ROWS', json.dumps({name}.rows()))"
        kept_nothing = os.environ | {"SPECTRAIN_CACHE": ""}  # a start is measured with all that it computes
        result = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=kept_nothing
        )
        lines = [line for line in result.stdout.splitlines() if line.startswith("ROWS ")]
        if result.returncode or not lines:
            failed.append(name)
            print(result.stderr or f"{name} ended with {result.returncode}", file=sys.stderr)
            continue
        rows = json.loads(lines[-1][5:])
        measured[name] = f"{docstring(name)}\n\n{facts()}\n\n{table(rows)}\n"
        print(table(rows), flush=True)
    sections = read_sections() | measured  # as the page is now: others may have been measured meanwhile
    body = "".join(f"\n## {name}\n\n{sections[name]}" for name in NAMES if name in sections)
    PAGE.write_text(f"# Benchmarks\n\n`make bench` measures again and rewrites this page.\n{body}")
    return 1 if failed else 0


def read_sections() -> dict[str, str]:
    """Return the sections of the page as it is, so that one benchmark can be run without the others."""
    if not PAGE.is_file():
        return {}
    parts = re.split(r"^## (\w+)\n\n", PAGE.read_text(), flags=re.MULTILINE)
    return {name: text.rstrip("\n") + "\n" for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def docstring(name: str) -> str:
    return (ast.get_docstring(ast.parse((HERE / f"{name}.py").read_text())) or "").strip()


def facts() -> str:
    """Return date, machine and commit, without the machine's name or paths."""
    import torch

    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=HERE, check=False
    )
    model = next(
        (line.split(":")[1].strip() for line in cpu_lines() if line.startswith("model name")), platform.machine()
    )
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    load = f"load {os.getloadavg()[0]:.1f} at the end"
    return (
        f"*{time.strftime('%Y-%m-%d')}, {model}, {os.cpu_count()} cores{gpu}, Python {platform.python_version()}, "
        f"torch {torch.__version__}, commit {commit.stdout.strip()}, {load}*"
    )


def cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.is_file() else []


def table(rows: list[dict[str, object]]) -> str:
    """Return rows as a Markdown table."""
    if not rows:
        return "no rows"
    head = list(rows[0])
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    lines += [" | ".join(shown(row.get(key, "")) for key in head) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
