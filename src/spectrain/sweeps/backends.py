"""Opens a sweep's study: SQLite, PostgreSQL, or a journal file for network file systems."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from ..core.atomic import append
from ..core.errors import SpectrainError
from .addresses import file_of, without_password
from .locks import FileLock, Lock, PostgresLock
from .patience import OutageError, driver_says, is_outage

_ALIVE = {"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
"""A server whose machine vanished is noticed within a minute, not after the system's two hours."""


def opened(url: str, name: str) -> tuple[BaseStorage, Lock]:
    """Return the storage at an address, and the lock of the sweep of that name.

    Raises:
        SpectrainError: the address is of no known kind.
    """
    if (path := file_of(url)) is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f"{path.name}.spectrain-lock"))
        if url.startswith("journal:"):
            return optuna.storages.JournalStorage(_Journal(path)), lock
        with lock.held():  # two runners would make the tables at once
            return get_storage(_relational(url, {"connect_args": {"timeout": 60}})), lock
    if url.startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
        return _postgres("postgresql+psycopg://" + url.partition("://")[2], name)
    raise SpectrainError(
        "the database is of no known kind",
        where=without_password(url),
        fix="write postgresql://USER@HOST:PORT/NAME, sqlite:///FILE or journal:FILE",
    )


def _postgres(url: str, name: str) -> tuple[BaseStorage, Lock]:
    import sqlalchemy

    options = {"pool_pre_ping": True, "connect_args": _ALIVE}
    once = sqlalchemy.create_engine(url, **options, poolclass=sqlalchemy.pool.NullPool)
    with PostgresLock(once, None, "").held():  # two runners, of whatever sweeps, would make the tables at once
        storage = _relational(url, options)
    return get_storage(storage), PostgresLock(storage.engine, storage.scoped_session, name)


def _relational(url: str, options: dict[str, Any]) -> RDBStorage:
    """Return a storage that tells outages as such.

    Optuna makes a trial up to five times where an answer is lost, and so more trials than were asked for.
    """
    import sqlalchemy

    storage = RDBStorage(url, engine_kwargs=options)

    @sqlalchemy.event.listens_for(storage.engine, "handle_error")
    def told(context: Any) -> None:
        error = context.sqlalchemy_exception
        if not context.is_pre_ping and error is not None and is_outage(error):
            raise OutageError(driver_says(error)) from context.original_exception

    return storage


class _Journal(JournalFileBackend):
    """A journal that a full disk or a dead machine leaves whole: the half of a line at its end is cut off."""

    def __init__(self, path: Path) -> None:
        self._path, self._guard = path, _JournalLock(path.with_name(f"{path.name}.lock-file"))
        super().__init__(str(path), lock_obj=self._guard)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """See Optuna's."""
        import json

        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with self._guard.held():
            self._cut()
            append(self._path, text, sync=True)

    def _cut(self) -> None:
        with self._path.open("r+b") as file:
            end = length = file.seek(0, os.SEEK_END)
            while end:
                start = max(0, end - 4096)
                file.seek(start)
                found = file.read(end - start).rfind(b"\n")
                if found >= 0:
                    end = start + found + 1
                    break
                end = start
            if end < length:
                file.truncate(end)


class _JournalLock(JournalFileOpenLock):
    """Optuna's lock of a journal, but freed at once by its holder's death; Optuna's own is in the way for 30 s."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), grace_period=None)
        self._path, self._file = path, -1

    def acquire(self) -> bool:
        """See Optuna's."""
        self._file = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o666)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        """See Optuna's."""
        fcntl.flock(self._file, fcntl.LOCK_UN)
        os.close(self._file)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Return a block that one process is in at a time."""
        self.acquire()
        try:
            yield
        finally:
            self.release()
