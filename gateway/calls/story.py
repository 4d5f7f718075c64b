# SPDX-License-Identifier: GPL-3.0-or-later
"""What a call tells whoever follows its events: first that it exists, last that it is over."""

from gateway.calls.facts import CallFacts, ended, parties
from gateway.events import EventBus, EventKind
from gateway.store.records import Quality


class Story:
    """Of one call. The fields of every kind's data are in `gateway.events.catalogue`."""

    def __init__(self, facts: CallFacts, events: EventBus) -> None:
        self._facts = facts
        self._events = events
        self._untold: list[tuple[EventKind, dict[str, object]]] | None = []
        """From before the call has a session; None: it has one."""

    @property
    def is_watched(self) -> bool:
        """Whether events that are not kept are worth publishing."""
        return self._events.is_watched

    def begin(self) -> None:
        """The call has a session."""
        untold, self._untold = self._untold or (), None
        facts = self._facts
        kind: EventKind = "call.offered" if facts.direction == "inbound" else "call.dialing"
        self._events.publish(kind, facts.call_id, parties(facts))
        for kind, data in untold:
            self._events.publish(kind, facts.call_id, data)

    def go_on(self) -> None:
        """It has been told already that the call exists, by another gateway."""
        self._untold = None

    def publish(self, kind: EventKind, data: dict[str, object]) -> None:
        """One more."""
        if self._untold is not None:
            self._untold.append((kind, data))
        else:
            self._events.publish(kind, self._facts.call_id, data)

    def end(self, quality: Quality | None) -> None:
        """Nothing comes after this."""
        self._events.publish("call.ended", self._facts.call_id, ended(self._facts, quality))
