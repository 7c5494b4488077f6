from __future__ import annotations

import pytest
import torch
from torch import nn

from spectrain.training.processes.batchnorm import SyncBatchNorm, has_batch_norm, synchronised


def pair(channels: int = 5, momentum: float | None = 0.1) -> tuple[nn.BatchNorm2d, SyncBatchNorm]:
    torch.manual_seed(0)
    plain = nn.BatchNorm2d(channels, momentum=momentum)
    nn.init.normal_(plain.weight)
    nn.init.normal_(plain.bias)
    ours = SyncBatchNorm(channels, momentum=momentum)
    ours.load_state_dict(plain.state_dict())
    return plain, ours


@pytest.mark.parametrize("momentum", [0.1, None])
def test_one_process_equals_torch_in_output_gradient_and_running_statistics(momentum):
    plain, ours = pair(momentum=momentum)
    for seed in range(3):
        torch.manual_seed(seed)
        image = torch.randn(4, 5, 6, 7) * 3 + 20
        first, second = image.clone().requires_grad_(), image.clone().requires_grad_()
        weight = torch.randn(4, 5, 6, 7)
        (plain(first) * weight).sum().backward()
        (ours(second) * weight).sum().backward()
        torch.testing.assert_close(second.grad, first.grad, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours.running_mean, plain.running_mean)
    torch.testing.assert_close(ours.running_var, plain.running_var, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.weight.grad, plain.weight.grad, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(ours.eval()(image), plain.eval()(image), rtol=1e-4, atol=1e-4)


def test_replacing_keeps_keys_parameters_and_buffers():
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Sequential(nn.BatchNorm2d(3)))
    assert has_batch_norm(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    parameters = [id(parameter) for parameter in model.parameters()]
    synchronised(model)
    assert isinstance(model[1], SyncBatchNorm)
    assert isinstance(model[2][0], SyncBatchNorm)
    assert [id(parameter) for parameter in model.parameters()] == parameters
    assert list(model.state_dict()) == list(before)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_large_mean_does_not_cancel():
    ours = SyncBatchNorm(1)
    ours.running_mean.fill_(3000.0)
    image = 3000 + torch.randn(8, 1, 16, 16, generator=torch.Generator().manual_seed(1)) * 0.01
    assert ours(image).std().item() == pytest.approx(1.0, abs=0.1)


def test_a_single_vector_is_refused():
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        SyncBatchNorm(3)(torch.zeros(3))


def test_float64_is_not_lowered():
    plain, ours = pair()
    plain, ours = plain.double(), ours.double()
    image = torch.randn(4, 5, 6, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(ours(image), plain(image), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ours.state_dict(), plain.state_dict(), rtol=1e-12, atol=1e-12)


def test_nothing_is_copied_from_the_host(monkeypatch):
    """On a GPU such a copy waits for all that was begun before it, once a norm and step."""
    made, norm = [], SyncBatchNorm(3)
    for name in ("tensor", "as_tensor"):
        monkeypatch.setattr(torch, name, lambda *given, **how: made.append(given))
    monkeypatch.setattr(torch.Tensor, "new_tensor", lambda *given, **how: made.append(given))
    found = norm(torch.arange(24.0).view(2, 3, 4))
    assert not made
    assert found.mean().item() == pytest.approx(0, abs=1e-6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_no_step_waits_for_the_device():
    norm, image = SyncBatchNorm(3).cuda(), torch.randn(4, 3, 8, 8, device="cuda", requires_grad=True)
    norm(image).sum().backward()
    torch.cuda.set_sync_debug_mode("error")
    try:
        norm(image).sum().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
