# SPDX-License-Identifier: GPL-3.0-or-later
"""One outgoing call on its way: from server to server and trunk to trunk, until one takes it.

    place > it rings, or is answered, or refused for good -------------------> the call has it
       ^    nothing at all for failover_s, or a response of failover_codes --+
       +---- the next server of the host, the next host, the next trunk <----+

The call itself knows nothing of that: its leg keeps its name, and an end that is none does not reach it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Protocol

import structlog

from gateway.calls.dialplan import Destination, via
from gateway.calls.exchange import Exchange, too_many
from gateway.calls.facts import CallFacts
from gateway.errors import BadAddress, CallError, GatewayError, TrunkUnreachable
from gateway.sip.endpoint import SipEndpoint
from gateway.sip.events import CallConfirmed, CallEnded, CallProgress, SipEvent
from gateway.sip.uri import SipUri, UriError
from gateway.trunks.config import TrunkConfig
from gateway.trunks.dns import Target
from gateway.trunks.identity import Presentation
from gateway.trunks.profile import Transport
from gateway.trunks.selection import fails_over, hosts, next_hop

log = structlog.get_logger(__name__)

_UNREACHED = frozenset({408, 502, 503})
"""Nothing came, the connection failed, or the server wants to be left alone: what speaks against the server."""
_MOST_ATTEMPTS = 8
Say = Callable[[TrunkConfig | None, Destination], Presentation]
Spawn = Callable[[Coroutine[object, object, None]], object]
_MOST_REDIRECTIONS = 5
"""Of one call: contacts that 3xx responses name (RFC 3261 section 8.1.3.4)."""


class Dialled(Protocol):
    """What a leg is for: a call, or another leg of one."""

    facts: CallFacts

    @property
    def call_id(self) -> str: ...

    @property
    def is_ending(self) -> bool: ...

    def receive(self, event: SipEvent) -> None: ...


@dataclass(frozen=True, slots=True)
class Attempt:
    """One INVITE."""

    where: Destination
    target: Target
    trunk: TrunkConfig | None


class Dialling:
    """`begin` sends the first INVITE, `receive` sees to the next."""

    def __init__(
        self,
        exchange: Exchange,
        endpoint: SipEndpoint,
        call: Dialled,
        to: str,
        trunks: tuple[TrunkConfig, ...],
        said: Say,
        spawn: Spawn,
    ) -> None:
        """`trunks`: in the order to try them; none: `to` is a SIP URI. `said`: who calls, as this trunk is to be told.
        `spawn` runs what outlasts an event."""
        self._exchange = exchange
        self._endpoint = endpoint
        self._call = call
        self._to = to
        self._said = said
        self._spawn = spawn
        self._attempts = self._find(trunks)
        self._next: Attempt | None = None
        self._now: Attempt | None = None
        self._count = 0
        self._looking = asyncio.Lock()
        self._silence: asyncio.TimerHandle | None = None
        self._gave_up = False
        self._redirected: set[str] = {to}
        """Where we have been sent; nobody sends us in circles."""
        self._fault: GatewayError | None = None
        """Why the last way out was none."""
        self.is_decided = False
        """Somebody has taken the call, or nobody will."""

    async def begin(self) -> None:
        """Send the first INVITE that can be sent. Raises `BadAddress`, `DestinationBarred`, `TooManyCalls`,
        `TrunkUnreachable`."""
        if not await self._place():
            self.is_decided = True
            raise self._fault or TrunkUnreachable("no server of the trunk can be found: is its host right?")

    def receive(self, event: SipEvent) -> bool:
        """An event of the leg; True: the call is not to see it."""
        if self._now is not None and self._now.trunk is not None and isinstance(event, CallConfirmed):
            self._exchange.answered(self._call.call_id, self._now.trunk.name)
        if self.is_decided or self._now is None:
            return False
        match event:
            case CallProgress() | CallConfirmed():
                self._decide()
                self._tell(reached=True)
            case CallEnded():
                self._decide()
                is_ours = not event.ended_by_peer and not self._gave_up
                if is_ours:
                    return False
                self._tell(reached=event.code not in _UNREACHED, code=event.code)
                if 300 <= event.code < 400 and self._now.trunk is not None and self._now.trunk.redirects:
                    self._attempts, self._next = self._follow(event.contacts), None
                elif not self._goes_on_after(event.code):
                    return False
                if self._call.is_ending:
                    return False
                self.is_decided = False
                self._spawn(self._go_on(event))
                return True
        return False

    def forget(self) -> None:
        """The call is over."""
        self._decide()
        if self._now is not None and self._now.trunk is not None:
            self._exchange.ended(self._call.call_id, self._now.trunk.name)

    def _decide(self) -> None:
        self.is_decided = True
        if self._silence is not None:
            self._silence.cancel()

    def _tell(self, *, reached: bool, code: int = 0) -> None:
        attempt = self._now
        if attempt is None or attempt.trunk is None:
            return
        if reached:
            self._exchange.reached(attempt.trunk.name, attempt.target)
        else:
            self._exchange.missed(attempt.trunk.name, attempt.target, code)

    def _goes_on_after(self, code: int) -> bool:
        attempt = self._now
        if attempt is None or attempt.trunk is None:
            return code in _UNREACHED
        # A connection that cannot be made is a 503 or 502 of PJSIP's own: a timeout in all but name (RFC 3263, 4.3).
        return fails_over(attempt.trunk, code) or (code in _UNREACHED and fails_over(attempt.trunk, 408))

    async def _go_on(self, ended: CallEnded) -> None:
        """Another server, or the end after all."""
        is_placed = False
        try:
            is_placed = await self._place()
        except CallError as fault:
            log.info("call_not_moved", call_id=self._call.call_id, cause=str(fault))
        finally:  # also when we are shutting down: the call waits for it
            if not is_placed:
                self._decide()
                self._call.receive(ended)

    async def _place(self) -> bool:
        """Send the next INVITE; False: there is nobody left to send one to, or nobody who wants it sent."""
        while (attempt := await self._peek()) is not None:
            self._next = None
            if self._call.is_ending:
                return False
            if not self._charge(attempt):
                continue
            facts = self._call.facts
            if self._now is not None:
                log.info("call_moved", call_id=self._call.call_id, trunk=attempt.where.trunk, from_trunk=facts.trunk)
            self._now, self._gave_up, self._count = attempt, False, self._count + 1
            facts.trunk, facts.peer = attempt.where.trunk, attempt.where.uri
            self._silence = asyncio.get_running_loop().call_later(_patience_s(attempt), self._mind_silence)
            try:
                said = self._said(attempt.trunk, attempt.where)
                await self._endpoint.place(
                    self._call.call_id,
                    attempt.where.uri,
                    trunk=attempt.where.trunk,
                    caller_id=said.from_uri,
                    headers=said.headers,
                    target=attempt.target,
                )
            except BadAddress as fault:
                # PJSIP will not send it: no such transport here, or no memory. Others may do.
                self._silence.cancel()
                self._fault = fault
                continue
            except BaseException:
                self._silence.cancel()
                raise
            return True
        return False

    def _charge(self, attempt: Attempt) -> bool:
        """Let the trunk of this attempt have the call; False: it may not."""
        before = None if self._now is None else self._now.trunk
        if attempt.trunk is before:
            return True
        if attempt.trunk is not None and (bar := self._exchange.admit(self._call.call_id, attempt.trunk.name)):
            self._fault = too_many(bar)
            return False
        if before is not None:
            self._exchange.ended(self._call.call_id, before.name)
        return True

    async def _peek(self) -> Attempt | None:
        async with self._looking:  # the silence may end while the next one is looked for
            if self._next is None and self._count < _MOST_ATTEMPTS:
                self._next = await anext(self._attempts, None)
            return self._next

    def _mind_silence(self) -> None:
        self._spawn(self._end_silence())

    async def _end_silence(self) -> None:
        """Nothing has come: go on, if there is where to."""
        if await self._peek() is not None and not self.is_decided and not self._call.is_ending:
            self._gave_up = True
            self._endpoint.give_up_if_silent(self._call.call_id)

    async def _follow(self, contacts: tuple[str, ...]) -> AsyncIterator[Attempt]:
        """Where a 3xx sends us, as far as we may be sent: through a trunk that may dial it, and to its server only."""
        for contact in contacts:
            if contact in self._redirected or len(self._redirected) > _MOST_REDIRECTIONS:
                continue
            self._redirected.add(contact)
            try:
                self._exchange.permit(contact, None, "redirect")
                trunk = self._exchange.carriers(contact, None, "redirect")[0]
                where, uri = via(trunk, contact, trunk.host), SipUri.parse(contact)
            except (GatewayError, UriError):
                log.info("redirection_refused", call_id=self._call.call_id)
                continue
            host = uri.host if uri.port is None else f"{uri.host}:{uri.port}"
            hop, transport = next_hop(trunk, host)
            if trunk.outbound_proxy is None:
                transport = _transport_of(uri) or transport
            for target in await self._exchange.servers(hop, transport):
                yield Attempt(where, target, trunk)

    async def _find(self, trunks: tuple[TrunkConfig, ...]) -> AsyncIterator[Attempt]:
        """All that can be tried, in order."""
        if not trunks:
            uri = SipUri.parse(self._to)
            host = uri.host if uri.port is None else f"{uri.host}:{uri.port}"
            for target in await self._exchange.servers(host, _transport_of(uri)):
                trunk = await self._exchange.trunk_at(target)
                try:
                    if trunk is not None:
                        self._exchange.routes(uri.user, trunk.name, "order")
                except GatewayError as fault:
                    self._fault = fault
                    continue
                yield Attempt(Destination(str(uri), "" if trunk is None else trunk.name, uri.host), target, trunk)
            if self._now is None and self._fault is None:
                self._fault = BadAddress("the host of the address is not known")
        resting: list[Attempt] = []
        for trunk in trunks:
            for host in hosts(trunk):
                where = via(trunk, self._to, host)
                for target in await self._exchange.servers(*next_hop(trunk, host)):
                    attempt = Attempt(where, target, trunk)
                    if self._exchange.is_well(trunk.name, target):
                        yield attempt
                    else:
                        resting.append(attempt)
        for attempt in resting:
            yield attempt


def _patience_s(attempt: Attempt) -> float:
    return TrunkConfig.model_fields["failover_s"].default if attempt.trunk is None else attempt.trunk.failover_s


def _transport_of(uri: SipUri) -> Transport | None:
    """What the URI says of it (RFC 3263 section 4.1)."""
    if uri.scheme == "sips":
        return "tls"
    for parameter in uri.parameters.lower().split(";"):
        match parameter:
            case "transport=udp":
                return "udp"
            case "transport=tcp":
                return "tcp"
            case "transport=tls":
                return "tls"
    return None
