# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of agents' words, each whole. As `gateway.store.campaigns` on transactions and errors."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime

from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError

from gateway.errors import StaleVersion
from gateway.store.campaigns import Writing
from gateway.store.sealing import ColumnSealer
from gateway.store.tables import AgentVersionRow

_SEALED = "agent_versions.content"


@dataclass(frozen=True, slots=True)
class AgentWords:
    """What an agent is told to be."""

    prompt: str
    greeting: str
    notes: Mapping[str, str] = field(default_factory=dict)
    """Documents of its knowledge that were written here: file to text."""


@dataclass(frozen=True, slots=True)
class AgentVersion:
    """A version of an agent."""

    agent: str
    version: int
    at: datetime
    by: str
    """Id of the key."""
    note: str
    words: AgentWords
    configured: AgentWords
    """What the configuration said when it was made."""


class AgentVersionRows:
    """Part of `SessionStore`."""

    def __init__(self, writing: Writing, reading: Writing, sealer: ColumnSealer) -> None:
        self._writing = writing
        self._reading = reading
        self._sealer = sealer

    async def add(self, version: AgentVersion) -> None:
        """Raises `StaleVersion`: somebody else was faster."""
        content = json.dumps({"words": asdict(version.words), "configured": asdict(version.configured)})
        row = {
            "agent": version.agent,
            "version": version.version,
            "at": version.at,
            "by": version.by,
            "note": self._sealer.seal(version.note, _SEALED),
            "content": self._sealer.seal(content, _SEALED),
        }
        newest = select(func.max(AgentVersionRow.version)).where(AgentVersionRow.agent == version.agent)
        async with self._writing() as connection:
            if (await connection.scalar(newest) or 0) != version.version - 1:
                raise StaleVersion(version.agent)
            try:
                await connection.execute(insert(AgentVersionRow), row)
            except IntegrityError as error:  # PostgreSQL: in the moment between
                raise StaleVersion(version.agent) from error

    async def of_agent(self, agent: str) -> list[AgentVersion]:
        """All versions, oldest first."""
        query = (
            select(AgentVersionRow.__table__).where(AgentVersionRow.agent == agent).order_by(AgentVersionRow.version)
        )
        async with self._reading() as connection:
            rows = list(await connection.execute(query))
        found = []
        for row in rows:
            content = json.loads(self._sealer.open(row.content, _SEALED))
            found.append(
                AgentVersion(
                    row.agent,
                    row.version,
                    row.at,
                    row.by,
                    self._sealer.open(row.note, _SEALED),
                    AgentWords(**content["words"]),
                    AgentWords(**content["configured"]),
                )
            )
        return found
