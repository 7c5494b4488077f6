"""The page with which people explore embeddings: one self-contained file."""

from __future__ import annotations

from .page import write_explore

__all__ = ["write_explore"]
