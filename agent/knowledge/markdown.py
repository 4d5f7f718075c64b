# SPDX-License-Identifier: GPL-3.0-or-later
"""Knowledge written in Markdown.

    # Opening hours                     the page's topic
    ## When are you open?               an entry; its text is the answer, spoken as it stands
    - Q: what time do you close today   other ways to ask for it, as many as you like
    - Q: are you open on saturday
    We are open Monday to Friday from 9 am to 5 pm.

A heading that is no question and has no `- Q:` lines is a section of prose. Two to four phrasings per entry help more
than anything else.
"""

import re
from collections.abc import Iterator

from agent.errors import KnowledgeError
from agent.knowledge.entry import Section, row_text

_HEADING = re.compile(r"(#{1,6})(?:\s+(.*?)\s*#*)?$")
_PHRASING = re.compile(r"[-*+]\s+Q:\s*(.*)", re.IGNORECASE)
_LIST_MARK = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+")
_RULE = re.compile(r"[-|: ]+")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")


def read_markdown(file: str, name: str, text: str) -> Iterator[Section]:
    """The sections that say something. `file` is how faults name it. Raises `KnowledgeError` with file and line."""
    topic = ""
    section: Section | None = None
    level = 0
    headers: list[str] = []
    paragraph_goes_on = False
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if heading := _HEADING.match(line):
            if section is not None:
                yield from _finished(file, section, level)
            level, title = len(heading[1]), heading[2] or ""
            if not title:
                raise KnowledgeError(f"{file}:{number}: a heading without words")
            if level == 1:
                topic = title
            section = Section(name, number, title, topic)
            headers = []
            paragraph_goes_on = False
        elif not line or line.startswith("<!--"):
            paragraph_goes_on = False
            headers = headers if line else []
        elif section is None:
            raise KnowledgeError(f"{file}:{number}: text before the first heading; begin with a line '# Topic'")
        elif phrasing := _PHRASING.match(line):
            if not phrasing[1]:
                raise KnowledgeError(f"{file}:{number}: '- Q:' without a question")
            section.phrasings.append(phrasing[1])
        elif line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if not headers:
                headers = cells
            elif not _RULE.fullmatch(line):
                section.add(number, _LINK.sub(r"\1", row_text(headers, cells)))
        else:
            plain = _LINK.sub(r"\1", _LIST_MARK.sub("", line))
            if paragraph_goes_on and not _LIST_MARK.match(line):
                place, before = section.blocks.pop()
                section.add(place, f"{before} {plain}")
            else:
                section.add(number, plain)
            paragraph_goes_on = bool(section.blocks)
    if section is not None:
        yield from _finished(file, section, level)


def _finished(file: str, section: Section, level: int) -> Iterator[Section]:
    if section.blocks:
        yield section
    elif section.is_question:
        raise KnowledgeError(f"{file}:{section.place}: no answer below the heading {section.heading!r}")
    # A heading without a text, and with smaller ones below it: a title.
