# SPDX-License-Identifier: GPL-3.0-or-later
"""AudioSocket's frames, byte by byte."""

from dataclasses import replace

import pytest

from gateway.streams.audiosocket import AudioSocketProtocol, call_uuid
from gateway.streams.messages import (
    Audio,
    BackendMessage,
    HangUp,
    KeyPressed,
    Malformed,
    MarkReached,
    StreamFormat,
    StreamStarted,
    StreamStopped,
)

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


def started(sample_rate_hz: int = 8000) -> AudioSocketProtocol:
    protocol = AudioSocketProtocol()
    protocol.tell(replace(STARTED, format=StreamFormat("l16", sample_rate_hz)))
    return protocol


def test_the_first_frame_is_the_calls_uuid() -> None:
    assert AudioSocketProtocol().tell(STARTED) == [b"\x01\x00\x10parley\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23"]
    assert str(call_uuid(STARTED.call_id)) == "7061726c-6579-0123-4567-89abcdef0123"


@pytest.mark.parametrize(("sample_rate_hz", "kind"), [(8000, 0x10), (16000, 0x12), (24000, 0x13), (48000, 0x16)])
def test_the_kind_of_an_audio_frame_says_its_rate(sample_rate_hz: int, kind: int) -> None:
    protocol = started(sample_rate_hz)
    assert protocol.audio(b"\1\2\3\4", 0, "inbound") == bytes([kind]) + b"\x00\x04\1\2\3\4"
    assert protocol.receive(bytes([kind]) + b"\x00\x02\1\2") == [Audio(b"\1\2")]


def test_the_length_is_in_network_order() -> None:
    assert started().audio(bytes(320), 0, "inbound") == b"\x10\x01\x40" + bytes(320)


def test_keys_and_the_end_have_a_frame_and_nothing_else_has() -> None:
    protocol = started()
    assert protocol.tell(KeyPressed("#", 100)) == [b"\x03\x00\x01#"]
    assert protocol.tell(StreamStopped("caller_hung_up")) == [b"\x00\x00\x00"]
    assert protocol.tell(MarkReached("a", True)) == []
    assert protocol.audio(b"\1\2", 0, "outbound") is None


STREAM = b"\x10\x00\x04\1\2\3\4" + b"\x10\x00\x00" + b"\x42\x00\x02??" + b"\x10\x01\x00" + bytes(256) + b"\x00\x00\x00"
SAID: list[BackendMessage] = [Audio(b"\1\2\3\4"), Audio(bytes(256)), HangUp()]
"""Nothing is said by an empty frame, nor by a kind nobody knows."""


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 64, len(STREAM)])
def test_it_does_not_matter_where_tcp_cuts_the_stream(step: int) -> None:
    protocol = started()
    received: list[BackendMessage] = []
    for begin in range(0, len(STREAM), step):
        received += protocol.receive(STREAM[begin : begin + step])
    assert received == SAID


@pytest.mark.parametrize("cut", range(len(STREAM)))
def test_every_cut_in_two_gives_the_same(cut: int) -> None:
    protocol = started()
    assert protocol.receive(STREAM[:cut]) + protocol.receive(STREAM[cut:]) == SAID


@pytest.mark.parametrize("message", ["text", b"\xff\x00\x01\x02", b"\xff\x00\x00", b"\x12\x00\x02\1\2"])
def test_text_an_error_and_a_foreign_rate_are_counted(message: str | bytes) -> None:
    (fault,) = started().receive(message)
    assert isinstance(fault, Malformed)
