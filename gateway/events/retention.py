# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the event log within its bounds of age and number."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from gateway.errors import StoreError
from gateway.events.log import EventLog
from gateway.telemetry import Metrics

log = structlog.get_logger(__name__)

_PERIOD_S = 60.0


class PrunedEvents(Protocol):
    """The log's rows in the database (`gateway.store.events.EventRows`)."""

    async def prune(self, before: datetime, keep: int) -> tuple[int, Mapping[str, int]]: ...


class EventRetention:
    """Removes what is too old, or too much."""

    def __init__(
        self, events: EventLog, rows: PrunedEvents, metrics: Metrics, *, keep_for: timedelta, keep_events: int
    ) -> None:
        self._events = events
        self._rows = rows
        self._metrics = metrics
        self._keep_for = keep_for
        self._keep_events = keep_events

    async def run(self) -> None:
        """Once a minute, until cancelled."""
        while True:
            await self.prune(datetime.now(UTC))
            await asyncio.sleep(_PERIOD_S)

    async def prune(self, wall_time: datetime) -> None:
        """What a webhook had not got, and is gone now, is counted."""
        try:
            self._events.kept_after, lost = await self._rows.prune(wall_time - self._keep_for, self._keep_events)
        except StoreError as error:
            log.error("events_not_pruned", cause=str(error))
            return
        for webhook, count in lost.items():
            log.error("webhook_gave_up", webhook=webhook, events=count, cause="the event log is full, or they are old")
            self._metrics.webhook_deliveries.labels(webhook, "given_up").inc(count)
