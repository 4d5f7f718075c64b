# SPDX-License-Identifier: GPL-3.0-or-later
"""What the writer is to write, and how it is kept in a file while the database is away.

    {"number": 7, "steps": [["sessions.begin", {"call_id": "...", "started_at": {"at": "2026-..."}}]], "last": []}

One line a record. Statements go by their names: nothing that a file says is executed, but those of `Names`.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Executable

Step = tuple[Executable, dict[str, Any]]


@dataclass(slots=True, eq=False)
class Write:
    """Statements with their parameters, that belong together; `done` is for somebody who waits for the commit."""

    steps: tuple[Step, ...]
    done: "asyncio.Future[None] | None" = None
    settled: Callable[[], None] | None = None
    """Told when it is committed, given up, or kept until the database is back; must not raise."""
    last: tuple[Step, ...] = ()
    """Likewise, but after all of the batch: what is alike is executed together, which takes a fraction of the time."""
    number: int = 0
    """Of the records of this run, from 1."""

    @property
    def is_withdrawn(self) -> bool:
        """Whoever waited was told that it failed."""
        return self.done is not None and self.done.done()


class Names:
    """The statements that can be kept in a file."""

    def __init__(self, statements: Mapping[str, Executable]) -> None:
        self._statements = dict(statements)
        self._names = {id(statement): name for name, statement in statements.items()}

    def line(self, write: Write) -> str | None:
        """The record as a line; None: one of its statements was made for it alone, and has no name."""
        steps, last = self._named(write.steps), self._named(write.last)
        if steps is None or last is None:
            return None
        return json.dumps({"number": write.number, "steps": steps, "last": last}, separators=(",", ":"))

    def write(self, line: str) -> Write:
        """What `line` made. Raises `ValueError` for a line that breaks off, or is of another version."""
        try:
            kept = json.loads(line)
            steps, last = self._steps(kept["steps"]), self._steps(kept["last"])
            return Write(steps, last=last, number=int(kept["number"]))
        except (KeyError, TypeError) as error:
            raise ValueError("is no record of this version") from error

    def _named(self, steps: tuple[Step, ...]) -> list[tuple[str, dict[str, object]]] | None:
        named = []
        for statement, parameters in steps:
            name = self._names.get(id(statement))
            if name is None:
                return None
            named.append((name, {key: _kept(value) for key, value in parameters.items()}))
        return named

    def _steps(self, named: list[tuple[str, dict[str, Any]]]) -> tuple[Step, ...]:
        return tuple(
            (self._statements[name], {key: _unkept(value) for key, value in parameters.items()})
            for name, parameters in named
        )


def _kept(value: object) -> object:
    if isinstance(value, datetime):
        return {"at": value.isoformat()}
    return {"json": value} if isinstance(value, dict | list | tuple) else value


def _unkept(value: Any) -> object:
    if not isinstance(value, dict):
        return value
    return datetime.fromisoformat(value["at"]) if "at" in value else value["json"]
