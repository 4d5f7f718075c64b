# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to a browser: ICE (RFC 8445) by aioice, and a new way when the old one is lost (ICE restart).

aioice hands on whatever comes to a port, from whomever. Here, packets that are no STUN are taken only from addresses
that have proved, in a check, that they know our password: strangers cannot disturb a handshake or fill a queue. And
who knows it can make us send to, and remember, no more addresses than a browser has.
"""

import asyncio
import contextlib
import random
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, cast

import structlog
from aioice import Candidate, Connection, TransportPolicy
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import StunProtocol, get_host_addresses, relayed_candidate, server_reflexive_candidate

from gateway.webrtc.offer import IceCredentials
from gateway.webrtc.turn import TurnCredentials

log = structlog.get_logger(__name__)

_SERVERS_S = 2.0
"""How long STUN and TURN servers may take: the browser waits for our answer meanwhile."""
_MOST_ADDRESSES = 8
"""Of this machine that are offered."""
_MOST_SOURCES = 32
"""Addresses that checks come from."""
_MOST_CANDIDATES = 64
"""Of the browser: we send checks to each, whoever lives there."""
_QUEUED_PACKETS = 64
"""Of DTLS; more are dropped, and sent again by the browser."""
_LARGEST_STUN_BYTE = 3
"""First byte of STUN messages; that of DTLS is 20 to 63, of RTP and RTCP 128 to 191 (RFC 7983)."""


@dataclass(frozen=True, slots=True)
class IceSettings:
    """Of one generation."""

    ports: range = range(0)
    """UDP ports to use; empty: the system chooses."""
    public_address: str = ""
    stun: tuple[str, int] | None = None
    turn: tuple[str, int] | None = None
    turn_credentials: TurnCredentials | None = None
    relay_only: bool = False


class _Datagrams(StunProtocol):
    """A socket of ours."""

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        packet, way = cast(bytes, data), cast(Way, self.receiver)
        if packet and packet[0] > _LARGEST_STUN_BYTE:
            way.receive(packet, (addr[0], addr[1]))
            return
        try:
            super().datagram_received(packet, addr)
        except (struct.error, LookupError, ValueError):  # attributes shorter than they have to be
            way.strangers += 1


class Way(Connection):
    """One generation of ICE: our candidates, the browser's, and the pair that it nominates."""

    def __init__(self, settings: IceSettings, on_media: Callable[[bytes], None]) -> None:
        """`on_media` is given SRTP and SRTCP as it comes."""
        turn = settings.turn_credentials
        super().__init__(
            ice_controlling=False,
            stun_server=settings.stun,
            turn_server=settings.turn,
            turn_username=None if turn is None else turn.username,
            turn_password=None if turn is None else turn.password,
            transport_policy=TransportPolicy.RELAY if settings.relay_only else TransportPolicy.ALL,
        )
        self._settings = settings
        self._on_media = on_media
        self._sources: set[tuple[str, int]] = set()
        """Who has sent a check with our password."""
        self.strangers = 0
        """Packets of others, dropped."""

    @property
    def credentials(self) -> IceCredentials:
        return IceCredentials(self.local_username, self.local_password)

    def know(self, theirs: IceCredentials) -> None:
        """What the browser's checks are signed with."""
        self.remote_username, self.remote_password = theirs.ufrag, theirs.password

    def receive(self, packet: bytes, source: tuple[str, int]) -> None:
        """A packet that is no STUN."""
        if source not in self._sources:
            self.strangers += 1
        elif packet[0] >= 128:
            self._on_media(packet)
        elif self._queue.qsize() < _QUEUED_PACKETS:
            super().data_received(packet, 1)

    def data_received(self, data: bytes, component: int) -> None:
        """What began as STUN does and is none: nobody's."""
        self.strangers += 1

    def transmit(self, packet: bytes) -> None:
        """Send it on the nominated pair; nowhere while there is none."""
        pair = self._nominated.get(1)
        if pair is not None:
            pair.protocol.transport.sendto(packet, pair.remote_addr)

    @property
    def peer(self) -> str:
        """`ip:port` of the browser; empty while there is none."""
        pair = self._nominated.get(1)
        return "" if pair is None else f"{pair.remote_addr[0]}:{pair.remote_addr[1]}"

    async def add_remote_candidate(self, remote_candidate: Candidate | None) -> None:
        """More than a browser has are not taken."""
        if len(self._remote_candidates) < _MOST_CANDIDATES:
            await super().add_remote_candidate(remote_candidate)

    def request_received(self, message: Any, addr: tuple[str, int], protocol: StunProtocol) -> None:
        """Until the browser's candidates are known, checks wait: not more of them than it has addresses."""
        if self._early_checks_done or len(self._early_checks) < _MOST_SOURCES:
            super().request_received(message, addr, protocol)

    def check_incoming(self, message: Any, addr: tuple[str, int], protocol: StunProtocol) -> None:
        """A check with our password."""
        if addr not in self._sources:
            if len(self._sources) >= _MOST_SOURCES or "PRIORITY" not in message.attributes:
                self.strangers += 1
                return
            self._sources.add(addr)
        super().check_incoming(message, addr, protocol)

    async def gather_candidates(self) -> None:
        """Ours, all of them: aioice's own way knows neither a range of ports nor an address outside."""
        self._local_candidates_start = True
        settings = self._settings
        asked: list[asyncio.Task[tuple[Candidate, StunProtocol | None]]] = []
        if not settings.relay_only:
            async for protocol in self._sockets():
                host = protocol.local_candidate
                self._protocols.append(protocol)
                self._local_candidates.append(host)
                if ":" in host.host:
                    continue
                if settings.public_address and settings.public_address != host.host:
                    self._local_candidates.append(_outside(host, settings.public_address))
                elif settings.stun is not None:
                    asked.append(asyncio.create_task(server_reflexive_candidate(protocol, settings.stun)))
        if settings.turn is not None:
            relayed = relayed_candidate(
                component=1,
                hide_related_address=settings.relay_only,
                protocol_factory=lambda: _Datagrams(self),
                turn_server=settings.turn,
                turn_username=self.turn_username,
                turn_password=self.turn_password,
                turn_ssl=False,
                turn_transport="udp",
            )
            asked.append(asyncio.create_task(relayed))
        if asked:
            done, late = await asyncio.wait(asked, timeout=_SERVERS_S)
            for task in late:
                task.cancel()
            for task in done:
                self._take(task)
        self._local_candidates_end = True

    def _take(self, task: "asyncio.Task[tuple[Candidate, StunProtocol | None]]") -> None:
        if (fault := task.exception()) is not None:
            log.warning("ice_server_failed", cause=f"{type(fault).__name__}: {fault}")
            return
        candidate, protocol = task.result()
        self._local_candidates.append(candidate)
        if protocol is not None:
            self._protocols.append(protocol)

    async def _sockets(self) -> AsyncIterator[StunProtocol]:
        """One for each address of this machine."""
        addresses = get_host_addresses(use_ipv4=True, use_ipv6=True)[:_MOST_ADDRESSES] or ["127.0.0.1"]
        for address in addresses:
            protocol = await self._bind(address)
            if protocol is None:
                log.warning("ice_address_not_bound", address=address)
                continue
            host, port = protocol.transport.get_extra_info("sockname")[:2]
            protocol.local_candidate = Candidate(
                foundation=candidate_foundation("host", "udp", host),
                component=1,
                transport="udp",
                priority=candidate_priority(1, "host"),
                host=host,
                port=port,
                type="host",
            )
            yield protocol

    async def _bind(self, address: str) -> StunProtocol | None:
        loop = asyncio.get_running_loop()
        for port in random.sample(self._settings.ports, len(self._settings.ports)) or (0,):
            with contextlib.suppress(OSError):  # somebody has it
                _, protocol = await loop.create_datagram_endpoint(lambda: _Datagrams(self), local_addr=(address, port))
                return protocol
        return None


def _outside(host: Candidate, public_address: str) -> Candidate:
    return Candidate(
        foundation=candidate_foundation("srflx", "udp", host.host),
        component=1,
        transport="udp",
        priority=candidate_priority(1, "srflx"),
        host=public_address,
        port=host.port,
        type="srflx",
        related_address=host.host,
        related_port=host.port,
    )


class IcePath:
    """The way of now, and the next one. What aiortc's DTLS transport wants of an ICE transport."""

    role = "controlled"

    def __init__(self, settings: Callable[[], IceSettings], on_media: Callable[[bytes], None]) -> None:
        """`settings` of each generation."""
        self._settings = settings
        self._on_media = on_media
        self._way: Way | None = None
        self._replaced = asyncio.Event()
        self._is_closed = False
        self.reconnect_s = 30.0
        """How long a lost way is waited for to be replaced."""
        self.on_lost: Callable[[bool], None] = lambda is_lost: None
        """Told when the way is lost, and when there is one again."""

    @property
    def way(self) -> Way:
        """The one of now."""
        assert self._way is not None, "no way has been opened"
        return self._way

    async def open(self) -> Way:
        """Gather our candidates, of a first or another generation."""
        way = Way(self._settings(), self._on_media)
        try:
            await way.gather_candidates()
        except BaseException:
            await way.close()
            raise
        if self._way is None:
            self._way = way
        return way

    async def take(self, way: Way) -> None:
        """Connect by this one, and have it in place of the one before. Raises `ConnectionError`."""
        try:
            await way.connect()
        except BaseException:
            if way is not self._way:
                await way.close()
            raise
        before, self._way = self._way, way
        woken, self._replaced = self._replaced, asyncio.Event()
        woken.set()
        if before is not None and before is not way:
            await before.close()

    def transmit(self, packet: bytes) -> None:
        self.way.transmit(packet)

    async def close(self) -> None:
        self._is_closed = True
        self._replaced.set()
        if self._way is not None:
            await self._way.close()

    # What aiortc asks for

    async def _recv(self) -> bytes:
        while not self._is_closed:
            way, replaced = self.way, self._replaced
            try:
                return await way.recv()
            except ConnectionError:
                if way is not self._way:
                    continue
                self.on_lost(True)
                try:
                    async with asyncio.timeout(self.reconnect_s):
                        await replaced.wait()
                except TimeoutError:
                    break
                self.on_lost(False)
        raise ConnectionError("the way to the browser is lost")

    async def _send(self, packet: bytes) -> None:
        self.transmit(packet)
