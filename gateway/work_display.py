# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows work to whoever looks at our standard error: one line that changes on a terminal, log lines elsewhere.

Work that is over within a moment is not worth a line: only what takes longer is logged, now and then and at its end.
"""

import shutil
import time
from collections.abc import Callable, Mapping

import structlog

from agent.progress_line import progress_line
from gateway.telemetry.logs import LogWriter
from gateway.work import Work, WorkBoard, WorkKind

log = structlog.get_logger(__name__)

_LINE_EVERY_S = 10.0
_MOMENT_S = 2.0
_TITLES: Mapping[WorkKind, str] = {
    "knowledge": "indexing the knowledge of",
    "campaign_list": "reading a list into",
    "engines": "loading the models:",
}
"""What somebody waits for. Phrases are rendered behind everything else."""


class WorkDisplay:
    """Follows a board."""

    def __init__(self, board: WorkBoard, writer: LogWriter, clock: Callable[[], float] = time.monotonic) -> None:
        self._board = board
        self._writer = writer
        self._clock = clock
        self._said_at: dict[str, float] = {}

    def receive(self, work: Work) -> None:
        """It has begun, gone on or ended."""
        if work.facts.kind not in _TITLES:
            return
        if self._writer.has_status:
            self._writer.show_status(self._status())
        facts, now = work.facts, self._clock()
        if facts.state != "running":
            is_long = self._said_at.pop(facts.id, None) is not None or work.took_s >= _MOMENT_S
            if facts.state == "done" and is_long:
                log.info("work_done", kind=facts.kind, name=facts.name, seconds=round(work.took_s, 1))
            elif facts.state == "failed":
                log.warning("work_failed", kind=facts.kind, name=facts.name, cause=facts.detail)
        elif not self._writer.has_status and self._is_due(work, now):
            self._said_at[facts.id] = now
            log.info("work", kind=facts.kind, name=facts.name, done=facts.done, total=facts.total, unit=facts.unit)

    def _is_due(self, work: Work, now: float) -> bool:
        said_at = self._said_at.get(work.facts.id)
        return work.took_s >= _MOMENT_S if said_at is None else now - said_at >= _LINE_EVERY_S

    def _status(self) -> str:
        """The newest work that is under way."""
        running = [work for work in self._board.running if work.facts.kind in _TITLES]
        if not running:
            return ""
        facts = running[-1].facts
        name = "".join(one if one.isprintable() else "?" for one in facts.name)
        title = f"{_TITLES[facts.kind]} {name}"
        columns = shutil.get_terminal_size().columns
        return progress_line(title, facts.done, facts.total, facts.unit)[: columns - 1]
