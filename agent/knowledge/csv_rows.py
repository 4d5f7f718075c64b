# SPDX-License-Identifier: GPL-3.0-or-later
"""Knowledge in tables (CSV): every row is an entry, told with the names of its columns.

The first row names the columns. With columns `question` and `answer` the rows are questions, answered word for word.
"""

import csv
from collections.abc import Iterator

from agent.errors import KnowledgeError
from agent.knowledge.entry import Section, row_text

_DELIMITERS = ",;\t|"


def read_csv(file: str, name: str, topic: str, text: str) -> Iterator[Section]:
    """One section per row. Raises `KnowledgeError` with file and line."""
    try:
        dialect: type[csv.Dialect] = csv.Sniffer().sniff(text[:4096], _DELIMITERS)
    except csv.Error:
        dialect = csv.excel  # one column, or too little to tell
    dialect.strict = True
    rows = csv.reader(text.splitlines(keepends=True), dialect)
    headers: list[str] = []
    try:
        for cells in rows:
            if not any(cell.strip() for cell in cells):
                continue
            if not headers:
                headers = [" ".join(cell.split()) for cell in cells]
                continue
            if len(cells) > len(headers):
                raise KnowledgeError(
                    f"{file}:{rows.line_num}: {len(cells)} columns, but the first row names {len(headers)}"
                )
            yield _section(name, rows.line_num, topic, headers, cells)
    except csv.Error as error:
        raise KnowledgeError(f"{file}:{rows.line_num}: {error}") from error


def _section(name: str, line: int, topic: str, headers: list[str], cells: list[str]) -> Section:
    named = dict(zip((header.lower() for header in headers), cells, strict=False))
    if "question" in named and "answer" in named:
        question = " ".join(named["question"].split())
        section = Section(name, line, question, topic, phrasings=[question])
        section.add(line, named["answer"])
        return section
    section = Section(name, line, " ".join(cells[0].split()) or topic, topic)
    section.add(line, row_text(headers, cells))
    return section
