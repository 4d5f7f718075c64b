# SPDX-License-Identifier: GPL-3.0-or-later
"""Teler's media streaming, message by message: as documented, and as the official bridges send it."""

import base64
import json
from dataclasses import replace

import pytest

from gateway.streams.messages import (
    Audio,
    BackendMessage,
    Clear,
    ClearChunk,
    KeyPressed,
    Malformed,
    MarkReached,
    StreamFormat,
    StreamStarted,
    StreamStopped,
)
from gateway.streams.teler import TelerProtocol

STARTED = StreamStarted(
    call_id="call_0123456789abcdef0123",
    stream_id="stream_1",
    from_="+15550100",
    to="+15550101",
    call_direction="inbound",
    stream_direction="bidirectional",
    tracks=("inbound",),
    format=StreamFormat("l16", 8000),
)
FRAME = bytes(range(160)) * 2
"""20 ms at 8 kHz."""


def received(message: object) -> list[BackendMessage]:
    return TelerProtocol().receive(message if isinstance(message, str | bytes) else json.dumps(message))


def test_the_start_names_account_app_call_and_format() -> None:
    assert TelerProtocol().tell(STARTED) == [
        '{"type":"start","account_id":"acc_parley","call_app_id":"va_parley","call_id":"call_0123456789abcdef0123",'
        '"stream_id":"stream_1","message_id":1,"data":{"encoding":"audio/l16","sample_rate":8000,"channels":1}}'
    ]


def test_frames_are_gathered_to_the_chunk_size_and_nothing_is_lost() -> None:
    protocol = TelerProtocol(chunk_ms=60)
    protocol.tell(STARTED)
    frames = [bytes([number]) * 320 for number in range(7)]
    sent = [protocol.audio(frame, 20 * number, "inbound") for number, frame in enumerate(frames)]
    assert [message is not None for message in sent] == [False, False, True, False, False, True, False]
    chunks = [json.loads(message) for message in (*sent, *protocol.tell(StreamStopped("over"))) if message]
    assert [chunk["message_id"] for chunk in chunks] == [2, 3, 4]
    assert {(chunk["type"], chunk["stream_id"]) for chunk in chunks} == {("audio", "stream_1")}
    assert b"".join(base64.b64decode(chunk["data"]["audio_b64"]) for chunk in chunks) == b"".join(frames)


def test_a_chunk_of_16_khz_has_twice_the_bytes() -> None:
    protocol = TelerProtocol(chunk_ms=20)
    protocol.tell(replace(STARTED, format=StreamFormat("l16", 16000)))
    assert protocol.audio(FRAME, 0, "inbound") is None
    assert protocol.audio(FRAME, 10, "inbound") is not None


def test_odd_frames_are_cut_to_whole_chunks() -> None:
    protocol = TelerProtocol(chunk_ms=20)
    protocol.tell(STARTED)
    sent = [protocol.audio(bytes(size), 0, "inbound") for size in (500, 100, 1000)]
    sizes = [message and len(base64.b64decode(json.loads(message)["data"]["audio_b64"])) for message in sent]
    assert sizes == [320, None, 1280]


def test_our_own_voice_has_no_word() -> None:
    protocol = TelerProtocol(chunk_ms=20)
    protocol.tell(STARTED)
    assert protocol.audio(FRAME, 0, "outbound") is None
    assert protocol.tell(KeyPressed("5", 100)) == []
    assert protocol.tell(MarkReached("a", True)) == []
    assert protocol.tell(StreamStopped("over")) == []


def test_audio_is_taken_in_both_shapes() -> None:
    assert received('{"type":"audio","data":{"audio_b64":"AAECAw==","chunk_id":7}}') == [Audio(b"\0\1\2\3", "7")]
    assert received('{"type":"audio","audio_b64":"AAECAw==","chunk_id":7}') == [Audio(b"\0\1\2\3", "7")]
    assert received('{"type":"audio","audio_b64":"AAECAw==","chunk_id":"c-7"}') == [Audio(b"\0\1\2\3", "c-7")]
    assert received('{"type":"audio","data":{"audio_b64":"AAECAw=="}}') == [Audio(b"\0\1\2\3")]


def test_several_base64_texts_in_one_value_are_all_played() -> None:
    pieces = [b"\0\1", b"\2\3\4", b"\5\6\7\x08", b"\x09"]
    joined = "".join(base64.b64encode(piece).decode() for piece in pieces)
    assert received({"type": "audio", "audio_b64": joined}) == [Audio(b"".join(pieces))]
    assert received({"type": "audio", "audio_b64": joined.rstrip("=")}) == [Audio(b"".join(pieces))]


def test_one_chunk_is_interrupted_or_all_is_cleared() -> None:
    assert received('{"type":"interrupt","chunk_id":7}') == [ClearChunk("7")]
    assert received('{"type":"interrupt","data":{"chunk_id":"c-7"}}') == [ClearChunk("c-7")]
    assert received('{"type":"clear"}') == [Clear()]


def test_unknown_types_are_ignored() -> None:
    assert received({"type": "applause"}) == []
    assert received({"event": "clear"}) == []


@pytest.mark.parametrize(
    "message",
    [
        b"\x00",
        "",
        "[]",
        {"type": "audio"},
        {"type": "audio", "data": "AAEC"},
        {"type": "audio", "audio_b64": None},
        {"type": "audio", "audio_b64": "A"},
        {"type": "interrupt"},
        {"type": "interrupt", "chunk_id": [1]},
    ],
)
def test_what_is_no_message_is_counted_and_does_no_harm(message: object) -> None:
    (fault,) = received(message)
    assert isinstance(fault, Malformed)
