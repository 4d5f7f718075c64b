# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells `gateway.trunks.alarms` how each call of a trunk went, and everybody else what comes of it."""

import time
from dataclasses import asdict

import structlog

from gateway.calls.facts import CallFacts
from gateway.events import EventBus
from gateway.store.records import Quality
from gateway.telemetry import Metrics
from gateway.trunks.alarms import AlarmLimits, EndedCall, TrunkAlarms

log = structlog.get_logger(__name__)

_FAILURES = frozenset({"no_audio", "media_timeout", "failed", "sip_408", *(f"sip_{code}" for code in range(500, 600))})


class TrunkWatch:
    """One for all trunks."""

    def __init__(self, limits: AlarmLimits, metrics: Metrics, events: EventBus) -> None:
        self._alarms = TrunkAlarms(limits)
        self._metrics = metrics
        self._events = events

    def raised(self, trunk: str) -> tuple[str, ...]:
        """The alarms of a trunk that stand, by their symptoms."""
        return self._alarms.raised(trunk)

    def ended(self, facts: CallFacts, quality: Quality | None) -> None:
        """A call is over; its last event is not told yet."""
        if not facts.trunk:
            return
        went = EndedCall(
            mos=None if quality is None else quality.mos,
            loss_percent=None if quality is None or not quality.rx_packets else quality.rx_loss_percent,
            is_failed=facts.end_reason in _FAILURES,
        )
        for change in self._alarms.receive(facts.trunk, went, time.monotonic()):
            level = log.warning if change.raised else log.info
            level("trunk_alarm", trunk=change.trunk, symptom=change.symptom, raised=change.raised)
            self._metrics.trunk_alarm.labels(change.trunk, change.symptom).set(change.raised)
            self._events.publish("trunk.alarm", facts.call_id, asdict(change))
