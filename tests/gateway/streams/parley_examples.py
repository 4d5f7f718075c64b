# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of `parley.v1` as they are on the wire: one of each at least, and some that are wrong."""

from typing import Any

START: dict[str, Any] = {
    "type": "start",
    "seq": 1,
    "call_id": "call_1",
    "stream_id": "stream_1",
    "from": "sip:alice@192.0.2.1",
    "to": "sip:bot@192.0.2.2",
    "direction": "bidirectional",
    "call_direction": "inbound",
    "tracks": ["inbound"],
    "format": {"encoding": "l16", "sample_rate": 24000},
    "metadata": {"order": "17"},
    "consent": None,
    "answered": True,
    "reconnected": False,
}
GATEWAY_EXAMPLES: list[dict[str, Any]] = [
    START,
    {"type": "answered", "seq": 2},
    {"type": "dtmf", "seq": 3, "digit": "#", "duration_ms": 120},
    {"type": "speech", "seq": 4, "state": "started", "position_ms": 1240},
    {"type": "mark", "seq": 5, "name": "greeting", "state": "played"},
    {"type": "cleared", "seq": 6, "played_ms": 740, "discarded_ms": 2260, "marks": ["end"]},
    {"type": "xoff", "seq": 7, "queued_ms": 50000},
    {"type": "xon", "seq": 8, "queued_ms": 30000},
    {"type": "transfer", "seq": 9, "status": "ringing"},
    {"type": "error", "seq": 10, "title": "not understood", "detail": "mark: name is missing"},
    {"type": "stop", "seq": 11, "reason": "caller_hangup"},
]
BACKEND_EXAMPLES: list[dict[str, Any]] = [
    {"type": "answer"},
    {"type": "reject", "code": 486},
    {"type": "mark", "seq": 1, "name": "greeting"},
    {"type": "clear"},
    {"type": "pause"},
    {"type": "resume"},
    {"type": "dtmf", "digits": "1,w2#"},
    {"type": "mute", "muted": True},
    {"type": "record", "state": "pause"},
    {"type": "transfer", "to": "sip:desk@192.0.2.9", "mode": "attended"},
    {"type": "hangup"},
]
SPOILT_EXAMPLES: list[tuple[str, dict[str, Any]]] = [
    ("GatewayMessage", {"type": "hello", "seq": 1}),
    ("GatewayMessage", {"seq": 1, "digit": "1", "duration_ms": 80}),
    ("GatewayMessage", {"type": "dtmf", "digit": "1", "duration_ms": 80}),
    ("GatewayMessage", {"type": "mark", "seq": 1, "name": "end", "state": "heard"}),
    ("GatewayMessage", {key: value for key, value in START.items() if key != "call_id"}),
    ("GatewayMessage", {**START, "format": {"encoding": "mp3", "sample_rate": 8000}}),
    ("BackendMessage", {"type": "mark"}),
    ("BackendMessage", {"type": "mark", "name": ""}),
    ("BackendMessage", {"type": "mark", "name": "x" * 129}),
    ("BackendMessage", {"type": "dtmf", "digits": "12x"}),
    ("BackendMessage", {"type": "reject", "code": 200}),
    ("BackendMessage", {"type": "mute"}),
    ("BackendMessage", {"type": "transfer", "to": "sip:a@b", "mode": "warm"}),
]
