"""What commands are disturbed with: a trained run and data, made once a module by its `commands`."""

from __future__ import annotations

import pytest
from faults import made_in, training


@pytest.fixture(scope="module")
def made(commands):
    made = made_in(commands.folder)
    assert commands.run(*training(made), at=commands.folder).code == 0
    return made
