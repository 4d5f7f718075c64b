# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the database takes what it is given: told once when it stops, and once when it does again."""

from collections.abc import Callable

import structlog

from gateway.store.database import Database
from gateway.telemetry import Metrics

log = structlog.get_logger(__name__)


class Health:
    """One for the store."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database = database
        self._metrics = metrics
        self._told: list[Callable[[bool], None]] = []
        metrics.store_up.set(1)

    @property
    def is_up(self) -> bool:
        return self._database.is_up

    def follow(self, told: Callable[[bool], None]) -> None:
        """Tell this one when the database is lost (False) and back (True); it must not raise."""
        self._told.append(told)

    def lost(self, cause: str) -> None:
        """It has refused everything, or not answered."""
        if self.is_up:
            log.error("store_lost", cause=cause, effect="calls go on; records are kept until it is back")
            self._change(False)
            self._database.cut()

    def back(self) -> None:
        """It has done what it was asked."""
        if not self.is_up:
            log.info("store_back")
            self._change(True)

    def _change(self, is_up: bool) -> None:
        self._database.is_up = is_up
        self._metrics.store_up.set(is_up)
        for told in self._told:
            told(is_up)
