"""A sweep that is there: its study, what it trains, and its folder."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from ..core.atomic import atomic_write
from ..core.damage import reading
from ..core.errors import SpectrainError
from ..runs.migrations import migrated
from .addresses import is_there, without_password
from .plan import Plan
from .store import Store

FILE = "sweep.json"
NAME, VERSION = "spectrain.sweep_place", 1
FORMAT = {"name": NAME, "version": VERSION}
FIRST = {"name": NAME, "version": 1}
"""Of files that do not say it: the first ones did not."""
DATABASE = "study.db"
FROM_ENVIRONMENT = "SPECTRAIN_SWEEP_DB"
"""Environment variable with the database's address, which keeps a password out of commands and files."""


@dataclass(frozen=True)
class Sweep:
    """A sweep, opened.

    Attributes:
        store: its study.
        plan: what it trains.
        folder: ``{artifact_dir}/{sweep_id}``, which the runs lie in as ``{trial_name}/{run_name}-{run_id}``.
    """

    store: Store
    plan: Plan
    folder: Path

    @property
    def sweep_id(self) -> str:
        """Its name in the database and of its folder."""
        return self.plan.sweep_id

    def note_place(self) -> None:
        """Write into the folder where the study is, so that the folder alone is enough to find it. No password."""
        self.folder.mkdir(parents=True, exist_ok=True)
        facts = {"format": FORMAT, "sweep_id": self.sweep_id, "sweep_db": without_password(self.store.url)}
        atomic_write(self.folder / FILE, json.dumps(facts, indent=1) + "\n")


def default_database(artifact_dir: Path, sweep_id: str) -> str:
    """Return the address of the study that needs no set-up: SQLite in the sweep's folder."""
    return f"sqlite:///{(artifact_dir / sweep_id / DATABASE).absolute()}"


def find_database(sweep: str | Path, sweep_db: str | None, artifact_dir: str | Path) -> tuple[str, str, Path]:
    """Return the id of a sweep, the address of its study, and its folder.

    Args:
        sweep: its id, or its folder.
        sweep_db: address of the database; None takes ``SPECTRAIN_SWEEP_DB``, then what the folder says, then SQLite in
            the folder.
        artifact_dir: that an id's folder lies in.

    Raises:
        SpectrainError: what the folder says is damaged.
    """
    place = Path(sweep).expanduser()
    folder = place if (place / FILE).is_file() or (place / DATABASE).is_file() else Path(artifact_dir) / str(sweep)
    sweep_id, known = folder.name, None
    if (folder / FILE).is_file():
        with reading(folder / FILE, SpectrainError, fix="remove it, and name the sweep's database by --sweep-db"):
            facts = {"format": FIRST, **json.loads((folder / FILE).read_text())}
            facts = migrated(facts, NAME, VERSION, where=str(folder / FILE))
            sweep_id, known = str(facts["sweep_id"]), str(facts["sweep_db"])
    given = sweep_db or os.environ.get(FROM_ENVIRONMENT)
    return sweep_id, given or known or default_database(folder.parent, folder.name), folder


def open_sweep(sweep: str | Path, *, sweep_db: str | None = None, artifact_dir: str | Path = "runs") -> Sweep:
    """Open a sweep that is there; see `find_database` for the arguments.

    Raises:
        SpectrainError: there is none of that name, its ``sweep.json`` is damaged, or the database refuses.
    """
    sweep_id, url, folder = find_database(sweep, sweep_db, artifact_dir)
    store = Store(url, sweep_id) if is_there(url) else None
    record = None if store is None else store.load()
    if store is None or record is None:
        raise SpectrainError(
            f"there is no sweep {sweep_id!r}",
            where=without_password(url),
            fix="name its folder, or its id and --artifact-dir or --sweep-db as when it was begun",
        )
    return Sweep(store, Plan.from_json(record), folder)
