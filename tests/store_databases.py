# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a test has its store: in SQLite, unless the fixture `each_database` says PostgreSQL; a folder is a store."""

import hashlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from gateway.store.schema import upgrade_schema
from tests.postgresql_server import PostgreSqlServer

_TEMPLATE = "parley_template"
_made: set[str] = set()


class _Place:
    server: PostgreSqlServer | None = None
    """None: SQLite."""


place = _Place()


def url_of(folder: Path) -> str:
    """The database that belongs to a data folder."""
    if place.server is None:
        return f"sqlite+aiosqlite:///{folder}/parley.db"
    name = _name(folder)
    if name not in _made:
        _make_template(place.server)
        place.server.create(name, like=_TEMPLATE)
        _made.add(name)
    return place.server.url(name)


def query(folder: Path, *statements: str) -> list[tuple[Any, ...]]:
    """What the last of them found."""
    if place.server is not None:
        return place.server.execute(_name(folder), *statements)
    with closing(sqlite3.connect(folder / "parley.db")) as database, database:
        found: list[tuple[Any, ...]] = []
        for statement in statements:
            found = database.execute(statement).fetchall()
        return found


def bytes_on_disk(folder: Path) -> bytes:
    """All that somebody finds who has the database: SQLite's files, or a dump of PostgreSQL's."""
    if place.server is not None:
        return place.server.dump(_name(folder))
    return b"".join(path.read_bytes() for path in folder.glob("parley.db*"))


def _name(folder: Path) -> str:
    return "p" + hashlib.sha256(str(folder).encode()).hexdigest()[:20]


def _make_template(server: PostgreSqlServer) -> None:
    """Migrated once; copies of it take a fraction of the time."""
    if (_TEMPLATE, server.port) not in _templates:
        upgrade_in_thread(server.create(_TEMPLATE))
        _templates.add((_TEMPLATE, server.port))


_templates: set[tuple[str, int]] = set()


def upgrade_in_thread(url: str) -> None:
    """`upgrade_schema` runs an event loop, and so may we."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(upgrade_schema, url).result()
