# SPDX-License-Identifier: GPL-3.0-or-later
"""The states of a call.

   INVITE came                 we sent INVITE
        |                            |
     OFFERED                      DIALING --progress--+
        |                            |    <-----------+
        +-------- confirmed ---------+
                      |
                   ACTIVE <--resumed-- HELD
                      +-----held------->+

and from each of them, ended > ENDED.
"""

from enum import Enum

from gateway.errors import GatewayMisuse


class CallState(Enum):
    """Where a call is in its life."""

    OFFERED = "offered"
    """Inbound, not answered yet."""
    DIALING = "dialing"
    """Outbound, not answered yet."""
    ACTIVE = "active"
    HELD = "held"
    """Held by us, the peer or both: no audio is expected."""
    ENDED = "ended"


class CallEvent(Enum):
    """What moves a call on."""

    PROGRESS = "progress"
    CONFIRMED = "confirmed"
    HELD = "held"
    RESUMED = "resumed"
    ENDED = "ended"


_NEXT: dict[tuple[CallState, CallEvent], CallState] = {
    (CallState.OFFERED, CallEvent.CONFIRMED): CallState.ACTIVE,
    (CallState.OFFERED, CallEvent.ENDED): CallState.ENDED,
    (CallState.DIALING, CallEvent.PROGRESS): CallState.DIALING,
    (CallState.DIALING, CallEvent.CONFIRMED): CallState.ACTIVE,
    (CallState.DIALING, CallEvent.ENDED): CallState.ENDED,
    (CallState.ACTIVE, CallEvent.HELD): CallState.HELD,
    (CallState.ACTIVE, CallEvent.RESUMED): CallState.ACTIVE,
    (CallState.ACTIVE, CallEvent.ENDED): CallState.ENDED,
    (CallState.HELD, CallEvent.HELD): CallState.HELD,
    (CallState.HELD, CallEvent.RESUMED): CallState.ACTIVE,
    (CallState.HELD, CallEvent.ENDED): CallState.ENDED,
}


def next_state(state: CallState, event: CallEvent) -> CallState:
    """The state after `event`. Raises `GatewayMisuse`, naming both, when the table has no such step."""
    try:
        return _NEXT[state, event]
    except KeyError:
        raise GatewayMisuse(f"a call that is {state.value} cannot become {event.value}") from None
