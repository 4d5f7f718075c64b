# SPDX-License-Identifier: GPL-3.0-or-later
"""Agents as the console edits them: prompt, greeting and notes, version by version, in force with the next call.

    PUT > written down as a version > notes to files, indexed > the greeting rendered > the agents' next calls have it

The configuration stays as it is: it is version 0, and what it says holds until somebody has said otherwise here.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import structlog

from agent.config import AgentConfig
from agent.errors import ServiceError
from agent.knowledge.library import Knowledge
from gateway.calls.agent import ConfiguredAgents
from gateway.errors import BadNote, NoSuchAgent, NoSuchVersion, StaleVersion
from gateway.knowledge import notes_folder
from gateway.store.agent_versions import AgentVersion, AgentVersionRows, AgentWords

log = structlog.get_logger(__name__)

_NOTE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}\.md")


class AgentDesk:
    """One for the process."""

    def __init__(
        self,
        configs: Mapping[str, AgentConfig],
        agents: ConfiguredAgents,
        knowledge: Mapping[str, Knowledge],
        rows: AgentVersionRows,
        data_dir: Path,
    ) -> None:
        self._configs = configs
        self._agents = agents
        self._knowledge = knowledge
        self._rows = rows
        self._data_dir = data_dir
        self._newest: dict[str, AgentVersion] = {}
        self._turn = asyncio.Lock()
        """One change at a time."""

    async def open(self) -> None:
        """Put the newest versions in force. Raises `StoreError`."""
        for name in self._configs:
            versions = await self._rows.of_agent(name)
            if versions:
                await self._enforce(versions[-1])

    @property
    def names(self) -> Sequence[str]:
        return tuple(self._configs)

    def config(self, name: str) -> AgentConfig:
        """As the configuration has it. Raises `NoSuchAgent`."""
        try:
            return self._configs[name]
        except KeyError:
            raise NoSuchAgent(name) from None

    def newest(self, name: str) -> AgentVersion | None:
        """The version in force; None: that of the configuration. Raises `NoSuchAgent`."""
        self.config(name)
        return self._newest.get(name)

    def words(self, name: str) -> AgentWords:
        """In force. Raises `NoSuchAgent`."""
        newest = self.newest(name)
        return self._configured(name) if newest is None else newest.words

    def is_configured_anew(self, name: str) -> bool:
        """The configuration says something else than when the version in force was made. Raises `NoSuchAgent`."""
        newest = self.newest(name)
        return newest is not None and newest.configured != self._configured(name)

    def documents(self, name: str) -> Sequence[str]:
        """What the agent answers from. Raises `NoSuchAgent`."""
        self.config(name)
        return sorted({entry.source.rpartition(":")[0] or entry.source for entry in self._knowledge[name].entries})

    async def versions(self, name: str) -> Sequence[AgentVersion]:
        """Oldest first, without version 0. Raises `NoSuchAgent`, `StoreError`."""
        self.config(name)
        return await self._rows.of_agent(name)

    async def version(self, name: str, number: int) -> AgentVersion:
        """Raises `NoSuchAgent`, `NoSuchVersion`, `StoreError`."""
        if number == 0:
            words = self._configured(name)
            return AgentVersion(name, 0, datetime.fromtimestamp(0, UTC), "", "as configured", words, words)
        for one in await self.versions(name):
            if one.version == number:
                return one
        raise NoSuchVersion(name, number)

    async def edit(
        self,
        name: str,
        base: int,
        *,
        by: str,
        prompt: str | None = None,
        greeting: str | None = None,
        notes: Mapping[str, str | None] = {},
        note: str = "",
    ) -> AgentVersion:
        """A new version; what is None stays, a note of None goes. `base`: the version that was looked at.

        Raises `NoSuchAgent`, `StaleVersion`, `BadNote`, `StoreError`.
        """
        async with self._turn:
            before, words = self.newest(name), self.words(name)
            if base != (0 if before is None else before.version):
                raise StaleVersion(name)
            for file in notes:
                if not _NOTE_NAME.fullmatch(file):
                    raise BadNote(f"{file!r} is no name of a note: letters, digits, - and _, and .md")
            kept = {file: text for file, text in {**words.notes, **notes}.items() if text is not None}
            changed = AgentWords(
                words.prompt if prompt is None else prompt, words.greeting if greeting is None else greeting, kept
            )
            return await self._adopt(name, changed, by, note)

    async def restore(self, name: str, number: int, *, by: str) -> AgentVersion:
        """A new version that says what an old one said. Raises as `edit` and `version` do."""
        async with self._turn:
            old = await self.version(name, number)
            return await self._adopt(name, old.words, by, f"version {number} again")

    async def _adopt(self, name: str, words: AgentWords, by: str, note: str) -> AgentVersion:
        before = self.newest(name)
        number = 1 if before is None else before.version + 1
        made = AgentVersion(name, number, datetime.now(UTC), by, note, words, self._configured(name))
        await self._rows.add(made)
        await self._enforce(made)
        return made

    async def _enforce(self, version: AgentVersion) -> None:
        name, words = version.agent, version.words
        await asyncio.to_thread(_write_notes, notes_folder(self._data_dir, name), words.notes)
        await self._knowledge[name].refresh()
        self._newest[name] = version
        self._agents.change(name, words.prompt, words.greeting)
        try:
            await self._agents.prepare(name)
        except ServiceError as fault:  # it is rendered when it is needed
            log.warning("greeting_not_rendered", agent=name, cause=str(fault))
        log.info("agent_version", agent=name, version=version.version)

    def _configured(self, name: str) -> AgentWords:
        config = self.config(name)
        return AgentWords(config.prompt, config.greeting)


def _write_notes(folder: Path, notes: Mapping[str, str]) -> None:
    """The folder holds these and nothing else; what is unchanged is not touched, so that it is not indexed anew."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name not in notes:
            path.unlink()
    for file, text in notes.items():
        path = folder / file
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
