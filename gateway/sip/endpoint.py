# SPDX-License-Identifier: GPL-3.0-or-later
"""The SIP endpoint: one thread owns every PJSIP object; asyncio sends it commands and gets events back."""

import asyncio
import queue
import secrets
import threading
import time
from bisect import insort
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import pjsua2 as pj
import structlog

from gateway.errors import (
    BadAddress,
    NoSuchCall,
    NoSuchTrunk,
    SipThreadFailed,
    StartupError,
    TooManyCalls,
    WrongCallState,
)
from gateway.sip.account import MediaSettings, SipAccount, TrunkSettings, local_account, trunk_account
from gateway.sip.call import SipCall, add_headers
from gateway.sip.codecs import choose_codecs
from gateway.sip.events import IncomingCall, LegQuality, SipEvent
from gateway.sip.info import InfoDigit
from gateway.sip.log import PjsipLog
from gateway.sip.uri import SipUri, UriError, request_uri_user, wire_text
from media.ports import silence_library, start_clock, stop_clock

T = TypeVar("T")
Transport = Literal["udp", "tcp", "tls"]

_POLL_MS = 10
"""Longest time a command waits while the wire is silent."""
_REFUSAL_SLOTS = 32
"""Call slots beyond `max_calls`, for calls that are being answered 503."""
_RETRY_AFTER_S = 10
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
class EndpointSettings:
    """All that the endpoint needs to know; `gateway.app` fills it from the configuration."""

    bind: str
    """IPv4 address; `0.0.0.0` for all interfaces."""
    port: int
    """UDP and TCP port; 0 lets the system choose."""
    transports: tuple[Transport, ...]
    media: MediaSettings
    codecs: tuple[str, ...]
    """Order of preference; what is not named is not offered."""
    max_calls: int
    user_agent: str
    public_address: str = ""
    tls_port: int = 5061
    tls_cert: str = ""
    tls_key: str = ""
    trunks: tuple[TrunkSettings, ...] = ()
    log_level: int = 2
    """PJSIP's: 1 errors, 2 warnings."""


@dataclass(frozen=True, slots=True)
class _Command:
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


@dataclass(slots=True)
class _ThreadState:
    """What only the endpoint's thread may touch."""

    accounts: dict[str, SipAccount] = field(default_factory=dict)
    calls: dict[str, SipCall] = field(default_factory=dict)
    released: list[SipCall] = field(default_factory=list)
    silent_until: deque[float] = field(default_factory=deque)
    """When PJSIP gives back the slots of calls that are over for us: monotonic seconds, at most one for each slot."""


class _Endpoint(pj.Endpoint):  # type: ignore[misc]
    """PJSIP's endpoint, with incoming calls kept off the trunks' accounts."""

    _LOCAL_ACCOUNT = 0
    """The first that is added."""

    def onSelectAccount(self, prm: pj.OnSelectAccountParam) -> None:
        """PJSUA would go by the To header, which anybody writes: a stranger could then challenge us for a trunk's
        credentials (CVE-2021-41158 is that in another product). The local account has none."""
        prm.accountIndex = self._LOCAL_ACCOUNT


class SipEndpoint:
    """Every method may be called from the event loop; the work is done on the endpoint's thread.

    `on_event` is called on the event loop, in the order things happened. The command queue is unbounded because each
    command has somebody waiting for its result.
    """

    def __init__(self, settings: EndpointSettings, on_event: Callable[[SipEvent], None]) -> None:
        self._settings = settings
        self._on_event = on_event
        self._commands: queue.SimpleQueue[_Command | None] = queue.SimpleQueue()
        self._failed: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._state = _ThreadState()
        self.address = ""
        """`host:port` of the first transport once started."""

    async def start(self) -> None:
        """Bind the transports and begin to take calls. Raises `StartupError`."""
        self._loop = asyncio.get_running_loop()
        started = self._loop.create_future()
        self._failed = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, args=(started,), name="pjsip", daemon=True)
        self._thread.start()
        self.address = await started

    async def close(self) -> None:
        """Send BYE on what is left, close the transports, end the thread."""
        thread = self._thread
        if thread is None:
            return
        self._thread = None
        self._commands.put(None)
        await asyncio.to_thread(thread.join)

    # Commands

    async def place(
        self,
        handle: str,
        to: str,
        *,
        trunk: str = "",
        caller_id: str = "",
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Send an INVITE. `handle` (`new_handle`) names the new leg in its events, which may come before this returns.

        Raises `BadAddress`, `NoSuchTrunk`, `TooManyCalls`.
        """
        try:
            SipUri.parse(to)
        except UriError as fault:
            raise BadAddress(str(fault)) from fault
        await self._in_thread(lambda: self._place(handle, to, trunk, caller_id, headers))

    async def answer(self, handle: str, code: int = 200) -> None:
        """Send a response to an INVITE: 180, 183 or 200. Raises `NoSuchCall`."""
        await self._in_thread(lambda: self._call(handle).answer(_operation(code)))

    async def hang_up(self, handle: str, code: int = 0, reason: str = "") -> None:
        """BYE, CANCEL or a final response, whichever fits; unknown handles are over already, and fine."""
        await self._in_thread(lambda: self._hang_up(handle, code, reason))

    async def hold(self, handle: str) -> None:
        """Re-INVITE with `a=sendonly` (RFC 3264 section 8.4). Raises `NoSuchCall`."""
        await self._in_thread(lambda: self._call(handle).setHold(pj.CallOpParam(True)))

    async def resume(self, handle: str) -> None:
        """Re-INVITE with `a=sendrecv`. Raises `NoSuchCall`."""
        await self._in_thread(lambda: self._resume(handle))

    async def transfer(self, handle: str, uri: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """Ask the far end to call this address instead; `TransferReported` follows. Raises `NoSuchCall`,
        `WrongCallState`."""
        await self._in_thread(lambda: self._call(handle).transfer(f"<{uri}>", headers))

    async def transfer_to_call(self, handle: str, other: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """The same, to the far end of another call of ours, in our place. Both must stand."""
        await self._in_thread(lambda: self._call(handle).transfer_to(self._call(other), headers))

    async def send_info(self, handle: str, info: InfoDigit) -> int:
        """Send one key by INFO; the far end's final response. Raises `NoSuchCall`, `WrongCallState`."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[int] = loop.create_future()
        await self._in_thread(lambda: self._call(handle).send_info(info, lambda code: _resolve(loop, answer, code)))
        return await answer

    async def quality(self, handle: str) -> LegQuality:
        """The leg's counts up to now. Raises `NoSuchCall`."""
        found: list[LegQuality] = []
        await self._in_thread(lambda: found.append(self._call(handle).quality()))
        return found[0]

    def refuse(self, handle: str, code: int) -> None:
        """Send a final response other than 200 and forget the leg. Waits for nothing."""
        self._commands.put(_Command(lambda: self._hang_up(handle, code, ""), None))

    async def _in_thread(self, work: Callable[[], object]) -> None:
        """Run `work` on the endpoint's thread; PJSIP's errors arrive as `WrongCallState`."""
        loop = self._loop
        if loop is None or self._thread is None or not self._thread.is_alive():
            raise WrongCallState("the SIP endpoint is not running")
        answer: asyncio.Future[None] = loop.create_future()
        self._commands.put(_Command(work, lambda error: _resolve(loop, answer, None, error)))
        await answer

    async def watch(self) -> None:
        """Wait for the thread to fail, which it never should. Raises `SipThreadFailed` then."""
        assert self._failed is not None
        await self._failed

    # The thread

    def _run(self, started: "asyncio.Future[str]") -> None:
        assert self._loop is not None
        assert self._failed is not None
        try:
            self._serve(self._loop, started)
        except Exception as fault:
            # Whatever it was: nobody may wait for this thread in vain, and no call can go on without it.
            log.exception("sip_thread_failed")
            _resolve(self._loop, started, error=StartupError(f"SIP cannot start: {fault}"))
            _resolve(self._loop, self._failed, error=SipThreadFailed(str(fault)))
        while not self._commands.empty():
            command = self._commands.get()
            if command is not None:
                command.answer(WrongCallState("the SIP endpoint is not running"))

    def _serve(self, loop: asyncio.AbstractEventLoop, started: "asyncio.Future[str]") -> None:
        silence_library()
        endpoint = _Endpoint()
        try:
            endpoint.libCreate()
            address = self._open(endpoint)
        except pj.Error as fault:
            endpoint.libDestroy()
            _resolve(loop, started, error=StartupError(f"SIP cannot start: {fault.reason or fault.title}"))
            return
        except StartupError as fault:
            endpoint.libDestroy()
            _resolve(loop, started, error=fault)
            return
        _resolve(loop, started, address)
        while True:
            endpoint.libHandleEvents(_POLL_MS)
            # Never inside a callback: a pj.Call must not be freed while PJSIP is still using it.
            self._state.released.clear()
            if not self._work_off():
                break
        endpoint.hangupAllCalls()
        for _ in range(50):
            endpoint.libHandleEvents(_POLL_MS)
            self._state.released.clear()
            if not self._state.calls:
                break
        self._state = _ThreadState()
        stop_clock()
        endpoint.libDestroy()

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
        address = self._bind(endpoint)
        endpoint.libStart()
        start_clock()
        choose_codecs(endpoint, settings.codecs, fec=settings.media.fec is not False)
        host = settings.public_address or _host_of(address)
        self._add_account(_LOCAL, local_account(f"sip:parley@{host}", settings.media))
        for trunk in settings.trunks:
            self._add_account(trunk.name, trunk_account(trunk, settings.media))
        return address

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

    def _add_account(self, name: str, config: pj.AccountConfig) -> None:
        account = SipAccount(name, self._on_invite, self._post)
        account.create(config, name == _LOCAL)
        self._state.accounts[name] = account

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
        operation = _operation(503)
        add_headers(operation, (("Retry-After", str(_RETRY_AFTER_S)),))
        call.answer(operation)

    def _new_call(self, account: SipAccount, handle: str, pjsua_id: int = pj.PJSUA_INVALID_ID) -> SipCall:
        media = self._settings.media
        call = SipCall(account, handle, self._post, self._release, media.jitter, pjsua_id, fec=media.fec)
        self._state.calls[handle] = call
        return call

    def _is_full(self) -> bool:
        """Silent calls count until PJSIP has let go of them: its other slots are for those that are answered 503."""
        silent, now = self._state.silent_until, time.monotonic()
        while silent and silent[0] <= now:
            silent.popleft()
        return len(self._state.calls) + len(silent) >= self._settings.max_calls

    def _release(self, call: SipCall) -> None:
        self._state.calls.pop(call.handle, None)
        if call.ending_by_us and call.silent_until is not None:
            insort(self._state.silent_until, call.silent_until)
        self._state.released.append(call)

    def _place(self, handle: str, to: str, trunk: str, caller_id: str, headers: tuple[tuple[str, str], ...]) -> None:
        account = self._state.accounts.get(trunk)
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
        except pj.Error as fault:
            self._release(call)
            if fault.status == _PJ_ETOOMANY:
                raise TooManyCalls("PJSIP has no call left") from fault
            raise BadAddress(f"{to}: {fault.reason or fault.title}") from fault

    def _hang_up(self, handle: str, code: int, reason: str) -> None:
        call = self._state.calls.get(handle)
        if call is None:
            return
        call.ending_by_us = True
        operation = _operation(code)
        operation.reason = reason
        call.hangup(operation)

    def _resume(self, handle: str) -> None:
        operation = pj.CallOpParam(True)
        operation.opt.flag = pj.PJSUA_CALL_UNHOLD
        self._call(handle).reinvite(operation)

    def _call(self, handle: str) -> SipCall:
        try:
            return self._state.calls[handle]
        except KeyError:
            raise NoSuchCall(handle) from None

    def _post(self, event: SipEvent) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._on_event, event)


def new_handle() -> str:
    """A name for a call leg: unguessable, since it is also the call id of the API."""
    return f"call_{secrets.token_hex(10)}"


def _operation(code: int) -> pj.CallOpParam:
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


def _resolve(
    loop: asyncio.AbstractEventLoop,
    future: "asyncio.Future[T]",
    result: T | None = None,
    error: BaseException | None = None,
) -> None:
    """Complete a future of the event loop from the endpoint's thread; one that was cancelled stays so."""

    def complete() -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    loop.call_soon_threadsafe(complete)
