"""Waits out an outage of the database, with a bound; and says what is wrong where waiting mends nothing."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable
from typing import TypeVar

from ..core.atomic import FULL
from ..core.errors import SpectrainError, first_line
from .addresses import without_password

T = TypeVar("T")

log = logging.getLogger("spectrain")

LONGEST = 600.0
"""Seconds that an outage is waited out."""
_PAUSES = (0.1, 0.3, 1.0, 2.0, 5.0)
_AWAY = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN}
"""What a network file system says while its server is away."""
_REFUSALS = {
    "password authentication failed": "correct the password in sweep-db, or set SPECTRAIN_SWEEP_DB; ~/.pgpass is read "
    "as well",
    "no password supplied": "give the password in sweep-db, in SPECTRAIN_SWEEP_DB or in ~/.pgpass",
    "no pg_hba.conf": "let the server's pg_hba.conf accept this machine, user and database",
    "permission denied": "grant the user CONNECT and CREATE on the database and its schema",
    "role": "make the user, or correct its name in sweep-db",
    "database": "make it by createdb, or correct its name in sweep-db",
    "unable to open database file": "choose a folder that can be written",
    "readonly database": "make the file and its folder writable",
    "file is not a database": "choose another file; this one is something else, or damaged",
    "connection is bad": "correct what sweep-db says after the question mark",
}
"""What a database says that no waiting mends, and what does."""


class OutageError(Exception):
    """The database is away, busy or restarting. Raised beneath Optuna, whose own second tries would make two of one."""


def patiently(action: Callable[[], T], where: str, longest: float = LONGEST) -> T:
    """Return what ``action`` returns; where the database cannot be reached, do it again until it can.

    The action must be such that doing it twice is as good as once: whether an answer that was lost had been carried
    out is not known.

    Args:
        action: what is to be done.
        where: the database's address; a password in it is never shown.
        longest: seconds that an outage is waited out.

    Raises:
        SpectrainError: the outage lasts longer, the database refuses, or the disk is full.
    """
    begun, said, turn = time.monotonic(), False, 0
    where_shown = without_password(where)
    while True:
        try:
            found = action()
        except Exception as error:
            if not is_outage(error):
                if (told := refusal(error, where)) is not None:
                    raise told from error
                raise
            waited = time.monotonic() - begun
            if waited > longest:
                raise SpectrainError(
                    f"the database cannot be reached for {waited:.0f} s: {driver_says(error, where)}",
                    where=where_shown,
                    fix="start it, or correct sweep-db, and run the same command again: what is done is kept, and "
                    "finished runs are not repeated",
                ) from error
            if not said and waited > 1:
                reason = driver_says(error, where)
                log.warning("%s: cannot be reached, waiting up to %.0f s: %s", where_shown, longest, reason)
                said = True
            time.sleep(min(_PAUSES[min(turn, len(_PAUSES) - 1)], max(longest - waited, 0.01)))
            turn += 1
        else:
            if said:
                log.info("%s: reached again", where_shown)
            return found


def is_outage(error: BaseException | None) -> bool:
    """Say whether an error means that the database is away, busy or restarting, and not that we are wrong."""
    from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

    while error is not None:
        if isinstance(error, OutageError) or (isinstance(error, OSError) and error.errno in _AWAY):
            return True
        if isinstance(error, OperationalError | InterfaceError):
            return _fix(error) is None and not _is_full(error)
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            return True
        error = error.__cause__ or error.__context__
    return False


def refusal(error: BaseException, where: str) -> SpectrainError | None:
    """Return what to tell where the store says no: wrong names, a full disk; None where it is no error of a store."""
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    shown, one = without_password(where), error
    while not isinstance(one, SQLAlchemyError) and not (isinstance(one, OSError) and one.errno in FULL):
        following = one.__cause__ or one.__context__
        if following is None:
            return None
        one = following
    if _is_full(one):
        return SpectrainError(
            "the disk is full, and the sweep cannot be written",
            where=shown,
            fix="free some space and run the same command again: finished runs are kept in their folders",
        )
    fix = _fix(one)
    if fix is None and isinstance(one, ArgumentError):
        fix = "write postgresql://USER:PASSWORD@HOST:PORT/NAME"
    return SpectrainError(
        f"the database refuses: {driver_says(one, where)}",
        where=shown,
        fix=fix or "correct sweep-db: postgresql://USER:PASSWORD@HOST:PORT/NAME, sqlite:///FILE or journal:FILE",
    )


def _fix(error: BaseException) -> str | None:
    """Return what mends that the server answered and said no; None where it did not, or not for good."""
    text = str(error)
    for words, fix in _REFUSALS.items():
        missing = words in ("role", "database")
        if (f'{words} "' in text and "does not exist" in text) if missing else words in text:
            return fix
    return None


def _is_full(error: BaseException) -> bool:
    """Say whether this machine's disk is full; a server's own is its keeper's to mend, and is waited out."""
    full_file = isinstance(error, OSError) and error.errno in FULL
    return full_file or "database or disk is full" in str(error)


def driver_says(error: BaseException, where: str = "") -> str:
    """Return the first line of what a driver says, without the password of the address ``where``."""
    from .addresses import password_of

    cause = getattr(error, "orig", None) or (error if isinstance(error, OutageError) else error.__cause__) or error
    line = first_line(cause)
    password = password_of(where)
    return line.replace(password, "***") if password else line
