"""Measured points: files of them, which columns and filters count, and how they become labels on a grid."""
