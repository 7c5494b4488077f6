"""The notebooks of `examples/`: as they lie there in the quick set, run anew in the slow one."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

import spectrain

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NAMES = ["contrastive", "spectra", "own_files", "sparse_labels"]
MOST_BYTES = 700_000
SECONDS = 600
"""For a cell, on a machine that is busy with other things."""
MACHINE = re.compile(r"(?<![\w.~])/(?:home|root|tmp|work|Users|usr|opt|mnt|var|private)/[\w.-]+|[A-Za-z]:\\\\?Users")
"""How a path of somebody's machine begins."""

each = pytest.mark.parametrize("name", NAMES)


def notebook(name):
    return json.loads((EXAMPLES / f"{name}.ipynb").read_text(encoding="utf-8"))


def source(cell) -> str:
    return "".join(cell["source"])


def code(name):
    """Return the code cells as Python: a line of IPython's own (`%%capture`) is left out."""
    cells = [source(cell) for cell in notebook(name)["cells"] if cell["cell_type"] == "code"]
    return ["\n".join(line for line in cell.splitlines() if not line.startswith("%")) for cell in cells]


def texts(output):
    """Return what an output says, whatever its kind; pictures are left out."""
    held = [output.get("text", ""), *(part for kind, part in output.get("data", {}).items() if "image" not in kind)]
    return "\n".join("".join(one) for one in held)


def test_the_page_names_every_notebook():
    page = (EXAMPLES / "README.md").read_text()
    assert sorted(path.stem for path in EXAMPLES.glob("*.ipynb")) == sorted(NAMES)
    assert [line.split("(")[1].split(".")[0] for line in page.splitlines() if line.startswith("- [")] == NAMES


@each
def test_it_is_whole_and_was_run_from_top_to_bottom(name):
    found = notebook(name)
    assert (found["nbformat"], found["nbformat_minor"] >= 5) == (4, True)
    assert set(found["metadata"]) == {"kernelspec", "language_info"}
    assert found["metadata"]["kernelspec"]["name"] == "python3"
    cells = found["cells"]
    assert {cell["cell_type"] for cell in cells} == {"code", "markdown"}
    assert len({cell["id"] for cell in cells}) == len(cells)
    assert source(cells[0]).startswith("# ")
    ran = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in ran] == list(range(1, len(ran) + 1))
    outputs = [output for cell in ran for output in cell["outputs"]]
    kinds = {output["output_type"] for output in outputs}
    assert kinds <= {"stream", "display_data", "execute_result"}, "an error was left in it"
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 4
    assert all(not cell["metadata"] for cell in cells), "when a cell ran is of no interest"


@each
def test_nothing_in_it_is_of_one_machine(name):
    said = [source(cell) for cell in notebook(name)["cells"]]
    said += [texts(output) for cell in notebook(name)["cells"] for output in cell.get("outputs", [])]
    assert not [match[0] for text in said for match in MACHINE.finditer(text)]
    assert (EXAMPLES / f"{name}.ipynb").stat().st_size < MOST_BYTES


@each
def test_only_public_names_are_used(name):
    for text in code(name):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                assert all(alias.name.split(".")[0] != "spectrain" or alias.name == "spectrain" for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] != "spectrain"
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "spectrain":
                assert node.attr in spectrain.__all__
            elif isinstance(node, ast.Attribute):
                assert not node.attr.startswith("_")


@each
def test_it_asserts_what_it_claims(name):
    assert sum(isinstance(node, ast.Assert) for text in code(name) for node in ast.walk(ast.parse(text))) >= 6


@each
def test_links_lead_somewhere(name):
    for cell in notebook(name)["cells"]:
        if cell["cell_type"] == "markdown":
            for target in re.findall(r"\]\(([^)#]+)", source(cell)):
                assert (EXAMPLES / target).exists(), target


@pytest.mark.slow
@pytest.mark.timeout(4 * SECONDS)
@each
def test_it_runs(name, tmp_path, monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    pytest.importorskip("rasterio")
    pytest.importorskip("segmentation_models_pytorch")
    monkeypatch.delenv("MPLBACKEND", raising=False)  # else no picture comes into the notebook
    found = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
    nbformat.validate(found)
    before = [len(cell.outputs) for cell in found.cells if cell.cell_type == "code"]
    where = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(found, timeout=SECONDS, kernel_name="python3", resources=where).execute()
    ran = [cell for cell in found.cells if cell.cell_type == "code"]
    assert [len(cell.outputs) > 0 for cell in ran] == [count > 0 for count in before]
    said = [output for cell in ran for output in cell.outputs if output.get("name") == "stderr"]
    assert not said, said
