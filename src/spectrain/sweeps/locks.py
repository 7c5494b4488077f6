"""One runner at a time: a lock that its holder's death frees, and the clock that leases are told by."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol


class Lock(Protocol):
    """What runners of a sweep exclude each other by, for moments."""

    def held(self) -> contextlib.AbstractContextManager[None]:
        """Return a block that one runner is in at a time."""
        ...

    def clock(self) -> tuple[float, float]:
        """Return the time now and when the store was last started, in seconds of one clock for all runners."""
        ...


class FileLock:
    """A lock beside a file, for runners that see the same file system; the system frees that of a dead process.

    The clock is the machine's: on several machines these must agree to a few seconds, as those of a cluster do.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """See `Lock.held`."""
        with self._path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def clock(self) -> tuple[float, float]:
        """See `Lock.clock`; a file is never started."""
        return time.time(), 0.0


class PostgresLock:
    """An advisory lock of the server, freed with the connection; and the server's own clock.

    Args:
        url: of the database, as SQLAlchemy writes it.
        name: of the sweep.
    """

    def __init__(self, url: str, name: str) -> None:
        import sqlalchemy

        self._text = sqlalchemy.text
        self._engine: Any = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)
        digest = hashlib.blake2b(f"spectrain sweep {name}".encode(), digest_size=8).digest()
        self._key = int.from_bytes(digest, "big", signed=True)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """See `Lock.held`."""
        with self._engine.connect() as connection:
            # a holder that hangs must not stop all others for good: the wait ends, and is begun again
            connection.execute(self._text("SET lock_timeout = '60s'"))
            connection.execute(self._text("SELECT pg_advisory_lock(:key)"), {"key": self._key})
            yield

    def clock(self) -> tuple[float, float]:
        """See `Lock.clock`."""
        query = "SELECT extract(epoch FROM clock_timestamp()), extract(epoch FROM pg_postmaster_start_time())"
        with self._engine.connect() as connection:
            now, started = connection.execute(self._text(query)).one()
        return float(now), float(started)
