# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has a call, when several want it at the same moment."""

import asyncio
from typing import Any, cast

import pytest

from gateway.api.control import ActivityKind
from gateway.calls.activity import Activity
from gateway.calls.call import Call
from gateway.calls.facts import CallFacts
from gateway.errors import WrongCallState
from gateway.events import EventBus
from media.ports import CallAudio


class Leg:
    """Audio as far as taking turns touches it."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


class Purpose:
    """An activity that goes on until it is cancelled, and takes its time to end."""

    kind: ActivityKind = "stream"
    hears_keys = False
    line = None

    def __init__(self) -> None:
        self.has_begun = asyncio.Event()
        self.has_ended = False

    async def run(self) -> str:
        try:
            self.has_begun.set()
            await asyncio.Event().wait()
            return "never"
        finally:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            self.has_ended = True

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def call_for(purpose: Purpose) -> Call:
    nothing = cast(Any, Leg())
    call = Call(
        CallFacts("call_1", "inbound", "ann", "echo"),
        nothing,
        nothing,
        nothing,
        nothing,
        lambda _: cast(Activity, purpose),
        nothing,
        EventBus(1),
    )
    call.audio = cast(CallAudio, Leg())
    return call


def test_a_call_that_is_being_handed_over_goes_to_nobody_else() -> None:
    async def check() -> None:
        first, second, third = Purpose(), Purpose(), Purpose()
        call = call_for(first)
        life = asyncio.ensure_future(call.attendance.work())
        await first.has_begun.wait()
        call.attendance.hand_over(lambda _: cast(Activity, second))
        with pytest.raises(WrongCallState, match="being handed over"):
            call.attendance.hand_over(lambda _: cast(Activity, third))
        await second.has_begun.wait()
        assert first.has_ended
        call.attendance.hand_over(lambda _: cast(Activity, third))
        await third.has_begun.wait()
        assert second.has_ended
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)

    asyncio.run(asyncio.wait_for(check(), 10))


def test_who_has_been_promised_a_call_begins_before_it_goes_to_the_next() -> None:
    async def check() -> None:
        first, second = Purpose(), Purpose()
        call = call_for(first)
        life = asyncio.ensure_future(call.attendance.work())
        while not first.has_begun.is_set():
            with pytest.raises(WrongCallState, match="not being attended"):
                call.attendance.hand_over(lambda _: cast(Activity, second))
            await asyncio.sleep(0)
        call.attendance.hand_over(lambda _: cast(Activity, second))
        await second.has_begun.wait()
        assert first.has_ended
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)

    asyncio.run(asyncio.wait_for(check(), 10))
