# SPDX-License-Identifier: GPL-3.0-or-later
"""All that runs on the SIP thread: PJSIP's endpoint, its accounts and calls, and the commands that asyncio sends."""

import queue
import secrets
import time
from bisect import insort
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import pjsua2 as pj
import structlog

from gateway.errors import (
    BadAddress,
    NoSuchCall,
    NoSuchTrunk,
    StartupError,
    TooManyCalls,
    WrongCallState,
)
from gateway.sip.account import SipAccount, inbound_account, local_account, outbound_account
from gateway.sip.adoption import DialogAdoption
from gateway.sip.call import SipCall, add_headers
from gateway.sip.codecs import choose_codecs
from gateway.sip.command import Command
from gateway.sip.dialog import Dialog
from gateway.sip.events import (
    CallDialled,
    IncomingCall,
    LegSucceeded,
    Replaced,
    SignallingSeen,
    SipEvent,
)
from gateway.sip.gate import GateCounts, SipGate
from gateway.sip.guard import EDGE_HEADER
from gateway.sip.log import PjsipLog
from gateway.sip.reason import Reason
from gateway.sip.referral import ReferralError, ReferTo, Replaces
from gateway.sip.resolver import Ask, SipProbe, SipResolver
from gateway.sip.settings import EndpointSettings, TrunkSettings
from gateway.sip.signalling import SipMessage
from gateway.sip.timers import Timers
from gateway.sip.transports import SipTransports
from gateway.sip.uri import SipUri, UriError, request_uri_user, wire_text
from gateway.trunks.dns import Target
from media.native_port import NativePort
from media.ports import (
    open_media_gate,
    set_media_sources,
    silence_library,
    start_clock,
    stop_clock,
)

_SWEEP_S = 1.0
_POLL_MS = 10
"""Longest time a command waits while the wire is silent."""
_REQUEST_TIMEOUT = 408
_MOST_RESTING = 256
"""RTP ports of calls that are over, in pairs: two file descriptors each."""
_SPARE_SLOTS = 32
"""Call slots beyond `max_calls`, for calls that are over for us and not yet for PJSIP."""
_SILENT_S = 33.0
"""How long PJSIP keeps the slot of an INVITE that nobody answers, hung up or not: timer B of RFC 3261, 32 s."""
_PJ_ETOOMANY = 70010
"""PJSIP's status when it has no slot left; its Python has no name for it."""
_REINVITE_S = 0.02
"""Between two calls that are told of our new address."""
_AGAIN_S = 1.0
"""Until a registration or re-INVITE is tried again that another one was in the way of."""
_TELLINGS = 10
"""Tries of such a re-INVITE."""
_LOCAL = ""
"""Name of the account that is no trunk's."""

log = structlog.get_logger(__name__)


class _Endpoint(pj.Endpoint):  # type: ignore[misc]
    """PJSIP's endpoint, with incoming calls kept off the accounts that have credentials."""

    def __init__(self, select_account: Callable[[pj.OnSelectAccountParam], int]) -> None:
        super().__init__()
        self._select_account = select_account

    def onSelectAccount(self, prm: pj.OnSelectAccountParam) -> None:
        """PJSUA would go by the To header, which anybody writes."""
        prm.accountIndex = self._select_account(prm)


class SipThread:
    """Everything here runs on the endpoint's thread, or is the event loop's before it starts."""

    def __init__(
        self,
        settings: EndpointSettings,
        commands: "queue.SimpleQueue[Command | None]",
        post: Callable[[SipEvent], None],
        ask: Ask | None = None,
    ) -> None:
        """`ask`: who knows the addresses of hosts; None: PJSIP asks the system, and everything waits for the answer."""
        self._settings = settings
        self._commands = commands
        self.post = post
        self._ask = ask
        self.may_refer: Callable[[str, str], bool] = lambda trunk, to: False
        """Whether calls of this trunk may be sent to this address by a REFER of their far ends; asked on our thread."""
        self.resolver: SipResolver | None = None
        self.probe: SipProbe | None = None
        self.accounts: dict[str, SipAccount] = {}
        """For calls out, by trunk."""
        self.inbound: dict[str, SipAccount] = {}
        """For calls in, by trunk."""
        self.calls: dict[str, SipCall] = {}
        self.transports = SipTransports(settings)
        self.released: list[SipCall] = []
        self._timers = Timers()
        self.silent_until: deque[float] = deque()
        """When PJSIP gives back the slots of calls that are over for us: monotonic seconds, at most one each."""
        self.gate: SipGate | None = None
        """From the start on; kept, since PJSIP has its address."""
        self._adopting = DialogAdoption(self)
        self.gate_counts: GateCounts | None = None
        """Copied once a second, for other threads."""
        self._counted_at = 0.0

    def serve(self, started: Callable[[str], None]) -> None:
        """Run until the command None; `started` is told our address. Raises `StartupError`."""
        silence_library()
        endpoint = _Endpoint(self._select_account)
        try:
            endpoint.libCreate()
            address = self._open(endpoint)
        except pj.Error as fault:
            endpoint.libDestroy()
            raise StartupError(f"SIP cannot start: {fault.reason or fault.title}") from fault
        except StartupError:
            endpoint.libDestroy()
            raise
        started(address)
        self._sweep()
        while True:
            endpoint.libHandleEvents(_POLL_MS)
            # Never inside a callback: a pj.Call must not be freed while PJSIP is still using it.
            self.released.clear()
            self._count()
            self._pass_copies_on()
            self._timers.run(time.monotonic())
            if not self._work_off():
                break
        endpoint.hangupAllCalls()
        for _ in range(50):
            endpoint.libHandleEvents(_POLL_MS)
            self.released.clear()
            if not self.calls:
                break
        self._pass_copies_on()
        self.accounts.clear()
        self.inbound.clear()
        self.calls.clear()
        if self.resolver is not None:
            self.resolver.close()
        stop_clock()
        endpoint.libDestroy()

    def _sweep(self) -> None:
        pj.sweep_resting_ports()
        self.later(_SWEEP_S, self._sweep)

    def _pass_copies_on(self) -> None:
        messages, left_out = pj.take_sip_copies()
        if messages:
            self.post(SignallingSeen(tuple(SipMessage.of_wire(*one) for one in messages)))
        if left_out:
            log.warning("sip_messages_not_traced", count=left_out)

    def _work_off(self) -> bool:
        """Run the queued commands; False when the endpoint is to close."""
        while True:
            try:
                command = self._commands.get_nowait()
            except queue.Empty:
                return True
            if command is None:
                return False
            command.run()

    def _count(self) -> None:
        now = time.monotonic()
        if self.gate is not None and now >= self._counted_at + 1.0:
            self._counted_at = now
            self.gate_counts = self.gate.counts()

    def _open(self, endpoint: pj.Endpoint) -> str:
        settings = self._settings
        config = pj.EpConfig()
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = True
        config.uaConfig.maxCalls = settings.max_calls + _SPARE_SLOTS
        config.uaConfig.userAgent = settings.user_agent
        config.uaConfig.natTypeInSdp = 0  # a=X-nat is for PJSIP's own peers, and offers are long
        config.logConfig.level = settings.log_level
        config.logConfig.consoleLevel = settings.log_level  # the writer is asked only up to this level
        config.logConfig.msgLogging = 0
        config.logConfig.decor = 0
        self._writer = PjsipLog()  # PJSIP keeps a bare pointer
        config.logConfig.writer = self._writer
        config.medConfig.noVad = True
        config.medConfig.threadCnt = 1
        config.medConfig.maxMediaPorts = settings.max_calls + _SPARE_SLOTS + 16
        endpoint.libInit(config)
        open_media_gate(self._resting_ports())
        self.probe = SipProbe()
        if self._ask is not None:
            self.resolver = SipResolver(self._ask, self._commands.put)
            self.resolver.install()
        self.gate = SipGate(settings.guard, self.is_full, self._trunk_of_account)
        self.gate.open()
        pj.hide_replaces()
        pj.trim_capabilities()
        pj.answer_pings()
        pj.follow_connections()
        if settings.trace:
            pj.start_sip_tap()
        address = self.transports.open(endpoint)
        endpoint.libStart()
        start_clock()
        every_codec = dict.fromkeys((*settings.codecs, *(codec for trunk in settings.trunks for codec in trunk.codecs)))
        choose_codecs(endpoint, tuple(every_codec), fec=settings.media.fec is not False)
        host = self._our_host = settings.public_address or _host_of(address)
        local = self._add_account(_LOCAL, local_account(f"sip:parley@{host}", settings.media), settings.codecs)
        self.accounts[_LOCAL] = self.inbound[_LOCAL] = local
        for trunk in settings.trunks:
            codecs = trunk.codecs or settings.codecs
            outbound = outbound_account(trunk, settings.media, trusts_registrar=settings.trusts_registrars)
            outbound.sipConfig.contactForced = self._contact(trunk, settings.public_address)
            self.accounts[trunk.name] = self._add_account(trunk.name, outbound, codecs)
            self.inbound[trunk.name] = self._add_account(trunk.name, inbound_account(trunk, settings.media), codecs)
            for account in (self.accounts[trunk.name], self.inbound[trunk.name]):
                set_media_sources(account.getId(), trunk.media_allow, trusted=True)
        return address

    def _resting_ports(self) -> int:
        """Pairs that no call can come to need, some of them."""
        media = self._settings.media
        spare = (media.rtp_port_max - media.rtp_port_min + 1) // 2 - self._settings.max_calls - _SPARE_SLOTS
        return max(0, min(_MOST_RESTING, spare))

    def _select_account(self, prm: pj.OnSelectAccountParam) -> int:
        admission = self.gate.admission if self.gate is not None else None
        trunk = admission.accepted.trunk if admission is not None else _LOCAL
        return self.inbound[trunk].getId()  # type: ignore[no-any-return]

    def _trunk_of_account(self, account_id: int) -> str:
        for accounts in (self.accounts, self.inbound):
            for name, account in accounts.items():
                if account.getId() == account_id:
                    return name
        return _LOCAL

    def _add_account(self, name: str, config: pj.AccountConfig, codecs: tuple[str, ...]) -> SipAccount:
        account = SipAccount(name, codecs, self._on_invite, self.post)
        account.create(config, name == _LOCAL)
        return account

    def _on_invite(self, account: SipAccount, prm: pj.OnIncomingCallParam) -> None:
        call = self.new_call(account, new_handle(), prm.callId)
        info = call.getInfo()
        assert self.gate is not None
        admission = self.gate.admission
        # PJSIP makes the call within the callback that asked the gate, so nothing can have come between.
        # Its own copy of the Call-ID ends after 128 characters.
        assert admission is not None
        accepted = admission.accepted
        self.gate.guard.begin_call(call.handle, accepted.source, accepted.trunk)
        self.post(
            IncomingCall(
                handle=call.handle,
                sip_call_id=wire_text(admission.call_id),
                from_uri=wire_text(info.remoteUri),
                from_user=_user_of(wire_text(info.remoteUri)),
                to_uri=wire_text(info.localUri),
                dialled_user=wire_text(request_uri_user(admission.head.start_line)),
                source_address=_origin(accepted.source, prm.rdata.srcAddress),
                trunk=accepted.trunk,
                user=accepted.user,
                headers=tuple(
                    (wire_text(name), wire_text(value))
                    for name, value in admission.head.headers
                    if name.lower() != EDGE_HEADER.lower()
                ),
                replaced=self._replaced_by(tuple(admission.head.all("replaces"))),
            )
        )

    def _replaced_by(self, values: tuple[str, ...]) -> Replaced | None:
        """Whose place an INVITE wants that has these Replaces headers (RFC 3891 section 3)."""
        if not values:
            return None
        try:
            wanted = Replaces.parse(values[0])
        except ReferralError:
            return Replaced("", pj.PJSIP_SC_BAD_REQUEST)
        if len(values) > 1:
            return Replaced("", pj.PJSIP_SC_BAD_REQUEST)
        number = pj.call_of_dialog(wanted.call_id, wanted.to_tag, wanted.from_tag)
        call = next((one for one in self.calls.values() if number >= 0 and one.getId() == number), None)
        if call is None or not call.is_confirmed:
            return Replaced("", pj.PJSIP_SC_CALL_TSX_DOES_NOT_EXIST)
        if wanted.early_only:
            return Replaced("", pj.PJSIP_SC_BUSY_HERE)
        return Replaced(call.handle)

    def new_call(self, account: SipAccount, handle: str, pjsua_id: int = pj.PJSUA_INVALID_ID) -> SipCall:
        media = self._settings.media
        call = SipCall(account, handle, self.post, self.release, media.jitter, pjsua_id, fec=media.fec)
        call.setCodecs(account.rtpmaps)
        call.later = self.later
        call.judge_refer = lambda asked: self._judge_refer(account.name, asked)
        self.calls[handle] = call
        return call

    def _judge_refer(self, trunk: str, asked: ReferTo) -> int:
        if self.may_refer(trunk, asked.uri):
            return pj.PJSIP_SC_ACCEPTED  # type: ignore[no-any-return]
        return pj.PJSIP_SC_FORBIDDEN  # type: ignore[no-any-return]

    def succeed(self, handle: str, successor: str, port: NativePort) -> None:
        """Let the leg `successor` be the leg `handle` from now on, with this audio port; the old one, if it still is
        there, has the other name then."""
        new, old = self.call(successor), self.calls.get(handle)
        if not new.is_confirmed:
            raise WrongCallState("the new leg is over already")
        del self.calls[successor]
        self.calls[handle] = new
        if self.gate is not None:
            self.gate.guard.succeed_call(handle, successor)
        if old is not None:
            old.tellReferral(pj.PJSIP_SC_OK, True)
            old.handle = successor
            self.calls[successor] = old
        self.post(LegSucceeded(handle, successor))
        new.succeed(handle, old, port)

    def tell_referral(self, handle: str, code: int) -> None:
        """Tell the far end that sent a REFER how the call it asked for fares."""
        call = self.calls.get(handle)
        if call is not None:
            call.tellReferral(code, code >= pj.PJSIP_SC_OK)

    def later(self, delay_s: float, work: Callable[[], None]) -> None:
        self._timers.add(time.monotonic() + delay_s, work)

    def is_full(self) -> bool:
        """Silent calls count until PJSIP has let go of them."""
        silent, now = self.silent_until, time.monotonic()
        while silent and silent[0] <= now:
            silent.popleft()
        return len(self.calls) + len(silent) >= self._settings.max_calls

    def begin_call(self, handle: str, trunk: str) -> None:
        """A call of ours counts as one of this trunk."""
        if self.gate is not None:
            self.gate.guard.begin_call(handle, trunk=trunk)

    def release(self, call: SipCall) -> None:
        self.calls.pop(call.handle, None)
        if self.gate is not None:
            self.gate.guard.end_call(call.handle)
        if call.ending_by_us and call.silent_until is not None:
            insort(self.silent_until, call.silent_until)
        self.released.append(call)

    def place(
        self,
        handle: str,
        to: str,
        trunk: str,
        caller_id: str,
        headers: tuple[tuple[str, str], ...],
        target: Target | None = None,
    ) -> None:
        account = self.accounts.get(trunk)
        if account is None:
            raise NoSuchTrunk(f"there is no trunk {trunk!r}: see [[trunk]] in the configuration")
        if self.is_full():
            raise TooManyCalls(f"all {self._settings.max_calls} calls are in use (sip.max_calls)")
        operation = pj.CallOpParam(True)
        operation.opt.audioCount = 1
        operation.opt.videoCount = 0
        if any(one.name == trunk and one.delayed_offer for one in self._settings.trunks):
            operation.opt.flag |= pj.PJSUA_CALL_NO_SDP_OFFER
        operation.txOption.localUri = caller_id
        add_headers(operation, headers)
        call = self.new_call(account, handle)
        self.begin_call(handle, trunk)
        try:
            call.silent_until = time.monotonic() + _SILENT_S
            with self._steered(target):
                call.makeCall(to, operation)
            self.post(CallDialled(handle, call.getInfo().callIdString))
        except pj.Error as fault:
            self.release(call)
            if fault.status == _PJ_ETOOMANY:
                raise TooManyCalls("PJSIP has no call left") from fault
            raise BadAddress(f"{to}: {fault.reason or fault.title}") from fault

    def dialog(self, handle: str) -> Dialog | None:
        """That of a call; None while it does not stand."""
        return Dialog.of_native(self.call(handle).dialogState())

    def adopt(self, handle: str, dialog: Dialog, trunk: str, *, inbound: bool) -> None:
        """Go on with a dialog that another process had."""
        self._adopting.begin(handle, dialog, trunk, inbound=inbound)

    def let_go(self, handle: str) -> None:
        """Another process has the dialog: nothing is said to the far end."""
        call = self.calls.get(handle)
        if call is not None:
            call.ending_by_us = True
            call.abandon()

    def give_up_if_silent(self, handle: str) -> None:
        """End an outgoing call to whose INVITE nobody has said anything, not even 100; it ends with 408."""
        call = self.calls.get(handle)
        if call is not None and call.isSilent():
            call.final_code = _REQUEST_TIMEOUT
            self.hang_up(handle, 0, "", None)

    def ask_if_alive(self, target: Target, host: str, answered: Callable[[int], None]) -> None:
        """Send an OPTIONS; `answered` is told the status of the response, some time or other."""
        assert self.probe is not None
        with self._steered(target):
            self.probe.ask(target, host, f"sip:parley@{self._our_host}", answered)

    def _steered(self, target: Target | None) -> AbstractContextManager[None]:
        return nullcontext() if target is None or self.resolver is None else self.resolver.steered(target)

    def hang_up(self, handle: str, code: int, phrase: str, reason: Reason | None) -> None:
        call = self.calls.get(handle)
        if call is not None:
            call.ending_by_us = True
            call.end(code, phrase, reason)

    def move(self, public_address: str) -> None:
        """Peers outside reach us at this IPv4 address from now on: new calls say so, registrations are renewed, and
        calls that stand, or come to stand, are told, one after the other."""
        pj.publish_address(public_address)
        pj.leave_connections()
        self._our_host = public_address
        for trunk in self._settings.trunks:
            pj.force_contact(self.accounts[trunk.name].getId(), self._contact(trunk, public_address))
            if trunk.register:
                self._move_account(self.accounts[trunk.name])
        for index, call in enumerate(self.calls.values()):
            self.later(index * _REINVITE_S, partial(self._tell_address, call, _TELLINGS))

    def _contact(self, trunk: TrunkSettings, public_address: str) -> str:
        """With TCP and TLS, PJSIP knows no address but the interface's; empty: it knows."""
        port = self.transports.ports.get(trunk.transport)
        if trunk.transport == "udp" or not public_address or port is None or trunk.host.startswith("["):
            return ""
        return f"<sip:{trunk.username or 'parley'}@{public_address}:{port};transport={trunk.transport}>"

    def _move_account(self, account: SipAccount) -> None:
        try:
            account.move()
        except pj.Error:  # a registration is under way
            self.later(_AGAIN_S, partial(self._move_account, account))

    def _tell_address(self, call: SipCall, tries: int) -> None:
        if self.calls.get(call.handle) is not call or tries == 0:
            return
        if not call.is_confirmed:  # what it has said of us so far, its ring and its offer, names the old address
            self.later(_AGAIN_S, partial(self._tell_address, call, tries))
            return
        try:
            call.say_address()
        except pj.Error:  # another re-INVITE is under way
            self.later(_AGAIN_S, partial(self._tell_address, call, tries - 1))

    def learn(self, trunk: str, addresses: tuple[str, ...]) -> None:
        if self.gate is not None:
            for address in addresses:
                self.gate.learn(trunk, address)

    def call(self, handle: str) -> SipCall:
        try:
            return self.calls[handle]
        except KeyError:
            raise NoSuchCall(handle) from None


def new_handle() -> str:
    """A name for a call leg: unguessable, since it is also the call id of the API."""
    return f"call_{secrets.token_hex(10)}"


def operation_of(code: int) -> pj.CallOpParam:
    operation = pj.CallOpParam()
    operation.statusCode = code
    return operation


def _user_of(uri: str) -> str:
    try:
        return SipUri.parse(uri).user
    except UriError:
        return ""


def _origin(source: str, sender: str) -> str:
    """Address and port that an INVITE came from; the port of one that an edge passed on is not known."""
    if _host_of(sender).strip("[]") == source:
        return sender
    return f"[{source}]:0" if ":" in source else f"{source}:0"


def _host_of(address: str) -> str:
    return address.rpartition(":")[0]
