from __future__ import annotations

import pytest

from spectrain.config.interval import Interval


@pytest.mark.parametrize(
    ("written", "found"),
    [
        (500, Interval(steps=500)),
        ("500", Interval(steps=500)),
        ("10min", Interval(seconds=600)),
        ("30 s", Interval(seconds=30)),
        ("1.5h", Interval(seconds=5400)),
    ],
)
def test_steps_and_times_are_read(written, found):
    assert Interval.parse(written) == found


@pytest.mark.parametrize("written", ["", "10 parsecs", "min", "-5", "1.5", "0", "0min", "10min later"])
def test_what_is_neither_is_an_error(written):
    with pytest.raises(ValueError, match="must be a number of steps or a time"):
        Interval.parse(written)
