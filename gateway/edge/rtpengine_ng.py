# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to rtpengine: its ng protocol, bencoded dictionaries over UDP, each behind a cookie.

`encode` and `decode` are the language, `RtpengineNg` asks.
"""

import asyncio
import secrets
import socket
from typing import TypeAlias

from gateway.errors import GatewayError

Value: TypeAlias = "int | bytes | list[Value] | dict[bytes, Value]"

_WAIT_S = 1.0
_MOST_BYTES = 1 << 16
_DEEPEST = 32


class BencodeError(ValueError):
    """Bytes that are no bencoded value."""


class RtpengineSilent(GatewayError):
    """An rtpengine is not there, or does not say what it was asked."""


def encode(value: Value) -> bytes:
    """Bytes of a value; keys of dictionaries are sorted."""
    match value:
        case int():
            return b"i%de" % value
        case bytes():
            return b"%d:%s" % (len(value), value)
        case list():
            return b"l" + b"".join(map(encode, value)) + b"e"
        case dict():
            return b"d" + b"".join(encode(key) + encode(value[key]) for key in sorted(value)) + b"e"


def decode(data: bytes) -> Value:
    """The value that all these bytes are. Raises `BencodeError`."""
    value, end = _decode(data, 0, 0)
    if end != len(data):
        raise BencodeError("there is something behind the value")
    return value


def _decode(data: bytes, at: int, depth: int) -> tuple[Value, int]:
    if depth > _DEEPEST:
        raise BencodeError("nested too deeply")
    kind = data[at : at + 1]
    if kind == b"i":
        end = data.find(b"e", at)
        return _number(data[at + 1 : end] if end > 0 else b""), end + 1
    if kind == b"l":
        items: list[Value] = []
        at += 1
        while data[at : at + 1] != b"e":
            item, at = _decode(data, at, depth + 1)
            items.append(item)
        return items, at + 1
    if kind == b"d":
        found: dict[bytes, Value] = {}
        at += 1
        while data[at : at + 1] != b"e":
            key, at = _decode(data, at, depth + 1)
            if not isinstance(key, bytes):
                raise BencodeError("a key is no text")
            found[key], at = _decode(data, at, depth + 1)
        return found, at + 1
    colon = data.find(b":", at)
    if not kind.isdigit() or colon < 0:
        raise BencodeError("neither number, text, list nor dictionary")
    end = colon + 1 + _number(data[at:colon])
    if end > len(data):
        raise BencodeError("cut off")
    return data[colon + 1 : end], end


def _number(digits: bytes) -> int:
    try:
        return int(digits)
    except ValueError as fault:
        raise BencodeError("a number is none") from fault


class RtpengineNg:
    """Asks one rtpengine."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port

    async def ask(self, command: str, **parameters: Value) -> dict[bytes, Value]:
        """Its answer, which says `ok` or `pong`. Raises `RtpengineSilent`."""
        cookie = secrets.token_hex(6).encode()
        question: dict[bytes, Value] = {b"command": command.encode()}
        question |= {name.replace("_", "-").encode(): value for name, value in parameters.items()}
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
            ours.setblocking(False)
            try:
                await loop.sock_connect(ours, self._address)
                await loop.sock_sendall(ours, cookie + b" " + encode(question))
                async with asyncio.timeout(_WAIT_S):
                    while True:
                        ours_back, _, body = (await loop.sock_recv(ours, _MOST_BYTES)).partition(b" ")
                        if ours_back == cookie:
                            break
                answer = decode(body)
            except (OSError, BencodeError) as fault:  # TimeoutError is an OSError
                raise RtpengineSilent(f"no answer from {self._address[0]}:{self._address[1]}") from fault
        if not isinstance(answer, dict) or answer.get(b"result") not in (b"ok", b"pong"):
            raise RtpengineSilent(f"{command} was refused")
        return answer
