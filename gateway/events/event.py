# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be told of calls, trunks, campaigns and the gateway."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

EventKind = Literal[
    "call.offered",
    "call.dialing",
    "call.progress",
    "call.answered",
    "call.held",
    "call.resumed",
    "call.ended",
    "call.activity",
    "call.transfer",
    "call.succeeded",
    "call.bridged",
    "call.unbridged",
    "call.quality",
    "call.do_not_call",
    "transcript.partial",
    "transcript.final",
    "turn.measured",
    "silence.prompted",
    "intent.recognized",
    "knowledge.used",
    "tool.called",
    "caller.prosody",
    "language.detected",
    "far_end.recognized",
    "dtmf.received",
    "recording.changed",
    "playback.finished",
    "trunk.alarm",
    "trunk.state",
    "address.changed",
    "stream.connected",
    "stream.disconnected",
    "stream.stopped",
    "campaign.started",
    "campaign.paused",
    "campaign.resumed",
    "campaign.ended",
    "campaign.outcome",
    "campaign.progress",
    "work.progress",
    "cluster.node",
    "cluster.redis_lost",
    "cluster.redis_back",
    "store.lost",
    "store.back",
    "call.adopted",
]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened."""

    cursor: int
    """Grows with every event of this gateway, over restarts too, and never repeats; to resume, ask for what came after
    it. Some numbers are left out."""
    kind: EventKind
    call_id: str
    """Empty: it is of no call."""
    at: datetime
    """UTC."""
    data: Mapping[str, object]
    """JSON."""
    _text: str = field(default="", init=False, repr=False, compare=False)
    """What `as_json` gave before: every reader wants the same."""

    def as_json(self) -> str:
        """As the feed and webhooks tell it: `{"cursor", "kind", "call_id", "at", "data"}`."""
        if self._text:
            return self._text
        values = {
            "cursor": self.cursor,
            "kind": self.kind,
            "call_id": self.call_id,
            "at": self.at.isoformat().replace("+00:00", "Z"),
            "data": dict(self.data),
        }
        text = json.dumps(values, separators=(",", ":"))
        object.__setattr__(self, "_text", text)
        return text
