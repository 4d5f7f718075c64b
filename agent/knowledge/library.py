# SPDX-License-Identifier: GPL-3.0-or-later
"""The knowledge of an agent: open it, ask it, let it follow its documents.

look > changed documents > read apart (a child process) > vectors (disk, or the pool) > a new index, exchanged at once

At the start whatever is wrong with a document is a fault. Later it is logged, and what the document said before stays:
nobody's edit takes a working agent down.
"""

import asyncio
import time
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog

from agent.errors import KnowledgeError, ServiceUnavailable
from agent.knowledge.entry import Entry, Match
from agent.knowledge.index import Indexed, KnowledgeIndex
from agent.knowledge.indexing import OnIndexing, Tally, unheard
from agent.knowledge.reading import DEFAULT_MAX_FILE_MIB, Read, read_all
from agent.knowledge.sources import Found, Source
from agent.knowledge.vectors import Vectors, VectorStore
from agent.local.embedding import QueryVectors
from agent.local.inference import InferencePool, Priority
from agent.local.minilm import DIMENSIONS, SentenceEmbedder

log = structlog.get_logger(__name__)

_MOST_KEYS = 50_000
"""75 MB of vectors, and some four minutes to compute them."""
_INLINE_KEYS = 4_000
"""Comparing a question with so many takes less than a millisecond: no need for a thread."""
_STEP_KEYS = 4
"""Embedded in one go while calls go on: some 15 ms, which is what more urgent work may have to wait."""
_FULL_POOL_S = 1.0


@dataclass(frozen=True, slots=True)
class _Held:
    """A document in the index."""

    found: Found
    indexed: Indexed


class Knowledge:
    """One for all calls. All methods belong to the event loop; none blocks."""

    def __init__(
        self,
        sources: Sequence[Source],
        embedder: SentenceEmbedder,
        pool: InferencePool,
        queries: QueryVectors | None = None,
        *,
        folder: Path | None = None,
        check_s: float = 0.0,
        max_file_mib: int = DEFAULT_MAX_FILE_MIB,
        on_indexing: OnIndexing = unheard,
    ) -> None:
        """`open` must follow. `folder`: where vectors are kept; None: nowhere. `check_s`: how often `follow` looks.
        `on_indexing`: told whenever documents are read, of how far that is."""
        self._sources = tuple(sources)
        self._embedder = embedder
        self._pool = pool
        self._queries = queries or QueryVectors(embedder, pool)
        self._store = VectorStore(folder, embedder.model_hash if folder is not None else "", DIMENSIONS)
        self._check_s = check_s
        self._max_file_mib = max_file_mib
        self._on_indexing = on_indexing
        self._turn = asyncio.Lock()
        """One look at the documents at a time: a slow one must not take back what a later one has found."""
        self._held: dict[str, _Held] = {}
        self._last_found: dict[Source, list[Found]] = {}
        self._refused: dict[str, tuple[int, int]] = {}
        """Documents that could not be read, as they were then: they are tried again when they change."""
        self._index: KnowledgeIndex | None = None

    @property
    def index(self) -> KnowledgeIndex:
        """The version in force."""
        assert self._index is not None, "open() first"
        return self._index

    @property
    def entries(self) -> tuple[Entry, ...]:
        return self.index.entries

    @property
    def version(self) -> str:
        """Another one is another knowledge."""
        return self.index.version

    async def search(self, *questions: str) -> list[Match]:
        """The best entry for each question, however badly it fits. Raises `ServiceUnavailable`."""
        return [matches[0] for matches in await self.find(questions, 1)]

    async def find(self, questions: Sequence[str], most: int) -> list[list[Match]]:
        """So many entries for each question, the best first. Raises `ServiceUnavailable`."""
        vectors = await self._queries.of(*questions)
        index = self.index
        if index.size > _INLINE_KEYS:
            return await self._pool.run(Priority.ANSWER, _search, index, questions, vectors, most)
        return _search(index, questions, vectors, most)

    async def open(self) -> None:
        """Read everything. Raises `KnowledgeError` with all that is wrong."""
        started = time.monotonic()
        await self._refresh(at_start=True)
        await asyncio.to_thread(self._store.remove_unused)
        log.info(
            "knowledge_read",
            documents=len(self._held),
            entries=len(self.entries),
            seconds=round(time.monotonic() - started, 2),
        )

    async def follow(self) -> None:
        """Look for changes for ever; returns at once when that is not wanted."""
        while self._check_s:
            await asyncio.sleep(self._check_s)
            await self.refresh()

    async def take_in(self) -> bool:
        """As `refresh`, for whoever has changed something himself. Raises `KnowledgeError`: it is too much."""
        return await self._refresh(at_start=False)

    async def refresh(self) -> bool:
        """Take in what has changed; whether anything has."""
        try:
            return await self.take_in()
        except (KnowledgeError, ServiceUnavailable, OSError) as error:
            log.warning("knowledge_not_refreshed", cause=str(error))
            return False

    async def _refresh(self, *, at_start: bool) -> bool:
        async with self._turn:
            found = await self._look(at_start=at_start)
            changed = [one for one in found if self._is_new(one)]
            gone = self._held.keys() - {one.document.path for one in found}
            if not changed and not gone and self._index is not None:
                return False
            tally = Tally(self._on_indexing)
            try:
                await self._take_in(found, changed, gone, tally, at_start=at_start)
            except BaseException as fault:  # given up, too
                tally.fail(str(fault) or type(fault).__name__)
                raise
            tally.end()
            return True

    async def _take_in(
        self, found: Sequence[Found], changed: Sequence[Found], gone: Set[str], tally: Tally, *, at_start: bool
    ) -> None:
        reads = await read_all([one.document for one in changed], self._max_file_mib)
        self._report(changed, reads, at_start=at_start)
        tally.expect(sum(len(entry.keys) for read in reads for entry in read.entries))
        held = {path: self._held[path] for path in self._held if path not in gone}
        for one, read in zip(changed, reads, strict=True):
            if not read.fault:
                before = self._held.get(one.document.path)
                held[one.document.path] = _Held(one, await self._indexed(read, before, tally, at_start=at_start))
        order = {one.document.path: number for number, one in enumerate(found)}
        in_order = sorted(held.values(), key=lambda one: order.get(one.found.document.path, len(order)))
        index = await asyncio.to_thread(KnowledgeIndex, [one.indexed for one in in_order])
        self._held, self._index = held, index
        if not at_start:
            log.info("knowledge_changed", changed=len(changed), gone=len(gone), entries=len(index.entries))

    async def _look(self, *, at_start: bool) -> list[Found]:
        """Every document as it is; those of a source that cannot be looked at, as they were."""
        faults = []
        for source in self._sources:
            try:
                self._last_found[source] = await source.look(time.monotonic())
            except KnowledgeError as fault:
                faults.append(str(fault))
        if faults and at_start:
            raise KnowledgeError("\n".join(faults))
        for cause in faults:
            log.warning("knowledge_source_missing", cause=cause)
        return [found for source in self._sources for found in self._last_found.get(source, ())]

    def _is_new(self, found: Found) -> bool:
        path = found.document.path
        if self._refused.get(path) == found.stamp:
            return False
        return path not in self._held or self._held[path].found.stamp != found.stamp

    def _report(self, changed: Sequence[Found], reads: Sequence[Read], *, at_start: bool) -> None:
        faults = []
        for one, read in zip(changed, reads, strict=True):
            if read.fault:
                faults.append(read.fault)
                self._refused[one.document.path] = one.stamp
            else:
                self._refused.pop(one.document.path, None)
        if faults and at_start:
            raise KnowledgeError("\n".join(faults))
        for fault in faults:
            log.warning("knowledge_document_broken", cause=fault)
        entries = [entry for read in reads for entry in read.entries]
        kept = sum(len(held.indexed.keys) for held in self._held.values())
        if sum(len(entry.keys) for entry in entries) + (0 if at_start else kept) > _MOST_KEYS:
            raise KnowledgeError(f"the knowledge is too large: {_MOST_KEYS:,} passages and phrasings are the most")

    async def _indexed(self, read: Read, before: _Held | None, tally: Tally, *, at_start: bool) -> Indexed:
        indexed = Indexed(read.entries, np.empty((0, DIMENSIONS), np.float32))
        keys = indexed.keys
        vectors = await asyncio.to_thread(self._store.read, keys)
        if vectors is None:
            known = dict(zip(before.indexed.keys, before.indexed.vectors, strict=True)) if before else {}
            missing = [key for key in dict.fromkeys(keys) if key not in known]
            tally.add(len(keys) - len(missing))
            known.update(zip(missing, await self._embed(missing, tally, at_start=at_start), strict=True))
            vectors = np.stack([known[key] for key in keys])
            await asyncio.to_thread(self._store.write, keys, vectors)
        else:
            tally.add(len(keys))
        return Indexed(read.entries, vectors)

    async def _embed(self, texts: Sequence[str], tally: Tally, *, at_start: bool) -> list[Vectors]:
        """In small steps, behind everything else; at the start on all cores."""
        steps = [texts[begin : begin + _STEP_KEYS] for begin in range(0, len(texts), _STEP_KEYS)]
        side_by_side = self._pool.workers if at_start else 1
        vectors: list[Vectors] = []
        for begin in range(0, len(steps), side_by_side):
            batch = [self._embed_step(step) for step in steps[begin : begin + side_by_side]]
            for done in await asyncio.gather(*batch):
                vectors += done
                tally.add(len(done))
        return vectors

    async def _embed_step(self, texts: Sequence[str]) -> list[Vectors]:
        while True:
            try:
                return list(await self._pool.run(Priority.PARTIAL, self._embedder.embed, texts))
            except ServiceUnavailable:  # calls need the cores more
                await asyncio.sleep(_FULL_POOL_S)


def _search(index: KnowledgeIndex, questions: Sequence[str], vectors: Vectors, most: int) -> list[list[Match]]:
    return [index.search(question, vector, most) for question, vector in zip(questions, vectors, strict=True)]
