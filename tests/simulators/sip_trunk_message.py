# SPDX-License-Identifier: GPL-3.0-or-later
"""As much of a SIP message (RFC 3261) and of a session description (RFC 8866) as a trunk of one's own machine needs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote

_COMPACT = {
    "v": "via",
    "f": "from",
    "t": "to",
    "i": "call-id",
    "m": "contact",
    "c": "content-type",
    "l": "content-length",
}
_COPIED = ("via", "from", "to", "call-id", "cseq")
_NAMES = {
    "via": "Via",
    "from": "From",
    "to": "To",
    "call-id": "Call-ID",
    "cseq": "CSeq",
    "record-route": "Record-Route",
}


@dataclass(frozen=True, slots=True)
class SipMessage:
    """A request or a response."""

    start: str
    """The first line."""
    headers: Mapping[str, Sequence[str]]
    """By lower-case full name, in order."""
    body: str

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `ValueError`."""
        head, separator, body = data.decode("utf-8", "replace").partition("\r\n\r\n")
        lines = re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")
        if not separator or "SIP/2.0" not in lines[0]:
            raise ValueError("not a SIP message")
        headers: dict[str, list[str]] = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon:
                raise ValueError("a header without a colon")
            name = name.strip().lower()
            headers.setdefault(_COMPACT.get(name, name), []).append(value.strip())
        for name in _COPIED:
            if name not in headers:
                raise ValueError(f"no {name}")
        if not re.fullmatch(r"\d+ +[A-Z]+", headers["cseq"][0]):
            raise ValueError("cseq")
        return cls(lines[0], headers, body)

    def header(self, name: str) -> str:
        """The first of this lower-case name, or nothing."""
        return self.headers.get(name, [""])[0]

    @property
    def method(self) -> str:
        """Of a response: of the request it answers."""
        return self.header("cseq").split()[-1]

    @property
    def sequence(self) -> int:
        """Of the CSeq."""
        return int(self.header("cseq").split()[0])

    @property
    def code(self) -> int:
        """Of a response; 0: this is a request."""
        return int(self.start.split()[1]) if re.match(r"SIP/2\.0 \d{3}\b", self.start) else 0

    @property
    def branch(self) -> str:
        """Names the transaction."""
        return _parameter(self.header("via"), "branch")

    @property
    def from_tag(self) -> str:
        return _parameter(self.header("from"), "tag")

    @property
    def to_tag(self) -> str:
        return _parameter(self.header("to"), "tag")

    @property
    def number(self) -> str:
        """What was dialled: the user part of the request's URI, without its parameters."""
        found = re.match(r"\S+ +(?:sips?:([^@\s]*)@|tel:([^\s]*))", self.start)
        return unquote(next(filter(None, found.groups()), "")).partition(";")[0] if found else ""

    @property
    def caller(self) -> str:
        """The user part of the From header."""
        found = re.search(r"sips?:([^@>;\s]*)@", self.header("from"))
        return unquote(found[1]) if found else ""

    def response(
        self, code: int, reason: str, source: tuple[str, int], tag: str, more: str = "", body: str = ""
    ) -> bytes:
        """To this request, which came from `source`. `more`: whole header lines."""
        lines = [f"SIP/2.0 {code} {reason}"]
        for name in (*_COPIED, "record-route"):
            for index, value in enumerate(self.headers.get(name, ())):
                if name == "via" and index == 0:  # RFC 3581
                    value = re.sub(r";rport(?!=)", f";received={source[0]};rport={source[1]}", value)
                if name == "to" and tag and not self.to_tag:
                    value = f"{value};tag={tag}"
                lines.append(f"{_NAMES[name]}: {value}")
        return end_of_message("\r\n".join(lines) + "\r\n" + more, body)


def end_of_message(head: str, body: str = "") -> bytes:
    """The head's lines, each with its end, and what comes after them."""
    kind = "Content-Type: application/sdp\r\n" if body else ""
    return f"{head}{kind}Content-Length: {len(body.encode())}\r\n\r\n{body}".encode()


def _parameter(value: str, name: str) -> str:
    found = re.search(rf";\s*{name}\s*=\s*([^;,>\s]+)", value)
    return found[1] if found else ""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a session description says of where we send and what."""

    address: tuple[str, int]
    """Port 0: nowhere."""
    events: int | None
    """Payload type of telephone events."""
    is_held: bool
    """They do not want to hear us."""

    @classmethod
    def parse(cls, body: str) -> Self | None:
        """None: there is nothing that PCMU could be sent to."""
        media = re.search(r"^m=audio (\d+) RTP/AVP((?: \d+)+)\s*$", body, re.MULTILINE)
        hosts = re.findall(r"^c=IN IP4 (\S+)", body, re.MULTILINE)
        if media is None or not hosts or "0" not in media[2].split():
            return None
        events = re.search(r"^a=rtpmap:(\d+) telephone-event/8000", body, re.MULTILINE | re.IGNORECASE)
        is_held = re.search(r"^a=(sendonly|inactive)\s*$", body, re.MULTILINE) is not None or hosts[-1] == "0.0.0.0"
        return cls((hosts[-1], int(media[1])), int(events[1]) if events else None, is_held)


def description(host: str, port: int, version: int, events: int | None, *, is_held: bool) -> str:
    """Ours: PCMU at this address."""
    kinds = "0" if events is None else f"0 {events}"
    keys = "" if events is None else f"a=rtpmap:{events} telephone-event/8000\r\na=fmtp:{events} 0-15\r\n"
    return (
        f"v=0\r\no=- {port} {version} IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP {kinds}\r\na=rtpmap:0 PCMU/8000\r\n{keys}a=ptime:20\r\n"
        f"a={'recvonly' if is_held else 'sendrecv'}\r\n"
    )
