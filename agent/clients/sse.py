# SPDX-License-Identifier: GPL-3.0-or-later
"""Server-sent events: bytes in, the `data` of events out (WHATWG HTML, section 9.2.6).

Event names, ids and retry times are left aside: no service we know tells anything by them that its data does not.
"""

import codecs

_MAX_EVENT_CHARACTERS = 1 << 20


class EventStream:
    """One response body, which may be cut anywhere: between the bytes of a character, between CR and LF."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""
        """The line that is not ended yet."""
        self._data: list[str] = []
        self._size = 0
        """Characters of the event so far: one beyond `_MAX_EVENT_CHARACTERS` is dropped, not kept."""
        self._after_return = False

    def receive_bytes(self, data: bytes) -> list[str]:
        """Take some more; return the data of the events that are complete."""
        events: list[str] = []
        for line in self._lines(self._decoder.decode(data)):
            if (event := self._receive_line(line)) is not None:
                events.append(event)
        return events

    def _lines(self, text: str) -> list[str]:
        if self._after_return and text:
            text = text.removeprefix("\n")
            self._after_return = False
        if not text:
            return []
        self._after_return = text.endswith("\r")
        *lines, self._rest = (self._rest + text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        if len(self._rest) > _MAX_EVENT_CHARACTERS:
            self._rest = ""
        return lines

    def _receive_line(self, line: str) -> str | None:
        if not line:
            data, self._data, self._size = self._data, [], 0
            return "\n".join(data) if data else None
        name, _, value = line.partition(":")
        if name == "data":
            self._size += len(value)
            if self._size <= _MAX_EVENT_CHARACTERS:
                self._data.append(value.removeprefix(" "))
        return None
