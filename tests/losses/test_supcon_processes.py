"""Two processes with half the batch each equal one process with all of it."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
from torch.nn import functional as F
from warm_processes import together

from spectrain.losses.supcon import SupConLoss

VIEWS, EACH, WORLD = 2, 3, 2
CASES = {
    "simclr": (None, None, "all"),
    "supcon": ([0, 1, 0, 1, -1, 0], None, "all"),
    "first view": (None, None, "one"),
    "padding": ([0, 1, 0, 1, 0, 0], [True, True, False, True, False, True], "all"),
}


def batch(case):
    """Rows [B,V,D] of all processes, labels and real."""
    labels, real, mode = CASES[case]
    rows = torch.randn(WORLD * EACH, VIEWS, 5, generator=torch.Generator().manual_seed(1))
    return rows, labels and torch.tensor(labels), real and torch.tensor(real), SupConLoss(0.2, mode)


def loss_and_gradient(case, part):
    """Loss sum, weight and gradient of the samples in ``part`` (a slice)."""
    rows, labels, real, criterion = batch(case)
    rows = rows[part].clone().requires_grad_()
    embeddings = F.normalize(rows, dim=2).transpose(0, 1).flatten(0, 1)
    once = [None if x is None else x[part].repeat(VIEWS) for x in (labels, real)]
    result = criterion.sums(embeddings, VIEWS, *once)
    result.sum.backward()
    return result.sum.detach(), result.weight, rows.grad


def process(folder):
    dist.init_process_group("gloo")
    number = dist.get_rank()
    part = slice(number * EACH, (number + 1) * EACH)
    results = {case: loss_and_gradient(case, part) for case in CASES}
    torch.save(results, f"{folder}/{number}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def of_two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    together(process, str(folder), world=WORLD)
    return [torch.load(folder / f"{number}.pt") for number in range(WORLD)]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_equal_one(of_two, case):
    total, weight, gradient = loss_and_gradient(case, slice(None))
    parts = [results[case] for results in of_two]
    torch.testing.assert_close(sum(part[0] for part in parts), total, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(sum(part[1] for part in parts), weight)
    torch.testing.assert_close(torch.cat([part[2] for part in parts]), gradient, rtol=1e-5, atol=1e-6)
    assert gradient.abs().max() > 0.1
