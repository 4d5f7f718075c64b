# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads documents: by their suffix, within limits, with faults that name file and line or page.

HTML, PDF and whatever comes from the web are read by a child process (`read_all`): parsing takes seconds of Python, a
PDF may want to take all memory, a page may be made to be slow, and none of it may hold up a call. Markdown and CSV of
our own are quick: a thread will do.

    python -m agent.knowledge.reading < request.json > answer.json
"""

import asyncio
import json
import resource
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.errors import KnowledgeError
from agent.knowledge.csv_rows import read_csv
from agent.knowledge.entry import Entry, Section
from agent.knowledge.html_page import decode_html, read_html
from agent.knowledge.markdown import read_markdown

DEFAULT_FOLDER = Path(__file__).parents[1] / "local" / "knowledge_default"
SUFFIXES = (".md", ".markdown", ".html", ".htm", ".csv", ".pdf")
DEFAULT_MAX_FILE_MIB = 8

_READ_APART = frozenset({".html", ".htm", ".pdf"})
_CHILD_S = 120.0
_CHILD_MEMORY_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class Document:
    """A file, and the name by which its entries are cited."""

    path: str
    name: str
    """Relative to its folder; the URL of a page from the web."""
    suffix: str


@dataclass(frozen=True, slots=True)
class Read:
    """What a document says, or why it does not."""

    entries: tuple[Entry, ...]
    fault: str = ""


def read_knowledge(folder: Path, *, max_file_mib: int = DEFAULT_MAX_FILE_MIB) -> list[Entry]:
    """All entries of the folder's documents, in order. Raises `KnowledgeError` with file and line."""
    return [entry for document in documents_in(folder) for entry in read_document(document, max_file_mib)]


def documents_in(folder: Path) -> list[Document]:
    """The documents of a folder and its subfolders, in order; hidden ones do not count. Raises `KnowledgeError`."""
    if not folder.is_dir():
        raise KnowledgeError(f"knowledge folder {folder} does not exist or is not a folder")
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in name.parts) and path.is_file():
            found.append(Document(str(path), name.as_posix(), path.suffix.lower()))
    if not found:
        raise KnowledgeError(f"knowledge folder {folder} has no document ({', '.join(f'*{one}' for one in SUFFIXES)})")
    return found


def read_document(document: Document, max_file_mib: int = DEFAULT_MAX_FILE_MIB) -> list[Entry]:
    """Its entries, in order. Raises `KnowledgeError` with file and line, row or page."""
    path = Path(document.path)
    try:
        if path.stat().st_size > max_file_mib << 20:
            raise KnowledgeError(f"{path}: larger than {max_file_mib} MiB (knowledge.max_file_mib)")
        entries = [entry for section in _sections(document, path) for entry in section.entries()]
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise KnowledgeError(f"{path}:{line}: not {error.encoding.upper()}") from error
    except OSError as error:
        raise KnowledgeError(f"{path}: cannot be read: {error.strerror}") from error
    if not entries:
        raise KnowledgeError(f"{path}:1: no heading with a text below it, so there is nothing to answer with")
    return entries


def _sections(document: Document, path: Path) -> Iterator[Section]:
    file, name = document.path, document.name
    topic = path.stem.replace("-", " ").replace("_", " ")
    match document.suffix:
        case ".pdf":
            from agent.knowledge.pdf import read_pdf  # takes a tenth of a second to import, and most have none

            return read_pdf(file, name, topic, path)
        case ".html" | ".htm":
            return read_html(name, decode_html(path.read_bytes()))
        case ".csv":
            return read_csv(file, name, topic, path.read_text(encoding="utf-8-sig"))
        case _:
            return read_markdown(file, name, path.read_text(encoding="utf-8-sig"))


async def read_all(documents: Sequence[Document], max_file_mib: int) -> list[Read]:
    """What each document says, in their order. Raises `KnowledgeError` when that fails."""
    apart = [one for one in documents if one.suffix in _READ_APART or "://" in one.name]
    found = dict(zip(apart, await _read_apart(apart, max_file_mib), strict=True))
    for one in documents:
        if one not in found:
            found[one] = await asyncio.to_thread(_read, one, max_file_mib)
    return [found[one] for one in documents]


def _read(document: Document, max_file_mib: int) -> Read:
    try:
        return Read(tuple(read_document(document, max_file_mib)))
    except KnowledgeError as fault:
        return Read((), str(fault))


async def _read_apart(documents: Sequence[Document], max_file_mib: int) -> list[Read]:
    """The same by a child process with limits."""
    if not documents:
        return []
    request = json.dumps({"max_file_mib": max_file_mib, "documents": [asdict(one) for one in documents]})
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent.knowledge.reading"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_CHILD_S):
            answer, _ = await child.communicate(request.encode())
    except TimeoutError:
        answer = b""
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode or not answer:
        if len(documents) > 1:  # find out which one it is
            return [read for one in documents for read in await _read_apart([one], max_file_mib)]
        return [Read((), f"{documents[0].path}:1: reading it takes more than {_CHILD_S:g} s or 2 GiB")]
    return [Read(tuple(_entry(fields) for fields in read["entries"]), read["fault"]) for read in json.loads(answer)]


def _entry(fields: dict[str, object]) -> Entry:
    return Entry(**{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()})  # type: ignore[arg-type]


def _main() -> None:
    """The child."""
    resource.setrlimit(resource.RLIMIT_AS, (_CHILD_MEMORY_BYTES, _CHILD_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (round(_CHILD_S), round(_CHILD_S)))  # should nobody be there to end us
    request = json.load(sys.stdin)
    answers = [_read(Document(**fields), request["max_file_mib"]) for fields in request["documents"]]
    json.dump([asdict(answer) for answer in answers], sys.stdout)


if __name__ == "__main__":
    _main()
