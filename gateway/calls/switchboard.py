# SPDX-License-Identifier: GPL-3.0-or-later
"""Every call of this process: who gets which event, which route a call takes, what the API asks for."""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

import structlog
from pydantic import ValidationError

from gateway.api.bridging import BridgeOrder
from gateway.api.orders import PlaceCall
from gateway.calls.activity import Ended
from gateway.calls.attendance import StartActivity
from gateway.calls.bridge import Bridges
from gateway.calls.call import Adoption, Call
from gateway.calls.campaign_order import CampaignOrder
from gateway.calls.dialling import Dialling
from gateway.calls.dialplan import Destination, host_of, presentation
from gateway.calls.exchange import Exchange
from gateway.calls.facts import CallFacts
from gateway.calls.journal import Journal
from gateway.calls.leg_control import LegControl
from gateway.calls.prompts import Prompt
from gateway.calls.purposes import Agents, Purposes
from gateway.calls.recording import CallRecording
from gateway.calls.refusal import numbers_of
from gateway.calls.route import RouteConfig
from gateway.calls.said_headers import metadata_of
from gateway.calls.succession import Succession
from gateway.calls.successions import Successions
from gateway.calls.tracing import Tracing
from gateway.calls.transfer import Transfer
from gateway.calls.trunk_watch import TrunkWatch
from gateway.calls.verdict import BeforeAnswer
from gateway.config import Config
from gateway.errors import (
    BadAddress,
    CallError,
    GatewayMisuse,
    NoSuchCall,
    TooManyCalls,
    WrongCallState,
)
from gateway.events import EventBus
from gateway.sip.dialog import Dialog
from gateway.sip.endpoint import SipEndpoint
from gateway.sip.events import CallDialled, IncomingCall, ReferReceived, RegistrationChanged, SignallingSeen, SipEvent
from gateway.sip.settings import EndpointSettings
from gateway.sip.sip_thread import new_handle
from gateway.streams import messages
from gateway.streams.streams import Streams
from gateway.telemetry import Metrics
from gateway.trunks.config import TrunkConfig
from gateway.trunks.identity import Presentation, parties
from media.keys import KeyMethod, ToneDetection
from media.ports import PcmHub
from media.recorder import RecordingWriter

log = structlog.get_logger(__name__)

_NOT_FOUND = 404
_MEDIA_WATCH_S = 2.0
_QUALITY_S = 10.0
_KEYS_OF_TRUNKS = {"rfc4733": None, "info": KeyMethod.INFO, "inband": KeyMethod.INBAND}
"""`dtmf` of a trunk: its events need the far end's consent, which it may not give."""


class Switchboard:
    """An async context manager: inside it calls are taken; leaving it ends them."""

    def __init__(
        self,
        config: Config,
        settings: EndpointSettings,
        hub: PcmHub,
        agents: Agents,
        journal: Journal,
        metrics: Metrics,
        events: EventBus,
        streams: Streams,
        exchange: Exchange,
    ) -> None:
        self._config = config
        self.endpoint = SipEndpoint(settings, self.receive, exchange.names.ask)
        self.exchange = exchange
        self.endpoint.let_refer(exchange.may_be_sent)
        self._hub = hub
        self._agents = agents
        self._journal = journal
        self._metrics = metrics
        self.events = events
        self.streams = streams
        streams.transfer = self._transfer_for_backend
        self.recordings = RecordingWriter(
            config.media.record_format, journal.encryption_key, threads=_recording_threads(config)
        )
        self._calls: dict[str, Call] = {}
        self._diallings: dict[str, Dialling] = {}
        """Of outgoing calls, for as long as they last."""
        self._successions = Successions(exchange, self.endpoint, self._calls)
        self._none_left = asyncio.Event()
        self._none_left.set()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self.bridges = Bridges()
        self.purposes = Purposes(config, agents, streams, self.bridges, self._dial_for)
        self.tracing = Tracing(config.trace, journal)
        self.trunk_watch = TrunkWatch(config.alarms.limits, metrics, events)
        self.registration_failed: Callable[[], None] = lambda: None
        """Told whenever a registrar does not want us, or is silent."""
        self.on_do_not_call: Callable[[Call, Sequence[str]], None] = lambda call, numbers: None
        """Told, once a call, that its far end does not want to be called any more, and by which numbers."""
        self.is_draining = False
        """No new calls are taken."""

    # The calls' home

    async def __aenter__(self) -> Self:
        """Begin to take calls. Raises `StartupError`."""
        await self.endpoint.start()
        self._tasks = await asyncio.TaskGroup().__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up what is left; returns when every call is over and recorded."""
        assert self._tasks is not None
        self.is_draining = True
        for task in self._running.values():
            task.cancel()
        try:
            await self._tasks.__aexit__(None, None, None)
        finally:
            self._tasks = None
            await self.endpoint.close()
            self.tracing.close()
            await asyncio.to_thread(self.recordings.close)

    async def empty(self, limit_s: float) -> None:
        """Take no more calls and wait until those that stand have ended, at most `limit_s`."""
        self.is_draining = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._none_left.wait(), limit_s)

    def dump(self, call: Call) -> str | None:
        """The conversation of the agent that has a call, for another gateway; None: none has."""
        return self._agents.dump(call)

    async def drain(self, limit_s: float) -> None:
        """`empty`; then hang up the rest."""
        await self.empty(limit_s)
        for call in list(self._calls.values()):
            with contextlib.suppress(CallError):  # over already
                await call.hang_up("shutdown")

    def receive(self, event: SipEvent) -> None:
        """Take an event of the endpoint."""
        match event:
            case IncomingCall():
                self._admit(event)
            case RegistrationChanged():
                level = log.info if event.registered else log.warning
                level("registration", trunk=event.account, registered=event.registered, code=event.code)
                self.exchange.registered(event.account, event.registered)
                if not event.registered:
                    self.registration_failed()
                if event.registered and event.registrar_address:
                    self.endpoint.learn(event.account, (host_of(event.registrar_address),))
                if event.registered and self._tasks is not None:
                    self._tasks.create_task(self._learn_registrar(event.account), name=f"registrar:{event.account}")
            case SignallingSeen():
                self.tracing.receive(event.messages)
            case CallDialled():
                self.tracing.bind(event.sip_call_id, self._successions.session_of(event.handle))
            case ReferReceived():
                if self._tasks is not None:
                    self._successions.refer(event, self._tasks.create_task, self._adopt)
            case _ if self._successions.receive(event):
                pass
            case _:
                dialling, call = self._diallings.get(event.handle), self._calls.get(event.handle)
                if call is not None and (dialling is None or not dialling.receive(event)):
                    call.receive(event)

    async def _learn_registrar(self, name: str) -> None:
        """The addresses that calls of a registration may come from."""
        addresses = await self.exchange.addresses(name)
        if addresses:  # an unknown name keeps those known before
            self.endpoint.learn(name, addresses)

    def _admit(self, event: IncomingCall) -> None:
        trunk = event.trunk or None
        through = self._config.trunk_named(trunk)
        between = parties(through, event.from_uri, event.dialled_user, event.headers)
        route = self._config.route_for(between.called, host_of(event.source_address), trunk)
        if self.is_draining or self._tasks is None:
            self._refuse(event, 503, "draining")
        elif event.replaced is not None:
            self.tracing.bind(event.sip_call_id, event.replaced.handle or event.handle)
            if code := self._successions.replace(event, self._tasks.create_task):
                self._refuse(event, code, "replaces")
        elif route is None:
            self._refuse(event, _NOT_FOUND, "no route")
        elif route.action == "reject" and (route.file is None or (through is not None and not through.early_media)):
            self._refuse(event, route.code, "route")
        elif trunk and not self.exchange.admit_inbound(event.handle, trunk):
            self._refuse(event, 503, "trunk full")
        else:
            facts = CallFacts(
                call_id=event.handle,
                direction="inbound",
                from_=between.caller,
                to=between.called,
                peer=between.caller_uri,
                trunk=trunk or "",
                agent=route.agent if route.action == "agent" else None,
                metadata={
                    "sip_call_id": event.sip_call_id,
                    **({"trunk": trunk} if trunk else {}),
                    **metadata_of(event.headers, trusted=through is not None and through.trust_identity),
                    **({"user": event.user} if event.user else {}),
                },
            )
            self.tracing.bind(event.sip_call_id, event.handle)
            self._start(self._new_call(facts, *self.purposes.of_route(route)))

    def take(
        self,
        facts: CallFacts,
        start: StartActivity,
        before_answer: BeforeAnswer | None,
        legs: LegControl,
        carry: Coroutine[object, object, None],
    ) -> Call:
        """An inbound call that came by another way than SIP, `legs`; `carry` is its leg's life. Raises
        `TooManyCalls`."""
        if self.is_draining or self._tasks is None:
            carry.close()
            raise TooManyCalls("the gateway is shutting down")
        call = self._new_call(facts, start, before_answer, legs=legs)
        self._tasks.create_task(self._see_through(carry), name=f"{facts.call_id}:leg")
        self._start(call)
        return call

    async def go_on_with(self, facts: CallFacts, dialog: Dialog, adoption: Adoption, history: str | None) -> Call:
        """Take over a call that another gateway had: its far end is told by a re-INVITE. An agent goes on with this
        `history`. What nobody could go on with is ended, so that its far end is not left in silence.

        Raises `BadAddress`, `NoSuchTrunk`, `TooManyCalls`.
        """
        if self._tasks is None or facts.call_id in self._calls:
            raise TooManyCalls("the gateway is shutting down, or has the call already")
        call = self._new_call(facts, self._continued(facts), adoption=adoption)
        if history is not None:
            self._agents.load(call, history, apologize=adoption.cause == "death")
        if facts.trunk:
            self.exchange.admit_inbound(facts.call_id, facts.trunk)  # full or not: it stands
        try:
            await self.endpoint.adopt(facts.call_id, dialog, trunk=facts.trunk, inbound=facts.direction == "inbound")
        except CallError:
            self._forget(call)
            raise
        self._start(call)
        return call

    def _continued(self, facts: CallFacts) -> StartActivity:
        """What a call of another gateway was for, as far as that can be begun again."""
        if facts.agent is not None and facts.agent in self._agents:
            return self.purposes.agent(facts.agent)[1]
        route = self._config.route_for(facts.to, host_of(facts.peer), facts.trunk or None)
        if facts.direction == "inbound" and route is not None and route.action in ("echo", "play", "stream", "flow"):
            return self.purposes.of_route(route)[0]
        return lambda call: Ended("lost")

    def _adopt(self, succession: Succession, dialling: Dialling) -> None:
        """Another leg has a call: what it costs is counted there."""
        call_id = succession.call.call_id
        if (before := self._diallings.pop(call_id, None)) is not None:
            before.forget()
        elif succession.trunk_before:
            self.exchange.ended(call_id, succession.trunk_before)
        self._diallings[call_id] = dialling

    def _refuse(self, event: IncomingCall, code: int, cause: str) -> None:
        log.info("call_refused", call_id=event.handle, code=code, cause=cause)
        self.endpoint.refuse(event.handle, code)

    def _new_call(
        self,
        facts: CallFacts,
        start: StartActivity,
        before_answer: BeforeAnswer | None = None,
        campaign: CampaignOrder | None = None,
        legs: LegControl | None = None,
        adoption: Adoption | None = None,
    ) -> Call:
        recording = CallRecording(self.recordings, self._journal.recordings_dir, facts.call_id)
        inband_keys = ToneDetection[self._config.media.inband_dtmf.upper()]
        call = Call(
            facts,
            legs or self.endpoint,
            self._hub,
            self._journal,
            self._metrics,
            start,
            recording,
            self.events,
            inband_keys,
            record=self._config.media.record,
            before_answer=before_answer,
            campaign=campaign,
            adoption=adoption,
        )
        if (trunk := self._config.trunk_named(facts.trunk)) is not None:
            call.keypad.usual = _KEYS_OF_TRUNKS[trunk.dtmf]
            call.takes_early_media = trunk.early_media
        call.before_last_event = self.trunk_watch.ended
        self._calls[facts.call_id] = call
        self._none_left.clear()
        return call

    def _start(self, call: Call) -> None:
        assert self._tasks is not None
        call.begin()
        self._running[call.call_id] = self._tasks.create_task(self._live(call), name=call.call_id)
        if (expecting := self._agents.expect(call)) is not None:
            self._tasks.create_task(expecting, name=f"{call.call_id}:early-stt")

    async def _live(self, call: Call) -> None:
        self._metrics.call_began(call.facts.direction)
        try:
            await call.run()
        except Exception:
            # A fault of ours on one call must not end the others, which share this task group.
            log.exception("call_fault", call_id=call.call_id)
        finally:
            self._forget(call)
            self._metrics.call_ended(call.facts.direction, call.facts.end_reason or "failed")

    def _forget(self, call: Call) -> None:
        self._calls.pop(call.call_id, None)
        (self.tracing.forget if call.has_moved else self.tracing.end)(call.call_id)
        self._running.pop(call.call_id, None)
        if (dialling := self._diallings.pop(call.call_id, None)) is not None:
            dialling.forget()
        elif call.facts.trunk:
            self.exchange.ended(call.call_id, call.facts.trunk)
        if not self._calls:
            self._none_left.set()

    async def watch_media(self) -> None:
        """Hang up calls whose peer is gone without a BYE; runs until cancelled."""
        while True:
            await asyncio.sleep(_MEDIA_WATCH_S)
            now = time.monotonic()
            for call in self.calls:
                if call.silent_for(now) > self._config.media.timeout_s:
                    log.warning("media_timeout", call_id=call.call_id)
                    with contextlib.suppress(CallError):  # over already
                        await call.hang_up("media_timeout")

    async def watch_quality(self) -> None:
        """Tell how the standing calls sound, while somebody looks on; runs until cancelled."""
        while True:
            await asyncio.sleep(_QUALITY_S)
            for call in self.calls if self.events.is_watched else ():
                with contextlib.suppress(CallError):  # over already
                    await call.tell_quality()

    # What the API asks for

    async def place(
        self,
        order: PlaceCall,
        play: Prompt | None = None,
        *,
        call_id: str | None = None,
        campaign: CampaignOrder | None = None,
    ) -> Call:
        """Dial, and return while it rings. `play` comes first, and alone when nothing else is named.

        `call_id`: of `new_handle()`, for who wants to have it written down before anything is sent; None: a new one.
        `campaign`: whose call it is.

        Raises `BadAddress`, `DestinationBarred`, `NoSuchAgent`, `NoSuchTrunk`, `TooManyCalls`, `TrunkUnreachable`, and
        for streams and flows `UrlError`.
        """
        if self.is_draining or self._tasks is None:
            raise TooManyCalls("the gateway is shutting down")
        agent, start = await self.purposes.of_order(order, play)
        headers = tuple(order.headers.items())
        return await self._dial(order, start, agent, headers=headers, call_id=call_id, campaign=campaign)

    async def bridge(self, call: Call, other: Call, order: BridgeOrder) -> None:
        """Let two calls that stand talk to each other. Raises `NoSuchAgent`, `UnknownLanguage`,
        `WrongCallState`."""
        await self.bridges.join(
            call, other, give_back=order.on_end == "return", interpreting=self.purposes.interpreting(order.interpret)
        )

    async def bridge_by_dialling(self, call: Call, order: BridgeOrder) -> Call:
        """Dial, and bridge with `call` when they answer; returns while it rings. Raises as `place` does."""
        return await self.bridges.dial(
            call,
            lambda start: self._dial(order, start),
            give_back=order.on_end == "return",
            interpreting=self.purposes.interpreting(order.interpret),
        )

    async def _dial(
        self,
        order: PlaceCall | BridgeOrder,
        start: StartActivity,
        agent: str | None = None,
        *,
        diverted_from: str = "",
        headers: tuple[tuple[str, str], ...] = (),
        call_id: str | None = None,
        campaign: CampaignOrder | None = None,
    ) -> Call:
        if self.is_draining or self._tasks is None:
            raise TooManyCalls("the gateway is shutting down")
        if call_id in self._calls:
            raise GatewayMisuse("a call of this id stands")
        assert order.to is not None
        carriers = self.exchange.carriers(order.to, order.profile, "order")
        through = carriers[0] if carriers else None
        facts = CallFacts(
            call_id or new_handle(),
            "outbound",
            order.from_ or (through.number if through else "") or "parley",
            order.to,
            trunk=carriers[0].name if carriers else "",
            agent=agent,
            metadata=dict(order.metadata),
        )
        call = self._new_call(facts, start, campaign=campaign)
        call.answer_within(order.timeout_s)

        def said(trunk: TrunkConfig | None, where: Destination) -> Presentation:
            usual = presentation(trunk, order.from_, where, self.endpoint.address, diverted_from)
            return replace(usual, headers=(*usual.headers, *headers))

        dialling = Dialling(self.exchange, self.endpoint, call, order.to, carriers, said, self._tasks.create_task)
        self._diallings[facts.call_id] = dialling
        try:
            await dialling.begin()
        except BaseException:
            self.endpoint.refuse(facts.call_id, 0)  # whoever asked may be gone before the INVITE is out
            self._forget(call)
            raise
        self._start(call)
        return call

    async def _dial_for(self, caller: Call, route: RouteConfig, start: StartActivity) -> Call:
        """Whom a route leads to: they see who calls, if that can be said in a From."""
        wanted = {"to": route.to, "timeout_s": route.answer_timeout_s}
        order = BridgeOrder.model_validate(wanted)
        dialled = caller.facts.to
        try:
            seen = BridgeOrder.model_validate({**wanted, "from": caller.facts.from_})
            return await self._dial(seen, start, diverted_from=dialled)
        except (BadAddress, ValidationError):
            return await self._dial(order, start, diverted_from=dialled)

    async def _transfer_for_backend(self, call: Call, request: messages.Transfer) -> None:
        if request.mode == "attended":
            await self.transfer(call, "", self.call(request.to))
        else:
            await self.transfer(call, request.to)

    def do_not_call(self, call: Call) -> None:
        """The far end of this call has asked not to be called any more. Raises `BadAddress`: it is not known who they
        are."""
        if call.facts.do_not_call:
            return
        numbers = numbers_of(call.facts)
        call.facts.do_not_call = True
        call.publish("call.do_not_call", numbers=list(numbers))
        self.on_do_not_call(call, numbers)

    def hand_to_agent(self, call: Call, name: str | None) -> None:
        """Whatever has the call loses it to this agent (None: the only one). Raises `NoSuchAgent`, `WrongCallState`."""
        _, start = self.purposes.agent(name)
        call.attendance.hand_over(start)

    async def transfer(
        self,
        call: Call,
        to: str,
        other: Call | None = None,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        timeout_s: float = 60.0,
    ) -> Transfer:
        """Send the far end to an address, or to the far end of another call of ours; returns when it has been asked to.

        Raises `BadAddress`, `NoSuchTrunk`, `DestinationBarred`, `WrongCallState`.
        """
        if self._tasks is None or (call.transfer is not None and call.transfer.is_under_way):
            raise WrongCallState("a transfer is under way already")
        if other is call:
            raise WrongCallState("a call cannot be transferred to itself")
        by_refer = call.legs.takes_refer and (other is None or other.legs.takes_refer)
        if not by_refer or not self.exchange.takes_refer(call.facts.trunk):
            return await self._transfer_by_bridge(self._tasks, call, to, other, headers, timeout_s)
        where = None if other is not None else self.exchange.permit(to, call.facts.trunk or None, "transfer")
        transfer = call.transfer = Transfer(call, to, other)
        try:
            if where is not None:
                await self.endpoint.transfer(call.call_id, where.uri, headers)
            elif other is not None:
                await self.endpoint.transfer_to_call(call.call_id, other.call_id, headers)
        except BaseException:
            transfer.fail()
            raise
        self._tasks.create_task(self._see_through(transfer.run(timeout_s)), name=f"{call.call_id}:transfer")
        return transfer

    async def _transfer_by_bridge(
        self,
        tasks: asyncio.TaskGroup,
        call: Call,
        to: str,
        other: Call | None,
        headers: tuple[tuple[str, str], ...],
        timeout_s: float,
    ) -> Transfer:
        """The same through a trunk that takes no REFER: the call stays with us. Raises as `place` and `bridge` do."""
        transfer = call.transfer = Transfer(call, to, other)
        try:
            if other is None:
                self.exchange.permit(to, None, "transfer")
                order = BridgeOrder.model_validate({"to": to, "timeout_s": timeout_s})
                other = await self.bridges.dial(
                    call, lambda start: self._dial(order, start, headers=headers), give_back=False
                )
            else:
                await self.bridges.join(call, other, give_back=False)
        except BaseException:
            transfer.fail()
            raise
        if (bridge := self.bridges.of(other)) is None:  # they have parted again
            transfer.fail()
        else:
            tasks.create_task(self._see_through(transfer.run_as_bridge(bridge, other)), name=f"{call.call_id}:transfer")
        return transfer

    async def _see_through(self, work: Coroutine[object, object, None]) -> None:
        try:
            await work
        except Exception:
            # A fault of ours must not end all calls, which share this task group.
            log.exception("call_work_fault")

    def call(self, call_id: str) -> Call:
        """Raises `NoSuchCall`."""
        try:
            return self._calls[call_id]
        except KeyError:
            raise NoSuchCall(call_id) from None

    @property
    def calls(self) -> list[Call]:
        """Calls that have not ended, oldest first."""
        return list(self._calls.values())


def _recording_threads(config: Config) -> int:
    """One writes WAV for more calls than we take; encoding Opus fills a core with some 300 (scripts/bench/recorder)."""
    return 1 if config.media.record_format == "wav" else max(1, len(os.sched_getaffinity(0)) // 2)
