from __future__ import annotations

import numpy as np

from spectrain.plots.neighbours import draw_neighbours


def test_all_images_are_stretched_alike():
    """The mean colour follows the value: a neighbour twice as bright looks so."""
    images = np.stack([np.full((1, 8, 8), value, np.float32) for value in (0.0, 5.0, 10.0)])
    valid = np.ones(images.shape, bool)
    valid[2, 0, :4] = False
    figure = draw_neighbours(images[0], valid[0], images[1:], valid[1:], [0.9, 0.5], titles=["a", "b", "c"])
    shown = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in shown] == ["a\nquery", "b\ncosine 0.900", "c\ncosine 0.500"]
    colours = [axes.images[0].get_array() for axes in shown]
    assert len({tuple(colour[7, 7]) for colour in colours}) == 3
    assert np.ptp(colours[2][0, 0]) == 0  # a hole is grey


def test_a_query_without_neighbours():
    image = np.zeros((3, 8, 8), np.float32)
    none = np.zeros((0, 3, 8, 8), np.float32)
    figure = draw_neighbours(image, image == 0, none, none == 0, [], titles=["alone"])
    assert figure.axes[0].get_title() == "alone\nquery"
