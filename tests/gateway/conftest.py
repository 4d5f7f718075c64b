# SPDX-License-Identifier: GPL-3.0-or-later
"""A PostgreSQL server for the tests of this process, started when the first one wants it."""

from collections.abc import Iterator

import pytest

from tests.postgresql_server import PostgreSqlServer
from tests.store_databases import place


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSqlServer]:
    """Nobody stops it but its end: a test of outages starts its own."""
    with PostgreSqlServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def each_database(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let a test run on both: `tests.store_databases.url_of` says where."""
    if request.param == "postgresql":
        place.server = request.getfixturevalue("postgresql")
    yield
    place.server = None


@pytest.fixture
def on_postgresql(postgresql: PostgreSqlServer) -> Iterator[PostgreSqlServer]:
    """Let a test run on PostgreSQL only."""
    place.server = postgresql
    yield postgresql
    place.server = None
