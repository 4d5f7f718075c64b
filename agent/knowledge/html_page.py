# SPDX-License-Identifier: GPL-3.0-or-later
"""Knowledge on HTML pages: headings, paragraphs, lists and tables; scripts, styles, menus and footers are left out."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

from agent.knowledge.entry import Section, row_text

_IGNORED = frozenset({"script", "style", "nav", "footer", "aside", "form", "template", "noscript", "svg", "button"})
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_BLOCKS = frozenset(
    {
        *("p", "li", "dt", "dd", "div", "section", "article", "main", "header", "blockquote", "pre", "br", "hr"),
        *("ul", "ol", "dl", "table", "caption", "figure", "figcaption", "address", "summary", "details", "body"),
    }
)
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([\w-]+)", re.IGNORECASE)


def decode_html(body: bytes) -> str:
    """The page as text: by the encoding it names in its first kilobyte, or UTF-8. Raises `UnicodeDecodeError`."""
    named = _CHARSET.search(body[:1024])
    try:
        return body.decode(named[1].decode("ascii") if named else "utf-8-sig")
    except LookupError:
        return body.decode("utf-8-sig")


def read_html(name: str, text: str) -> Iterator[Section]:
    """The sections that say something. HTML cannot be wrong: parsers take everything (HTML Living Standard, 13.2)."""
    page = _Page(name)
    page.feed(text)
    page.close()
    return page.finished()


class _Page(HTMLParser):
    """Follows the tags. What is open and ignored is counted, so that a menu in a footer ends with the footer."""

    def __init__(self, name: str) -> None:
        super().__init__(convert_charrefs=True)
        self._name = name
        self._title = ""
        self._sections = [Section(name, 1, "")]
        self._text: list[str] = []
        self._begins_at = 1
        self._ignored: list[str] = []
        self._row: list[str] | None = None
        self._headers: list[str] = []
        self._is_header_row = False

    def finished(self) -> Iterator[Section]:
        self._end_block()
        topic = next((section.heading for section in self._sections if section.heading), "")
        for section in self._sections:
            section.topic = self._title or topic
            section.heading = section.heading or section.topic or self._name
            if section.blocks:
                yield section

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _IGNORED:
            if not self._ignored:
                self._end_block()
            self._ignored.append(tag)
        elif tag == "tr":
            self._end_block()
            self._row, self._is_header_row = [], True
        elif tag in ("td", "th") and self._row is not None:
            self._text.clear()
            self._is_header_row = self._is_header_row and tag == "th"
        elif tag == "table":
            self._end_block()
            self._headers = []
        elif tag in _HEADINGS or tag == "title" or (tag in _BLOCKS and self._row is None):
            self._end_block()

    def handle_endtag(self, tag: str) -> None:
        if tag in self._ignored:
            while self._ignored.pop() != tag:
                pass
        elif self._ignored:
            return
        elif tag == "title":
            self._title = self._title or self._taken()
        elif tag in _HEADINGS:
            if heading := self._taken():
                self._sections.append(Section(self._name, self._begins_at, heading))
        elif tag in ("td", "th") and self._row is not None:
            self._row.append(self._taken())
        elif tag == "tr" and self._row is not None:
            self._end_row()
        elif tag in _BLOCKS and self._row is None:
            self._end_block()

    def handle_data(self, data: str) -> None:
        if not self._ignored:
            if not self._text:
                self._begins_at = self.getpos()[0]
            self._text.append(data)

    def _taken(self) -> str:
        text = " ".join("".join(self._text).split())
        self._text.clear()
        return text

    def _end_block(self) -> None:
        if text := self._taken():
            self._sections[-1].add(self._begins_at, text)

    def _end_row(self) -> None:
        row, self._row = self._row or [], None
        if self._is_header_row and not self._headers:
            self._headers = row
        elif any(row):
            self._sections[-1].add(self._begins_at, row_text(self._headers, row))
