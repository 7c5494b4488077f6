"""What a training must know of its data before it begins: their statistics, and which splits have no missing value."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...config.schema import Config
from ...core.errors import RunError
from ...data.mixture import datasets_of
from ...data.patches import Patches
from ...data.statistics import Statistics
from ...data.statistics_cache import kept_statistics
from ...data.values import Values
from ..processes.shared_work import from_main, on_each

log = logging.getLogger("spectrain")


@dataclass(frozen=True)
class Measured:
    """What was found, the same on all processes.

    Attributes:
        fingerprint: of the training patches.
        statistics: of the training patches, one a data set.
        valid: what a checkpoint keeps of the validation patches: ``all_valid`` (one a data set: it holds no missing
            value), and the ``fingerprint`` and ``transform`` that this is true of; None without validation.
    """

    fingerprint: str
    statistics: list[Statistics]
    valid: dict[str, Any] | None

    @property
    def complete(self) -> list[bool]:
        """Of each training set, whether it holds no missing value."""
        return [one.all_valid for one in self.statistics]


def measure(cfg: Config, train: Patches, valid: Patches | None, checkpoint: dict[str, Any] | None) -> Measured:
    """Return what there is to know of the data; a collective call.

    A run that continues takes all from its checkpoint and reads no more than the fingerprints' patches. Else the main
    process looks at each split once, or takes what it kept of an earlier training, and tells the others.

    Args:
        cfg: the configuration.
        train: the training patches.
        valid: those of the validation, None without, the same object where one batch is overfitted.
        checkpoint: where the run continues from, or None.

    Raises:
        DataError: a band of the training patches has no valid value, or a file is damaged; on all processes.
        RunError: the data are others than the checkpoint's.
    """
    meta = None if checkpoint is None else checkpoint["meta"]

    def looked_at() -> str:
        # each process for itself: a machine's own copy of the data may be another
        found = train.fingerprint()
        if meta is not None and meta["fingerprint"] != found:
            raise RunError(
                f"the data changed since the run began (fingerprint {found}, then {meta['fingerprint']})",
                where=str(cfg.dataset.path),
                fix="give the run its data back, or start a new one with model.init_from=RUN",
            )
        return found

    fingerprint = on_each(looked_at)

    def look() -> Measured:
        if meta is None:
            found = _training_statistics(cfg, train, fingerprint)
        else:
            found = [Statistics.from_json(record["statistics"]) for record in (meta, *meta.get("more", []))]
        if valid is None:
            return Measured(fingerprint, found, None)
        same = {
            "fingerprint": fingerprint if valid is train else valid.fingerprint(),
            "transform": cfg.dataset.transform,
        }
        if valid is train:
            return Measured(fingerprint, found, {**same, "all_valid": [one.all_valid for one in found]})
        known = None if meta is None else meta.get("valid")
        if known is None or any(known.get(name) != value for name, value in same.items()):
            known = {**same, "all_valid": [_complete(cfg, one) for one in datasets_of(valid)]}
        return Measured(fingerprint, found, known)

    return from_main(look)


def _training_statistics(cfg: Config, train: Patches, fingerprint: str) -> list[Statistics]:
    """Return the statistics of each data set, and say what looks wrong."""
    found = []
    datasets = datasets_of(train)
    for one in datasets:
        statistics = kept_statistics(one, cfg.dataset, fingerprint if len(datasets) == 1 else None)
        statistics.refuse_empty(one.bands, str(one.path))
        for warning in statistics.warnings(one.bands):
            log.warning(warning)
        if statistics.empty:
            said = "%s, %s: %d of %d patches have no valid value and teach nothing"
            log.warning(said, one.path, one.split, statistics.empty, len(one))
        found.append(statistics)
    return found


def _complete(cfg: Config, patches: Patches) -> bool:
    """Say whether a data set has no missing value; where its type leaves no other possibility, nothing is read."""
    if not patches.has_mask:
        none = torch.from_numpy(np.empty((0, *patches.shape[1:]), patches.dtype.newbyteorder("=")))
        if Values(patches.bands, cfg.dataset.transform).measure(none, None)[1] is None:
            return True
    return kept_statistics(patches, cfg.dataset).all_valid
