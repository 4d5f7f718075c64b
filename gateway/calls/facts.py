# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is to know of a call: the API shows it, the store keeps it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gateway.store.records import Direction, Quality


@dataclass(slots=True)
class CallFacts:
    """Filled in as the call goes on. Times are wall time (seconds since the epoch)."""

    call_id: str
    direction: Direction
    from_: str
    """Caller: user part of the From header, or the whole URI when it has none."""
    to: str
    """Callee: dialled user part, or what we were asked to dial."""
    peer: str = ""
    """Whole address of the far end, as a URI; empty: not known."""
    trunk: str = ""
    """Name of the trunk that carries it; empty for none."""
    agent: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    codec: str | None = None
    srtp: bool = False
    started_at: float = field(default_factory=time.time)
    answered_at: float | None = None
    ended_at: float | None = None
    end_reason: str | None = None
    """`caller_hung_up`, `callee_hung_up`, `goodbye`, `completed`, `api`, `rejected`, `transferred`, `timeout`,
    `no_audio`, `media_timeout`, `shutdown`, `service_failure`, `failed`, `stream_ended`, `backend_hung_up`,
    `backend_unreachable`, `flow_failed`, `bridge_ended`, `supervision_ended`, `silence` (the caller said nothing),
    `max_call` (it lasted too long), `lost` (our process died), `answered_elsewhere`, `session_expired` (the far end
    did not refresh it, RFC 4028), `no_codec` (its answer has none of ours), `campaign_cancelled`,
    `abandoned` (a campaign had nobody to talk to them), `do_not_call` (they asked not to be called any more), or
    `sip_CODE` and `q850_CAUSE`: a call that
    was refused, or ended for that reason."""
    far_end: str | None = None
    """Who took the call that we placed, as far as is known: the value of an `agent.far_end.FarEndKind`."""
    far_end_confidence: float | None = None
    """How sure that is, 0 to 1."""
    message_left: bool = False
    """A machine has recorded all of the message that was to be left."""
    do_not_call: bool = False
    """The far end has asked not to be called any more."""


def utc(wall_time: float) -> datetime:
    """Seconds since the epoch as the records have them."""
    return datetime.fromtimestamp(wall_time, UTC)


def parties(facts: CallFacts) -> dict[str, object]:
    """Who talks to whom, as events tell it."""
    return {
        "direction": facts.direction,
        "from": facts.from_,
        "to": facts.to,
        "agent": facts.agent,
        "metadata": dict(facts.metadata),
    }


def ended(facts: CallFacts, quality: Quality | None) -> dict[str, object]:
    """How a call went, as its last event tells it."""
    answered_at, ended_at = facts.answered_at, facts.ended_at
    return {
        **parties(facts),
        "reason": facts.end_reason,
        "duration_ms": None if answered_at is None or ended_at is None else round((ended_at - answered_at) * 1000),
        "quality": None if quality is None else quality.model_dump(),
        "far_end": facts.far_end,
        "far_end_confidence": facts.far_end_confidence,
        "message_left": facts.message_left,
    }
