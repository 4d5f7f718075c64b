# SPDX-License-Identifier: GPL-3.0-or-later
"""Knowledge that follows its documents: only what changed is read and embedded, and what is broken harms nothing."""

import asyncio
import resource
from collections.abc import Mapping
from os import rename, utime
from pathlib import Path

import pytest

from agent.errors import KnowledgeError
from agent.knowledge.indexing import Indexing
from agent.knowledge.library import Knowledge
from agent.knowledge.reading import Document, read_all
from agent.knowledge.sources import Files, Page, WebPage
from agent.local.engines import OfflineEngines
from agent.local.minilm import Vectors


class Site:
    """A web server with one page."""

    def __init__(self, body: str) -> None:
        self.body = body
        self.asked: list[Mapping[str, str]] = []
        self.is_down = False

    async def fetch(self, url: str, headers: Mapping[str, str], max_bytes: int) -> Page:
        self.asked.append(headers)
        if self.is_down:
            raise KnowledgeError(f"{url}: cannot be fetched")
        etag = f'"{hash(self.body)}"'
        if headers.get("If-None-Match") == etag:
            return Page(304)
        return Page(200, "text/html; charset=utf-8", etag, "", self.body.encode())


class Counting:
    """An embedder that remembers what it was asked."""

    def __init__(self, engines: OfflineEngines) -> None:
        self._embedder = engines.embedder
        self.model_hash = engines.embedder.model_hash
        self.texts: list[str] = []

    def embed(self, texts: list[str]) -> Vectors:
        self.texts += texts
        return self._embedder.embed(texts)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pages"
    folder.mkdir()
    write(folder / "hours.md", "# Hours\n## When are you open?\nWe are open from nine to five.\n")
    write(folder / "prices.csv", "room,price\nSmall,$40\nLarge,$90\n")
    return folder


def write(path: Path, text: str) -> None:
    """Write it, so that nobody could think that it has not changed."""
    newer = path.stat().st_mtime_ns + 1_000_000_000 if path.exists() else None
    path.write_text(text)
    if newer is not None:
        utime(path, ns=(newer, newer))


async def opened(engines: OfflineEngines, folder: Path, vectors: Path | None = None) -> tuple[Knowledge, Counting]:
    embedder = Counting(engines)
    knowledge = Knowledge([Files(folder)], embedder, engines.pool, engines.queries, folder=vectors)  # type: ignore[arg-type]
    await knowledge.open()
    return knowledge, embedder


async def test_a_changed_file_is_noticed_and_nothing_else_is_embedded_again(
    engines: OfflineEngines, folder: Path
) -> None:
    knowledge, embedder = await opened(engines, folder)
    version = knowledge.version
    assert not await knowledge.refresh()
    embedder.texts.clear()
    write(folder / "hours.md", "# Hours\n## When are you open?\nWe are open around the clock.\n")
    assert await knowledge.refresh()
    assert embedder.texts == ["When are you open? We are open around the clock."]
    assert knowledge.version != version
    (match,) = await knowledge.search("when are you open")
    assert (match.entry.answer, match.entry.source) == ("We are open around the clock.", "hours.md:2")


async def test_files_come_and_go(engines: OfflineEngines, folder: Path) -> None:
    knowledge, _ = await opened(engines, folder)
    write(folder / "dogs.md", "# Dogs\n## Can I bring my dog?\nYes.\n")
    (folder / "prices.csv").unlink()
    assert await knowledge.refresh()
    assert {entry.source for entry in knowledge.entries} == {"dogs.md:2", "hours.md:2"}


async def test_a_file_that_breaks_later_keeps_what_it_said_and_is_taken_when_it_is_right_again(
    engines: OfflineEngines, folder: Path
) -> None:
    knowledge, _ = await opened(engines, folder)
    write(folder / "hours.md", "no heading at all\n")
    write(folder / "prices.csv", "room,price\nSmall,$41\n")
    assert await knowledge.refresh()
    assert not await knowledge.refresh()
    answers = {entry.answer for entry in knowledge.entries}
    assert answers == {"We are open from nine to five.", "Small: price $41."}
    write(folder / "hours.md", "# Hours\n## When are you open?\nNever.\n")
    assert await knowledge.refresh()
    assert "Never." in {entry.answer for entry in knowledge.entries}


async def test_a_folder_that_vanishes_later_takes_nothing_with_it(engines: OfflineEngines, folder: Path) -> None:
    knowledge, _ = await opened(engines, folder)
    rename(folder, folder.with_name("elsewhere"))
    assert not await knowledge.refresh()
    assert len(knowledge.entries) == 3


async def test_at_the_start_every_broken_file_is_named_with_its_line(engines: OfflineEngines, folder: Path) -> None:
    write(folder / "hours.md", "# Hours\n## When?\n## Where?\nHere.\n")
    write(folder / "prices.csv", "room,price\nSmall,$40,and more\n")
    with pytest.raises(KnowledgeError) as fault:
        await opened(engines, folder)
    assert "hours.md:2: no answer" in str(fault.value)
    assert "prices.csv:2: 3 columns" in str(fault.value)


async def test_what_was_embedded_once_is_not_embedded_at_the_next_start(
    engines: OfflineEngines, folder: Path, tmp_path: Path
) -> None:
    first, embedder = await opened(engines, folder, tmp_path / "vectors")
    assert embedder.texts
    (damaged, *_), second = (
        sorted((tmp_path / "vectors").rglob("*.npy")),
        await opened(engines, folder, tmp_path / "vectors"),
    )
    assert second[1].texts == []
    damaged.write_bytes(b"no array")
    third, embedder = await opened(engines, folder, tmp_path / "vectors")
    assert embedder.texts
    assert third.version == first.version


async def test_a_page_is_asked_for_again_only_when_due_and_survives_a_site_that_is_down(
    engines: OfflineEngines, tmp_path: Path
) -> None:
    site = Site("<h1>Hours</h1><h2>Opening times</h2><p>We open at nine.</p>")

    def page(refresh_s: float) -> WebPage:
        return WebPage("https://example.com/hours", site.fetch, tmp_path, refresh_s=refresh_s, max_file_mib=1)

    knowledge = await engines.knowledge([page(3_600)])
    assert knowledge.entries[0].source == "https://example.com/hours:1"
    assert not await knowledge.refresh()
    assert len(site.asked) == 1
    again = await engines.knowledge([page(0)])
    assert "If-None-Match" in site.asked[-1]
    site.body = site.body.replace("nine", "eight")
    assert await again.refresh()
    assert again.entries[0].answer == "We open at eight."
    site.is_down = True
    assert not await again.refresh()
    assert (await engines.knowledge([page(0)])).entries[0].answer == "We open at eight."


async def test_a_page_that_was_never_there_is_a_fault_at_the_start(engines: OfflineEngines, tmp_path: Path) -> None:
    site = Site("")
    site.is_down = True
    page = WebPage("https://example.com/", site.fetch, tmp_path, refresh_s=60, max_file_mib=1)
    with pytest.raises(KnowledgeError, match=r"https://example\.com/: cannot be fetched"):
        await engines.knowledge([page])


async def test_pages_of_the_web_are_read_apart_whatever_they_are(tmp_path: Path) -> None:
    """A line of Markdown can be made to take minutes of Python, which holds up every call."""
    hostile = tmp_path / "page.md"
    hostile.write_text("# Prices\n\nThey are fair.\n")
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    (read,) = await read_all([Document(str(hostile), "https://example.com/page.md", ".md")], 8)
    assert read.entries[0].source == "https://example.com/page.md:1"
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime > before


async def test_whoever_waits_is_told_how_far_it_is_and_how_it_ended(engines: OfflineEngines, folder: Path) -> None:
    told: list[Indexing] = []
    knowledge = Knowledge([Files(folder)], engines.embedder, engines.pool, engines.queries, on_indexing=told.append)
    await knowledge.open()
    keys = sum(len(entry.keys) for entry in knowledge.entries)
    assert told[0] == Indexing(0, None)
    assert told[1] == Indexing(0, keys)
    assert told[-1] == Indexing(keys, keys, "done")
    assert [one.done for one in told] == sorted(one.done for one in told)
    told.clear()
    assert not await knowledge.refresh()
    assert told == []
    many = "\n".join(f"## How many are {number}?\nThey are {number}." for number in range(9))
    write(folder / "numbers.md", f"# Numbers\n{many}\n")
    assert await knowledge.refresh()
    assert told[-1] == Indexing(18, 18, "done")
    assert len({one.done for one in told}) > 3
    (folder / "numbers.md").unlink()
    assert await knowledge.refresh()
    assert told[-1] == Indexing(0, 0, "done")


async def test_a_failure_is_told_with_its_cause(engines: OfflineEngines, folder: Path) -> None:
    told: list[Indexing] = []
    write(folder / "broken.pdf", "no PDF")
    knowledge = Knowledge([Files(folder)], engines.embedder, engines.pool, engines.queries, on_indexing=told.append)
    with pytest.raises(KnowledgeError, match=r"broken\.pdf"):
        await knowledge.open()
    assert told[-1].state == "failed"
    assert "broken.pdf" in told[-1].cause


async def test_a_slow_look_takes_nothing_back_of_what_a_later_one_has_found(
    engines: OfflineEngines, folder: Path
) -> None:
    knowledge, embedder = await opened(engines, folder)
    many = "\n".join(f"## How many are {number}?\nThey are {number}." for number in range(60))
    write(folder / "numbers.md", f"# Numbers\n{many}\n")
    embedder.texts.clear()
    slow = asyncio.create_task(knowledge.refresh())
    async with asyncio.timeout(20):
        while not embedder.texts:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    (folder / "numbers.md").unlink()
    write(folder / "pool.md", "# Pool\n## Where is the pool?\nIn the cellar.\n")
    await asyncio.gather(slow, knowledge.refresh())
    answers = {entry.answer for entry in knowledge.entries}
    assert "In the cellar." in answers
    assert "They are 7." not in answers
