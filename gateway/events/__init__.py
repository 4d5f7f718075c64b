# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens on calls, for whoever wants to know: `EventBus.publish` > the feed `GET /events` and webhooks."""

from gateway.events.bus import EventBus
from gateway.events.event import Event, EventKind

__all__ = ["Event", "EventBus", "EventKind"]
