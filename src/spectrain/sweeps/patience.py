"""Waits out an outage of the database, with a bound."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from ..core.errors import SpectrainError

T = TypeVar("T")

log = logging.getLogger("spectrain")

LONGEST = 600.0
"""Seconds that an outage is waited out."""
_PAUSES = (0.1, 0.3, 1.0, 2.0, 5.0)


def patiently(action: Callable[[], T], where: str, longest: float = LONGEST) -> T:
    """Return what ``action`` returns; where the database cannot be reached, do it again until it can.

    The action must be such that doing it twice is as good as once: whether an answer that was lost had been carried
    out is not known.

    Raises:
        SpectrainError: the outage lasts longer.
    """
    begun, said, turn = time.monotonic(), False, 0
    while True:
        try:
            return action()
        except Exception as error:
            if not is_outage(error):
                raise
            waited = time.monotonic() - begun
            if waited > longest:
                raise SpectrainError(
                    f"the database cannot be reached for {waited:.0f} s: {first_line(error)}",
                    where=where,
                    fix="start it and run the same command again: what is done is kept, and finished runs are not "
                    "repeated",
                ) from error
            if not said and waited > 1:
                log.warning("%s: cannot be reached, waiting up to %.0f s: %s", where, longest, first_line(error))
                said = True
            time.sleep(_PAUSES[min(turn, len(_PAUSES) - 1)])
            turn += 1


def is_outage(error: BaseException | None) -> bool:
    """Say whether an error means that the database is away, busy or restarting, and not that we are wrong."""
    from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

    while error is not None:
        if isinstance(error, OperationalError | InterfaceError):
            return not _is_refusal(error)
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_refusal(error: BaseException) -> bool:
    """Say whether the server answered, and says no: a password or a name is wrong, which no waiting mends."""
    text = str(error)
    return any(
        words in text
        for words in ("password authentication failed", "no password supplied", "does not exist", "no pg_hba.conf",
                      "unable to open database file", "readonly database")
    )  # fmt: skip


def first_line(error: BaseException) -> str:
    """Return the first line of what a driver says."""
    cause = getattr(error, "orig", None) or error.__cause__ or error
    return str(cause).strip().partition("\n")[0]
