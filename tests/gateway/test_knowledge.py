# SPDX-License-Identifier: GPL-3.0-or-later
"""Knowledge as configured: pages are fetched through the guard, agents share what is the same, thresholds count."""

import asyncio
from pathlib import Path

import pytest

from agent.config import AgentConfig, AnswersConfig, KnowledgeConfig
from agent.errors import KnowledgeError
from agent.knowledge.sources import Files, Notes
from agent.local.engines import OfflineEngines
from agent.services.llm import Cited, ContextNote, Conversation, LanguageModel, Message, TextDelta
from gateway.guard import OutboundGuard
from gateway.knowledge import (
    answering_again,
    context_sources,
    notes_folder,
    offline_receptionist,
    open_knowledge,
    page_fetch,
)
from gateway.work import WorkBoard
from tests.agent.local.conftest import engines, model_folder
from tests.fakes.services import ScriptedLlm

__all__ = ["engines", "model_folder"]


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nETag: "1"\r\nContent-Length: 5\r\n\r\nhello')
    await writer.drain()
    writer.close()


async def test_a_private_address_is_refused_unless_it_is_allowed() -> None:
    async with await asyncio.start_server(_serve, "127.0.0.1") as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/page"
        with pytest.raises(KnowledgeError, match="loopback"):
            await page_fetch(OutboundGuard())(url, {}, 100)
        page = await page_fetch(OutboundGuard(["127.0.0.0/8"]))(url, {}, 100)
        assert (page.status, page.body, page.etag) == (200, b"hello", '"1"')
        with pytest.raises(KnowledgeError, match="more than 4 bytes"):
            await page_fetch(OutboundGuard(["127.0.0.0/8"]))(url, {}, 4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pages"
    folder.mkdir()
    (folder / "hours.md").write_text("# Hours\n## When are you open?\nWe are open from nine to five.\n")
    return folder


async def test_every_agent_has_its_configured_documents_and_the_notes_written_for_it(
    engines: OfflineEngines, folder: Path, tmp_path: Path
) -> None:
    same = [AgentConfig(knowledge=KnowledgeConfig(sources=(str(folder),))) for _ in range(2)]
    agents = {"a": same[0], "b": same[1], "hosted": AgentConfig(llm="hosted"), "other": AgentConfig()}
    notes = notes_folder(tmp_path, "b")
    notes.mkdir(parents=True)
    (notes / "boats.md").write_text("# Boats\n## How much is a boat?\nNine euros.\n")
    opened = await open_knowledge(agents, engines, OutboundGuard(), tmp_path, WorkBoard())
    assert [entry.source for entry in opened["a"].entries] == ["hours.md:2"]
    assert [entry.source for entry in opened["b"].entries] == ["hours.md:2", "boats.md:2"]
    assert opened["hosted"].entries == ()
    assert len(opened["other"].entries) > 1
    assert list((tmp_path / "knowledge" / "vectors").rglob("*.npy"))


async def test_a_language_model_is_told_of_what_there_is_and_of_nothing_while_there_is_nothing(
    engines: OfflineEngines, folder: Path, tmp_path: Path
) -> None:
    knowledge = await engines.knowledge([Files(folder)])
    question = Conversation((Message("user", "When are you open?"),))
    empty = await engines.knowledge([Notes(tmp_path / "none")])
    (silent,) = context_sources(AgentConfig(llm="hosted"), empty)
    assert await silent.notes(question) == ()
    config = AgentConfig(knowledge=KnowledgeConfig(sources=(str(folder),)))
    (source,) = context_sources(config, knowledge)
    assert [note.source for note in await source.notes(question)] == ["", "hours.md:2"]
    (strict,) = context_sources(
        AgentConfig(knowledge=KnowledgeConfig(sources=(str(folder),), threshold=1.0)), knowledge
    )
    far = Conversation((Message("user", "What time can I come by in the morning?"),))
    assert [note.source for note in await source.notes(far)] == ["", "hours.md:2"]
    assert [note.source for note in await strict.notes(far)] == [""]


async def test_the_offline_agent_declines_by_the_configured_threshold(engines: OfflineEngines, folder: Path) -> None:
    knowledge = await engines.knowledge([Files(folder)])
    asked = Conversation((Message("user", "What time can I come by in the morning?"),))

    async def cited(threshold: float) -> list[Cited]:
        config = AgentConfig(knowledge=KnowledgeConfig(sources=(str(folder),), threshold=threshold))
        receptionist = offline_receptionist(config, knowledge)
        return [event async for event in receptionist.reply(asked) if isinstance(event, Cited)]

    assert await cited(0.1) == [Cited(("hours.md:2",))]
    assert await cited(1.0) == []


async def test_an_agent_with_a_cache_asks_its_model_once_until_its_knowledge_changes(
    engines: OfflineEngines, folder: Path
) -> None:
    knowledge = await engines.knowledge([Files(folder)])
    model, counted = ScriptedLlm(["At nine."], ["At nine."], ["At ten."]), list[str]()
    asked = Conversation((Message("user", "When are you open?"),), notes=(ContextNote("hours.md:2", "From nine."),))

    async def answers(llm: LanguageModel) -> str:
        return "".join([event.text async for event in llm.reply(asked) if isinstance(event, TextDelta)])

    assert answering_again(model, AgentConfig(), knowledge, engines, counted.append) is model
    config = AgentConfig(answers=AnswersConfig(cache=True))
    cached = answering_again(model, config, knowledge, engines, counted.append)
    assert [await answers(cached) for _ in range(3)] == ["At nine."] * 3
    assert len(model.asked) == 1
    page = folder / "hours.md"
    page.write_text("# Hours\n## When are you open?\nFrom ten o'clock on.\n")
    assert await knowledge.refresh()
    await answers(cached)
    assert len(model.asked) == 2
