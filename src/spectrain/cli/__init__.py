"""The command. Imports nothing heavy until a verb runs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence

from ..core.errors import SpectrainError, UsageError
from ..core.launched import launched_world

FAILURE, USAGE, INTERRUPTED = 1, 2, 130
OTHERS_S = 5.0

given: list[str] = []
"""The words behind ``spectrain``, as they were given: a training of several processes starts each with them."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit: 0, 1 after a failure with one clear message, 2 for wrong use, 130 after Ctrl-C.

    A traceback is shown only with ``--debug``.

    Args:
        arguments: the words behind ``spectrain``; those of the process where None.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    given[:] = words
    from .app import app

    try:
        app(words)
    except SpectrainError as error:
        _fail(str(error), words, USAGE if isinstance(error, UsageError) else FAILURE)
    except KeyboardInterrupt:
        print("spectrain: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has gone (`| head`): no failure, and nobody to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except PermissionError as error:
        fix = "mend the rights of this file or folder, or name another"
        _fail(str(SpectrainError("permission denied", where=error.filename, fix=fix)), words)
    except Exception as error:
        _fail(
            f"{type(error).__name__}: {error}\n  this is a fault of spectrain; --debug shows where it happened", words
        )


def _fail(message: str, words: Sequence[str], code: int = FAILURE) -> None:
    """Say what failed and exit; with ``--debug`` the failure goes on, and Python shows where it happened."""
    if "--debug" in words:
        raise
    if launched_world()[0]:
        time.sleep(OTHERS_S)  # of processes that fail for one reason the first says it, and torchrun ends the others
    print(f"spectrain: {message}", file=sys.stderr)
    sys.exit(code)
