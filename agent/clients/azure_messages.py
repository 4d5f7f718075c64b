# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of Azure Speech's WebSocket protocol: headers and a body, as text or as bytes.

    TEXT    Path: speech.phrase CRLF X-RequestId: ... CRLF CRLF body
    BINARY  length of the headers (uint16, big-endian), headers, body

Source: Microsoft's "Speech service WebSocket protocol" (Bing Speech, 2018), and the Speech SDK for JavaScript, which
still speaks it.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from agent.websocket import WireMessage

_LINE = "\r\n"
_LENGTH = struct.Struct(">H")


@dataclass(frozen=True, slots=True)
class AzureMessage:
    """One message."""

    headers: Mapping[str, str]
    """Names in small letters."""
    body: WireMessage

    @property
    def path(self) -> str:
        """What it is: `speech.phrase`, `turn.end`..."""
        return self.headers.get("path", "").lower()

    @property
    def request_id(self) -> str:
        return self.headers.get("x-requestid", "").lower()

    @classmethod
    def parse(cls, message: WireMessage) -> "AzureMessage":
        """Raises `ValueError`: the headers are longer than the message, or no ASCII."""
        if isinstance(message, str):
            head, _, text = message.partition(_LINE * 2)
            return cls(_fields(head), text)
        if len(message) < _LENGTH.size:
            raise ValueError("length of the headers: missing")
        (length,) = _LENGTH.unpack_from(message)
        end = _LENGTH.size + length
        if len(message) < end:
            raise ValueError("headers: cut off")
        return cls(_fields(message[_LENGTH.size : end].decode("ascii")), message[end:])


def text_message(headers: Mapping[str, str], body: str) -> str:
    return _head(headers) + _LINE + body


def binary_message(headers: Mapping[str, str], body: bytes = b"") -> bytes:
    head = _head(headers).encode("ascii")
    return _LENGTH.pack(len(head)) + head + body


def _head(headers: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}{_LINE}" for name, value in headers.items())


def _fields(head: str) -> Mapping[str, str]:
    parts = (line.partition(":") for line in head.split(_LINE) if line)
    return {name.strip().lower(): value.strip() for name, _, value in parts}
