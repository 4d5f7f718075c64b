# SPDX-License-Identifier: GPL-3.0-or-later
"""Markup in a language model's words: how to say them. It is taken out as the words stream in, and never spoken.

    'It is <slow>A B 4</slow>.' > Words("It is "), Words("A B 4.", slow)

What has the form of a tag is markup, known or not; what has not ("a < b", "<anna@example.com>", "<3") stays text. A tag
may arrive in any pieces. One that is never closed holds until the reply ends, one that never opened is dropped, and a
tag the reply ends in the middle of is dropped too. A word is said whole: a tag inside it works from the next word on,
so that no full stop is parted from its sentence.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agent.manner import PLAINLY, Manner, break_ms, under

INSTRUCTIONS = """\
You are heard, not read: write plain sentences. You may mark how words are said, sparingly:
<slow>...</slow>, <fast>, <soft>, <loud>;
<emotion name="calm">...</emotion>, also friendly, cheerful, apologetic, empathetic, serious, excited;
<prosody rate="80%" pitch="-2st" volume="+3dB">...</prosody>;
<spell>AB12</spell> for codes and names to be spelled; <break time="400ms"/> for a pause.
Close every tag. The tags themselves are never spoken."""
"""Tells a model of the markup; goes behind its system prompt."""

_LONGEST_TAG = 200
_MOST_OPEN = 16
"""Tags open at once; more are dropped, their words are not."""
_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&nbsp;": " "}
_LONGEST_ENTITY = 6
_WIDE = "\u3000"
"""From here on, writing has no spaces, and every sign counts as a word."""

_KNOWN = frozenset(
    {"slow", "fast", "soft", "loud", "high", "low", "emotion", "prosody", "emphasis", "break", "pause", "spell"}
    | {"say-as", "express-as", "speak", "voice", "p", "s", "sub", "phoneme", "mark", "lang"}
)
_NAME = r"[A-Za-z][\w-]*(?::[A-Za-z][\w-]*)?"
_VALUE = r"\"[^\"]*\"|'[^']*'|[^\s\"'<>=/]+"
_ATTRIBUTE = re.compile(rf"({_NAME})\s*=\s*({_VALUE})")
_TAG = re.compile(
    rf"<\s*(?P<close>/)?\s*(?P<name>{_NAME})"
    rf"(?P<attributes>(?:\s+{_NAME}\s*=\s*(?:{_VALUE}))*)(?P<rest>[^<>]*?)(?P<empty>/)?\s*>"
)
_BEGIN = re.compile(rf"<\s*/?\s*(?P<name>{_NAME})")
_MAY_BEGIN = re.compile(
    rf"<\s*/?\s*(?:[A-Za-z][\w:-]*(?:\s+{_NAME}\s*=\s*(?:{_VALUE}))*"
    r"(?:\s+(?:[A-Za-z][\w:-]*\s*(?:=\s*(?:\"[^\"]*|'[^']*|[^\s\"'<>=/]*))?)?)?\s*/?)?"
)
_KNOWN_BEGIN = re.compile(rf"<\s*/?\s*(?:{'|'.join(sorted(_KNOWN))})\b[^<>]*", re.IGNORECASE)
_COMMENT = re.compile(r"<[!?]")


@dataclass(frozen=True, slots=True)
class Words:
    """Text to say in one manner; put together, all of them are the reply without its markup."""

    text: str
    manner: Manner = PLAINLY


@dataclass(frozen=True, slots=True)
class Break:
    """Say nothing for a moment."""

    ms: int


Marked = Words | Break


class MarkupReader:
    """One reply's words, markup and all, as they come."""

    def __init__(self) -> None:
        self._held = ""
        """What may be the beginning of a tag; at most `_LONGEST_TAG` characters."""
        self._open: list[tuple[str, Manner]] = []
        """Tags, and what was in force before each."""
        self._wanted = PLAINLY
        """In force from the next word on."""
        self._manner = PLAINLY
        self._last = " "

    def push(self, text: str) -> list[Marked]:
        """Take some more text; return what can be said for certain of it."""
        return _joined(self._read(text, is_end=False))

    def flush(self) -> list[Marked]:
        """The reply is at its end."""
        return _joined(self._read("", is_end=True))

    def _read(self, text: str, *, is_end: bool) -> Iterator[Marked]:
        text, self._held = self._held + text, ""
        while text:
            plain = re.match(r"[^<&]+", text)
            if plain is not None:
                yield from self._words(plain[0])
                text = text[plain.end() :]
            elif text[0] == "&":
                entity = re.match(r"&[a-z]{1,4};?", text)
                if not is_end and len(text) < _LONGEST_ENTITY and re.fullmatch(r"&[a-z]*", text):
                    break
                known = _ENTITIES.get(entity[0]) if entity is not None else None
                yield from self._words(known or "&")
                text = text[entity.end() if entity is not None and known else 1 :]
            else:
                length, marks = self._tag(text, is_end=is_end)
                if not length:
                    break
                yield from marks
                text = text[length:]
        self._held = text

    def _tag(self, text: str, *, is_end: bool) -> tuple[int, list[Marked]]:
        """Read a tag, or the sign that only looks like one; the length is 0 when more must come first."""
        if (comment := _COMMENT.match(text)) is not None:
            end = text.find(">")
            if end >= 0:
                return end + 1, []
            return (len(text), []) if is_end else self._hold(text, comment[0])
        if (tag := _TAG.match(text)) is not None and self._is_markup(tag):
            return tag.end(), self._obey(tag)
        may_be = _MAY_BEGIN.fullmatch(text) is not None or _KNOWN_BEGIN.fullmatch(text) is not None
        if is_end:
            begun = _BEGIN.match(text)
            is_lost_tag = may_be and begun is not None and _local(begun["name"]) in _KNOWN
            return (len(text), []) if is_lost_tag else (1, list(self._words("<")))
        return self._hold(text, "<") if may_be else (1, list(self._words("<")))

    def _hold(self, text: str, sign: str) -> tuple[int, list[Marked]]:
        return (0, []) if len(text) < _LONGEST_TAG else (len(sign), list(self._words(sign)))

    @staticmethod
    def _is_markup(tag: re.Match[str]) -> bool:
        """Odd things inside are forgiven to a tag that we know."""
        return not tag["rest"].strip(" \t\n/") or _local(tag["name"]) in _KNOWN

    def _obey(self, tag: re.Match[str]) -> list[Marked]:
        name = _local(tag["name"])
        attributes = {
            _local(key): value.strip("\"'")
            for key, value in _ATTRIBUTE.findall(f"{tag['attributes']} {tag['rest']}".replace("/>", ""))
        }
        if name in ("break", "pause"):
            return [] if tag["close"] else [Break(break_ms(attributes))]
        if tag["close"]:
            if any(opened == name for opened, _ in self._open):
                while self._open:
                    opened, self._wanted = self._open.pop()
                    if opened == name:
                        break
        elif len(self._open) < _MOST_OPEN and name in _KNOWN:
            self._open.append((name, self._wanted))
            self._wanted = under(self._wanted, name, attributes)
        return []

    def _words(self, text: str) -> Iterator[Words]:
        begin = 0
        if self._wanted != self._manner:
            for index, sign in enumerate(text):
                before = text[index - 1] if index else self._last
                if not sign.isspace() and (before.isspace() or before >= _WIDE):
                    if index:
                        yield Words(text[:index], self._manner)
                    self._manner, begin = self._wanted, index
                    break
        self._last = text[-1]
        yield Words(text[begin:], self._manner)


def _local(name: str) -> str:
    """`mstts:express-as` is `express-as`."""
    return name.rpartition(":")[2].lower()


def _joined(pieces: Iterator[Marked]) -> list[Marked]:
    joined: list[Marked] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        if isinstance(piece, Words) and isinstance(last, Words) and piece.manner == last.manner:
            joined[-1] = Words(last.text + piece.text, piece.manner)
        else:
            joined.append(piece)
    return joined
