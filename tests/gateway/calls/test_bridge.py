# SPDX-License-Identifier: GPL-3.0-or-later
"""Bridges that do not come about leave the calls as they were. Those that do are in tests/e2e/test_bridge.py."""

import asyncio

import pytest

from gateway.calls.attendance import StartActivity
from gateway.calls.bridge import Bridges
from gateway.calls.call import Call
from gateway.errors import WrongCallState
from gateway.sip.events import CallConfirmed, CallEnded
from tests.fakes.virtual_time import in_virtual_time
from tests.gateway.calls.test_call import Leg, Talker, call_of


@in_virtual_time
async def test_a_call_stays_with_its_agent_when_the_other_one_cannot_be_bridged() -> None:
    agent = Talker()
    call, other = call_of(agent, Leg()), call_of(Talker(), Leg())
    running = asyncio.create_task(call.run())
    await asyncio.sleep(0.01)
    call.receive(CallConfirmed("call_1"))
    await agent.has_begun.wait()
    with pytest.raises(WrongCallState):
        await Bridges().join(call, other, give_back=False)
    await asyncio.sleep(0.01)
    assert call.activity is agent
    assert call.attendance.is_attended
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@in_virtual_time
async def test_nobody_is_left_to_ring_for_a_call_that_ended_while_they_were_dialled() -> None:
    dropped: list[str] = []
    call, other = call_of(Talker(), Leg()), call_of(Talker(), Leg(), direction="outbound")
    other.drop = dropped.append  # type: ignore[method-assign,assignment]

    async def dial(start: StartActivity) -> Call:
        call.receive(CallEnded("call_1", 200, "", ended_by_peer=True))
        return other

    await Bridges().dial(call, dial, give_back=True)
    assert dropped == ["bridge_ended"]
