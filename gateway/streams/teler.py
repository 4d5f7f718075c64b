# SPDX-License-Identifier: GPL-3.0-or-later
"""Protocol `teler`: FreJun Teler's media streaming, so that its bridges connect here.

Source: frejun.ai/docs/media-streaming/supported-messages, and the official bridges, which do not quite follow it. Text
frames, told apart by `type`; audio is 16-bit little-endian PCM at 8 or 16 kHz in base64. The end is the socket's end.

    to the backend:   start | audio, as many milliseconds at a time as `chunk_size` of the call flow says
    from the backend: audio (its fields in `data`, as documented, or beside `type`, as the bridges send them),
                      interrupt (one queued chunk), clear
"""

from collections.abc import Mapping

from gateway.streams.json_message import base64_bytes, base64_text, compact, object_of, parse_object, text_of
from gateway.streams.messages import (
    Audio,
    BackendMessage,
    Clear,
    ClearChunk,
    Malformed,
    StreamEvent,
    StreamFormat,
    StreamStarted,
    StreamStopped,
    Track,
    WireMessage,
)

CHUNK_MS = 400
"""Teler's own default."""
_BYTES_PER_SAMPLE = 2
ACCOUNT_ID = "acc_parley"
_CALL_APP_ID = "va_parley"


class TelerProtocol:
    """One connection. Of a stream with two tracks only the caller's is sent: there is no word for the other."""

    subprotocol = None

    def __init__(
        self, chunk_ms: int = CHUNK_MS, *, account_id: str = ACCOUNT_ID, call_app_id: str = _CALL_APP_ID
    ) -> None:
        self._chunk_ms = chunk_ms
        self._account_id = account_id
        self._call_app_id = call_app_id
        self._stream_id = ""
        self._message_id = 0
        self._chunk_bytes = 1
        self._gathered = bytearray()
        """Less than a chunk of the caller's audio."""

    def audio(self, payload: bytes, position_ms: int, track: Track) -> WireMessage | None:
        if track != "inbound":
            return None
        self._gathered += payload
        whole_bytes = len(self._gathered) // self._chunk_bytes * self._chunk_bytes
        return self._audio_message(whole_bytes) if whole_bytes else None

    def tell(self, event: StreamEvent) -> list[WireMessage]:
        match event:
            case StreamStarted():
                return [self._start(event)]
            case StreamStopped() if self._gathered:
                return [self._audio_message(len(self._gathered))]
            case _:
                return []

    def receive(self, message: WireMessage) -> list[BackendMessage]:
        parsed = parse_object(message)
        if isinstance(parsed, Malformed):
            return [parsed]
        match parsed.get("type"):
            case "audio":
                return [self._audio_of(parsed)]
            case "interrupt":
                chunk_id = _chunk_id(parsed)
                return [ClearChunk(chunk_id) if chunk_id else Malformed("interrupt without a chunk_id")]
            case "clear":
                return [Clear()]
            case _:
                return []

    def _start(self, event: StreamStarted) -> WireMessage:
        self._stream_id = event.stream_id
        self._message_id = 1
        self._chunk_bytes = _chunk_bytes(event.format, self._chunk_ms)
        return compact(
            {
                "type": "start",
                "account_id": self._account_id,
                "call_app_id": self._call_app_id,
                "call_id": event.call_id,
                "stream_id": event.stream_id,
                "message_id": self._message_id,
                "data": {"encoding": "audio/l16", "sample_rate": event.format.sample_rate_hz, "channels": 1},
            }
        )

    def _audio_message(self, size: int) -> WireMessage:
        self._message_id += 1
        data = {"audio_b64": base64_text(bytes(self._gathered[:size]))}
        del self._gathered[:size]
        return compact({"type": "audio", "stream_id": self._stream_id, "message_id": self._message_id, "data": data})

    def _audio_of(self, parsed: Mapping[str, object]) -> BackendMessage:
        payload = base64_bytes(text_of(object_of(parsed, "data"), "audio_b64") or text_of(parsed, "audio_b64"))
        if not payload:
            return Malformed("audio without audio_b64 in base64")
        return Audio(payload, _chunk_id(parsed))


def _chunk_bytes(format: StreamFormat, chunk_ms: int) -> int:
    return format.sample_rate_hz * chunk_ms // 1000 * _BYTES_PER_SAMPLE


def _chunk_id(parsed: Mapping[str, object]) -> str:
    """As text: the bridges count their chunks. Empty when there is none."""
    found = object_of(parsed, "data").get("chunk_id", parsed.get("chunk_id"))
    return str(found) if isinstance(found, str | int) else ""
