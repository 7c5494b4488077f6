"""No metric: a validation reports the loss alone."""

from __future__ import annotations

from dataclasses import dataclass


class NoMetric:
    """The part called "none"."""

    @dataclass(frozen=True)
    class Config:
        """``metric=none`` has no keys."""

    @classmethod
    def from_config(cls, config: Config) -> NoMetric:
        """Return the part."""
        return cls()

    def start(self) -> None:
        """Return None: there is nothing to add up."""
