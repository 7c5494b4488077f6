"""Patches that version 1 wrote: they must be read for ever."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spectrain.data.native.patches import NativePatches
from spectrain.data.opening import open_patches

GOLDEN = Path(__file__).parent / "golden" / "patches_v1.zarr"


def test_version_1():
    patches = open_patches(GOLDEN, "all")
    rows = patches.read(np.arange(3))
    assert np.array_equal(rows.image, np.arange(3 * 2 * 4 * 4, dtype="u2").reshape(3, 2, 4, 4))
    assert np.array_equal(rows.mask, (rows.image[:, :1] % 5) > 0)
    assert rows.labels.tolist() == [2, 0, 1]
    assert [(band.name, band.wavelength, band.scale, band.nodata) for band in patches.bands] == [
        ("red", 665.0, 0.0001, 0.0),
        ("nir", 842.0, 0.0001, 0.0),
    ]
    assert open_patches(GOLDEN, "valid").metadata().to_dict("list") == {"patch_id": ["c"], "lat": [2.5]}
    assert patches.statistics() == {"mean": [1.0, 2.0]}
    assert patches.fingerprint() == "44ab4c29a907c92e63631c4cf5fe87c1"
    NativePatches.open(GOLDEN).check(full=True)
