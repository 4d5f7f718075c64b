# SPDX-License-Identifier: GPL-3.0-or-later
"""Log lines: structured, with the call's id, written by a thread of their own.

    structlog event (+ context: call_id) > filter > stamp > redact > render > queue > thread > standard error
    logging record of a library          > the same processors ------------^

On a terminal a status may stand below the lines: what is being worked on.

Nobody puts speech, digits or numbers into a log; `redact` is the net below that rule, for texts that others wrote
(PJSIP, exceptions). A standard error that takes no lines must not stop a call: the queue drops new ones, and counts.
"""

import atexit
import contextlib
import logging
import queue
import re
import sys
import threading
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from gateway.telemetry.metrics import Metrics

_QUEUE_LINES = 10_000
_ERASE = "\r\x1b[K"
"""The line that the cursor is in, on a terminal (ECMA-48, EL)."""

_ADDRESS = re.compile(r"\b(?:(sips?:)[^@\s<>]+(?=@)|(tel:)[^\s<>;]+)", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.:-])\+?\d(?:[ ()-]{0,2}\d){6,}(?![\w.:])")
_NOT_REDACTED = frozenset({"timestamp", "level", "logger", "call_id"})


class LogWriter:
    """Takes finished lines from any thread and never waits. Full (10,000 lines): the newest line is dropped."""

    def __init__(self, stream: TextIO, metrics: Metrics | None = None) -> None:
        self._stream = stream
        self._metrics = metrics
        self.has_status = stream.isatty()
        """A status is seen."""
        self._status = ""
        self._shown = ""
        self._lines: queue.Queue[str | None] = queue.Queue(_QUEUE_LINES)
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def write_line(self, line: str) -> None:
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            if self._metrics is not None:
                self._metrics.log_dropped_lines.inc()

    def show_status(self, status: str) -> None:
        """Keep this one line below all others, in place of what stood there; empty: nothing. For terminals."""
        if self.has_status and status != self._status:
            self._status = status
            self.write_line("")

    def close(self) -> None:
        """Write what is queued, for a second at most, and end the thread."""
        try:
            self._lines.put(None, timeout=1.0)
        except queue.Full:
            return
        self._thread.join(timeout=1.0)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                if self._shown:
                    self._stream.write(_ERASE)
                    self._shown = ""
                if line:
                    self._stream.write(line + "\n")
                if self._lines.empty():
                    self._shown = self._status
                    self._stream.write(self._shown)
                    self._stream.flush()
            except (OSError, ValueError):  # a closed pipe or stream: nobody listens, and that is no reason to stop
                continue
        if self._shown:
            with contextlib.suppress(OSError, ValueError):
                self._stream.write(_ERASE)
                self._stream.flush()


class _QueueLogger:
    """What structlog calls with the rendered line."""

    def __init__(self, writer: LogWriter, name: str) -> None:
        self.name = name
        self.debug = self.info = self.warning = self.error = self.critical = writer.write_line


class _QueueHandler(logging.Handler):
    """The same way out for records of the standard library's logging."""

    def __init__(self, writer: LogWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._writer.write_line(self.format(record))
        except Exception:  # as logging.Handler demands: a faulty log call of a library must not reach its caller
            self.handleError(record)


def configure_logging(
    level: str = "info",
    line_format: str = "auto",
    *,
    stream: TextIO | None = None,
    metrics: Metrics | None = None,
) -> LogWriter:
    """Send structlog and logging to the stream (standard error) from now on; once, before the first line is logged.

    `line_format` is json, console or auto (console for terminals). Libraries are heard from warnings on.
    """
    stream = sys.stderr if stream is None else stream
    writer = LogWriter(stream, metrics)
    atexit.register(writer.close)
    threshold = logging.getLevelNamesMapping()[level.upper()]
    is_console = line_format == "console" or (line_format == "auto" and stream.isatty())
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)
        if is_console
        else structlog.processors.JSONRenderer()
    )
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[_add_logger_name, *shared, redact, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *names: _QueueLogger(writer, str(names[0]) if names else "parley"),
        cache_logger_on_first_use=True,
    )
    handler = _QueueHandler(writer)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(threshold, logging.WARNING))
    logging.captureWarnings(True)
    return writer


def redact(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """A structlog processor: takes user parts of SIP addresses and long numbers out of texts."""
    for key, value in event.items():
        if isinstance(value, str) and key not in _NOT_REDACTED:
            event[key] = _NUMBER.sub("[number]", _ADDRESS.sub(r"\1\2[user]", value))
    return event


def _add_logger_name(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    event["logger"] = logger.name
    return event
