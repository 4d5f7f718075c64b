# SPDX-License-Identifier: GPL-3.0-or-later
"""Log lines are structured, bear the call's id, tell no numbers, and never hold anybody up."""

import io
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from gateway.telemetry import Metrics, configure_logging
from gateway.telemetry.logs import LogWriter, redact


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level
    logging.captureWarnings(False)
    structlog.reset_defaults()


def lines_of(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def redacted(text: str) -> object:
    return redact(None, "info", {"detail": text})["detail"]


def test_a_line_is_json_with_the_call_id_of_its_context() -> None:
    stream = io.StringIO()
    writer = configure_logging("info", "json", stream=stream)
    with structlog.contextvars.bound_contextvars(call_id="call_1"):
        structlog.get_logger("gateway.calls").info("turn_done", response_ms=412)
    writer.close()
    (line,) = lines_of(stream)
    del line["timestamp"]
    assert line == {
        "event": "turn_done",
        "response_ms": 412,
        "call_id": "call_1",
        "level": "info",
        "logger": "gateway.calls",
    }


def test_lines_below_the_level_are_left_out_and_libraries_are_heard_from_warnings_on() -> None:
    stream = io.StringIO()
    writer = configure_logging("info", "json", stream=stream)
    structlog.get_logger("ours").debug("no")
    logging.getLogger("uvicorn.error").info("no")
    logging.getLogger("uvicorn.error").warning("slow %s", "client")
    writer.close()
    assert [(line["logger"], line["event"]) for line in lines_of(stream)] == [("uvicorn.error", "slow client")]


def test_an_exception_is_one_line_with_its_traceback_and_without_numbers() -> None:
    stream = io.StringIO()
    writer = configure_logging("info", "json", stream=stream)
    try:
        raise ValueError("bad address sip:+15550100@192.0.2.1")
    except ValueError:
        structlog.get_logger("x").exception("call_fault")
    writer.close()
    (line,) = lines_of(stream)
    assert "ValueError: bad address sip:[user]@192.0.2.1" in line["exception"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("INVITE sip:+15550100@192.0.2.1:5060;user=phone", "INVITE sip:[user]@192.0.2.1:5060;user=phone"),
        ("<sips:ann@example.com>", "<sips:[user]@example.com>"),
        ("tel:+1-555-0100;x=1", "tel:[user];x=1"),
        ("calling +1 (555) 010-0199 now", "calling [number] now"),
        ("sip:192.0.2.1:5060 at 192.168.100.200:12345", "sip:192.0.2.1:5060 at 192.168.100.200:12345"),
        ("2026-11-22T10:00:00Z call_12345678901 port 5060", "2026-11-22T10:00:00Z call_12345678901 port 5060"),
    ],
)
def test_user_parts_and_long_numbers_are_taken_out_of_texts(text: str, expected: str) -> None:
    assert redacted(text) == expected


def test_call_ids_are_not_redacted() -> None:
    event = {"call_id": "5550100123", "port": 5060}
    assert redact(None, "info", dict(event)) == event


class _StuckStream(io.StringIO):
    """A terminal that has stopped taking text."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    def write(self, text: str) -> int:
        self.go_on.wait()
        return super().write(text)


def test_a_stuck_standard_error_drops_lines_and_counts_them_instead_of_waiting() -> None:
    stream, metrics = _StuckStream(), Metrics()
    writer = LogWriter(stream, metrics)
    for number in range(10_050):
        writer.write_line(str(number))
    dropped = metrics.registry.get_sample_value("parley_log_dropped_lines_total")
    stream.go_on.set()
    writer.close()
    assert dropped is not None
    assert 49 <= dropped <= 50, "10,000 fit into the queue, one may be in the writer's hands"
    assert stream.getvalue().splitlines()[:3] == ["0", "1", "2"]


def test_a_closed_standard_error_does_not_end_the_writer() -> None:
    stream = io.StringIO()
    writer = LogWriter(stream)
    stream.close()
    writer.write_line("into the void")
    writer.close()
