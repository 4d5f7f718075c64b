# SPDX-License-Identifier: GPL-3.0-or-later
"""Parley's own endpoint as a caller whose trunk is any port of this machine."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from gateway.sip.endpoint import SipEndpoint
from gateway.sip.events import CallEnded, MediaActive, SipEvent
from gateway.sip.settings import EndpointSettings, MediaSettings, Transport, TrunkSettings
from gateway.sip.sip_thread import new_handle
from tests.e2e.gateway_process import wait_for


class TrunkPhone:
    """An endpoint with one trunk; `settings` are fields of `TrunkSettings`."""

    def __init__(self, port: int, transport: Transport = "udp", **settings: Any) -> None:
        self._at = f"127.0.0.1:{port}" + ("" if transport == "udp" else f";transport={transport}")
        media = MediaSettings(44000, 44998, "127.0.0.1", "", "off")
        trunk = TrunkSettings(
            "trunk",
            host=f"127.0.0.1:{port}",
            domain="127.0.0.1",
            username="",
            password="",
            register=False,
            transport=transport,
            rtcp_mux=True,
            **settings,
        )
        options = EndpointSettings(
            "127.0.0.1", 0, (transport,), media, ("pcmu",), 40, "Parley tests", tls_port=0, trunks=(trunk,)
        )
        self.endpoint = SipEndpoint(options, self._receive)
        self.media: dict[str, MediaActive] = {}
        self.ended: dict[str, CallEnded] = {}

    async def __aenter__(self) -> Self:
        await self.endpoint.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.endpoint.close()

    def _receive(self, event: SipEvent) -> None:
        if isinstance(event, MediaActive):
            self.media[event.handle] = event
        elif isinstance(event, CallEnded):
            self.ended[event.handle] = event

    async def call(self, user: str = "callee") -> str:
        """The handle of a call that has been begun."""
        handle = new_handle()
        await self.endpoint.place(handle, f"sip:{user}@{self._at}", trunk="trunk")
        return handle

    async def until(self, look: Callable[[], object], what: str) -> None:
        await asyncio.to_thread(wait_for, look, what)

    async def hears(self, handle: str, packets: int, timeout_s: float = 10.0) -> None:
        """Wait until so many packets of the call have come. Raises `TimeoutError`."""
        async with asyncio.timeout(timeout_s):
            while True:
                if (await self.endpoint.quality(handle)).rx_packets >= packets:
                    return
                await asyncio.sleep(0.05)
