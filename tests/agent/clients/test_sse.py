# SPDX-License-Identifier: GPL-3.0-or-later
"""Server-sent events, however they are cut."""

import pytest

from agent.clients.sse import EventStream

BODY = (
    ': welcome\r\n\r\ndata: {"a": "é😀"}\r\n\r\n'
    "event: x\ndata: one\ndata:two\nid: 7\n\n\n\ndata\n\nretry: 5\rdata: last\r\r"
)
EVENTS = ['{"a": "é😀"}', "one\ntwo", "", "last"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_come_out_whole_however_the_bytes_are_cut(size: int) -> None:
    stream, data = EventStream(), BODY.encode()
    events = [
        event for begin in range(0, len(data), size) for event in stream.receive_bytes(data[begin : begin + size])
    ]
    assert events == EVENTS


def test_an_event_without_its_blank_line_is_not_there_yet() -> None:
    stream = EventStream()
    assert stream.receive_bytes(b"data: half\n") == []
    assert stream.receive_bytes(b"\n") == ["half"]


def test_bytes_that_are_no_utf8_do_not_stop_the_stream() -> None:
    assert EventStream().receive_bytes(b"data: a\xffb\n\n") == ["a�b"]


def test_a_line_that_never_ends_is_not_kept() -> None:
    stream = EventStream()
    for _ in range(40):
        stream.receive_bytes(b"x" * 100_000)
    assert stream.receive_bytes(b"\n\ndata: well\n\n") == ["well"]
    assert len(stream._rest) < 1 << 21
