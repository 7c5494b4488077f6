"""An ensemble's moments against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spectrain.metrics.ensemble import EnsembleMoments, combine


@pytest.mark.parametrize("offset", [0.0, 3000.0])
def test_the_moments_are_those_of_numpy(offset):
    draw = torch.Generator().manual_seed(0)
    means = offset + 0.1 * torch.randn(5, 2, 1, 4, 4, generator=draw)
    variances = torch.rand(5, 2, 1, 4, 4, generator=draw)
    found = combine(means, variances)
    assert found.members == 5
    np.testing.assert_allclose(found.mean, means.double().mean(0), rtol=1e-6, atol=1e-7)
    epistemic = np.var(means.double().numpy(), axis=0)
    np.testing.assert_allclose(found.epistemic, epistemic, rtol=2e-2 if offset else 1e-4)
    np.testing.assert_allclose(found.aleatoric, variances.mean(0), rtol=1e-5)
    assert torch.equal(found.predictive, found.epistemic + found.aleatoric)


def test_one_member_has_no_epistemic_variance_and_values_alone_no_aleatoric():
    one = combine(torch.tensor([[3.0, torch.nan]]))
    assert one.epistemic.tolist()[0] == 0 and one.aleatoric is None
    assert torch.equal(one.predictive, one.epistemic)
    assert one.mean[1].isnan()


def test_members_are_not_changed_by_what_comes_after():
    mean = torch.ones(3)
    found = EnsembleMoments()
    found.add(mean, mean)
    found.add(2 * mean, mean)
    assert mean.tolist() == [1, 1, 1] and found.mean.tolist() == [1.5] * 3 and found.epistemic.tolist() == [0.25] * 3


def test_a_hole_of_one_member_is_a_hole():
    found = combine(torch.tensor([[1.0, 1.0], [torch.nan, 3.0]]))
    assert found.mean.isnan().tolist() == found.epistemic.isnan().tolist() == [True, False]


def test_members_that_do_not_fit_are_refused():
    found = EnsembleMoments()
    with pytest.raises(ValueError, match="without members"):
        _ = found.mean
    found.add(torch.zeros(2), torch.ones(2))
    with pytest.raises(ValueError, match="shape"):
        found.add(torch.zeros(3), torch.ones(3))
    with pytest.raises(ValueError, match="some have none"):
        found.add(torch.zeros(2))
