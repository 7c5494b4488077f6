"""Architectures, mathematics only; their bands and statistics (`BandedModel`, `AnyBands`), and weights from files."""
