"""A trained model with all that is needed to use it on other data: bands, statistics and the configuration it had."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..config import Config, load_config
from ..core.bands import Bands
from ..data.statistics import Statistics
from ..models.banded import BandedModel, build_banded
from ..runs.run import Run
from .checkpoint import load_checkpoint


@dataclass(frozen=True)
class Trained:
    """What a checkpoint holds, ready to use.

    Attributes:
        model: on the CPU, in eval mode.
        cfg: the configuration of the training.
        meta: what the checkpoint says of itself (see `training.api.checkpoint_meta`).
        path: the checkpoint.
    """

    model: BandedModel
    cfg: Config
    meta: dict[str, Any]
    path: Path

    @property
    def statistics(self) -> list[Statistics]:
        """Of the data that it was trained on; several only for a mixture."""
        return [Statistics.from_json(record["statistics"]) for record in (self.meta, *self.meta.get("more", []))]


def load_trained(path: str | Path, plugins: Sequence[str] = ()) -> Trained:
    """Load a run (its best checkpoint, else its last) or one checkpoint.

    Args:
        path: run folder or checkpoint.
        plugins: modules to import first, where the model is a plugin's; a checkpoint never names any itself.

    Raises:
        RunError: there is no checkpoint, or it cannot be read.
        ConfigError: it names a part that is not known here.
    """
    path = checkpoint_of(Path(path))
    record = load_checkpoint(path)
    meta = record["meta"]
    cfg = _config_of(meta, plugins)
    size = meta["image_size"]
    model = build_banded(
        cfg.model,
        bands=Bands.from_json(meta["bands"]),
        statistics=Statistics.from_json(meta["statistics"]),
        image_size=None if size is None else (size[0], size[1]),
        seed=cfg.general.seed,
        take_init_from=False,
        more=[(Bands.from_json(one["bands"]), Statistics.from_json(one["statistics"])) for one in meta.get("more", [])],
    )
    model.load_state_dict(record["model"])
    model.eval()
    return Trained(model, cfg, meta, path)


def checkpoint_of(path: Path) -> Path:
    """Return the best checkpoint of a run folder, else its last; a checkpoint itself."""
    if not path.is_dir():
        return path
    run = Run.open(path)
    return run.checkpoint("best") if run.checkpoint("best").is_file() else run.checkpoint("last")


def _config_of(meta: dict[str, Any], plugins: Sequence[str]) -> Config:
    """Return the configuration that a checkpoint carries, checked like any options file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(yaml.safe_dump(meta["config"]))
        return load_config(meta["recipe"], config=path, plugins=plugins, use_personal=False)
