"""One runner at a time: a lock that its holder's death frees, and the clock that leases are told by."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from .patience import OutageError

HUNG = 60.0
"""Seconds that a lock is held for at most: what it is held for takes a moment, so its holder hangs."""


class Lock(Protocol):
    """What runners of a sweep exclude each other by, for moments."""

    def held(self) -> contextlib.AbstractContextManager[None]:
        """Return a block that one runner is in at a time.

        Raises:
            OutageError: its holder hangs.
        """
        ...

    def clock(self) -> tuple[float, float]:
        """Return the time now and when the store was last started, in seconds of one clock for all runners.

        Called while the lock is held.
        """
        ...


class FileLock:
    """A lock beside a file, for runners that see the same file system; the system frees that of a dead process."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """See `Lock.held`."""
        with self._path.open("a") as file:
            self._take(file.fileno())
            try:
                yield
            finally:
                # closing is not enough: a data loader's process that was forked meanwhile has the file open as well
                fcntl.flock(file, fcntl.LOCK_UN)

    def _take(self, file: int) -> None:
        begun = time.monotonic()
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() - begun > HUNG:
                    raise OutageError(
                        f"a process holds {self._path.name} for {HUNG:.0f} s and does not move: find it by "
                        f"'fuser {self._path}', and stop it or let it go on"
                    ) from None
                time.sleep(random.uniform(0.001, 0.01))

    def clock(self) -> tuple[float, float]:
        """See `Lock.clock`: the file system's, as machines' own may differ; a file is never started."""
        os.utime(self._path)
        return self._path.stat().st_mtime, 0.0


class PostgresLock:
    """An advisory lock of the server, freed with the connection; and the server's own clock.

    While a thread holds it, all that its session does goes through the connection that holds it: where that is lost,
    nothing more can be written by whoever believes to hold it still. So a holder that hangs can be cut off.

    Args:
        engine: SQLAlchemy's.
        sessions: SQLAlchemy's, by thread; None where only the lock is wanted.
        name: of the sweep.
    """

    def __init__(self, engine: Any, sessions: Any | None, name: str) -> None:
        import sqlalchemy

        self._text = sqlalchemy.text
        self._engine, self._sessions = engine, sessions
        digest = hashlib.blake2b(f"spectrain sweep {name}".encode(), digest_size=8).digest()
        self._key = int.from_bytes(digest, "big", signed=True)
        self._here = threading.local()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """See `Lock.held`."""
        with self._engine.connect() as connection:
            try:
                self._take(connection)
                self._use(connection)
                yield
            finally:
                self._use(None)
                self._free(connection)

    def _take(self, connection: Any) -> None:
        try:
            with connection.begin():
                take = "SELECT set_config('lock_timeout', :longest, true), pg_advisory_lock(:key)"
                connection.execute(self._text(take), {"longest": f"{int(HUNG * 1000)}ms", "key": self._key})
        except Exception as error:
            if "lock timeout" in str(error) or "LockNotAvailable" in str(error):
                self._cut_off(connection)
            raise

    def _cut_off(self, connection: Any) -> None:
        """End the connection of a holder that did nothing for long; the caller begins again."""
        holder = """
            SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
            WHERE locktype = 'advisory' AND granted AND objsubid = 1
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND (classid::bigint << 32) | objid::bigint = :key
            AND clock_timestamp() - state_change > make_interval(secs => :hung)
        """
        with contextlib.suppress(Exception), connection.begin():  # where we may not, the wait goes on
            connection.execute(self._text(holder), {"key": self._key, "hung": HUNG / 2})

    def _use(self, connection: Any | None) -> None:
        """Let this thread's session go through a connection, or through any again."""
        self._here.connection = connection
        if self._sessions is not None:
            self._sessions.remove()
            if connection is not None:
                self._sessions(bind=connection)

    def _free(self, connection: Any) -> None:
        try:
            with connection.begin():
                connection.execute(self._text("SELECT pg_advisory_unlock_all()"))
        except Exception:  # it went with the connection
            with contextlib.suppress(Exception):
                connection.invalidate()

    def clock(self) -> tuple[float, float]:
        """See `Lock.clock`."""
        query = "SELECT extract(epoch FROM clock_timestamp()), extract(epoch FROM pg_postmaster_start_time())"
        connection = self._here.connection
        with connection.begin():
            now, started = connection.execute(self._text(query)).one()
        return float(now), float(started)
