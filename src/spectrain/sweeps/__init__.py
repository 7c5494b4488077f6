"""Sweeps: cross-validated search over a recipe's options, in a study that any number of runners share."""
