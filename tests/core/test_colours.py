"""Classes have one colour each, in pictures and in maps."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib import colormaps

from spectrain.core.colours import class_colours
from spectrain.plots.segmentation import shades
from spectrain.tasks.layers import class_layers


def test_the_table_is_that_of_matplotlib():
    theirs = [colormaps["tab20"](place)[:3] for place in [*range(0, 20, 2), *range(1, 20, 2)]]
    np.testing.assert_allclose(np.array(class_colours(20)) / 255, theirs, atol=0.002)
    assert class_colours(23)[20:] == class_colours(3)


@pytest.mark.parametrize("count", [2, 3, 10, 20])
def test_a_map_has_the_colours_of_the_pictures(count):
    layer = class_layers([f"class {number}" for number in range(count)], members=1)[0]
    np.testing.assert_array_equal(np.round(255 * shades(count)), layer.colours)
    apart = np.abs(shades(count)[:, None] - shades(count)[None]).sum(-1) + np.eye(count)
    assert len(set(layer.colours)) == count and apart.min() > 0.1
