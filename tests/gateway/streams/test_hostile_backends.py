# SPDX-License-Identifier: GPL-3.0-or-later
"""Backends that try to use up our memory or time, through the engine. The random ones are in tests/fuzz."""

import base64
import gc
import json
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from gateway.streams.audiosocket import AudioSocketProtocol
from gateway.streams.comfort import noise
from gateway.streams.messages import Encoding, HangUp, ProtocolName, StreamFormat, StreamStarted, WireMessage
from gateway.streams.order import StreamOrder
from gateway.streams.protocols import protocol_kind
from gateway.streams.session import MAX_FAULTS, MESSAGE_RATE, StreamSession
from media.voice_codecs import OPUS_PACKET_SAMPLES, VoiceEncoder
from tests.fuzz.streams import MAX_KEPT_BYTES, FuzzLine, SlowConnection

LARGEST = 4 * 1024 * 1024


def session_of(protocol: ProtocolName, encoding: Encoding, rate_hz: int) -> tuple[StreamSession, FuzzLine]:
    format = StreamFormat(encoding, rate_hz)
    order = StreamOrder(protocol=protocol, format=format)
    started = StreamStarted("call_1", "str_1", "a", "b", "inbound", "bidirectional", ("inbound",), format)
    session = StreamSession(started, lambda: protocol_kind(protocol).make(order), lambda _: None, noise())
    line = FuzzLine()
    session.connected(SlowConnection(), 0.0)
    session.speak_on(line, 0.0)
    return session, line


def media(event: str, **fields: object) -> str:
    return json.dumps({"event": event, **fields})


def opus_packets_of_no_length() -> Iterator[WireMessage]:
    """A count of zero frames, which RFC 6716 section 3.2.5 calls invalid, behind four seconds that wait."""
    encoder = VoiceEncoder("opus")
    for _ in range(200):
        yield encoder.encode(np.zeros(OPUS_PACKET_SAMPLES, np.int16))
    for _ in range(200):
        yield b"\xfb\x00" + bytes(LARGEST // 8)


def opus_packets_too_large() -> Iterator[WireMessage]:
    encoder = VoiceEncoder("opus")
    for _ in range(200):
        yield encoder.encode(np.zeros(OPUS_PACKET_SAMPLES, np.int16))
    for _ in range(200):
        yield b"\xf8" + bytes(LARGEST // 8)


def marks_with_long_names() -> Iterator[WireMessage]:
    yield media("media", media={"payload": base64.b64encode(bytes(80_000)).decode()})
    for _ in range(300):
        yield media("mark", mark={"name": "m" * (LARGEST // 8)})


def large_payloads_of_which_little_fits() -> Iterator[WireMessage]:
    """Once the queue is full, a moment's room is made with every message."""
    for _ in range(250):
        yield bytes(LARGEST)


def chunks_of_one_sample_with_names_of_their_own() -> Iterator[WireMessage]:
    for number in range(100_000):
        yield json.dumps({"type": "audio", "audio_b64": "AAA=", "chunk_id": f"{number:0128d}"})


@pytest.mark.parametrize(
    ("protocol", "encoding", "rate_hz", "attack", "step_s"),
    [
        ("parley", "opus", 48000, opus_packets_of_no_length, 0.0),
        ("parley", "opus", 48000, opus_packets_too_large, 0.0),
        ("twilio", "pcmu", 8000, marks_with_long_names, 0.0),
        ("parley", "l16", 48000, large_payloads_of_which_little_fits, 0.25),
        ("teler", "l16", 8000, chunks_of_one_sample_with_names_of_their_own, 0.0),
    ],
)
def test_memory_stays_bounded_whatever_a_backend_sends(
    protocol: ProtocolName, encoding: Encoding, rate_hz: int, attack: object, step_s: float
) -> None:
    session, line = session_of(protocol, encoding, rate_hz)
    largest = 0
    gc.collect()
    tracemalloc.start(1)
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number, message in enumerate(attack()):  # type: ignore[operator]
            session.receive(message, line.now)
            del message
            line.advance(step_s, lambda event: session.receive_playout(event, line.now))
            while session.next_timeout is not None and session.next_timeout <= line.now:
                line.now += 1e-6
                session.handle_timeout(line.now)
            if number % 50 == 0:
                largest = max(largest, tracemalloc.get_traced_memory()[0] - before)
    finally:
        tracemalloc.stop()
    assert largest < MAX_KEPT_BYTES


def test_a_flood_of_messages_ends_the_connection_and_a_burst_of_audio_does_not() -> None:
    session, _ = session_of("parley", "pcmu", 8000)
    for _ in range(MESSAGE_RATE.burst):
        session.receive(bytes(160), 0.0)
    assert not session.is_abusive
    session.receive(bytes(160), 0.0)
    assert session.is_abusive
    session.connected(SlowConnection(), 1.0)
    assert not session.is_abusive


def test_messages_that_are_none_end_the_connection_when_they_are_too_many() -> None:
    session, _ = session_of("parley", "pcmu", 8000)
    for _ in range(MAX_FAULTS):
        session.receive("{", 0.0)
    assert not session.is_abusive
    session.receive("{", 0.0)
    assert session.is_abusive


def test_packets_of_opus_that_are_none_are_refused_with_a_reason() -> None:
    session, _ = session_of("parley", "opus", 48000)
    for packet in (b"\xfb\x00rest", b"\xf8" + bytes(2000), b"\xfb\x3f"):
        session.receive(packet, 0.0)
    assert session.counters.faults == 3


def test_a_backend_hangs_up_once_whatever_follows() -> None:
    format = StreamFormat("l16", 8000)
    started = StreamStarted("call_1", "str_1", "a", "b", "inbound", "bidirectional", ("inbound",), format)
    wire = AudioSocketProtocol()
    wire.tell(started)
    assert wire.receive(bytes(300_000)) == [HangUp()]
    assert wire.receive(bytes(300_000)) == []
