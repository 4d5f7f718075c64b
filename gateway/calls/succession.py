# SPDX-License-Identifier: GPL-3.0-or-later
"""Another far end in a call's place: because the one there sent us on (REFER), or because it comes with Replaces.

    CALLING --answered--> TAKEN     the call, its activity, bridge and recording go on with the new leg, the old ends
       +-----refused----> FAILED    the call goes on as it was, or ends if its own leg has ended meanwhile

The call keeps its name, its audio port and its session: natively, the new leg's stream is given the old one's port.
"""

import asyncio
import contextlib
from enum import Enum
from typing import Literal

import structlog

from gateway.calls.call import Call
from gateway.calls.facts import CallFacts
from gateway.errors import CallError
from gateway.sip.endpoint import SipEndpoint
from gateway.sip.events import CallConfirmed, CallEnded, CallProgress, LegSucceeded, SipEvent

log = structlog.get_logger(__name__)

Cause = Literal["refer", "replaces"]
_GRACE_S = 1.0
"""After the last NOTIFY the far end that sent the REFER hangs up (RFC 5589 section 6.1); then we do."""
_FAILED = 503


class SuccessionState(Enum):
    CALLING = "calling"
    TAKEN = "taken"
    FAILED = "failed"


class Succession:
    """One new leg of one call. `receive` takes the leg's events, `run` sees it through."""

    def __init__(self, call: Call, endpoint: SipEndpoint, facts: CallFacts, cause: Cause) -> None:
        """`facts`: of the new leg, whose handle is their `call_id`."""
        self.facts = facts
        self.trunk_before = call.facts.trunk
        self.call = call
        self.cause: Cause = cause
        self.state = SuccessionState.CALLING
        self._endpoint = endpoint
        self._answered = asyncio.Event()
        self._withheld: CallEnded | None = None
        """The end of the old leg, which is not that of the call as long as the new one may come."""

    @property
    def call_id(self) -> str:
        """Of the new leg."""
        return self.facts.call_id

    @property
    def is_ending(self) -> bool:
        return self.call.is_ending or self.state is SuccessionState.FAILED

    @property
    def is_under_way(self) -> bool:
        return self.state is SuccessionState.CALLING

    def withhold(self, event: SipEvent) -> bool:
        """An event of the call's own leg; True: the call is not to see it, or not yet."""
        if self.is_under_way and isinstance(event, CallEnded) and not self.call.is_ending:
            self._withheld = event
            return True
        return False

    def receive(self, event: SipEvent) -> None:
        """An event of the new leg."""
        match event:
            case CallProgress():
                self._report(event.code)
            case CallConfirmed():
                self._answered.set()
            case LegSucceeded() if self.is_under_way:
                self._taken()
            case CallEnded() if self.is_under_way:
                self.fail(event.code)
            case _:
                pass  # its audio and holds count from when it has the call

    def fail(self, code: int = _FAILED) -> None:
        """Nobody takes the call's place."""
        if not self.is_under_way:
            return
        self.state = SuccessionState.FAILED
        log.info("call_not_taken_over", call_id=self.call.call_id, cause=self.cause, code=code)
        self._report(code if code >= 300 else _FAILED)
        self._endpoint.refuse(self.call_id, 0)
        if self._withheld is not None:
            self.call.receive(self._withheld)
        self._answered.set()

    def give_up(self) -> None:
        """The call is being hung up."""
        self.fail(_FAILED)

    async def run(self, timeout_s: float) -> bool:
        """Until it is decided; whether the new leg has the call."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._answered.wait()
            if self.is_under_way:
                await self._take()
        except TimeoutError:
            self.fail(408)
        except CallError as fault:
            log.info("call_lost", call_id=self.call.call_id, cause=str(fault))
            self.fail()
        finally:
            self.fail()  # unless it is decided
        return self.state is SuccessionState.TAKEN

    async def _take(self) -> None:
        await self._endpoint.succeed(self.call.call_id, self.call_id, self.call.leg.native)

    def _taken(self) -> None:
        call, self.state = self.call, SuccessionState.TAKEN
        call.facts.trunk, call.facts.peer = self.facts.trunk, self.facts.peer
        log.info("call_taken_over", call_id=call.call_id, cause=self.cause, trunk=self.facts.trunk)
        call.publish("call.succeeded", cause=self.cause, peer=self.facts.peer)

    async def end_predecessor(self) -> None:
        """Hang up the leg that was the call's; to be awaited once the new one has it."""
        if self.cause == "refer" and self._withheld is None:
            await asyncio.sleep(_GRACE_S)
        with contextlib.suppress(CallError):
            await self._endpoint.hang_up(self.call_id)

    def _report(self, code: int) -> None:
        if self.cause == "refer" and self._withheld is None:
            self._endpoint.tell_referral(self.call.call_id, code)
