# SPDX-License-Identifier: GPL-3.0-or-later
"""One browser: the way to it, the keys, and between them and the native leg its packets.

SRTP > ice.Way > Peer._receive > unprotect > PacketLeg.receive      > jitter, FEC, concealment (media/native)
SRTP < ice.Way < protect < Peer._pump < a pair of sockets < PacketLeg < the clock
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable

import structlog

from gateway.errors import CallError, WrongCallState
from gateway.sip.endpoint import SipEndpoint
from gateway.sip.events import CallConfirmed, CallEnded, HoldChanged, LegQuality, MediaActive, SipEvent
from gateway.sip.packet_leg import PacketLeg
from gateway.webrtc.answer import LocalParameters, chosen_format, write_answer
from gateway.webrtc.dtls import Certificate, DtlsLink, is_rtcp
from gateway.webrtc.fragment import Fragment, write_fragment
from gateway.webrtc.ice import IcePath, IceSettings, Way
from gateway.webrtc.offer import IceCredentials, Offer

log = structlog.get_logger(__name__)

_CONNECT_S = 20.0
"""From our answer to audio, for browsers that find us by a relay only."""
_BURST = 64
"""Packets sent at once; others wait for the event loop's next turn."""
_LARGEST_PACKET = 2048
_UNAVAILABLE = 480
_LOST = "media_timeout"


class Peer:
    """`open`, then `run` until it is over. Its events are those of a SIP leg (`gateway.sip.events`)."""

    def __init__(
        self,
        handle: str,
        offer: Offer,
        endpoint: SipEndpoint,
        certificate: Certificate,
        ice: Callable[[], IceSettings],
        post: Callable[[SipEvent], None],
        *,
        fec: bool,
        reconnect_s: float,
    ) -> None:
        self.handle = handle
        self.generation = 1
        """Of ICE."""
        self._offer = offer
        self._endpoint = endpoint
        self._certificate = certificate
        self._fec = fec
        self._format = chosen_format(offer, fec=fec)
        self._post = post
        self._path = IcePath(ice, self._receive)
        self._path.reconnect_s = reconnect_s
        self._path.on_lost = self._lose
        self._dtls = DtlsLink(self._path, certificate, self._leave)
        self._theirs = offer.ice
        """Credentials of the newest generation."""
        self._newest: Way | None = None
        self._restart: asyncio.Task[None] | None = None
        self._restarting = asyncio.Lock()
        """Fragments may come at once: one after another begins anew."""
        self._leg: PacketLeg | None = None
        self._sockets: tuple[socket.socket, socket.socket] | None = None
        self._accepted = asyncio.Event()
        self._over = asyncio.Event()
        self._ended_by_us = False
        self._is_lost = False
        self._is_held = False
        self._because = ""

    async def open(self) -> str:
        """Gather our candidates; the answer."""
        way = self._newest = await self._path.open()
        local = LocalParameters(way.credentials, way.local_candidates, self._certificate.fingerprint)
        return write_answer(self._offer, self._format, local, fec=self._fec)

    async def abandon(self) -> None:
        """It will not run."""
        await self._path.close()

    async def run(self) -> None:
        """Connect, carry audio, and leave nothing behind."""
        code = _UNAVAILABLE
        try:
            async with asyncio.timeout(_CONNECT_S):
                await self._connect()
            code = 200
            await self._over.wait()
        except (TimeoutError, ConnectionError, OSError, CallError) as fault:
            log.info("browser_not_connected", call_id=self.handle, cause=str(fault) or type(fault).__name__)
        finally:
            quality = LegQuality()
            try:
                quality = await self._close()
            finally:
                reason = "" if code == 200 else "no way to the browser"
                self._post(CallEnded(self.handle, code, reason, not self._ended_by_us, quality, because=self._because))

    async def _connect(self) -> None:
        way = self._path.way
        way.know(self._offer.ice)
        for candidate in self._offer.candidates:
            await way.add_remote_candidate(candidate)
        await self._unless_over(self._path.take(way))
        await self._unless_over(self._dtls.connect(self._offer.fingerprints, we_begin=not self._offer.is_active))
        ours, theirs = self._sockets = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        ours.setblocking(False)
        self._leg = leg = await self._endpoint.open_packet_leg(theirs.fileno(), self._format)
        asyncio.get_running_loop().add_reader(ours.fileno(), self._pump)
        port = leg.port
        self._post(MediaActive(self.handle, "OPUS", port.sampleRate(), port, way.peer, srtp=True))
        await self._unless_over(self._accepted.wait())
        self._post(CallConfirmed(self.handle))

    async def _unless_over(self, work: object) -> None:
        """Wait for this, or raise `ConnectionError` when the call is over first."""
        doing = asyncio.ensure_future(work)  # type: ignore[call-overload]
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait((doing, over), return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                raise ConnectionError("it was ended before it was connected")
            doing.result()
        finally:
            for task in (doing, over):
                task.cancel()
            await asyncio.gather(doing, over, return_exceptions=True)

    async def _close(self) -> LegQuality:
        quality = LegQuality()
        async with contextlib.AsyncExitStack() as ends:  # the last one first
            for one in self._sockets or ():
                ends.callback(one.close)
            ends.push_async_callback(self._path.close)
            ends.push_async_callback(self._dtls.close)
            if self._restart is not None:
                self._restart.cancel()
                await asyncio.gather(self._restart, return_exceptions=True)
            if self._leg is not None:
                with contextlib.suppress(CallError):  # the endpoint is gone, and the leg with it
                    quality = await self._endpoint.close_packet_leg(self._leg)
                self._pump()  # its last words
            if self._sockets is not None:
                asyncio.get_running_loop().remove_reader(self._sockets[0].fileno())
        return quality

    # Orders

    def accept(self) -> None:
        """The call is answered: it stands as soon as there is audio."""
        self._accepted.set()

    def end(self) -> None:
        """Hang up; once more is no fault."""
        if not self._over.is_set():
            self._ended_by_us = True
            self._over.set()

    def leave(self) -> None:
        """The browser hangs up."""
        self._over.set()

    def hold(self, on: bool) -> None:
        """Let nobody hear the browser; or end that."""
        if on != self._is_held:
            self._is_held = on
            self._post(HoldChanged(self.handle, held_by_us=on, held_by_peer=False))

    async def quality(self) -> LegQuality:
        return LegQuality() if self._leg is None else await self._endpoint.packet_leg_quality(self._leg)

    async def add(self, fragment: Fragment) -> str | None:
        """Candidates that came later, or with new credentials an ICE restart: our side of that, or None.

        Raises `WrongCallState` for a restart before there is anything to restart.
        """
        async with self._restarting:
            if fragment.ice == self._theirs:
                assert self._newest is not None
                for candidate in fragment.candidates:
                    await self._newest.add_remote_candidate(candidate)
                return None
            self._check_that_it_stands()
            return await self._begin_again(fragment.ice, fragment)

    def _check_that_it_stands(self) -> None:
        if self._leg is None or self._over.is_set():
            raise WrongCallState("the browser was not connected yet, or is gone")

    async def _begin_again(self, theirs: IceCredentials, fragment: Fragment) -> str:
        if self._restart is not None:  # a browser that moves on quicker than it connects
            self._restart.cancel()
            await asyncio.gather(self._restart, return_exceptions=True)
        way = await self._path.open()
        try:
            self._check_that_it_stands()
        except WrongCallState:
            await way.close()
            raise
        self._newest, self._theirs = way, theirs
        self.generation += 1
        way.know(theirs)
        for candidate in fragment.candidates:
            await way.add_remote_candidate(candidate)
        self._restart = asyncio.create_task(self._move(way), name=f"{self.handle}:ice")
        log.info("browser_moves", call_id=self.handle, generation=self.generation)
        return write_fragment(self._offer.lines[self._offer.audio].mid, way.credentials, way.local_candidates)

    async def _move(self, way: Way) -> None:
        try:
            async with asyncio.timeout(_CONNECT_S):
                await self._path.take(way)
        except (TimeoutError, ConnectionError) as fault:
            log.info("browser_not_moved", call_id=self.handle, cause=str(fault) or type(fault).__name__)
        else:
            log.info("browser_moved", call_id=self.handle)

    # What the path and the sockets bring

    def _receive(self, packet: bytes) -> None:
        if self._leg is None:
            return
        plain = self._dtls.unprotect(packet)
        if plain is not None and (not self._is_held or is_rtcp(plain)):
            self._leg.receive(plain)

    def _pump(self) -> None:
        assert self._sockets is not None
        ours = self._sockets[0]
        for _ in range(_BURST):
            try:
                packet = ours.recv(_LARGEST_PACKET)
            except (BlockingIOError, OSError):
                return
            self._dtls.send(packet)

    def _lose(self, is_lost: bool) -> None:
        self._is_lost = is_lost
        log.info("browser_lost" if is_lost else "browser_found", call_id=self.handle)

    def _leave(self) -> None:
        """It has taken leave, or we have waited long enough for it."""
        if self._is_lost:
            self._because = _LOST
        self._over.set()
