"""The page that explains a run, or compares several."""

from __future__ import annotations
