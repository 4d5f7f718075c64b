# SPDX-License-Identifier: GPL-3.0-or-later
"""Protocol `parley`, WebSocket subprotocol `parley.v1`: text frames are JSON objects with `type` and `seq`, which grows
by one in either direction; binary frames are audio in the negotiated format, of any length, and nothing else.

    to the backend:   start, answered | dtmf, speech, mark, cleared, xoff, xon, transfer | stop, error
    from the backend: mark, clear, pause, resume, dtmf, hangup, transfer, mute, record, answer, reject

A backend may leave `seq` out, and may send keys that this version does not know. One sample may end in one message and
go on in the next. Of Opus, which has no marks of its own between packets, every message is one packet.
"""

import re
from collections.abc import Callable, Mapping
from typing import assert_never

from gateway.streams.json_message import compact, parse_object
from gateway.streams.messages import (
    Answer,
    Audio,
    BackendFault,
    BackendMessage,
    CallAnswered,
    Clear,
    FlowControl,
    HangUp,
    KeyPressed,
    Malformed,
    Mark,
    MarkReached,
    Mute,
    Pause,
    PlayoutCleared,
    Record,
    Reject,
    Resume,
    SendKeys,
    SpeechChanged,
    StreamEvent,
    StreamStarted,
    StreamStopped,
    Track,
    Transfer,
    TransferProgress,
    WireMessage,
)

SUBPROTOCOL = "parley.v1"
MAX_MARK_CHARACTERS = 128
_DIGITS = re.compile(r"[0-9A-D*#,w]{1,64}")
_MAX_ADDRESS_CHARACTERS = 512

Fields = Mapping[str, object]


class ParleyProtocol:
    """One connection."""

    subprotocol = SUBPROTOCOL

    def __init__(self) -> None:
        self._seq = 0

    def audio(self, payload: bytes, position_ms: int, track: Track) -> WireMessage:
        return payload

    def tell(self, event: StreamEvent) -> list[WireMessage]:
        match event:
            case StreamStarted():
                return [self._message("start", **_start(event))]
            case KeyPressed(digit, duration_ms):
                return [self._message("dtmf", digit=digit, duration_ms=duration_ms)]
            case SpeechChanged(speaking, position_ms):
                return [self._message("speech", state="started" if speaking else "stopped", position_ms=position_ms)]
            case MarkReached(name, played):
                return [self._message("mark", name=name, state="played" if played else "cleared")]
            case PlayoutCleared(played_ms, discarded_ms, marks):
                return [self._message("cleared", played_ms=played_ms, discarded_ms=discarded_ms, marks=list(marks))]
            case FlowControl(xoff, queued_ms):
                return [self._message("xoff" if xoff else "xon", queued_ms=queued_ms)]
            case CallAnswered():
                return [self._message("answered")]
            case TransferProgress(status):
                return [self._message("transfer", status=status)]
            case StreamStopped(reason):
                return [self._message("stop", reason=reason)]
            case BackendFault(title, detail):
                return [self._message("error", title=title, detail=detail)]
            case _:
                assert_never(event)

    def receive(self, message: WireMessage) -> list[BackendMessage]:
        if isinstance(message, bytes):
            return [Audio(message)] if message else []
        parsed = parse_object(message)
        if isinstance(parsed, Malformed):
            return [parsed]
        kind = parsed.get("type")
        parse = _PARSERS.get(kind) if isinstance(kind, str) else None
        if parse is None:
            return [Malformed(f"type is none of {', '.join(_PARSERS)}")]
        try:
            return [parse(parsed)]
        except _FieldFault as fault:
            return [Malformed(f"{kind}: {fault}")]

    def _message(self, type_: str, /, **fields: object) -> str:
        self._seq += 1
        return compact({"type": type_, "seq": self._seq, **fields})


class _FieldFault(ValueError):
    """A field is not what it must be; the text names it."""


def _start(event: StreamStarted) -> dict[str, object]:
    return {
        "call_id": event.call_id,
        "stream_id": event.stream_id,
        "from": event.from_,
        "to": event.to,
        "direction": event.stream_direction,
        "call_direction": event.call_direction,
        "tracks": list(event.tracks),
        "format": {"encoding": event.format.encoding, "sample_rate": event.format.sample_rate_hz},
        "metadata": dict(event.metadata),
        "consent": event.consent,
        "answered": event.answered,
        "reconnected": event.reconnected,
    }


def _mark(fields: Fields) -> BackendMessage:
    name = fields.get("name")
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_MARK_CHARACTERS:
        raise _FieldFault(f"name must be text of 1 to {MAX_MARK_CHARACTERS} characters")
    return Mark(name)


def _keys(fields: Fields) -> BackendMessage:
    digits = fields.get("digits")
    if not isinstance(digits, str) or _DIGITS.fullmatch(digits) is None:
        raise _FieldFault("digits must be 1 to 64 of 0-9 A-D * # , w")
    return SendKeys(digits)


def _transfer(fields: Fields) -> BackendMessage:
    to, mode = fields.get("to"), fields.get("mode", "blind")
    if not isinstance(to, str) or not 1 <= len(to) <= _MAX_ADDRESS_CHARACTERS:
        raise _FieldFault(f"to must be text of 1 to {_MAX_ADDRESS_CHARACTERS} characters")
    match mode:
        case "blind" | "attended":
            return Transfer(to, mode)
        case _:
            raise _FieldFault("mode must be blind or attended")


def _mute(fields: Fields) -> BackendMessage:
    muted = fields.get("muted")
    if not isinstance(muted, bool):
        raise _FieldFault("muted must be true or false")
    return Mute(muted)


def _record(fields: Fields) -> BackendMessage:
    match fields.get("state"):
        case "start" | "pause" | "resume" | "stop" as state:
            return Record(state)
        case _:
            raise _FieldFault("state must be start, pause, resume or stop")


def _reject(fields: Fields) -> BackendMessage:
    code = fields.get("code", 603)
    if not isinstance(code, int) or isinstance(code, bool) or not 400 <= code <= 699:
        raise _FieldFault("code must be 400 to 699")
    return Reject(code)


_PARSERS: dict[str, Callable[[Fields], BackendMessage]] = {
    "mark": _mark,
    "clear": lambda _: Clear(),
    "pause": lambda _: Pause(),
    "resume": lambda _: Resume(),
    "dtmf": _keys,
    "hangup": lambda _: HangUp(),
    "transfer": _transfer,
    "mute": _mute,
    "record": _record,
    "answer": lambda _: Answer(),
    "reject": _reject,
}
