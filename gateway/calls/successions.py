# SPDX-License-Identifier: GPL-3.0-or-later
"""Who takes whose place: REFER and Replaces that our calls' far ends send, within what their trunks may do.

A REFER has been answered 202 by the SIP thread, which asked `Exchange.may_be_sent`; whom it names is called through the
same trunks, limits and failover as any call of ours, and charged to them.
"""

from collections.abc import Callable, Coroutine, Mapping

import structlog

from gateway.calls.call import Call
from gateway.calls.dialling import Dialling
from gateway.calls.dialplan import Destination, presentation
from gateway.calls.exchange import Exchange
from gateway.calls.facts import CallFacts
from gateway.calls.succession import Succession
from gateway.errors import GatewayError
from gateway.sip.endpoint import SipEndpoint
from gateway.sip.events import (
    IncomingCall,
    LegSucceeded,
    ReferReceived,
    RegistrationChanged,
    SignallingSeen,
    SipEvent,
)
from gateway.sip.sip_thread import new_handle
from gateway.trunks.config import TrunkConfig
from gateway.trunks.identity import Presentation

log = structlog.get_logger(__name__)

Spawn = Callable[[Coroutine[object, object, None]], object]
_RING_S = 60.0
_ACK_S = 32.0
_FORBIDDEN = 403


class Successions:
    """All of one gateway. At most one of a call at a time."""

    def __init__(self, exchange: Exchange, endpoint: SipEndpoint, calls: Mapping[str, Call]) -> None:
        self._exchange = exchange
        self._endpoint = endpoint
        self._calls = calls
        self._by_leg: dict[str, Succession] = {}
        self._by_call: dict[str, Succession] = {}
        self._diallings: dict[str, Dialling] = {}

    def receive(self, event: SipEvent) -> bool:
        """An event of any leg; True: it was about a succession, and no call is to see it."""
        if isinstance(event, LegSucceeded):
            if (heir := self._by_leg.get(event.successor)) is not None:
                heir.receive(event)
            return True
        if isinstance(event, RegistrationChanged | SignallingSeen):
            return False
        if (mine := self._by_leg.get(event.handle)) is not None:
            dialling = self._diallings.get(event.handle)
            if dialling is None or not dialling.receive(event):
                mine.receive(event)
            return True
        theirs = self._by_call.get(event.handle)
        return theirs is not None and theirs.withhold(event)

    def session_of(self, handle: str) -> str:
        """The call that a leg belongs to."""
        mine = self._by_leg.get(handle)
        return handle if mine is None else mine.call.call_id

    def refer(self, event: ReferReceived, spawn: Spawn, adopt: Callable[[Succession, Dialling], None]) -> None:
        """Call whom the far end names. `adopt` is given the dialling of the leg that has the call then."""
        call = self._calls.get(event.handle)
        if call is None or call.is_ending or event.handle in self._by_call:
            self._endpoint.tell_referral(event.handle, _FORBIDDEN)
            return
        trunk = call.facts.trunk
        log.info("call_referred", call_id=call.call_id, trunk=trunk, attended=bool(event.replaces))
        facts = CallFacts(new_handle(), "outbound", call.facts.to, event.to)
        headers = tuple(
            (name, value) for name, value in (("Replaces", event.replaces), ("Referred-By", event.referred_by)) if value
        )
        succession = Succession(call, self._endpoint, facts, "refer")
        self._begin(succession)

        def said(through: TrunkConfig | None, where: Destination) -> Presentation:
            usual = presentation(through, None, where, self._endpoint.address, "")
            return Presentation(usual.from_uri, (*usual.headers, *headers))

        async def follow() -> None:
            is_taken = False
            dialling: Dialling | None = None
            try:
                self._exchange.permit(event.to, None, "refer")
                carriers = self._exchange.carriers(event.to, None, "refer")
                dialling = Dialling(self._exchange, self._endpoint, succession, event.to, carriers, said, spawn)
                self._diallings[facts.call_id] = dialling
                await dialling.begin()
                is_taken = await succession.run(_RING_S)
                if is_taken:
                    adopt(succession, dialling)
            except GatewayError as fault:
                log.info("call_not_referred", call_id=call.call_id, cause=type(fault).__name__)
                succession.fail(_FORBIDDEN)
            except Exception:  # a fault of ours on one call must not end the others, which share the task group
                log.exception("succession_fault", call_id=call.call_id)
            finally:
                succession.fail()  # unless it is decided
                self._end(succession)
                if dialling is not None and not is_taken:
                    dialling.forget()
            if is_taken:
                await succession.end_predecessor()

        spawn(follow())

    def replace(self, event: IncomingCall, spawn: Spawn) -> int:
        """An INVITE that wants a call's place; the status to refuse it with, or 0."""
        assert event.replaced is not None
        call = self._calls.get(event.replaced.handle)
        if call is None:
            return event.replaced.code or 481
        rules = self._exchange.trunks.get(call.facts.trunk)
        # Who knows a dialog's tags has seen its messages; that is no right to the call (RFC 3891 section 3).
        if rules is None or not rules.replaces or event.trunk != call.facts.trunk:
            return _FORBIDDEN
        if call.is_ending or call.call_id in self._by_call:
            return 486
        facts = CallFacts(event.handle, "inbound", event.from_user, call.facts.to, event.from_uri, event.trunk)
        succession = Succession(call, self._endpoint, facts, "replaces")
        self._begin(succession)

        async def follow() -> None:
            is_taken = False
            try:
                await self._endpoint.answer(event.handle)
                is_taken = await succession.run(_ACK_S)
            except GatewayError as fault:
                log.info("call_not_replaced", call_id=call.call_id, cause=type(fault).__name__)
            except Exception:  # as above
                log.exception("succession_fault", call_id=call.call_id)
            finally:
                succession.fail()
                self._end(succession)
            if is_taken:
                await succession.end_predecessor()

        spawn(follow())
        return 0

    def _begin(self, succession: Succession) -> None:
        self._by_leg[succession.call_id] = succession
        self._by_call[succession.call.call_id] = succession
        succession.call.succession = succession

    def _end(self, succession: Succession) -> None:
        self._by_leg.pop(succession.call_id, None)
        self._diallings.pop(succession.call_id, None)
        self._by_call.pop(succession.call.call_id, None)
        succession.call.succession = None
