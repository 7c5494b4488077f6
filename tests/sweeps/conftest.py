"""A PostgreSQL for the tests of sweeps."""

from __future__ import annotations

import os

import pytest
from postgres_server import PostgresServer, binaries


@pytest.fixture(scope="session")
def server():
    """One server for all tests; whoever stops it starts it again."""
    if binaries() is None:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL is not installed: .ci/run installs it", pytrace=False)
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    one = PostgresServer()
    yield one
    one.close()
