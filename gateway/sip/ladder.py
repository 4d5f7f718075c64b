# SPDX-License-Identifier: GPL-3.0-or-later
"""SIP messages of a call for people: who sent what, line by line. From what the API tells of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from gateway.sip.uri import wire_text

Message = Mapping[str, Any]
"""`gateway.store.records.SipMessageRecord` as JSON."""

_WIDTH = 34


def ladder(messages: Sequence[Message]) -> str:
    """Seconds since the first message, our side left, theirs right:

    +0.000  UDP <---- INVITE --------------- 192.0.2.7:5060
    +0.002  UDP ----- 100 Trying (INVITE) -> 192.0.2.7:5060
    """
    if not messages:
        return "  no SIP messages were kept"
    begin = datetime.fromisoformat(messages[0]["at"])
    return "\n".join(_rung(message, begin) for message in messages)


def texts(messages: Sequence[Message]) -> str:
    """The messages whole, each under its line of the ladder."""
    if not messages:
        return ladder(messages)
    begin = datetime.fromisoformat(messages[0]["at"])
    return "\n\n".join(f"{_rung(one, begin)}\n{_shown(one['text'])}" for one in messages)


def _shown(text: str) -> str:
    """Lines of a message for a terminal, which takes orders from control characters (ECMA-48)."""
    return "\n".join(wire_text(line.replace("\t", " ").rstrip("\r")) for line in text.strip().split("\n"))


def _rung(message: Message, begin: datetime) -> str:
    since_s = (datetime.fromisoformat(message["at"]) - begin).total_seconds()
    label = f" {wire_text(message['summary'])} "
    arrow = f"{'-' * 4}{label:-<{_WIDTH}}>" if message["sent"] else f"<{'-' * 4}{label:-<{_WIDTH}}"
    return f"  +{since_s:<8.3f} {message['transport']:<4}{arrow} {message['peer']}"
