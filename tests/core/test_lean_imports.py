"""Packages that others bring along, left out."""

from __future__ import annotations

import subprocess
import sys

import pytest

from spectrain.core.lean_imports import as_if_absent


def test_a_package_is_not_found_in_the_block_and_found_after_it(tmp_path, monkeypatch):
    (tmp_path / "brought_along.py").write_text("here = True")
    monkeypatch.syspath_prepend(tmp_path)
    with as_if_absent("brought_along"), pytest.raises(ModuleNotFoundError, match="brought_along"):
        import brought_along
    import brought_along

    assert brought_along.here
    with as_if_absent("brought_along"):  # who has it already uses it
        import brought_along as again
    assert again is brought_along and sys.modules.pop("brought_along") is again


def test_the_package_is_found_again_after_an_import_that_fails(monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with pytest.raises(ImportError), as_if_absent("colorsys"):
        import there_is_no_such_package  # noqa: F401
    import colorsys

    assert colorsys.rgb_to_hls


@pytest.mark.slow
@pytest.mark.parametrize("build", ["model", "optimizer"])
def test_timm_does_not_bring_wandb(build):
    made = {
        "model": "from spectrain.models.smp import SmpNetwork; SmpNetwork('Unet', 'resnet18', 5, 2)",
        "optimizer": "from spectrain.training.optimizers import Lars; "
        "Lars.from_config(Lars.Config(), parameters=[torch.nn.Parameter(torch.ones(2, 2))])",
    }[build]
    code = f"import torch, sys; {made}; assert 'timm' in sys.modules and 'wandb' not in sys.modules; import wandb"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
