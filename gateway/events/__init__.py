# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens on calls, for whoever wants to know.

Call.publish > EventBus (numbers them) > EventLog (database, then memory) > feeds and polls (gateway.api.events)
                                                                          > Webhook > DeliveryQueue > POST
EventRetention bounds the log; the catalogue says what there is, docs/events.md shows it.
"""

from gateway.events.bus import EventBus
from gateway.events.catalogue import CATALOGUE, KEPT_KINDS, kinds_matching
from gateway.events.event import Event, EventKind
from gateway.events.log import EventLog, Wanted
from gateway.events.retention import EventRetention
from gateway.events.webhooks import Webhook, WebhookSettings

__all__ = [
    "CATALOGUE",
    "KEPT_KINDS",
    "Event",
    "EventBus",
    "EventKind",
    "EventLog",
    "EventRetention",
    "Wanted",
    "Webhook",
    "WebhookSettings",
    "kinds_matching",
]
