# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a call whose flow asks for what cannot be."""

from typing import cast

import httpx

from gateway.calls.attendance import StartActivity
from gateway.calls.call import Call
from gateway.calls.facts import CallFacts
from gateway.calls.prompts import Prompt
from gateway.calls.recording import RecordingState
from gateway.errors import WrongCallState
from gateway.streams.flow_activity import FlowActivity
from gateway.streams.order import StreamOrder


class EndingCall:
    """Can be recorded no more."""

    facts = CallFacts("call_1", "inbound", "+15550100", "+15550101", answered_at=1.0)
    recording = RecordingState.OFF

    async def record(self, order: str) -> None:
        raise WrongCallState("the call is over")


async def test_a_flow_whose_call_cannot_be_recorded_has_failed() -> None:
    answer = b'{"action":"stream","ws_url":"wss://b.example/","record":true}'

    async def find(url: str) -> Prompt:
        raise AssertionError(url)

    async def stream(order: StreamOrder) -> StartActivity:
        return cast(StartActivity, None)

    transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=httpx.ByteStream(answer)))
    async with httpx.AsyncClient(transport=transport) as client:
        activity = FlowActivity(cast(Call, EndingCall()), "https://f.example/", client, find, stream)
        assert await activity.run() == "flow_failed"
