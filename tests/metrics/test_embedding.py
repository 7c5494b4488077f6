"""Metrics of embeddings against slow references, at their known extremes, and with padding."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from spectrain.core.batch import Batch, everywhere
from spectrain.core.registry import lookup
from spectrain.core.targets import NoTarget
from spectrain.metrics.embedding import EmbeddingSums

NAMES = {"alignment", "uniformity", "effective_rank", "embedding_std"}


def batch_of(index, views=2):
    image = torch.zeros(len(index) * views, 1, 1, 1)
    where = everywhere(image.shape, image.device)
    return Batch(image, where, NoTarget(), torch.tensor(index).repeat(views), all_valid=True, views=views)


def unit(count, dim, seed=0, views=2):
    """View-major unit vectors [V*B,D]."""
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(views * count, dim, generator=generator), dim=1)


def metrics_of(*pairs):
    sums = EmbeddingSums()
    for output, batch in pairs:
        sums.update(output, batch)
    return sums.compute(sums.sums())


def slow(batches):
    """Loops over batches [V,B,D] in float64, as the papers define them."""
    aligned, kernel, rows = [], [], []
    for z in batches:
        z = z.double()
        rows.append(z.flatten(0, 1))
        for v in range(len(z)):
            aligned += [(a - b).norm() ** 2 for w in range(v) for a, b in zip(z[v], z[w], strict=True)]
            kernel += [math.exp(-2 * (z[v, i] - z[v, j]).norm() ** 2) for i in range(z.shape[1]) for j in range(i)]
    rows = torch.cat(rows)
    singular = torch.linalg.svdvals(rows)
    share = singular / singular.sum()
    return {
        "alignment": float(torch.stack(aligned).mean()) if aligned else math.nan,
        "uniformity": math.log(sum(kernel) / len(kernel)),
        "effective_rank": math.exp(-(share * share.log()).sum()),
        "embedding_std": float(rows.std(dim=0, correction=0).mean()),
    }


@pytest.mark.parametrize("views", [1, 2, 3])
def test_equals_the_slow_definitions(views):
    counts = (5, 3)
    outputs = [unit(count, 6, count, views) for count in counts]
    found = metrics_of(*[(z, batch_of(list(range(n)), views)) for n, z in zip(counts, outputs, strict=True)])
    expected = slow([z.reshape(views, n, 6) for n, z in zip(counts, outputs, strict=True)])
    assert found == pytest.approx(expected, rel=1e-9, nan_ok=True)
    assert math.isnan(found["alignment"]) == (views == 1)


def test_padding_does_not_count_whatever_it_holds():
    output = unit(4, 6)
    real = torch.tensor([True, False, True, True]).repeat(2)
    holed = output.clone()
    holed[~real] = math.nan
    found = metrics_of((holed, batch_of([0, -1, 1, 2])))
    assert found == pytest.approx(metrics_of((output[real], batch_of([0, 1, 2]))), rel=1e-12)


def test_a_collapsed_encoder_is_seen():
    found = metrics_of((unit(1, 8)[:1].expand(12, -1), batch_of(list(range(6)))))
    assert found["alignment"] == pytest.approx(0, abs=1e-12)
    assert found["uniformity"] == pytest.approx(0, abs=1e-6)
    assert found["effective_rank"] == pytest.approx(1, abs=1e-3)
    assert found["embedding_std"] == pytest.approx(0, abs=1e-6)


def test_a_full_sphere_is_seen():
    dim, count = 64, 2000
    one = unit(count, dim, views=1)
    found = metrics_of((one.repeat(2, 1), batch_of(list(range(count)))))
    assert found["alignment"] == 0
    assert found["uniformity"] == pytest.approx(-4 + 4 * 4 / 2 / dim, abs=0.01)  # log E exp(4 cos), cos ~ N(0, 1/dim)
    assert found["effective_rank"] == pytest.approx(dim, rel=0.01)
    assert found["embedding_std"] == pytest.approx(1 / math.sqrt(dim), rel=0.01)


def test_orthogonal_embeddings_have_their_number_as_rank():
    found = metrics_of((torch.eye(8)[:3].repeat(2, 1), batch_of([0, 1, 2])))
    assert found["effective_rank"] == pytest.approx(3)
    assert found["uniformity"] == pytest.approx(-4)


def test_sums_of_processes_add_up():
    parts = []
    for seed in (1, 2):
        sums = EmbeddingSums()
        sums.update(unit(4, 5, seed), batch_of([0, 1, 2, 3]))
        parts.append(sums.sums())
    together = EmbeddingSums().compute({name: parts[0][name] + parts[1][name] for name in parts[0]})
    one = metrics_of(*[(unit(4, 5, seed), batch_of([0, 1, 2, 3])) for seed in (1, 2)])
    assert together == pytest.approx(one)
    assert all(value.dtype == torch.float64 for value in parts[0].values())


def test_what_cannot_be_counted_is_nan():
    alone = metrics_of((unit(1, 4), batch_of([0])))
    assert math.isnan(alone["uniformity"])
    assert math.isfinite(alone["alignment"])
    for nothing in (metrics_of(), metrics_of((unit(2, 4), batch_of([-1, -1])))):
        assert set(nothing) == NAMES
        assert all(math.isnan(value) for value in nothing.values())


def test_a_diverged_model_gives_nan_not_an_error():
    output = unit(4, 4)
    output[0, 0] = math.nan
    found = metrics_of((output, batch_of([0, 1, 2, 3])))
    assert set(found) == NAMES
    assert all(math.isnan(value) for value in found.values())


def test_metrics_hold_no_graph():
    sums = EmbeddingSums()
    sums.update(unit(4, 4).requires_grad_(), batch_of([0, 1, 2, 3]))
    assert not any(value.requires_grad for value in sums.sums().values())


@pytest.mark.parametrize("name", ["none", "embedding"])
def test_is_found_by_name(name):
    part = lookup("metric", name)
    started = part.from_config(part.Config()).start()
    assert (started is None) == (name == "none")
