# SPDX-License-Identifier: GPL-3.0-or-later
"""Knowledge in PDF files: the one door to pypdf. Pages keep their numbers; short lines before a text are its headings.

Scanned pages have no text and are no fault as long as another page has some.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pypdf
from pypdf.errors import PyPdfError

from agent.errors import KnowledgeError
from agent.knowledge.entry import Section

_MOST_PAGES = 2_000
_HEADING_CHARS = 60
_HYPHEN = re.compile(r"(\w)-\n(?=[a-z])")


def read_pdf(file: str, name: str, topic: str, path: Path) -> Iterator[Section]:
    """The sections that say something. Raises `KnowledgeError` with file and page."""
    number = 0
    try:
        reader = pypdf.PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise KnowledgeError(f"{file}: needs a password")
        if len(reader.pages) > _MOST_PAGES:
            raise KnowledgeError(f"{file}: has {len(reader.pages)} pages; {_MOST_PAGES} are the most")
        title = (reader.metadata.title if reader.metadata else None) or topic
        section = Section(name, 1, title, title)
        for number, page in enumerate(reader.pages, start=1):
            text = page.extract_text().encode("utf-8", "replace").decode()  # fonts may map to half characters
            lines = [line.strip() for line in _HYPHEN.sub(r"\1", text).split("\n")]
            for index, line in enumerate(lines):
                if _is_heading(line, lines[index + 1] if index + 1 < len(lines) else ""):
                    if section.blocks:
                        yield section
                    section = Section(name, number, line, title)
                elif line and section.blocks and index and lines[index - 1] and section.blocks[-1][0] == number:
                    place, before = section.blocks.pop()
                    section.add(place, f"{before} {line}")
                else:
                    section.add(number, line)
        if section.blocks:
            yield section
    except (PyPdfError, OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        # pypdf says PyPdfError of most damaged files, and stumbles over the rest.
        page_said = f"{number}" if number else "1"
        raise KnowledgeError(f"{file}:{page_said}: cannot be read as PDF ({type(error).__name__})") from error


def _is_heading(line: str, following: str) -> bool:
    """Short, begins like a title, does not end like a sentence, and something follows that is no continuation."""
    return (
        bool(line)
        and len(line) <= _HEADING_CHARS
        and line[0].isupper()
        and line[-1] not in ".,;:-!"
        and bool(following)
        and following[0].isupper()
    )
