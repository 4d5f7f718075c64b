# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulated line plays in time, and tells what a gateway would tell."""

from gateway.conformance.line import Line
from gateway.streams.messages import (
    Answer,
    Audio,
    BackendFault,
    CallAnswered,
    Clear,
    FlowControl,
    HangUp,
    Malformed,
    Mark,
    MarkReached,
    Pause,
    PlayoutCleared,
    Reject,
    Resume,
    StreamFormat,
)

SECOND = Audio(bytes(16000))


def a_line(*, answered: bool = True) -> Line:
    return Line(StreamFormat("l16", 8000), 0.0, answered=answered, xoff_ms=1500, xon_ms=500)


def test_a_mark_is_reached_when_the_audio_before_it_has_been_heard() -> None:
    line = a_line()
    assert line.receive(SECOND, 0.0) == line.receive(Mark("end"), 0.0) == []
    assert line.handle_timeout(0.99) == []
    assert line.has_marks
    assert line.handle_timeout(1.0) == [MarkReached("end", played=True)]
    assert line.heard_ms == 1000


def test_a_mark_with_nothing_before_it_is_reached_at_once() -> None:
    assert a_line().receive(Mark("now"), 5.0) == [MarkReached("now", played=True)]


def test_clear_tells_what_was_heard_and_what_was_not() -> None:
    line = a_line()
    line.receive(SECOND, 0.0)
    line.receive(Mark("end"), 0.0)
    assert line.receive(Clear(), 0.25) == [MarkReached("end", played=False), PlayoutCleared(250, 750, ("end",))]
    assert line.handle_timeout(2.0) == []
    assert line.heard_ms == 250


def test_what_was_heard_counts_from_when_the_queue_was_last_empty() -> None:
    line = a_line()
    line.receive(SECOND, 0.0)
    line.receive(SECOND, 3.0)
    assert line.receive(Clear(), 3.5) == [PlayoutCleared(500, 500, ())]


def test_a_pause_stops_the_line_and_keeps_what_is_queued() -> None:
    line = a_line()
    line.receive(SECOND, 0.0)
    line.receive(Mark("end"), 0.0)
    line.receive(Pause(), 0.4)
    assert line.handle_timeout(9.0) == []
    assert line.receive(Resume(), 9.0) == []
    assert line.handle_timeout(9.61) == [MarkReached("end", played=True)]


def test_a_full_queue_says_xoff_once_and_xon_once_when_there_is_room() -> None:
    line = a_line()
    assert line.receive(SECOND, 0.0) == []
    assert line.receive(SECOND, 0.0) == [FlowControl(True, 2000)]
    assert line.receive(SECOND, 0.0) == []
    assert line.handle_timeout(2.4) == []
    assert line.handle_timeout(2.6) == [FlowControl(False, 400)]
    assert line.handle_timeout(4.0) == []


def test_a_ringing_call_is_answered_once_and_hears_nothing_before() -> None:
    line = a_line(answered=False)
    line.receive(SECOND, 0.0)
    assert line.receive(Answer(), 0.0) == [CallAnswered()]
    assert line.receive(Answer(), 0.0) == []
    assert (line.early_ms, line.received_ms) == (1000, 0)


def test_hanging_up_and_rejecting_end_the_call() -> None:
    for order, reason in ((HangUp(), "backend_hangup"), (Reject(486), "rejected")):
        line = a_line()
        line.receive(order, 0.0)
        assert (line.over, line.orders) == (reason, [order])


def test_what_is_not_understood_is_answered_with_an_error() -> None:
    assert a_line().receive(Malformed("no type"), 0.0) == [BackendFault("not understood", "no type")]
