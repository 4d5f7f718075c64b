# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the event log and the webhooks together for `parley serve`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog

from gateway.calls.facts import CallFacts, ended
from gateway.calls.journal import Journal
from gateway.campaigns.outcome import DIALLED
from gateway.config import Config
from gateway.events import Event, EventBus, EventLog, EventRetention, Webhook, WebhookSettings
from gateway.guard import WEBHOOK_URL, OutboundGuard
from gateway.outbound import http_client
from gateway.signing import SigningSecret
from gateway.store import SessionStore, SessionSummary
from gateway.telemetry import Metrics

log = structlog.get_logger(__name__)


async def open_events(config: Config, store: SessionStore, journal: Journal, metrics: Metrics) -> EventLog:
    """The log of this run. Calls whose process died before their end are given one. Raises `StoreError`."""
    first_cursor, kept_after = await store.events.begin_run()
    bus = EventBus(first_cursor)
    count_events(bus, metrics)
    wanted = {webhook.label: webhook.wanted for webhook in config.webhook}
    events = EventLog(bus, store.events, journal.event, wanted, kept_after=kept_after)
    store.on_erased = events.forget
    if store.was_alone:
        await store.events.drop_deliveries_except(wanted)
    for call_id in await store.events.calls_without_end() if store.was_alone else store.left_open:
        session = await store.get(call_id)
        if session is not None:
            bus.publish("call.ended", call_id, ended(_facts(session), session.quality))
    store.health.follow(lambda is_up: _tell_health(bus, is_up))
    return events


def _tell_health(bus: EventBus, is_up: bool) -> None:
    bus.publish("store.back" if is_up else "store.lost", "", {})


def count_events(bus: EventBus, metrics: Metrics) -> None:
    """What Prometheus has of them. Outcomes begin at zero: it sees no growth from nothing to one."""
    attempts = {outcome.value: metrics.campaign_attempts.labels(outcome.value) for outcome in DIALLED}

    def count(event: Event) -> None:
        metrics.events.labels(event.kind).inc()
        if event.kind == "campaign.outcome" and (attempted := attempts.get(str(event.data["outcome"]))) is not None:
            attempted.inc()

    bus.follow(count)


@asynccontextmanager
async def sending_webhooks(
    config: Config, store: SessionStore, journal: Journal, events: EventLog, metrics: Metrics
) -> AsyncIterator[None]:
    """Inside, the configured webhooks get their events; on leaving, what is on its way has a moment to arrive."""
    guard = OutboundGuard(config.outbound.allow)
    async with http_client(guard, WEBHOOK_URL) as client:
        webhooks = [
            Webhook(
                WebhookSettings(
                    name=webhook.label,
                    url=webhook.url,
                    kinds=webhook.wanted,
                    secrets=tuple(SigningSecret.parse(secret.get_secret_value()) for secret in webhook.secrets),
                    give_up_after=timedelta(hours=config.events.keep_hours),
                ),
                events,
                store.events,
                journal.delivered,
                client,
                metrics,
                resume=store.was_alone,
            )
            for webhook in config.webhook
        ]

        def forget(call_id: str) -> None:
            events.forget(call_id)
            for webhook in webhooks:
                webhook.forget(call_id)

        store.on_erased = forget
        running = [asyncio.create_task(webhook.run(), name="webhook") for webhook in webhooks]
        for task in running:
            task.add_done_callback(_tell_a_fault)
        try:
            yield
            await asyncio.gather(*(webhook.finish() for webhook in webhooks))
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


def event_retention(config: Config, store: SessionStore, events: EventLog, metrics: Metrics) -> EventRetention:
    """What bounds the log."""
    keep_for = timedelta(hours=config.events.keep_hours)
    return EventRetention(events, store.events, metrics, keep_for=keep_for, keep_events=config.events.keep_events)


def _tell_a_fault(task: "asyncio.Task[None]") -> None:
    """A fault of ours in a webhook must not end the calls; what it has not sent is sent by the next run."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        log.error("webhook_fault", exc_info=error)


def _facts(session: SessionSummary) -> CallFacts:
    return CallFacts(
        call_id=session.call_id,
        direction=session.direction,
        from_=session.from_,
        to=session.to,
        agent=session.agent,
        metadata=session.metadata,
        answered_at=None if session.answered_at is None else session.answered_at.timestamp(),
        ended_at=None if session.ended_at is None else session.ended_at.timestamp(),
        end_reason=session.end_reason,
    )
