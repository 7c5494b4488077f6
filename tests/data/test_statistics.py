from __future__ import annotations

import json
import math

import numpy as np
import pytest
from memory_patches import MemoryPatches

from spectrain.config.schema import DatasetOptions
from spectrain.core.bands import Band, Bands
from spectrain.core.errors import DataError
from spectrain.data.opening import open_patches
from spectrain.data.statistics import Statistics, patches_statistics
from spectrain.data.values import Values


def of(patches, transform="none", batch=None) -> Statistics:
    return patches_statistics(patches, Values(patches.bands, transform), batch)


@pytest.mark.parametrize("batch", [1, 7, None])
def test_gaps_of_every_kind_are_left_out(batch):
    rng = np.random.default_rng(0)
    image = rng.normal(5, 2, (20, 3, 6, 5)).astype(np.float32)
    image[3, 1] = np.nan
    image[4, 0, 0, 0] = np.inf
    mask = rng.random((20, 1, 6, 5)) < 0.8
    found = of(MemoryPatches(image, mask), batch=batch)
    for band in range(3):
        ok = np.isfinite(image[:, band]) & mask[:, 0]
        values = image[:, band][ok].astype(np.float64)
        assert found.count[band] == ok.sum()
        assert found.missing[band] == (~ok).sum()
        np.testing.assert_allclose(
            [found.mean[band], found.std[band], found.minimum[band], found.maximum[band]],
            [values.mean(), values.std(), values.min(), values.max()],
            rtol=1e-6,
        )
    assert not found.all_valid


def test_real_data_agree_with_numpy(shared_data):
    path = shared_data / "ocean_colour" / "olci_sns_64px.h5"
    patches = open_patches(path, "train", DatasetOptions())
    stored = patches.read(np.arange(len(patches))).image.astype(np.float64)
    for transform in ("none", "log10"):
        with np.errstate(invalid="ignore", divide="ignore"):
            values = np.log10(stored) if transform == "log10" else stored
        values = np.where(np.isfinite(values), values, np.nan)
        found = of(patches, transform)
        np.testing.assert_allclose(found.mean, np.nanmean(values, (0, 2, 3)), rtol=1e-5)
        np.testing.assert_allclose(found.std, np.nanstd(values, (0, 2, 3)), rtol=1e-5)


def test_a_mean_far_above_the_deviation_does_not_cancel():
    image = (100000 + np.random.default_rng(1).normal(0, 0.5, (64, 1, 32, 32))).astype(np.float32)
    assert of(MemoryPatches(image), batch=5).std[0] == pytest.approx(image.astype(np.float64).std(), rel=1e-6)


def test_integers_without_nodata_are_all_valid():
    found = of(MemoryPatches(np.full((3, 2, 4, 4), 9, np.uint16)))
    assert found.all_valid
    assert found.std == (0.0, 0.0)
    assert found.missing_share == (0.0, 0.0)


def test_empty_and_constant_bands_and_wrong_units_are_said():
    image = np.stack([np.full((4, 4), np.nan), np.full((4, 4), 3.0), np.linspace(280, 300, 16).reshape(4, 4)])[None]
    bands = Bands([Band("empty"), Band("flat"), Band("sst", unit="degC")])
    found = of(MemoryPatches(image.astype(np.float32), bands=bands))
    assert math.isnan(found.mean[0])
    said = "\n".join(found.warnings(bands))
    assert "'empty' has no valid value" in said
    assert "'flat' is constant" in said
    assert "'sst' is said to be in degC" in said
    with pytest.raises(DataError, match="'empty' has no valid value"):
        found.refuse_empty(bands, "here")


def test_json_keeps_everything_and_refuses_other_versions():
    image = np.full((2, 1, 2, 2), np.nan, np.float32)
    found = of(MemoryPatches(image))
    record = json.loads(json.dumps(found.to_json()))
    again = Statistics.from_json(record)
    assert again.count == found.count
    assert math.isnan(again.mean[0])
    record["format"]["version"] = 99
    with pytest.raises(DataError, match="no statistics of version"):
        Statistics.from_json(record)
