# SPDX-License-Identifier: GPL-3.0-or-later
"""Webhooks: events as signed POST requests, in order for each call, until they have arrived.

    EventLog or database > Webhook (2,000 events at most) > DeliveryQueue > POST > 2xx: taken off the database's list

Every event is in the database with the names of the webhooks that are to get it before anything is sent, so nothing is
lost with the process. Whatever had arrived when it died, unknown to us, comes again under the same `webhook-id`.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import httpx
import structlog

from gateway.errors import StoreError, UrlRefused, UrlUnreachable
from gateway.events.deliveries import DeliveryQueue, Outcome
from gateway.events.event import Event, EventKind
from gateway.events.log import EventLog, Wanted
from gateway.signing import ID_HEADER, SigningSecret, signature_headers
from gateway.telemetry import Metrics

log = structlog.get_logger(__name__)

TIMEOUT_S = 10.0
"""For one attempt, from connecting to the answer's end."""
_WINDOW_EVENTS = 2_000
"""So many are in memory; what comes after them stays in the database until there is room."""
_PAGE_EVENTS = 200
_READ_BYTES = 64 * 1024
"""So much of an answer is read, and thrown away: then its connection can be used again."""
_LONGEST_ASKED_S = 3600.0
"""The most that a receiver's Retry-After is heeded."""
_DATABASE_RETRY_S = 5.0
_LAST_WORDS_S = 2.0
"""How long the end of the gateway waits for what is on its way."""
_USER_AGENT = "Parley"
_AWAY = frozenset({429, 502, 503, 504})
"""Answers that say nothing about the event: RFC 9110 and, for 429, RFC 6585."""
_GONE = 410


class UndeliveredEvents(Protocol):
    """What webhooks have still to get (`gateway.store.events.EventRows`)."""

    async def undelivered(self, webhook: str, after: int, up_to: int, limit: int) -> list[Event]:
        """Oldest first, cursors in (after, up_to]. Raises `StoreError`."""
        ...


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """One webhook."""

    name: str
    url: str
    kinds: frozenset[EventKind]
    secrets: tuple[SigningSecret, ...]
    give_up_after: timedelta
    """Since the event happened."""


class Webhook:
    """Sends what one receiver is to get: `run` until cancelled."""

    def __init__(
        self,
        settings: WebhookSettings,
        events: EventLog,
        rows: UndeliveredEvents,
        settle: Callable[[str, int], None],
        client: httpx.AsyncClient,
        metrics: Metrics,
        *,
        resume: bool,
        queue: DeliveryQueue | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """`settle`: note in the database that the webhook of this name need not get the event of this cursor.
        `resume`: send also what the gateway before us has not; not while another one is doing so."""
        self._settings = settings
        self._events = events
        self._rows = rows
        self._settle = settle
        self._client = client
        self._metrics = metrics
        for outcome in Outcome:  # from zero: Prometheus sees no growth from nothing to one
            metrics.webhook_deliveries.labels(settings.name, outcome.value)
        self._position = 0 if resume else events.begin
        self._queue = DeliveryQueue(random.Random()) if queue is None else queue
        self._timeout_s = timeout_s
        self._changed = asyncio.Event()
        """The queue has become longer or shorter, or the receiver has answered."""
        self._is_gone = False
        self._is_failing = False

    async def run(self) -> None:
        """Until cancelled, or the receiver says that it is gone (410)."""
        async with asyncio.TaskGroup() as tasks:
            loading = tasks.create_task(self._load(), name=f"webhook:{self._settings.name}:load")
            while not self._is_gone:
                event = self._queue.take(time.monotonic())
                if event is None:
                    await self._wait()
                elif datetime.now(UTC) - event.at > self._settings.give_up_after:
                    self._finish(event, Outcome.GIVEN_UP)
                    log.error("webhook_gave_up", webhook=self._settings.name, call_id=event.call_id, kind=event.kind)
                else:
                    tasks.create_task(self._deliver(event), name=f"webhook:{self._settings.name}:{event.cursor}")
            loading.cancel()

    async def finish(self) -> None:
        """Give what is on its way a moment to arrive; the rest is sent by the next run of the gateway."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                while self._has_more and not self._queue.is_failing:
                    await self._changed.wait()

    def forget(self, call_id: str) -> None:
        """The call's session has been erased: nothing more of it leaves us."""
        self._queue.forget(call_id)
        self._has_changed()

    @property
    def _has_more(self) -> bool:
        return not self._is_gone and (len(self._queue) > 0 or self._position < self._events.end)

    async def _load(self) -> None:
        """Keep the queue filled, in the order of the cursors."""
        wanted = Wanted(self._settings.kinds)
        while True:
            room = _WINDOW_EVENTS - len(self._queue)
            if room <= 0:
                await self._changed.wait()
                continue
            limit = min(room, _PAGE_EVENTS)
            try:
                if self._position < self._events.begin:
                    name, up_to = self._settings.name, self._events.begin
                    found = await self._rows.undelivered(name, self._position, up_to, limit)
                    self._position = found[-1].cursor if len(found) == limit else up_to
                else:
                    await self._events.wait(self._position)
                    page = await self._events.read(self._position, limit, wanted)
                    found, self._position = list(page.events), page.position
            except StoreError as error:
                log.error("webhook_cannot_read", webhook=self._settings.name, cause=str(error))
                await asyncio.sleep(_DATABASE_RETRY_S)
                continue
            for event in found:
                self._queue.add(event)
            self._has_changed()

    async def _wait(self) -> None:
        at = self._queue.next_timeout()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if at is None else max(0.0, at - time.monotonic())):
                await self._changed.wait()

    def _has_changed(self) -> None:
        self._metrics.webhook_queue.labels(self._settings.name).set(len(self._queue))
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _deliver(self, event: Event) -> None:
        body = event.as_json().encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": _USER_AGENT,
            ID_HEADER: f"evt_{event.call_id}_{event.cursor}",
        }
        headers |= signature_headers(self._settings.secrets, headers[ID_HEADER], body, time.time())
        answer = await self._post(body, headers)
        if answer.status == _GONE:
            self._is_gone = True
            log.error("webhook_gone", webhook=self._settings.name, effect="off until the gateway starts again")
        self._finish(event, answer.outcome, not_before_s=answer.not_before_s)
        if answer.outcome is not Outcome.DELIVERED and not self._is_failing:
            self._is_failing = True
            log.warning("webhook_failing", webhook=self._settings.name, cause=answer.cause)
        elif self._is_failing and not self._queue.is_failing:
            self._is_failing = False
            log.info("webhook_delivers_again", webhook=self._settings.name)

    async def _post(self, body: bytes, headers: dict[str, str]) -> "_Answer":
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._client.stream("POST", self._settings.url, content=body, headers=headers) as response,
            ):
                read = 0
                async for block in response.aiter_raw():
                    read += len(block)
                    if read > _READ_BYTES:
                        break
        except Exception as error:
            # Whatever goes wrong out there, or in the client, is this receiver's trouble and nobody else's.
            cause = str(error) if isinstance(error, UrlRefused | UrlUnreachable) else type(error).__name__
            return _Answer(Outcome.UNREACHABLE, cause)
        if response.is_success:
            return _Answer(Outcome.DELIVERED, "", response.status_code)
        outcome = Outcome.UNREACHABLE if response.status_code in _AWAY else Outcome.REFUSED
        asked_s = _retry_after_s(response.headers.get("Retry-After", ""))
        return _Answer(outcome, f"answer {response.status_code}", response.status_code, asked_s)

    def _finish(self, event: Event, outcome: Outcome, *, not_before_s: float = 0.0) -> None:
        """An attempt, or all of them, are over."""
        self._metrics.webhook_deliveries.labels(self._settings.name, outcome.value).inc()
        if outcome in (Outcome.DELIVERED, Outcome.GIVEN_UP):
            self._settle(self._settings.name, event.cursor)
        self._queue.receive_outcome(event, outcome, time.monotonic(), not_before_s=not_before_s)
        self._has_changed()


@dataclass(frozen=True, slots=True)
class _Answer:
    """How a receiver took an event."""

    outcome: Outcome
    cause: str
    """Why not, for the log."""
    status: int | None = None
    not_before_s: float = 0.0


def _retry_after_s(value: str) -> float:
    """RFC 9110 section 10.2.3; a date is not heeded."""
    return min(float(value), _LONGEST_ASKED_S) if value.isascii() and value.isdecimal() else 0.0
