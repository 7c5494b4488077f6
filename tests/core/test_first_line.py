"""What an exception says in one line, also where it says nothing."""

from __future__ import annotations

import pytest

from spectrain.core.errors import RunError, first_line
from spectrain.inference.predict import _clear_memory_errors
from spectrain.training.processes.devices import memory_advice


@pytest.mark.parametrize(
    ("error", "line"),
    [(ValueError("\nbad\nworse"), "bad"), (MemoryError(), "MemoryError"), (OSError("  "), "OSError")],
)
def test_one_line_of_any(error, line):
    assert first_line(error) == line


def test_memory_that_ran_out_without_a_word_has_its_advice():
    """Python's own `MemoryError` mostly holds no text."""
    assert memory_advice(MemoryError()).where == "MemoryError"
    with pytest.raises(RunError, match="ran out of memory") as caught, _clear_memory_errors():
        raise MemoryError
    assert "--batch-size" in caught.value.fix
