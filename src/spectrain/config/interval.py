"""How often: a number of steps, or a length of time."""

from __future__ import annotations

import re
from dataclasses import dataclass

PATTERN = r"(?=.*[1-9])(\d+|\d+(\.\d+)?\s*(s|min|h))"
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Interval:
    """Every so many optimiser steps, or every so many seconds; exactly one of the two is set."""

    steps: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, value: int | str) -> Interval:
        """Read ``500`` (steps), ``"10min"``, ``"30s"`` or ``"2h"``.

        Raises:
            ValueError: it is none of these, or not more than 0.
        """
        text = str(value).strip()
        if re.fullmatch(PATTERN, text) is None:
            raise ValueError(f"must be a number of steps or a time such as 10min, 30s or 2h, above 0, not {value!r}")
        unit = text.lstrip("0123456789. ")
        number = float(text.removesuffix(unit))
        return cls(seconds=number * _SECONDS[unit]) if unit else cls(steps=int(number))
