# SPDX-License-Identifier: GPL-3.0-or-later
"""Protocol `audiosocket`: Asterisk's framing of a call over TCP, with us in Asterisk's place.

Source: Asterisk's documentation of AudioSocket, and res_audiosocket.c. A frame is a byte of kind, the length of its
payload as two bytes in network order, and the payload:

    0x00 hang-up   0x01 UUID, the first   0x03 a key in ASCII   0x10 to 0x18 audio, 16-bit little-endian   0xff error

TCP keeps no frames: a piece handed to `receive` may end anywhere. There are neither marks nor a clear; whoever wants to
be interruptible sends no faster than the call plays.
"""

import uuid
from hashlib import sha256

from gateway.streams.messages import (
    Audio,
    BackendMessage,
    HangUp,
    KeyPressed,
    Malformed,
    StreamEvent,
    StreamStarted,
    StreamStopped,
    Track,
    WireMessage,
)

_HANG_UP = 0x00
_UUID = 0x01
_KEY = 0x03
_ERROR = 0xFF
_AUDIO_KINDS = {
    8000: 0x10,
    12000: 0x11,
    16000: 0x12,
    24000: 0x13,
    32000: 0x14,
    44100: 0x15,
    48000: 0x16,
    96000: 0x17,
    192000: 0x18,
}
_RATES_HZ = {kind: rate_hz for rate_hz, kind in _AUDIO_KINDS.items()}
_HEADER_BYTES = 3
_MAX_FRAMES = 5000
"""In one piece, of which TCP gives a quarter of a mebibyte at most. Some 800 of 20 ms fill it."""


def call_uuid(call_id: str) -> uuid.UUID:
    """Our id of the call as AudioSocket has them: its ten bytes after the six letters of our name."""
    try:
        own = bytes.fromhex(call_id.removeprefix("call_"))
    except ValueError:
        own = b""
    return uuid.UUID(bytes=b"parley" + own if len(own) == 10 else sha256(call_id.encode()).digest()[:16])


class AudioSocketProtocol:
    """One connection. Of a stream with two tracks only the caller's is sent: there is no word for the other."""

    subprotocol = None

    def __init__(self) -> None:
        self._kind = _AUDIO_KINDS[8000]
        self._has_hung_up = False
        self._unread = bytearray()
        """The beginning of a frame; less than 64 KiB and a header."""

    def audio(self, payload: bytes, position_ms: int, track: Track) -> WireMessage | None:
        return _frame(self._kind, payload) if track == "inbound" else None

    def tell(self, event: StreamEvent) -> list[WireMessage]:
        match event:
            case StreamStarted():
                self._kind = _AUDIO_KINDS[event.format.sample_rate_hz]
                return [_frame(_UUID, call_uuid(event.call_id).bytes)]
            case KeyPressed(digit):
                return [_frame(_KEY, digit.encode("ascii"))]
            case StreamStopped():
                return [_frame(_HANG_UP, b"")]
            case _:
                return []

    def receive(self, message: WireMessage) -> list[BackendMessage]:
        """What was complete with this piece of the byte stream. After a hang-up nothing more is heard."""
        if isinstance(message, str):
            return [Malformed("text; this protocol has bytes only")]
        if self._has_hung_up:
            return []
        self._unread += message
        received: list[BackendMessage] = []
        begin = frames = 0
        while len(self._unread) - begin >= _HEADER_BYTES:
            end = begin + _HEADER_BYTES + int.from_bytes(self._unread[begin + 1 : begin + _HEADER_BYTES], "big")
            if end > len(self._unread):
                break
            received += self._parse(self._unread[begin], bytes(self._unread[begin + _HEADER_BYTES : end]))
            begin = end
            frames += 1
            if frames >= _MAX_FRAMES:
                self._has_hung_up = True
                received += [Malformed(f"more than {_MAX_FRAMES} frames at once"), HangUp()]
            if self._has_hung_up:
                self._unread.clear()
                return received
        del self._unread[:begin]
        return received

    def _parse(self, kind: int, payload: bytes) -> list[BackendMessage]:
        if kind == self._kind:
            return [Audio(payload)] if payload else []
        if kind == _HANG_UP:
            self._has_hung_up = True
            return [HangUp()]
        if kind == _ERROR:
            return [Malformed(f"the backend reports error {payload[:1].hex() or 'unnamed'}")]
        if kind in _RATES_HZ:
            return [Malformed(f"audio at {_RATES_HZ[kind]} Hz; this stream has {_RATES_HZ[self._kind]} Hz")]
        return []


def _frame(kind: int, payload: bytes) -> bytes:
    return bytes((kind, *len(payload).to_bytes(2, "big"))) + payload
