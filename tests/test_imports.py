"""Imports run one way, and nothing heavy is imported before it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "spectrain"

# From the outermost to the innermost; a folder may import from those after it. Folders on one line are equals.
ORDER = [
    ["cli"],
    ["demos"],
    ["sweeps"],
    ["inference"],
    ["inspection"],
    ["preparation"],
    ["training"],
    ["runs"],
    ["tasks"],
    ["models", "losses", "metrics", "augment", "plots"],
    ["data"],
    ["config"],
    ["core"],
]
LEVEL = {name: level for level, names in enumerate(ORDER) for name in names}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)


def imported(path: Path) -> set[str]:
    """Return the folders of the package that a file imports from, lazily or not."""
    package = path.relative_to(PACKAGE.parent).parent.parts
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            names = [".".join([*base, *(node.module or "").split(".")]).rstrip(".")]
            if len(base) == 1 and not node.module:
                names = [f"{base[0]}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("spectrain.")}
    return found & set(LEVEL)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    folder = path.relative_to(PACKAGE).parts[0]
    assert folder in LEVEL, f"{folder} has no place in the order"
    for other in imported(path) - {folder}:
        assert LEVEL[other] > LEVEL[folder], f"{folder} may not import {other}"


def test_files_are_of_a_size_to_read():
    long = {str(path): count for path in PACKAGE.rglob("*.py") if (count := len(path.read_text().splitlines())) > 500}
    assert not long


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom spectrain.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'numpy', 'h5py', 'hydra', 'omegaconf', 'zarr', 'pandas', 'matplotlib', 'mlflow'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in result.stdout


def test_whatever_is_imported_is_declared():
    """A package that comes only because another needs it today is gone when that one no longer does."""
    project = tomllib.loads((PACKAGE.parent.parent / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    declared = {Requirement(line).name.lower().replace("-", "_") for line in lines}
    names = {"PIL": "pillow", "hydra": "hydra_core", "umap": "umap_learn", "yaml": "pyyaml"}
    foreign = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                foreign |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                foreign.add(node.module.split(".")[0])
    foreign -= set(sys.stdlib_module_names) | {"spectrain"}
    assert {names.get(name, name) for name in foreign} - declared == set()
