# SPDX-License-Identifier: GPL-3.0-or-later
"""The knowledge of the configured agents: opened at the start, followed while the gateway runs.

Agents with the same settings share it. Pages on the web are fetched through the guard.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from agent.answers import AnswerCache, RememberingModel
from agent.config import AgentConfig, KnowledgeConfig, is_url
from agent.errors import KnowledgeError
from agent.intents import NearestExamples
from agent.knowledge.context import KnowledgeSource
from agent.knowledge.index import BEARS_ON, THRESHOLD
from agent.knowledge.indexing import Indexing, OnIndexing
from agent.knowledge.library import Knowledge
from agent.knowledge.reading import DEFAULT_FOLDER
from agent.knowledge.sources import Fetch, Files, Notes, Page, Source, WebPage
from agent.knowledge.vectors import Vectors
from agent.local.engines import OfflineEngines
from agent.local.inference import Priority
from agent.local.receptionist import Receptionist
from agent.services.context import ContextSource
from agent.services.llm import LanguageModel
from gateway.errors import UrlError
from gateway.guard import KNOWLEDGE_URL, OutboundGuard
from gateway.outbound import fetch_page
from gateway.services.kinds import LOCAL
from gateway.work import Work, WorkBoard

_FETCH_S = 30.0


async def open_knowledge(
    agents: Mapping[str, AgentConfig], engines: OfflineEngines, guard: OutboundGuard, data_dir: Path, board: WorkBoard
) -> dict[str, Knowledge]:
    """By agent; the board has how far it is, now and whenever documents change. Raises `KnowledgeError`."""
    folder, fetch = data_dir / "knowledge", page_fetch(guard)
    opened = {}
    for name, config in agents.items():
        shown = IndexingWork(board, name)
        opened[name] = await _open(config, engines, fetch, folder, notes_folder(data_dir, name), shown.receive)
    return opened


class IndexingWork:
    """The reading of one agent's documents as work on the board."""

    def __init__(self, board: WorkBoard, agent: str) -> None:
        self._board = board
        self._agent = agent
        self._work: Work | None = None

    def receive(self, news: Indexing) -> None:
        """How far it is."""
        work = self._work or self._board.begin("knowledge", self._agent, "passages")
        match news.state:
            case "running":
                work.update(news.done, news.total)
            case "done":
                work.update(news.done, news.total)
                work.end()
            case "failed":
                work.fail(news.cause)
        self._work = work if news.state == "running" else None


def notes_folder(data_dir: Path, agent: str) -> Path:
    """What was written in the console lies here, a file a document."""
    return data_dir / "knowledge" / "notes" / agent


async def _open(
    agent: AgentConfig,
    engines: OfflineEngines,
    fetch: Fetch,
    folder: Path,
    notes: Path,
    on_indexing: OnIndexing,
) -> Knowledge:
    config = agent.knowledge
    if config is None:
        # The example that comes with Parley is nothing that a language model should be told.
        example = [Files(DEFAULT_FOLDER)] if agent.llm == LOCAL else []
        return await engines.knowledge([*example, Notes(notes)], folder=folder / "vectors", on_indexing=on_indexing)
    sources: list[Source] = [
        WebPage(source, fetch, folder / "pages", refresh_s=config.refresh_s, max_file_mib=config.max_file_mib)
        if is_url(source)
        else Files(Path(source))
        for source in config.sources
    ]
    sources.append(Notes(notes))
    return await engines.knowledge(
        sources,
        folder=folder / "vectors",
        check_s=config.check_s,
        max_file_mib=config.max_file_mib,
        on_indexing=on_indexing,
    )


def offline_receptionist(config: AgentConfig, knowledge: Knowledge) -> Receptionist:
    """Answers from the knowledge, word for word."""
    wanted = config.knowledge.threshold if config.knowledge else None
    return Receptionist(knowledge, threshold=THRESHOLD if wanted is None else wanted)


def context_sources(config: AgentConfig, knowledge: Knowledge) -> list[ContextSource]:
    """What a language model is told of the knowledge."""
    settings = config.knowledge or KnowledgeConfig(sources=("notes",))
    threshold = BEARS_ON if settings.threshold is None else settings.threshold
    return [KnowledgeSource(knowledge, most=settings.passages, threshold=threshold)]


def answering_again(
    llm: LanguageModel, config: AgentConfig, knowledge: Knowledge, engines: OfflineEngines, count: Callable[[str], None]
) -> LanguageModel:
    """The model, behind a cache of its answers if the agent has one."""
    if not config.answers.cache:
        return llm

    async def embed(text: str) -> Vectors:
        vectors = await engines.queries.of(text)
        return np.asarray(vectors[0])

    return RememberingModel(llm, AnswerCache(config.answers), embed, lambda: knowledge.version, time.monotonic, count)


async def intent_classifier(config: AgentConfig, engines: OfflineEngines) -> NearestExamples | None:
    """What the agent's callers may want; None: nobody asked."""
    if not config.intents:
        return None
    examples = {label: intent.examples for label, intent in config.intents.items()}

    async def embed(texts: Sequence[str], is_urgent: bool) -> Vectors:
        return await engines.queries.of(*texts, priority=Priority.ANSWER if is_urgent else Priority.PARTIAL)

    return await NearestExamples.learn(examples, embed)


def page_fetch(guard: OutboundGuard) -> Fetch:
    """Fetches pages as far as the guard allows."""

    async def fetch(url: str, headers: Mapping[str, str], max_bytes: int) -> Page:
        try:
            status, answer, body = await fetch_page(
                guard, url, KNOWLEDGE_URL, headers, max_bytes=max_bytes, timeout_s=_FETCH_S
            )
        except UrlError as error:
            raise KnowledgeError(f"{url}: {error}") from error
        return Page(
            status,
            answer.get("content-type", ""),
            answer.get("etag", ""),
            answer.get("last-modified", ""),
            body,
        )

    return fetch
