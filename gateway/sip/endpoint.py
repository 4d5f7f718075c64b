# SPDX-License-Identifier: GPL-3.0-or-later
"""The SIP endpoint: one thread owns every PJSIP object; asyncio sends it commands and gets events back."""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

import structlog

from gateway.errors import BadAddress, SipThreadFailed, StartupError, TooManyCalls, WrongCallState
from gateway.sip.command import Command
from gateway.sip.dialog import Dialog
from gateway.sip.events import LegQuality, SipEvent
from gateway.sip.gate import GateCounts
from gateway.sip.info import InfoDigit
from gateway.sip.packet_leg import PacketFormat, PacketLeg
from gateway.sip.reason import Reason
from gateway.sip.resolver import Answered, Ask
from gateway.sip.settings import EndpointSettings
from gateway.sip.sip_thread import SipThread, operation_of
from gateway.sip.uri import SipUri, UriError
from gateway.trunks.dns import Target
from gateway.trunks.profile import Transport
from media.native_port import NativePort

T = TypeVar("T")

log = structlog.get_logger(__name__)


class SipEndpoint:
    """Every method may be called from the event loop; the work is done on the endpoint's thread.

    `on_event` is called on the event loop, in the order things happened. The command queue is unbounded because each
    command has somebody waiting for its result.
    """

    takes_refer = True

    def __init__(
        self, settings: EndpointSettings, on_event: Callable[[SipEvent], None], ask: Ask | None = None
    ) -> None:
        """`ask`, called on the event loop, finds the servers of hosts; None: PJSIP waits for the system's resolver."""
        self._settings = settings
        self._on_event = on_event
        self._commands: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._failed: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._sip = SipThread(settings, self._commands, self._post, None if ask is None else self._asking(ask))
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
        target: Target | None = None,
    ) -> None:
        """Send an INVITE. `handle` (`new_handle`) names the new leg in its events, which may come before this returns.

        `target`: the server it goes to; None: whichever the address of the trunk or of `to` leads to.

        Raises `BadAddress`, `NoSuchTrunk`, `TooManyCalls`.
        """
        try:
            SipUri.parse(to)
        except UriError as fault:
            raise BadAddress(str(fault)) from fault
        await self._in_thread(lambda: self._sip.place(handle, to, trunk, caller_id, headers, target))

    async def answer(self, handle: str, code: int = 200) -> None:
        """Send a response to an INVITE: 180, 183 or 200. Raises `NoSuchCall`."""
        await self._in_thread(lambda: self._sip.call(handle).answer(operation_of(code)))

    async def hang_up(self, handle: str, code: int = 0, phrase: str = "", reason: Reason | None = None) -> None:
        """BYE, CANCEL or a final response, whichever fits; unknown handles are over already, and fine.

        `phrase` goes with a response, `reason` with a BYE or CANCEL.
        """
        await self._in_thread(lambda: self._sip.hang_up(handle, code, phrase, reason))

    async def dialog(self, handle: str) -> Dialog | None:
        """What another gateway needs to go on with it; None while it does not stand. Raises `NoSuchCall`."""
        found: list[Dialog | None] = []
        await self._in_thread(lambda: found.append(self._sip.dialog(handle)))
        return found[0]

    async def adopt(self, handle: str, dialog: Dialog, *, trunk: str = "", inbound: bool) -> None:
        """Go on with a dialog that another gateway had; `inbound`: the far end began it. The leg's events are those of
        a call that we place. Raises `BadAddress`, `NoSuchTrunk`, `TooManyCalls`."""
        await self._in_thread(lambda: self._sip.adopt(handle, dialog, trunk, inbound=inbound))

    async def let_go(self, handle: str) -> None:
        """Another gateway has the dialog: end the leg here without a word to the far end. Over already is fine."""
        await self._in_thread(lambda: self._sip.let_go(handle))

    async def hold(self, handle: str) -> None:
        """Re-INVITE with `a=sendonly` (RFC 3264 section 8.4). Raises `NoSuchCall`."""
        await self._in_thread(lambda: self._sip.call(handle).hold())

    async def resume(self, handle: str) -> None:
        """Re-INVITE with `a=sendrecv`. Raises `NoSuchCall`."""
        await self._in_thread(lambda: self._sip.call(handle).resume())

    async def transfer(self, handle: str, uri: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """Ask the far end to call this address instead; `TransferReported` follows. Raises `NoSuchCall`,
        `WrongCallState`."""
        await self._in_thread(lambda: self._sip.call(handle).transfer(f"<{uri}>", headers))

    async def transfer_to_call(self, handle: str, other: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """The same, to the far end of another call of ours, in our place. Both must stand."""
        await self._in_thread(lambda: self._sip.call(handle).transfer_to(self._sip.call(other), headers))

    async def succeed(self, handle: str, successor: str, port: NativePort) -> None:
        """Let the leg `successor`, which stands, be `handle` from now on, and have its audio port. The old leg has the
        other name then, and silence. Raises `NoSuchCall`, `WrongCallState`."""
        await self._in_thread(lambda: self._sip.succeed(handle, successor, port))

    def tell_referral(self, handle: str, code: int) -> None:
        """NOTIFY the far end, whose REFER we follow, of a status. Waits for nothing."""
        self._commands.put(Command(lambda: self._sip.tell_referral(handle, code), None))

    def let_refer(self, may_refer: Callable[[str, str], bool]) -> None:
        """Who decides, on the endpoint's thread, whether calls of a trunk may be sent to an address by their far ends:
        nobody does before this is said, and then none may. To be called before `start`."""
        self._sip.may_refer = may_refer

    async def send_info(self, handle: str, info: InfoDigit) -> int:
        """Send one key by INFO; the far end's final response. Raises `NoSuchCall`, `WrongCallState`."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[int] = loop.create_future()
        await self._in_thread(lambda: self._sip.call(handle).send_info(info, lambda code: _resolve(loop, answer, code)))
        return await answer

    def learn(self, trunk: str, addresses: tuple[str, ...]) -> None:
        """Calls from these IP addresses are the trunk's, too. Waits for nothing."""
        self._commands.put(Command(lambda: self._sip.learn(trunk, addresses), None))

    def gate_counts(self) -> GateCounts:
        """What has come of requests since the start; a second old at most."""
        return self._sip.gate_counts or GateCounts(0, {}, 0)

    async def quality(self, handle: str) -> LegQuality:
        """The leg's counts up to now. Raises `NoSuchCall`."""
        found: list[LegQuality] = []
        await self._in_thread(lambda: found.append(self._sip.call(handle).quality()))
        return found[0]

    def refuse(self, handle: str, code: int, reason: Reason | None = None) -> None:
        """`hang_up` that waits for nothing."""
        self._commands.put(Command(lambda: self._sip.hang_up(handle, code, "", reason), None))

    async def reload_tls(self) -> None:
        """Read certificate, key and authorities anew; calls that stand go on. Raises `StartupError`."""
        await self._in_thread(self._sip.transports.reload_tls)

    async def move(self, public_address: str) -> None:
        """Peers outside reach us at this IPv4 address from now on: registrations and calls are told."""
        await self._in_thread(lambda: self._sip.move(public_address))

    def give_up_if_silent(self, handle: str) -> None:
        """End an outgoing call that has no response of any kind yet: `CallEnded` with 408 follows."""
        self._commands.put(Command(lambda: self._sip.give_up_if_silent(handle), None))

    async def options(self, target: Target, host: str) -> int:
        """Ask a server whether it is there; the final status, 408 when none has come for 32 s, 503 when it cannot be
        reached. `host`: what it is called. Raises `WrongCallState`."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[int] = loop.create_future()
        await self._in_thread(lambda: self._sip.ask_if_alive(target, host, lambda code: _resolve(loop, answer, code)))
        return await answer

    async def open_packet_leg(self, socket: int, wanted: PacketFormat) -> PacketLeg:
        """A leg that is no call of SIP: what it sends is written to this socket. Raises `TooManyCalls`."""
        media = self._settings.media
        opened: list[PacketLeg] = []
        try:
            await self._in_thread(lambda: opened.append(PacketLeg(socket, wanted, media.jitter, media.fec)))
        except RuntimeError as fault:
            raise TooManyCalls(f"no audio for another leg: {fault}") from fault
        return opened[0]

    async def close_packet_leg(self, leg: PacketLeg) -> LegQuality:
        """End it; its counts at the end."""
        counted: list[LegQuality] = []
        await self._in_thread(leg.close)
        await self._in_thread(lambda: counted.append(leg.quality()))
        return counted[0]

    async def packet_leg_quality(self, leg: PacketLeg) -> LegQuality:
        """Its counts up to now."""
        counted: list[LegQuality] = []
        await self._in_thread(lambda: counted.append(leg.quality()))
        return counted[0]

    async def _in_thread(self, work: Callable[[], object]) -> None:
        """Run `work` on the endpoint's thread; PJSIP's errors arrive as `WrongCallState`."""
        loop = self._loop
        if loop is None or self._thread is None or not self._thread.is_alive():
            raise WrongCallState("the SIP endpoint is not running")
        answer: asyncio.Future[None] = loop.create_future()
        self._commands.put(Command(work, lambda error: _resolve(loop, answer, None, error)))
        await answer

    async def watch(self) -> None:
        """Wait for the thread to fail, which it never should. Raises `SipThreadFailed` then."""
        assert self._failed is not None
        await self._failed

    # The thread

    def _run(self, started: "asyncio.Future[str]") -> None:
        assert self._loop is not None
        assert self._failed is not None
        loop = self._loop
        try:
            self._sip.serve(lambda address: _resolve(loop, started, address))
        except StartupError as fault:
            _resolve(loop, started, error=fault)
        except Exception as fault:
            # Whatever it was: nobody may wait for this thread in vain, and no call can go on without it.
            log.exception("sip_thread_failed")
            _resolve(self._loop, started, error=StartupError(f"SIP cannot start: {fault}"))
            _resolve(self._loop, self._failed, error=SipThreadFailed(str(fault)))
        while not self._commands.empty():
            command = self._commands.get()
            if command is not None:
                command.answer(WrongCallState("the SIP endpoint is not running"))

    def _asking(self, ask: Ask) -> Ask:
        """The same for the endpoint's thread."""

        def ask_on_the_loop(host: str, port: int, transport: Transport | None, answered: Answered) -> None:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(ask, host, port, transport, answered)

        return ask_on_the_loop

    def _post(self, event: SipEvent) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._on_event, event)


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
