# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings the SIP messages of calls into their sessions, and all messages to a collector (HEP) if there is one."""

import asyncio
import socket
import time
from collections.abc import Iterable

import structlog

from gateway.calls.journal import Journal
from gateway.config import TraceConfig
from gateway.sip.hep import hep_datagram
from gateway.sip.signalling import Signalling, SipMessage

log = structlog.get_logger(__name__)

_WRITE_S = 1.0
_RESOLVE_S = 60.0
_HEP_PORT = "9060"


class Tracing:
    """One for all calls; on the event loop."""

    def __init__(self, config: TraceConfig, journal: Journal) -> None:
        self._config = config
        self._journal = journal
        self._signalling = Signalling()
        self._collector: socket.socket | None = None

    def receive(self, messages: Iterable[SipMessage]) -> None:
        """Messages have passed."""
        messages = tuple(messages)
        if self._config.keep:
            self._signalling.receive(messages)
        if self._collector is not None:
            for message in messages:
                self._export(self._collector, message)

    def bind(self, sip_call_id: str, call_id: str) -> None:
        """A Call-ID is that of a call."""
        if self._config.keep:
            self._signalling.bind(sip_call_id, call_id)

    def of_call(self, call_id: str) -> tuple[SipMessage, ...]:
        """Of a call that is not over, or only just."""
        return self._signalling.of_call(call_id)

    def end(self, call_id: str) -> None:
        """The call is over."""
        self._signalling.end(call_id, time.monotonic())

    def forget(self, call_id: str) -> None:
        """Another gateway has the call, and keeps its messages."""
        self._signalling.forget(call_id)

    async def run(self) -> None:
        """Write what is complete, and know where the collector is; until cancelled."""
        resolve_at = 0.0
        while True:
            now = time.monotonic()
            if self._config.hep is not None and now >= resolve_at:
                resolve_at = now + _RESOLVE_S
                await self._find(self._config.hep)
            self._write(now)
            await asyncio.sleep(_WRITE_S)

    def close(self) -> None:
        """Nothing more comes: write all that has ended."""
        self._write(float("inf"))
        if self._collector is not None:
            self._collector.close()
            self._collector = None

    def _write(self, now: float) -> None:
        for call_id, messages in self._signalling.due(now):
            self._journal.signalled(call_id, messages)

    def _export(self, collector: socket.socket, message: SipMessage) -> None:
        password = self._config.hep_password.get_secret_value()
        datagram = hep_datagram(message, capture_id=self._config.hep_id, password=password)
        try:
            collector.send(datagram)
        except OSError:  # not there, or its queue is full: an export that nobody waits for
            log.debug("hep_not_sent")

    async def _find(self, where: str) -> None:
        """A socket that is connected to the collector; an unknown name keeps the one before."""
        host, _, port = where.partition(":")
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port or _HEP_PORT, type=socket.SOCK_DGRAM)
        except OSError:
            log.warning("hep_collector_unknown", host=host)
            return
        family, kind, protocol, _, address = found[0]
        collector = socket.socket(family, kind, protocol)
        collector.setblocking(False)
        try:
            collector.connect(address)
        except OSError:
            collector.close()
            return
        if self._collector is not None:
            self._collector.close()
        self._collector = collector
