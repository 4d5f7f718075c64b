# SPDX-License-Identifier: GPL-3.0-or-later
"""All that runs on the SIP thread: PJSIP's endpoint, its accounts and calls, and the commands that asyncio sends."""

import queue
import secrets
import time
from bisect import insort
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import pjsua2 as pj
import structlog

from gateway.errors import BadAddress, NoSuchCall, NoSuchTrunk, StartupError, TooManyCalls, WrongCallState
from gateway.sip.account import SipAccount, inbound_account, local_account, outbound_account
from gateway.sip.call import SipCall, add_headers
from gateway.sip.codecs import choose_codecs
from gateway.sip.events import CallDialled, IncomingCall, SignallingSeen, SipEvent
from gateway.sip.log import PjsipLog
from gateway.sip.settings import EndpointSettings
from gateway.sip.signalling import SipMessage
from gateway.sip.uri import SipUri, UriError, request_uri_user, wire_text
from media.ports import open_media_gate, set_media_sources, silence_library, start_clock, stop_clock

_POLL_MS = 10
"""Longest time a command waits while the wire is silent."""
_REFUSAL_SLOTS = 32
"""Call slots beyond `max_calls`, for calls that are being answered 503."""
_RETRY_AFTER_S = 10
_MOST_RESTING = 256
"""RTP ports of calls that are over, in pairs: two file descriptors each."""
_SILENT_S = 33.0
"""How long PJSIP keeps the slot of an INVITE that nobody answers, hung up or not: timer B of RFC 3261, 32 s."""
_PJ_ETOOMANY = 70010
"""PJSIP's status when it has no slot left; its Python has no name for it."""
_LOCAL = ""
"""Name of the account that is no trunk's."""
_TRANSPORT_TYPES = {
    "udp": pj.PJSIP_TRANSPORT_UDP,
    "tcp": pj.PJSIP_TRANSPORT_TCP,
    "tls": pj.PJSIP_TRANSPORT_TLS,
}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Command:
    """Work for the endpoint's thread."""

    work: Callable[[], object]
    done: Callable[[BaseException | None], None] | None
    """Told how it went; None when nobody waits."""

    def run(self) -> None:
        try:
            self.work()
        except pj.Error as fault:
            self.answer(WrongCallState(fault.reason or fault.title))
        except Exception as fault:  # whoever waits gets it; the thread must go on for all the others
            self.answer(fault)
        else:
            self.answer(None)

    def answer(self, error: BaseException | None) -> None:
        if self.done is not None:
            self.done(error)
        elif error is not None:
            log.warning("sip_command_failed", cause=str(error))


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
    ) -> None:
        self._settings = settings
        self._commands = commands
        self._post = post
        self.accounts: dict[str, SipAccount] = {}
        """For calls out, by trunk."""
        self.inbound: dict[str, SipAccount] = {}
        """For calls in, by trunk."""
        self.calls: dict[str, SipCall] = {}
        self.released: list[SipCall] = []
        self.silent_until: deque[float] = deque()
        """When PJSIP gives back the slots of calls that are over for us: monotonic seconds, at most one each."""

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
        while True:
            endpoint.libHandleEvents(_POLL_MS)
            # Never inside a callback: a pj.Call must not be freed while PJSIP is still using it.
            self.released.clear()
            self._pass_copies_on()
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
        stop_clock()
        endpoint.libDestroy()

    def _pass_copies_on(self) -> None:
        messages, left_out = pj.take_sip_copies()
        if messages:
            self._post(SignallingSeen(tuple(SipMessage.of_wire(*one) for one in messages)))
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

    def _open(self, endpoint: pj.Endpoint) -> str:
        settings = self._settings
        config = pj.EpConfig()
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = True
        config.uaConfig.maxCalls = settings.max_calls + _REFUSAL_SLOTS
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
        config.medConfig.maxMediaPorts = settings.max_calls + _REFUSAL_SLOTS + 16
        endpoint.libInit(config)
        open_media_gate(self._resting_ports())
        if settings.trace:
            pj.start_sip_tap()
        address = self._bind(endpoint)
        endpoint.libStart()
        start_clock()
        choose_codecs(endpoint, settings.codecs, fec=settings.media.fec is not False)
        host = settings.public_address or _host_of(address)
        local = self._add_account(_LOCAL, local_account(f"sip:parley@{host}", settings.media))
        self.accounts[_LOCAL] = self.inbound[_LOCAL] = local
        for trunk in settings.trunks:
            self.accounts[trunk.name] = self._add_account(trunk.name, outbound_account(trunk, settings.media))
            self.inbound[trunk.name] = self._add_account(trunk.name, inbound_account(trunk, settings.media))
            for account in (self.accounts[trunk.name], self.inbound[trunk.name]):
                set_media_sources(account.getId(), trunk.media_allow, trusted=True)
        return address

    def _resting_ports(self) -> int:
        """Pairs that no call can come to need, some of them."""
        media = self._settings.media
        spare = (media.rtp_port_max - media.rtp_port_min + 1) // 2 - self._settings.max_calls - _REFUSAL_SLOTS
        return max(0, min(_MOST_RESTING, spare))

    def _select_account(self, prm: pj.OnSelectAccountParam) -> int:
        return self.inbound[_LOCAL].getId()  # type: ignore[no-any-return]

    def _bind(self, endpoint: pj.Endpoint) -> str:
        settings = self._settings
        first = ""
        for name in settings.transports:
            config = pj.TransportConfig()
            # A port the system chose for the first transport is that of the next one, too.
            config.port = settings.tls_port if name == "tls" else settings.port or _port_of(first)
            config.boundAddress = "" if settings.bind == "0.0.0.0" else settings.bind
            config.publicAddress = settings.public_address
            if name == "tls":
                config.tlsConfig.certFile = settings.tls_cert
                config.tlsConfig.privKeyFile = settings.tls_key
                config.tlsConfig.method = pj.PJSIP_TLSV1_2_METHOD
            try:
                number = endpoint.transportCreate(_TRANSPORT_TYPES[name], config)
            except pj.Error as fault:
                raise StartupError(
                    f"SIP port {config.port}/{name} on {settings.bind} cannot be opened: {fault.reason}. "
                    f"Another program may have it (ss -lunpt | grep {config.port}); set sip.port or PARLEY_SIP__PORT."
                ) from fault
            bound = endpoint.transportGetInfo(number).localName
            first = first or bound
        return first

    def _add_account(self, name: str, config: pj.AccountConfig) -> SipAccount:
        account = SipAccount(name, self._on_invite, self._post)
        account.create(config, name == _LOCAL)
        return account

    def _on_invite(self, account: SipAccount, prm: pj.OnIncomingCallParam) -> None:
        full = self._is_full()
        call = self._new_call(account, new_handle(), prm.callId)
        if full:
            log.warning("call_refused_at_capacity", max_calls=self._settings.max_calls)
            self._refuse_for_now(call)
            return
        info = call.getInfo()
        self._post(
            IncomingCall(
                handle=call.handle,
                sip_call_id=wire_text(info.callIdString),
                from_uri=wire_text(info.remoteUri),
                from_user=_user_of(wire_text(info.remoteUri)),
                to_uri=wire_text(info.localUri),
                dialled_user=wire_text(request_uri_user(prm.rdata.wholeMsg)),
                source_address=prm.rdata.srcAddress,
            )
        )

    def _refuse_for_now(self, call: SipCall) -> None:
        """503 with Retry-After (RFC 3261 section 21.5.4): a trunk tries its next gateway."""
        call.muted_events = True
        operation = operation_of(503)
        add_headers(operation, (("Retry-After", str(_RETRY_AFTER_S)),))
        call.answer(operation)

    def _new_call(self, account: SipAccount, handle: str, pjsua_id: int = pj.PJSUA_INVALID_ID) -> SipCall:
        media = self._settings.media
        call = SipCall(account, handle, self._post, self._release, media.jitter, pjsua_id, fec=media.fec)
        self.calls[handle] = call
        return call

    def _is_full(self) -> bool:
        """Silent calls count until PJSIP has let go of them: its other slots are for those that are answered 503."""
        silent, now = self.silent_until, time.monotonic()
        while silent and silent[0] <= now:
            silent.popleft()
        return len(self.calls) + len(silent) >= self._settings.max_calls

    def _release(self, call: SipCall) -> None:
        self.calls.pop(call.handle, None)
        if call.ending_by_us and call.silent_until is not None:
            insort(self.silent_until, call.silent_until)
        self.released.append(call)

    def place(self, handle: str, to: str, trunk: str, caller_id: str, headers: tuple[tuple[str, str], ...]) -> None:
        account = self.accounts.get(trunk)
        if account is None:
            raise NoSuchTrunk(f"there is no trunk {trunk!r}: see [[trunk]] in the configuration")
        if self._is_full():
            raise TooManyCalls(f"all {self._settings.max_calls} calls are in use (sip.max_calls)")
        operation = pj.CallOpParam(True)
        operation.opt.audioCount = 1
        operation.opt.videoCount = 0
        operation.txOption.localUri = caller_id
        add_headers(operation, headers)
        call = self._new_call(account, handle)
        try:
            call.silent_until = time.monotonic() + _SILENT_S
            call.makeCall(to, operation)
            self._post(CallDialled(handle, call.getInfo().callIdString))
        except pj.Error as fault:
            self._release(call)
            if fault.status == _PJ_ETOOMANY:
                raise TooManyCalls("PJSIP has no call left") from fault
            raise BadAddress(f"{to}: {fault.reason or fault.title}") from fault

    def hang_up(self, handle: str, code: int, reason: str) -> None:
        call = self.calls.get(handle)
        if call is None:
            return
        call.ending_by_us = True
        operation = operation_of(code)
        operation.reason = reason
        call.hangup(operation)

    def resume(self, handle: str) -> None:
        operation = pj.CallOpParam(True)
        operation.opt.flag = pj.PJSUA_CALL_UNHOLD
        self.call(handle).reinvite(operation)

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


def _host_of(address: str) -> str:
    return address.rpartition(":")[0]


def _port_of(address: str) -> int:
    return int(address.rpartition(":")[2] or 0)
