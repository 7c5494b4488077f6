"""The search space of a sweep, in the words of W&B sweep configurations: distributions, and what draws from them.

Every distribution is an inverse cumulative function, from a number of [0, 1) to a value. So random search needs no
state: the numbers are a hash of the sweep's seed, the trial's number and the parameter's name.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import torch

from ..core.random import Key, uniform

Value = Any
"""A plain value: None, bool, int, float, str or a list of such."""


@dataclass(frozen=True)
class Distribution:
    """What values a parameter takes, and how likely each is.

    Attributes:
        kind: its name in W&B's words.
        draw: from a number of [0, 1) to a value.
        values: all of them, where they are few enough to be written out; what a grid goes through.
        low: smallest value of a range; None where there is none.
        high: largest.
        step: of a range of steps.
        log: the range is even on a logarithmic scale.
        integers: the range holds whole numbers alone.
    """

    kind: str
    draw: Callable[[float], Value] = field(compare=False)
    values: tuple[Value, ...] | None = None
    low: float | None = None
    high: float | None = None
    step: float | None = None
    log: bool = False
    integers: bool = False

    def __str__(self) -> str:
        """Return it in words: "log_uniform_values from 0.001 to 0.1"."""
        if self.values is not None and self.kind in ("constant", "categorical"):
            return "one of " * (len(self.values) > 1) + ", ".join(map(str, self.values))
        if self.low is None or self.high is None:
            return self.kind
        return f"{self.kind} from {self.low:g} to {self.high:g}"

    def same(self, other: Distribution | None) -> bool:
        """Say whether another has the same values, as likely."""
        places = [(number + 0.5) / 64 for number in range(64)]
        return self == other and other is not None and all(self.draw(u) == other.draw(u) for u in places)


def constant(value: Value) -> Distribution:
    """Return a distribution of one value."""
    return Distribution("constant", lambda u: value, (value,))


def categorical(values: Sequence[Value], probabilities: Sequence[float] | None = None) -> Distribution:
    """Return a choice; probabilities are even where there are none.

    Raises:
        ValueError: no values, or probabilities that are not one each, from 0 to 1 and of sum 1.
    """
    if not values:
        raise ValueError("must list values")
    weights = [1 / len(values)] * len(values) if probabilities is None else [float(one) for one in probabilities]
    if len(weights) != len(values):
        raise ValueError(f"has {len(weights)} probabilities for {len(values)} values")
    if min(weights) < 0 or not math.isclose(sum(weights), 1, abs_tol=1e-6):
        raise ValueError(f"probabilities must be 0 or more and add up to 1, not {sum(weights):g}")
    ends = list(itertools.accumulate(weights))
    likely = tuple(value for value, weight in zip(values, weights, strict=True) if weight > 0)
    last = max(place for place, weight in enumerate(weights) if weight > 0)

    def draw(u: float) -> Value:
        return values[min(next((place for place, end in enumerate(ends) if u < end), last), last)]

    return Distribution("categorical", draw, likely)


def int_uniform(low: int, high: int) -> Distribution:
    """Return whole numbers from ``low`` to ``high``, both among them."""
    count = high - low + 1
    return Distribution(
        "int_uniform",
        lambda u: low + min(int(u * count), count - 1),
        tuple(range(low, high + 1)) if count <= 10_000 else None,
        low,
        high,
        step=1,
        integers=True,
    )


def ranged(kind: str, low: float, high: float) -> Distribution:
    """Return numbers from ``low`` to ``high``, even on the scale that ``kind`` names."""
    if kind == "uniform":
        return Distribution(kind, lambda u: low + u * (high - low), low=low, high=high)
    if kind == "log_uniform_values":
        a, b = math.log(low), math.log(high)
        return Distribution(kind, lambda u: _within(math.exp(a + u * (b - a)), low, high), low=low, high=high, log=True)
    # 1/x is even on a logarithmic scale, and so is x; drawn from the other end
    a, b = math.log(1 / high), math.log(1 / low)
    return Distribution(kind, lambda u: _within(1 / math.exp(a + u * (b - a)), low, high), low=low, high=high, log=True)


def bell(kind: str, mu: float, sigma: float) -> Distribution:
    """Return normal numbers, or their exponentials (``log_normal``)."""
    normal = NormalDist(mu, sigma)
    tiny = 1e-12

    def draw(u: float) -> float:
        value = normal.inv_cdf(min(max(u, tiny), 1 - tiny))
        return math.exp(value) if kind == "log_normal" else value

    return Distribution(kind, draw)


def beta(a: float, b: float) -> Distribution:
    """Return numbers from 0 to 1 of the beta distribution."""

    def draw(u: float) -> float:
        from scipy.special import betaincinv  # which takes a while

        return float(betaincinv(a, b, u))

    return Distribution("beta", draw, low=0.0, high=1.0)


def quantised(inner: Distribution, q: float) -> Distribution:
    """Return ``round(x / q) * q`` of another distribution; whole numbers where ``q`` is one."""
    whole = float(q).is_integer()

    def rounded(value: float) -> float | int:
        steps = round(value / q)
        return int(steps * q) if whole else round(steps * q, 12)

    values = None
    if inner.low is not None and inner.high is not None and (inner.high - inner.low) / q <= 10_000:
        first, last = round(inner.low / q), round(inner.high / q)
        values = tuple(rounded(step * q) for step in range(first, last + 1))
    low, high = (None, None) if values is None else (values[0], values[-1])
    step = q if inner.kind == "uniform" else None
    return Distribution(f"q_{inner.kind}", lambda u: rounded(inner.draw(u)), values, low, high, step, inner.log, whole)


def _within(value: float, low: float, high: float) -> float:
    """Return the value, no further than the ends, which rounding may pass by a bit."""
    return min(max(value, low), high)


@dataclass(frozen=True)
class Space:
    """The parameters of a sweep by name, in the order in which they were written."""

    parameters: Mapping[str, Distribution]

    def random(self, seed: int, trial: int) -> dict[str, Value]:
        """Return the parameters of a trial of random search: a function of the sweep's seed and the trial's number."""
        return {name: distribution.draw(drawn(seed, trial, name)) for name, distribution in self.parameters.items()}

    def grid(self, trial: int) -> dict[str, Value]:
        """Return the parameters of a trial of a grid: the last parameter changes first.

        Raises:
            IndexError: the grid is smaller.
        """
        if not 0 <= trial < (size := self.grid_size):
            raise IndexError(f"the grid has {size} trials, counted from 0")
        chosen: dict[str, Value] = {}
        for name, distribution in reversed(list(self.parameters.items())):
            assert distribution.values is not None
            trial, place = divmod(trial, len(distribution.values))
            chosen[name] = distribution.values[place]
        return {name: chosen[name] for name in self.parameters}

    @property
    def grid_size(self) -> int:
        """How many trials a grid has."""
        return math.prod(len(distribution.values or ()) for distribution in self.parameters.values())

    def endless(self) -> Iterator[str]:
        """Yield the parameters that no grid can go through."""
        yield from (name for name, distribution in self.parameters.items() if distribution.values is None)


def drawn(seed: int, trial: int, name: str) -> float:
    """Return a number of [0, 1): a hash of the sweep's seed, the trial and the parameter."""
    key = Key(seed, f"sweep/{name}")
    return float(uniform(key, torch.tensor([trial]), 1)[0, 0])
