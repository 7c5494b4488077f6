"""Architectures, one a file, mathematics only; `BandedModel` ties one to its bands and statistics."""
