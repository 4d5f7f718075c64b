# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be told of a call."""

from collections.abc import Mapping
from dataclasses import dataclass
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
    "call.bridged",
    "call.unbridged",
    "call.quality",
    "transcript.partial",
    "transcript.final",
    "turn.measured",
    "dtmf.received",
    "recording.changed",
    "playback.finished",
    "stream.connected",
    "stream.disconnected",
    "stream.stopped",
]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened."""

    cursor: int
    """Grows by one with every event of this gateway; to resume, ask for what came after it."""
    kind: EventKind
    call_id: str
    at: datetime
    """UTC."""
    data: Mapping[str, object]
    """JSON."""
