# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds out, and goes on finding out, which address the router gives us outside (`sip.stun`)."""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from gateway.errors import StunError
from gateway.sip.stun import STUN_PORT, TRANSACTION_BYTES, binding_request, mapped_address
from gateway.trunks.selection import host_and_port

log = structlog.get_logger(__name__)

_WAITS_S = (0.5, 1.0, 2.0)
"""After each request: RFC 8489 section 6.2.1, cut short, since we ask again soon."""


@dataclass(frozen=True, slots=True)
class AddressChanged:
    """Peers outside reach us elsewhere."""

    address: str
    previous: str
    """Empty: none was known."""


class PublicAddress:
    """Asks one STUN server by UDP. Only the address is of use: the ports are those the router forwards."""

    def __init__(self, server: str, bind: str, period_s: float, waits_s: Sequence[float] = _WAITS_S) -> None:
        """`server`: `stun.example.com` or `192.0.2.1:3479`; `bind`: the address to ask from; `waits_s`: for an answer,
        after each request."""
        host, port = host_and_port(server)
        self._server = (host, port or STUN_PORT)
        self._local = None if bind == "0.0.0.0" else (bind, 0)
        self._period_s = period_s
        self._waits_s = waits_s
        self._is_due = asyncio.Event()
        self._is_silent = False
        self.address = ""
        """As last heard of; empty before."""

    async def learn(self) -> bool:
        """Ask; whether the address is another one than before. What goes wrong is logged, once until it is right."""
        try:
            found = await self._ask()
        except (OSError, StunError) as fault:
            if not self._is_silent:
                log.warning("stun_failed", server="{}:{}".format(*self._server), problem=str(fault), kept=self.address)
            self._is_silent = True
            return False
        if self._is_silent:
            log.info("stun_answers_again", server="{}:{}".format(*self._server))
        self._is_silent = False
        before, self.address = self.address, found
        return found != before

    def ask_soon(self) -> None:
        """Something hints at another address: do not wait for the period to end."""
        self._is_due.set()

    async def follow(self, changed: Callable[[AddressChanged], Awaitable[None]]) -> None:
        """Tell `changed` of every new address; until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._period_s):
                    await self._is_due.wait()
            self._is_due.clear()
            previous = self.address
            if await self.learn():
                log.warning("public_address_changed", address=self.address, previous=previous)
                await changed(AddressChanged(self.address, previous))

    async def _ask(self) -> str:
        """Raises `StunError`, `OSError`."""
        loop = asyncio.get_running_loop()
        # By IPv6, if the server has that too, it would tell the other address.
        transport, answers = await loop.create_datagram_endpoint(
            _Answers, local_addr=self._local, remote_addr=self._server, family=socket.AF_INET
        )
        try:
            problem = "it does not answer"
            transaction = secrets.token_bytes(TRANSACTION_BYTES)
            for wait_s in self._waits_s:
                transport.sendto(binding_request(transaction))
                try:
                    async with asyncio.timeout(wait_s):
                        while True:
                            try:
                                return str(mapped_address(await answers.next(), transaction))
                            except StunError as fault:  # anybody could send such a thing: the right one may follow
                                problem = str(fault)
                except TimeoutError:
                    continue
            raise StunError(problem)
        finally:
            transport.close()


class _Answers(asyncio.DatagramProtocol):
    """What has come from the server: the socket is connected, so nothing comes from others."""

    def __init__(self) -> None:
        self._came: asyncio.Queue[bytes] = asyncio.Queue(16)

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        if not self._came.full():
            self._came.put_nowait(data)

    async def next(self) -> bytes:
        return await self._came.get()
