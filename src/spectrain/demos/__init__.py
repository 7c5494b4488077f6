"""A first training on real data that come with the package; each demo ends in a run folder with a report.

What a demo changes in its recipe is an options file beside this one, so that the user's words win over it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..config import Config
from ..config.command_line import ORIGIN
from ..core.errors import SpectrainError
from ..runs.run import Run

DEMOS = ("contrastive", "mae", "segmentation", "regression")
FOLDER = Path(__file__).resolve().parent
DATA = {"contrastive": FOLDER / "ocean_sst.h5", "mae": FOLDER / "indian_pines.h5"}
"""Of the demos that prepare nothing."""


def run(task: str = "contrastive", overrides: Sequence[str] = ()) -> Run:
    """Train the demo of ``task`` into ``./runs`` and return its run.

    Those with scenes prepare them first and map them last, in ``./demo-TASK``; see `demos.chain`. What was learned, and
    the map, stand on the run's page.

    Raises:
        SpectrainError: there is no such demo; names those that there are. Or a folder ``./demo-TASK`` is not a demo's.
    """
    if task not in DEMOS:
        raise SpectrainError(f"there is no demo {task!r}", fix=f"there is {', '.join(DEMOS)}")
    from ..training.api import train_config
    from .chain import CHAINS, mapped, prepared
    from .ending import tell

    cfg = configuration(task, overrides)  # first, so that a mistake leaves nothing
    if task in CHAINS:
        prepared(task, FOLDER)
    made = train_config(cfg)
    if made.info["status"] == "finished":
        if task in CHAINS:
            mapped(task, made)
        tell(task, made)
    return made


def configuration(task: str, overrides: Sequence[str] = ()) -> Config:
    """Return the configuration of a demo: its recipe, what the demo changes in it, and over that the user's words.

    Raises:
        ConfigError: a word is no option, or none of this recipe.
    """
    from ..training.api import resolve

    cfg = resolve(task, config=FOLDER / f"{task}.yaml", overrides=overrides)[0]
    if task not in DATA or cfg.origins.get("dataset.path") == ORIGIN:
        return cfg
    # not in the file, since where the package is, is known here
    origins = {**cfg.origins, "dataset.path": f"demo {task}"}
    return replace(cfg, dataset=replace(cfg.dataset, path=str(DATA[task])), origins=origins)
