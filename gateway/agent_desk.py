# SPDX-License-Identifier: GPL-3.0-or-later
"""Agents as the console edits them: prompt, greeting and notes, version by version, in force with the next call.

    PUT > notes checked > notes to files, indexed > written down as a version > the agents' next calls have it

What fails before it is written down leaves the version before in force. Calls that stand keep prompt and greeting;
notes are knowledge, which is new for all as soon as it is indexed. The configuration stays as it is: it is version 0,
and what it says holds until somebody has said otherwise here.
"""

import asyncio
import re
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import structlog

from agent.config import AgentConfig
from agent.errors import KnowledgeError, ServiceError
from agent.knowledge.library import Knowledge
from agent.knowledge.reading import Document, read_document
from gateway.calls.agent import ConfiguredAgents
from gateway.errors import BadNote, NoSuchAgent, NoSuchVersion, StaleVersion, StoreError
from gateway.knowledge import notes_folder
from gateway.store.agent_versions import AgentVersion, AgentVersionRows, AgentWords

log = structlog.get_logger(__name__)

_NOTE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}\.md")
_MOST_NOTES = 200
_RENDER_S = 5.0
"""So long a change waits for the voice; a slower one renders the greeting when it is needed."""


async def edited_agents(
    configs: Mapping[str, AgentConfig], rows: AgentVersionRows, data_dir: Path
) -> dict[str, AgentVersion]:
    """The newest version of every agent that was edited; its notes lie in their folder afterwards, before the agents'
    knowledge is opened. Raises `StoreError`."""
    found = {}
    for name in configs:
        versions = await rows.of_agent(name)
        notes = dict(versions[-1].words.notes) if versions else {}
        for file, text in list(notes.items()):
            if fault := await asyncio.to_thread(_fault_of, file, text):  # of a version that took it
                log.warning("note_left_out", agent=name, note=file, cause=fault)
                del notes[file]
        await _lay_out(notes_folder(data_dir, name), notes)
        if versions:
            found[name] = versions[-1]
    return found


class AgentDesk:
    """One for the process."""

    def __init__(
        self,
        configs: Mapping[str, AgentConfig],
        edited: Mapping[str, AgentVersion],
        agents: ConfiguredAgents,
        knowledge: Mapping[str, Knowledge],
        rows: AgentVersionRows,
        data_dir: Path,
    ) -> None:
        """`edited`: as of `edited_agents`; in force at once."""
        self._configs = configs
        self._agents = agents
        self._knowledge = knowledge
        self._rows = rows
        self._data_dir = data_dir
        self._newest: dict[str, AgentVersion] = {}
        self._turn = asyncio.Lock()
        """One change at a time."""
        for version in edited.values():
            self._enforce(version)

    async def render_ahead(self) -> None:
        """Have the greetings in force ready, as far as the voices are there."""
        for name in self._newest:
            await self._render(name)

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

    def knowledge(self, name: str) -> Knowledge:
        """What it answers from. Raises `NoSuchAgent`."""
        self.config(name)
        return self._knowledge[name]

    def documents(self, name: str) -> Sequence[str]:
        """What the agent answers from. Raises `NoSuchAgent`."""
        entries = self.knowledge(name).entries
        return sorted({entry.source.rpartition(":")[0] or entry.source for entry in entries})

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
            if len(kept) > _MOST_NOTES:
                raise BadNote(f"an agent has {_MOST_NOTES} notes at most")
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
        before, in_force = self.newest(name), self.words(name)
        number = 1 if before is None else before.version + 1
        made = AgentVersion(name, number, datetime.now(UTC), by, note, words, self._configured(name))
        for file, text in words.notes.items():
            if fault := await asyncio.to_thread(_fault_of, file, text):
                raise BadNote(fault)
        try:
            await self._index(name, words.notes, in_force.notes)
            await self._rows.add(made)
        except BaseException:
            await self._index(name, in_force.notes, words.notes)
            raise
        self._enforce(made)
        await self._render(name)
        return made

    async def _index(self, name: str, notes: Mapping[str, str], before: Mapping[str, str]) -> None:
        """Have the agent know these, in place of those before. Raises `BadNote`, `StoreError`."""
        if notes == before:
            return
        try:
            await _lay_out(notes_folder(self._data_dir, name), notes)
            await self._knowledge[name].take_in()
        except KnowledgeError as fault:
            raise BadNote(str(fault)) from fault

    def _enforce(self, version: AgentVersion) -> None:
        self._newest[version.agent] = version
        self._agents.change(version.agent, version.words.prompt, version.words.greeting)
        log.info("agent_version", agent=version.agent, version=version.version)

    async def _render(self, name: str) -> None:
        try:
            async with asyncio.timeout(_RENDER_S):
                await self._agents.prepare(name)
        except (ServiceError, TimeoutError) as fault:  # it is rendered when it is needed
            log.warning("greeting_not_rendered", agent=name, cause=str(fault) or "the voice is slow")

    def _configured(self, name: str) -> AgentWords:
        config = self.config(name)
        return AgentWords(config.prompt, config.greeting)


def _fault_of(file: str, text: str) -> str:
    """What keeps a note from being knowledge; empty: nothing."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file
        path.write_text(text, encoding="utf-8")
        try:
            read_document(Document(str(path), file, path.suffix))
        except KnowledgeError as fault:
            return str(fault).removeprefix(f"{folder}/")
    return ""


async def _lay_out(folder: Path, notes: Mapping[str, str]) -> None:
    """Raises `StoreError`."""
    try:
        await asyncio.to_thread(_write_notes, folder, notes)
    except OSError as fault:
        raise StoreError(f"notes cannot be written: {fault.strerror}") from fault


def _write_notes(folder: Path, notes: Mapping[str, str]) -> None:
    """The folder holds these and nothing else; what is unchanged is not touched, so that it is not indexed anew."""
    if not notes and not folder.exists():
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name not in notes:
            path.unlink()
    for file, text in notes.items():
        path, part = folder / file, folder / f".{file}"  # hidden ones are no documents
        if not path.is_file() or path.read_bytes() != text.encode():
            part.write_bytes(text.encode())
            part.replace(path)
