"""One clear message for whatever damaged or hostile bytes make a library raise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import ConfigError, DataError, SpectrainError

WHOLE = "see that the file is whole, else copy or write it again"


@contextmanager
def reading(
    path: Path | str, kind: type[SpectrainError] = DataError, fix: str = WHOLE, what: str = "cannot be read"
) -> Iterator[None]:
    """Turn what is raised while a file's content is looked at into one error that names the file.

    Libraries raise a dozen types over bytes that are not what they should be, and so does code that takes them for
    numbers; a header may ask for more memory than there is. What was raised stays the cause, which ``--debug`` shows.

    Args:
        path: the file or folder that is read.
        kind: the error to raise.
        fix: what the user can do.
        what: what fails, for the message.

    Raises:
        SpectrainError: anything was raised; a `SpectrainError` goes on as it is, but for the file if it names none.
    """
    try:
        yield
    except SpectrainError as error:
        if error.where is not None or isinstance(error, ConfigError):
            raise
        # said by what does not know which file it is of
        raise type(error)(error.what, where=str(path), fix=error.fix or fix) from error
    except MemoryError as error:
        raise kind(f"{what}: it asks for more memory than there is{_told(error)}", where=str(path), fix=fix) from error
    except Exception as error:
        raise kind(f"{what}: {said(error)}", where=str(path), fix=fix) from error


def said(error: BaseException) -> str:
    """Return the first line of an error's message, and its type where the message alone says little."""
    text = str(error).strip().partition("\n")[0][:300]
    return text if isinstance(error, OSError | ValueError) and text else f"{type(error).__name__}{text and ': '}{text}"


def _told(error: MemoryError) -> str:
    return f" ({said(error)})" if str(error) else ""
