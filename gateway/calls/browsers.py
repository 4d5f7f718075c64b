# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls from browsers: what `gateway.api.webrtc` asks for, over the switchboard and the browsers' legs."""

from dataclasses import replace

from gateway.api.webrtc import BrowserOrder, OpenedCall
from gateway.calls.activity import Desk
from gateway.calls.attendance import StartActivity
from gateway.calls.facts import CallFacts
from gateway.calls.switchboard import Switchboard
from gateway.calls.verdict import BeforeAnswer
from gateway.config import Config
from gateway.errors import BadAddress, DestinationBarred, TooManyCalls
from gateway.sip.sip_thread import new_handle
from gateway.webrtc.fragment import Fragment
from gateway.webrtc.legs import BrowserLegs
from gateway.webrtc.offer import Offer

_CONNECT_S = 20.0
"""A browser that has our answer and finds no way to us for so long will not."""


class BrowserCalls:
    """One for the process."""

    def __init__(self, config: Config, switchboard: Switchboard, legs: BrowserLegs) -> None:
        self._config = config
        self._switchboard = switchboard
        self._legs = legs

    async def open(self, order: BrowserOrder, offer: Offer, source: str) -> OpenedCall:
        if self._switchboard.is_draining:
            raise TooManyCalls("the gateway is shutting down")
        facts, start, before_answer = self._purpose(order, source)
        answer = await self._legs.open(facts.call_id, offer)
        try:
            carry = self._legs.run(facts.call_id)
            call = self._switchboard.take(facts, start, before_answer, self._legs, carry)
        except BaseException:
            await self._legs.abandon(facts.call_id)
            raise
        call.answer_within(_CONNECT_S)
        return OpenedCall(facts.call_id, answer, 1)

    def _purpose(self, order: BrowserOrder, source: str) -> tuple[CallFacts, StartActivity, BeforeAnswer | None]:
        facts = CallFacts(
            call_id=new_handle(),
            direction="inbound",
            from_=order.from_ or "browser",
            to=order.to or "",
            metadata={**order.metadata, "transport": "webrtc"},
        )
        if order.desk:
            return replace(facts, to="desk"), lambda call: Desk(), None
        if order.to is None:
            agent, start = self._switchboard.purposes.agent(order.agent)
            return replace(facts, to=agent, agent=agent), start, None
        route = self._config.route_for(order.to, source)
        if route is None:
            raise BadAddress("no [[route]] leads there")
        if route.action == "reject":
            raise DestinationBarred("its [[route]] refuses calls")
        agent_of_route = route.agent if route.action == "agent" else None
        return replace(facts, agent=agent_of_route), *self._switchboard.purposes.of_route(route)

    async def add(self, call_id: str, fragment: Fragment) -> str | None:
        return await self._legs.peer(call_id).add(fragment)

    def generation(self, call_id: str) -> int:
        return self._legs.peer(call_id).generation

    def leave(self, call_id: str) -> None:
        if call_id in self._legs:
            self._legs.peer(call_id).leave()

    def stands(self, call_id: str) -> bool:
        return call_id in self._legs
