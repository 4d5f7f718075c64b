# SPDX-License-Identifier: GPL-3.0-or-later
"""Where documents come from, and whether they have changed: folders and files by their time and size, pages on the web
by asking (RFC 9110, sections 8.8 and 13: ETag and Last-Modified).

What was fetched lies in a folder, as it came: a gateway that starts while the site is down goes on with that.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import structlog

from agent.errors import KnowledgeError
from agent.knowledge.reading import SUFFIXES, Document, documents_in

log = structlog.get_logger(__name__)

_TYPES = {"text/html": ".html", "text/markdown": ".md", "text/csv": ".csv", "application/pdf": ".pdf"}


@dataclass(frozen=True, slots=True)
class Page:
    """What a web server answered."""

    status: int
    content_type: str = ""
    etag: str = ""
    last_modified: str = ""
    body: bytes = b""


Fetch = Callable[[str, Mapping[str, str], int], Awaitable[Page]]
"""(URL, request headers, most bytes) > Page. Raises `KnowledgeError`."""


@dataclass(frozen=True, slots=True)
class Found:
    """A document as it is now."""

    document: Document
    stamp: tuple[int, int]
    """Modification time in nanoseconds, size: another one is another content."""


class Source(Protocol):
    """Some documents."""

    async def look(self, now: float) -> list[Found]:
        """What is there. Raises `KnowledgeError`."""
        ...


class Files:
    """A folder with all below it, or one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def look(self, now: float) -> list[Found]:
        return await asyncio.to_thread(self._look)

    def _look(self) -> list[Found]:
        if self._path.is_file():
            suffix = self._path.suffix.lower()
            if suffix not in SUFFIXES:
                raise KnowledgeError(f"{self._path}: no kind of document that is known: {', '.join(SUFFIXES)}")
            documents = [Document(str(self._path), self._path.name, suffix)]
        else:
            documents = documents_in(self._path)
        return [found for document in documents if (found := _stamped(document)) is not None]


class Notes:
    """A folder of our own, which may be empty."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def look(self, now: float) -> list[Found]:
        return await asyncio.to_thread(self._look)

    def _look(self) -> list[Found]:
        if not self._path.is_dir() or not any(self._path.iterdir()):
            return []
        return [found for document in documents_in(self._path) if (found := _stamped(document)) is not None]


class WebPage:
    """One page on the web."""

    def __init__(self, url: str, fetch: Fetch, folder: Path, *, refresh_s: float, max_file_mib: int) -> None:
        """What was fetched is kept in `folder`."""
        self._url = url
        self._fetch = fetch
        self._refresh_s = refresh_s
        self._max_bytes = max_file_mib << 20
        self._facts = folder / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.json"
        self._due = 0.0
        self._has_asked = False

    async def look(self, now: float) -> list[Found]:
        if not self._has_asked or now >= self._due:
            self._has_asked, self._due = True, now + self._refresh_s
            try:
                await self._ask()
            except KnowledgeError as fault:
                if await asyncio.to_thread(self._kept) is None:
                    self._due = now
                    raise
                log.warning("knowledge_page_missing", cause=str(fault))
        kept = await asyncio.to_thread(self._kept)
        return [] if kept is None or (found := _stamped(kept)) is None else [found]

    async def _ask(self) -> None:
        facts = await asyncio.to_thread(self._read_facts)
        headers = {}
        if facts.get("etag"):
            headers["If-None-Match"] = facts["etag"]
        if facts.get("last_modified"):
            headers["If-Modified-Since"] = facts["last_modified"]
        page = await self._fetch(self._url, headers, self._max_bytes)
        if page.status == 304 and facts:
            return
        if page.status != 200:
            raise KnowledgeError(f"{self._url}: the server answers {page.status}")
        await asyncio.to_thread(self._keep, page)

    def _keep(self, page: Page) -> None:
        kind = page.content_type.partition(";")[0].strip().lower()
        suffix = _TYPES.get(kind) or Path(urlsplit(self._url).path).suffix.lower()
        if suffix not in SUFFIXES:
            raise KnowledgeError(f"{self._url}: no kind of document that is known ({kind or 'no content type'})")
        file = self._facts.with_suffix(suffix)
        try:
            self._facts.parent.mkdir(parents=True, exist_ok=True)
            if not (file.is_file() and file.read_bytes() == page.body):
                part = file.with_suffix(".part")
                part.write_bytes(page.body)
                part.replace(file)
            facts = {"url": self._url, "suffix": suffix, "etag": page.etag, "last_modified": page.last_modified}
            self._facts.write_text(json.dumps(facts))
        except OSError as error:
            raise KnowledgeError(f"{self._url}: cannot be kept in {file.parent}: {error.strerror}") from error

    def _read_facts(self) -> dict[str, str]:
        try:
            facts: dict[str, str] = json.loads(self._facts.read_text())
        except (OSError, ValueError):
            return {}
        return facts if self._facts.with_suffix(facts.get("suffix", ".none")).is_file() else {}

    def _kept(self) -> Document | None:
        facts = self._read_facts()
        if not facts:
            return None
        return Document(str(self._facts.with_suffix(facts["suffix"])), self._url, facts["suffix"])


def _stamped(document: Document) -> Found | None:
    try:
        status = Path(document.path).stat()
    except OSError:
        return None  # gone since it was listed
    return Found(document, (status.st_mtime_ns, status.st_size))
