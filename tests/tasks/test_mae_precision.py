"""Under mixed precision the model computes in bfloat16; errors, metrics and pictures are of float32."""

from __future__ import annotations

import pytest
import small_mae
import torch

from spectrain.config import load_config
from spectrain.training.api import train_config
from spectrain.training.evaluate import evaluate
from spectrain.training.parts import evaluate_model_dataloader, load_trained_model, make_loader
from spectrain.training.session import build_session
from spectrain.training.testing import test as run_test

MODELS = {"mae_spectral": [], "spectral_autoencoder": ["model=spectral_autoencoder", "model.widths=[16,3]"]}
METRICS = ("mse_masked", "sam_masked", "psnr_masked", "ssim_masked", "mse", "sam", "psnr", "ssim")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("precision")
    small_mae.write_cubes(folder)
    return folder


def config(folder, model, *more, data="holes.h5"):
    """Windows of 16 px, which SSIM has some of."""
    words = small_mae.words(folder / data, "dataset.window=16", "metric.ssim=true", *more)
    kept = [word for word in words if not (MODELS[model] and word.startswith("model"))]
    return load_config("mae", overrides=[*kept, *MODELS[model]], use_personal=False)


def evaluated(folder, model, monkeypatch, narrow):
    """Evaluate a model in float32, whose output is rounded to bfloat16: handed on as such, or as float32."""
    session = build_session(config(folder, model))
    session.amp = None
    steps = []

    def rounded(call):
        def forward(*given, **named):
            found = call(*given, **named).to(torch.bfloat16)
            return found if narrow else found.float()

        return forward

    monkeypatch.setattr(session.model, "forward", rounded(session.model.forward))
    found = evaluate(session, session.valid, session.valid_order, lambda step, batch: steps.append(step))
    session.close()
    return found, steps


@pytest.mark.parametrize("model", list(MODELS))
def test_a_model_that_returns_bfloat16_is_judged_in_float32(folder, model, monkeypatch):
    found, steps = evaluated(folder, model, monkeypatch, narrow=True)
    expected, wide = evaluated(folder, model, monkeypatch, narrow=False)
    assert found.values("valid") == pytest.approx(expected.values("valid"), rel=1e-6, nan_ok=True)
    for step, other in zip(steps, wide, strict=True):
        assert step.output.prediction.dtype == torch.float32
        torch.testing.assert_close(step.output.prediction, other.output.prediction, equal_nan=True)


@pytest.mark.parametrize("model", list(MODELS))
def test_a_test_under_mixed_precision_says_nearly_what_one_without_does(folder, model, tmp_path):
    more = [f"out_dir={tmp_path / 'run'}", "hparams.epochs=1"]
    run = train_config(config(folder, model, *more, "general.use_amp=true", data="whole.h5"))
    [mixed] = run_test(run.folder, output=tmp_path / "mixed")
    loader = make_loader(config(folder, model, data="whole.h5"), "valid")
    plain = evaluate_model_dataloader(load_trained_model(run.folder), loader, tmp_path / "plain")
    loader.close()
    for name in METRICS:
        assert mixed[name] != plain[name] and mixed[name] == pytest.approx(plain[name], rel=0.02)
        values = torch.tensor(mixed.images[name], dtype=torch.float64)
        assert mixed[name] == pytest.approx(float(values.mean()), rel=1e-9)
        assert not torch.equal(values, values.bfloat16().double())  # more than its three digits
