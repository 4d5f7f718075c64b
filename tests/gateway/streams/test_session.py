# SPDX-License-Identifier: GPL-3.0-or-later
"""A stream over several connections, without a network: what its backend hears, and what becomes of what it says."""

import json
from typing import Any

import numpy as np

from gateway.streams.comfort import noise
from gateway.streams.messages import SendKeys, StreamFormat, StreamStarted, WireMessage
from gateway.streams.outbox import MAX_AUDIO_MESSAGES
from gateway.streams.parley import ParleyProtocol
from gateway.streams.session import MAX_FAULTS, CallRequest, StreamSession
from media.frames import PcmFrame
from media.level import dbov
from tests.fakes.line import FRAME_S, FakeLine

_NOW = 50.0


class Wire:
    """A connection that keeps what was written."""

    def __init__(self) -> None:
        self.written: list[WireMessage] = []

    def write(self, message: WireMessage) -> None:
        self.written.append(message)

    def close(self, code: int = 1000, reason: str = "") -> None: ...

    def abort(self) -> None: ...

    @property
    def told(self) -> list[dict[str, Any]]:
        return [json.loads(one) for one in self.written if isinstance(one, str)]

    @property
    def audio(self) -> list[bytes]:
        return [one for one in self.written if isinstance(one, bytes)]


def _session(asked: list[CallRequest] | None = None) -> StreamSession:
    started = StreamStarted("call", "stream", "a", "b", "inbound", "bidirectional", ("inbound",), StreamFormat())
    kept: list[CallRequest] = [] if asked is None else asked
    return StreamSession(started, ParleyProtocol, kept.append, noise(), raw_audio=True)


def _frame(value: int, position: int = 0) -> PcmFrame:
    return PcmFrame(value.to_bytes(2, "little") * 160, 8000, position, _NOW)


def test_every_connection_begins_with_a_start_and_the_second_says_so() -> None:
    session, first, second = _session(), Wire(), Wire()
    session.connected(first, _NOW)
    session.disconnected(_NOW)
    session.connected(second, _NOW)
    assert [(one["type"], one["seq"], one["reconnected"]) for one in first.told] == [("start", 1, False)]
    assert [(one["type"], one["seq"], one["reconnected"]) for one in second.told] == [("start", 1, True)]


def test_a_lost_backend_is_replaced_by_noise_of_the_stated_level_until_it_is_back() -> None:
    session, line = _session(), FakeLine()
    session.connected(Wire(), _NOW)
    session.speak_on(line, _NOW)
    line.tick(_NOW)
    line.sent.clear()
    session.disconnected(_NOW)
    now = _NOW
    for _ in range(100):
        line.tick(now)
        now += FRAME_S
        if session.next_timeout is not None and session.next_timeout <= now:
            session.handle_timeout(now)
    heard = np.frombuffer(bytes(line.sent), "<i2")
    assert len(heard) == 100 * 160
    assert abs(dbov(heard) + 45) < 1
    session.connected(Wire(), now)
    assert line.queued_ms == 0


def test_a_slow_reader_loses_the_oldest_audio_no_control_and_is_told() -> None:
    session, wire = _session(), Wire()
    session.connected(wire, _NOW)
    session.congested(True, _NOW)
    for index in range(MAX_AUDIO_MESSAGES + 30):
        session.receive_frames([_frame(index)], "inbound")
    session.key_pressed("5", secret=False)
    assert len(wire.written) == 1
    session.congested(False, _NOW)
    assert wire.audio == [_frame(index).pcm for index in range(30, MAX_AUDIO_MESSAGES + 30)]
    assert [one["type"] for one in wire.told] == ["start", "dtmf", "error"]
    assert "30 messages" in wire.told[-1]["detail"]


def test_secret_keys_are_not_told() -> None:
    session, wire = _session(), Wire()
    session.connected(wire, _NOW)
    session.key_pressed("7", secret=True)
    assert wire.told[-1]["digit"] == "*"


def test_requests_reach_the_call_and_nonsense_is_answered_until_it_is_too_much() -> None:
    asked: list[CallRequest] = []
    session, wire = _session(asked), Wire()
    session.connected(wire, _NOW)
    session.receive('{"type":"dtmf","digits":"12#"}', _NOW)
    assert asked == [SendKeys("12#")]
    for nonsense in ("", "[]", "{", '{"type":"sing"}', '{"type":"mark"}', '{"type":"reject","code":200}', "[" * 5000):
        assert session.receive(nonsense, _NOW)
    assert [one["type"] for one in wire.told] == ["start", *["error"] * 7]
    assert not session.is_abusive
    for _ in range(MAX_FAULTS):
        session.receive("{", _NOW)
    assert session.is_abusive


def test_audio_before_the_call_is_answered_is_refused() -> None:
    session, wire = _session(), Wire()
    session.connected(wire, _NOW)
    session.receive(bytes(320), _NOW)
    assert wire.told[-1]["title"] == "not now"
