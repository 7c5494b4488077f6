"""Sweeps: cross-validated search over a recipe's options, in a study that any number of runners share."""

from ..core.errors import needs

with needs("sweep", "for sweeps"):  # every module here stands on it
    import optuna  # noqa: F401
