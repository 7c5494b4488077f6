"""The set of options is frozen: whoever changes it has to change the page, where everybody sees it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from spectrain.config.keys import builtin_part_keys, scalars
from spectrain.config.options_page import page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "options.md"


def test_the_page_on_disk_is_the_options_there_are():
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "the options changed. If that is meant: python -m spectrain.config.options_page docs/options.md"
    )


def test_the_page_has_every_option():
    text = page()
    missing = [key for key in (*scalars(), *builtin_part_keys()) if f"| `{key}` |" not in text]
    assert not missing


def test_every_option_has_its_line():
    silent = [key for key, option in scalars().items() if not option.doc]
    assert not silent


def test_the_page_imports_no_part():
    code = "import sys; from spectrain.config.options_page import page; page(); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "hydra", "omegaconf", "h5py"} & set(modules)
