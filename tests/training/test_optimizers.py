"""LARS against its formula, and in a run that is continued."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from steps_of import config, write_data
from torch import nn

from spectrain.core.errors import SpectrainError
from spectrain.core.registry import lookup
from spectrain.training.api import train_config
from spectrain.training.checkpoint import load_checkpoint
from spectrain.training.optimizers import step_unless_empty
from spectrain.training.processes.parallel import Parallel


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("decay", [1e-2, 0.0])
def test_lars_is_its_formula(nesterov, decay):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)).double()
    nn.init.zeros_(model[2].weight)  # a layer without size is not adapted
    part = lookup("optimizer", "lars")
    given = part.Config(lr=0.3, momentum=0.9, weight_decay=decay, trust_coefficient=0.02, nesterov=nesterov)
    optimizer = part.from_config(given, parameters=model.parameters())
    ours = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    moved = {name: torch.zeros_like(value) for name, value in ours.items()}
    for _ in range(3):
        optimizer.zero_grad()
        error = model(torch.randn(8, 4, dtype=torch.float64)) - torch.randn(8, 2, dtype=torch.float64)
        error.square().mean().backward()
        for name, parameter in model.named_parameters():
            weight, update = ours[name], parameter.grad.clone()
            if weight.ndim > 1:
                ratio = 0.02 * weight.norm() / (update.norm() + decay * weight.norm())
                update = (update + decay * weight) * (ratio if weight.any() and update.any() else 1.0)
            moved[name] = 0.9 * moved[name] + update
            ours[name] = weight - 0.3 * (update + 0.9 * moved[name] if nesterov else moved[name])
        optimizer.step()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.detach(), ours[name], rtol=1e-6, atol=1e-8)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_data(tmp_path_factory.mktemp("toy") / "toy.h5")


def test_a_run_with_lars_continues_to_the_bit(data, tmp_path):
    words = ["optimizer=lars", "optimizer.lr=0.3", "hparams.batch_size=4"]
    whole = train_config(config(data, "toy_dense", *words, "hparams.epochs=4", f"out_dir={tmp_path / 'whole'}"))
    half = train_config(
        config(data, "toy_dense", *words, "hparams.epochs=4", "hparams.save_freq=2", f"out_dir={tmp_path / 'half'}")
    )
    checkpoint = load_checkpoint(half.folder / "checkpoints" / "epoch_0002.pt")
    cfg = config(data, "toy_dense", *words, "hparams.epochs=4", "hparams.save_freq=2", f"out_dir={tmp_path / 'half'}")
    again = train_config(cfg, run=half, checkpoint=checkpoint)
    one, other = (load_checkpoint(run.checkpoint("last")) for run in (whole, again))
    assert one["progress"]["step"] == other["progress"]["step"] == 16
    assert all(torch.equal(one["model"][name], other["model"][name]) for name in one["model"])


def test_a_step_without_labels_moves_nothing():
    weight = nn.Parameter(torch.ones(3, 2))
    part = lookup("optimizer", "lars")
    optimizer = part.from_config(part.Config(), parameters=[weight])
    weight.grad = torch.ones(3, 2)
    step_unless_empty(optimizer, torch.tensor(0.0))
    assert torch.equal(weight.detach(), torch.ones(3, 2))
    step_unless_empty(optimizer, torch.tensor(2.0))
    assert not torch.equal(weight.detach(), torch.ones(3, 2))


def test_lars_refuses_sharded_parameters():
    class Sharded(nn.Parameter):
        def to_local(self):
            return self

    part = lookup("optimizer", "lars")
    with pytest.raises(SpectrainError, match=r"general\.parallel=ddp"):
        part.from_config(part.Config(), parameters=[Sharded(torch.ones(2, 2))])


def test_lars_without_timm(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm.optim.lars", None)
    part = lookup("optimizer", "lars")
    with pytest.raises(SpectrainError, match=r"spectrain\[encoders\]"):
        part.from_config(part.Config(), parameters=[nn.Parameter(torch.ones(2))])


def convolution(kind: str, *, channels_last: bool = True) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Return a layer of fixed weights and its optimiser."""
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 8, 3)
    if channels_last:
        layer = layer.to(memory_format=torch.channels_last)
    part = lookup("optimizer", kind)
    return layer, part.from_config(part.Config(lr=0.01), parameters=layer.parameters())


def update(layer: nn.Module, optimizer: torch.optim.Optimizer, number: int) -> None:
    """Take a step of the gradient with this number."""
    draw = torch.Generator().manual_seed(number)
    for parameter in layer.parameters():
        parameter.grad = torch.empty_like(parameter).copy_(torch.randn(parameter.shape, generator=draw))
    optimizer.step()


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw"])
def test_moments_of_another_memory_layout_go_on_at_their_own_weights(kind):
    plain, optimizer = convolution(kind, channels_last=False)
    other, again = convolution(kind)
    device = torch.device("cpu")
    for number in range(3):
        update(plain, optimizer, number)
    other.load_state_dict(plain.state_dict())
    saved = Parallel(plain, "none", device).optimizer_state(optimizer)
    Parallel(other, "none", device).load_optimizer_state(again, saved)
    update(plain, optimizer, 3)
    update(other, again, 3)
    assert other.weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(other.weight, plain.weight, rtol=1e-6, atol=1e-7)
