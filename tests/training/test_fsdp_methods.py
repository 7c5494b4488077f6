"""What is asked of a sharded model besides its forward: parameters are gathered for each of it."""

from __future__ import annotations

import copy

import pytest
import small_mae
import torch
import torch.distributed as dist

from spectrain.config import load_config
from spectrain.core.batch import Batch
from spectrain.core.targets import NoTarget
from spectrain.training.processes import parallel
from spectrain.training.session import build_session


@pytest.fixture
def group(tmp_path):
    """A group of one process, in which parameters can be shards all the same."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sharded")
    small_mae.write_cubes(folder)
    return folder


def model_of(folder, name):
    words = small_mae.words(folder / "whole.h5")
    if name == "spectral_autoencoder":
        words = [word for word in words if not word.startswith("model")]
        words += ["model=spectral_autoencoder", "model.widths=[16,3]"]
    session = build_session(load_config("mae", overrides=words, use_personal=False))
    session.close()
    return session.model


@pytest.mark.parametrize("name", ["mae_spectral", "spectral_autoencoder"])
def test_pooled_vectors_and_features_of_a_sharded_model(folder, group, monkeypatch, name):
    model = model_of(folder, name).eval()
    monkeypatch.setattr(parallel, "world_size", lambda: 2)  # one alone shards nothing
    image = torch.rand(3, 8, 8, 8)
    valid = torch.rand(image.shape) < 0.9
    batch = Batch(image, valid, NoTarget(), torch.arange(3), all_valid=False)
    sharded = copy.deepcopy(model)
    parallel.Parallel(sharded, "fsdp", torch.device("cpu"))
    assert any(hasattr(parameter, "to_local") for parameter in sharded.parameters())
    with torch.no_grad():
        expected = model.pooled(batch)
        torch.testing.assert_close(sharded.pooled(batch), expected)  # the first that is asked of it
        ((_, found),), ((_, known),) = sharded.features(batch), model.features(batch)
        torch.testing.assert_close(found, known)
        torch.testing.assert_close(sharded(batch), model(batch))
        torch.testing.assert_close(sharded.pooled(batch), expected)
    sharded.pooled(batch).square().sum().backward()
    model.pooled(batch).square().sum().backward()
    grads = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert grads
    for name, parameter in sharded.named_parameters():
        if name in grads:
            torch.testing.assert_close(parameter.grad.full_tensor(), grads[name])
