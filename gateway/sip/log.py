# SPDX-License-Identifier: GPL-3.0-or-later
"""PJSIP's own log lines in ours, with a lid: a flood of malformed messages must not become a flood of lines."""

import time

import pjsua2 as pj
import structlog

_LINES_PER_SECOND = 20
_NO_FAULT = "DTLS-SRTP negotiation for RT"
"""... or RTCP is complete: PJSIP says so as loudly as what goes wrong."""


class PjsipLog(pj.LogWriter):  # type: ignore[misc]
    """Called on the endpoint's thread only (`mainThreadOnly`), so it may run Python."""

    def __init__(self) -> None:
        super().__init__()
        self._log = structlog.get_logger("pjsip")
        self._second = 0
        self._lines = 0

    def write(self, entry: pj.LogEntry) -> None:
        second = int(time.monotonic())
        if second != self._second:
            if self._lines > _LINES_PER_SECOND:
                self._log.warning("pjsip_lines_left_out", count=self._lines - _LINES_PER_SECOND)
            self._second, self._lines = second, 0
        self._lines += 1
        if self._lines > _LINES_PER_SECOND:
            return
        level = self._log.error if entry.level == 1 else self._log.warning
        if entry.msg.startswith(_NO_FAULT):
            level = self._log.info
        # The first line only: with malformed messages PJSIP quotes the whole message below it.
        level("pjsip", detail=entry.msg.strip().partition("\n")[0])
