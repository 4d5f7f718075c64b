# SPDX-License-Identifier: GPL-3.0-or-later
"""Twilio's Media Streams, message by message, as its documentation shows them."""

import json
from dataclasses import replace

import pytest

from gateway.sip.sip_thread import new_handle
from gateway.streams.messages import (
    Audio,
    BackendFault,
    BackendMessage,
    Clear,
    FlowControl,
    KeyPressed,
    Malformed,
    Mark,
    MarkReached,
    PlayoutCleared,
    SpeechChanged,
    StreamStarted,
    StreamStopped,
    Track,
    WireMessage,
)
from gateway.streams.twilio import TWILIO_FORMAT, TwilioProtocol, call_id, call_sid, stream_sid, twilio_signature

CALL_ID = "call_0123456789abcdef0123"
CALL_SID = "CA7061726c65790123456789abcdef0123"
STARTED = StreamStarted(
    call_id=CALL_ID,
    stream_id="stream_1",
    from_="+15550100",
    to="+15550101",
    call_direction="inbound",
    stream_direction="bidirectional",
    tracks=("inbound",),
    format=TWILIO_FORMAT,
    metadata={"tenant": "7"},
)
STREAM_SID = stream_sid("stream_1")


def started(**changes: object) -> TwilioProtocol:
    protocol = TwilioProtocol()
    protocol.tell(replace(STARTED, **changes))  # type: ignore[arg-type]
    return protocol


def of(message: WireMessage) -> dict[str, object]:
    parsed: dict[str, object] = json.loads(message)
    return parsed


def received(message: object) -> list[BackendMessage]:
    return started().receive(message if isinstance(message, str | bytes) else json.dumps(message))


def test_a_stream_begins_with_connected_and_start_together() -> None:
    connected, start = TwilioProtocol("AC" + "5" * 32).tell(STARTED)
    assert of(connected) == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    assert of(start) == {
        "event": "start",
        "sequenceNumber": "1",
        "start": {
            "accountSid": "AC" + "5" * 32,
            "streamSid": STREAM_SID,
            "callSid": CALL_SID,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"tenant": "7", "from_number": "+15550100", "to_number": "+15550101"},
        },
        "streamSid": STREAM_SID,
    }


def test_metadata_cannot_pass_for_the_callers_number() -> None:
    _, start = TwilioProtocol().tell(replace(STARTED, metadata={"from_number": "+15550199"}))
    assert of(start)["start"]["customParameters"]["from_number"] == "+15550100"  # type: ignore[index]


def test_every_counter_is_a_string_and_the_sequence_runs_through_all_events() -> None:
    protocol = started()
    assert protocol.audio(b"\xff\x7f", 0, "inbound") == (
        '{"event":"media","sequenceNumber":"2","media":{"track":"inbound","chunk":"1","timestamp":"0",'
        f'"payload":"/38="}},"streamSid":"{STREAM_SID}"}}'
    )
    assert protocol.tell(KeyPressed("5", 100)) == [
        '{"event":"dtmf","sequenceNumber":"3","dtmf":{"track":"inbound_track","digit":"5"},'
        f'"streamSid":"{STREAM_SID}"}}'
    ]
    assert of(protocol.audio(b"\xff", 20, "inbound")) == {
        "event": "media",
        "sequenceNumber": "4",
        "media": {"track": "inbound", "chunk": "2", "timestamp": "20", "payload": "/w=="},
        "streamSid": STREAM_SID,
    }


def test_each_track_counts_its_own_chunks() -> None:
    protocol = started(stream_direction="inbound", tracks=("inbound", "outbound"))
    tracks: tuple[Track, ...] = ("inbound", "outbound", "outbound")
    media = [of(protocol.audio(b"\xff", 0, track))["media"] for track in tracks]
    assert [(one["track"], one["chunk"]) for one in media] == [  # type: ignore[index]
        ("inbound", "1"),
        ("outbound", "1"),
        ("outbound", "2"),
    ]


def test_a_stream_of_the_callers_audio_alone_hears_of_no_keys() -> None:
    assert started(stream_direction="inbound").tell(KeyPressed("5", 100)) == []


@pytest.mark.parametrize("played", [True, False])
def test_a_mark_is_echoed_when_it_was_played_and_when_it_was_cleared(*, played: bool) -> None:
    assert started().tell(MarkReached("greeting", played)) == [
        f'{{"event":"mark","sequenceNumber":"2","mark":{{"name":"greeting"}},"streamSid":"{STREAM_SID}"}}'
    ]


def test_the_stop_names_account_and_call() -> None:
    assert started().tell(StreamStopped("caller_hung_up")) == [
        '{"event":"stop","sequenceNumber":"2","stop":{"accountSid":"AC7061726c657900000000000000000000",'
        f'"callSid":"{CALL_SID}"}},"streamSid":"{STREAM_SID}"}}'
    ]


@pytest.mark.parametrize(
    "event",
    [PlayoutCleared(100, 200, ("a",)), FlowControl(True, 9000), SpeechChanged(True, 40), BackendFault("no", "why")],
)
def test_what_the_protocol_has_no_word_for_is_not_told(event: PlayoutCleared | FlowControl) -> None:
    assert started().tell(event) == []


def test_the_backends_three_messages() -> None:
    assert received('{"event":"media","streamSid":"MZ1","media":{"payload":"f39/fw=="}}') == [
        Audio(b"\x7f\x7f\x7f\x7f")
    ]
    assert received('{"event":"mark","streamSid":"MZ1","mark":{"name":"my label"}}') == [Mark("my label")]
    assert received('{"event":"clear","streamSid":"MZ1"}') == [Clear()]


def test_neither_the_stream_sid_nor_the_padding_is_insisted_on() -> None:
    assert received({"event": "media", "media": {"payload": "f39/fw"}}) == [Audio(b"\x7f\x7f\x7f\x7f")]
    assert received({"event": "clear", "streamSid": "MZ" + "0" * 32}) == [Clear()]


def test_unknown_events_are_ignored() -> None:
    assert received({"event": "applause"}) == []
    assert received({"event": "stop", "streamSid": STREAM_SID}) == []
    assert received({"type": "media"}) == []


@pytest.mark.parametrize(
    "message",
    [
        b"\x00\x01",
        "",
        "{",
        "[]",
        "null",
        '"media"',
        "[" * 100_000,
        "9" * 5_000,
        {"event": "media"},
        {"event": "media", "media": None},
        {"event": "media", "media": {"payload": 5}},
        {"event": "media", "media": {"payload": "A"}},
        {"event": "media", "media": {"payload": "\u00e9\u00e9"}},
        {"event": "mark"},
        {"event": "mark", "mark": {"name": ""}},
        {"event": "mark", "mark": {"name": ["a"]}},
        {"event": "mark", "mark": "a"},
    ],
)
def test_what_is_no_message_is_counted_and_does_no_harm(message: object) -> None:
    (fault,) = received(message)
    assert isinstance(fault, Malformed)


def test_a_call_sid_leads_back_to_its_call() -> None:
    assert call_sid(CALL_ID) == CALL_SID
    assert call_id(CALL_SID) == CALL_ID
    handle = new_handle()
    assert len(call_sid(handle)) == 34
    assert call_id(call_sid(handle)) == handle


@pytest.mark.parametrize("sid", ["", "CA" + "0" * 32, CALL_SID + "0", CALL_SID.upper(), "call_0123456789abcdef0123"])
def test_a_sid_that_is_not_ours_leads_nowhere(sid: str) -> None:
    assert call_id(sid) is None


def test_ids_have_twilios_shape() -> None:
    assert STREAM_SID[:2] == "MZ"
    assert len(STREAM_SID) == 34
    assert stream_sid("stream_2") != STREAM_SID


def test_the_signature_is_the_one_that_twilios_own_library_computes() -> None:
    # twilio 9.13.0: RequestValidator("12345").compute_signature(URL, {})
    url = "wss://bots.example.com:8443/twilio?tenant=7"
    assert twilio_signature("12345", url) == "rdgSAAduakN/1CRPRIZgsQpPZIU="
