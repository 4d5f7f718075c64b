# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of a call as a table."""

import pytest

from gateway.calls.state import CallEvent, CallState, next_state
from gateway.errors import GatewayMisuse


def _walk(state: CallState, *events: CallEvent) -> CallState:
    for event in events:
        state = next_state(state, event)
    return state


def test_an_inbound_call_is_offered_answered_held_resumed_and_ended() -> None:
    events = (CallEvent.CONFIRMED, CallEvent.HELD, CallEvent.RESUMED, CallEvent.ENDED)
    assert _walk(CallState.OFFERED, *events) is CallState.ENDED


def test_an_outbound_call_may_ring_several_times_before_it_is_answered() -> None:
    events = (CallEvent.PROGRESS, CallEvent.PROGRESS, CallEvent.CONFIRMED)
    assert _walk(CallState.DIALING, *events) is CallState.ACTIVE


def test_a_call_ends_from_every_living_state() -> None:
    living = set(CallState) - {CallState.ENDED}
    assert {next_state(state, CallEvent.ENDED) for state in living} == {CallState.ENDED}


@pytest.mark.parametrize("event", list(CallEvent))
def test_nothing_happens_to_an_ended_call(event: CallEvent) -> None:
    with pytest.raises(GatewayMisuse, match=f"ended cannot become {event.value}"):
        next_state(CallState.ENDED, event)
