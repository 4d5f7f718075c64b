# SPDX-License-Identifier: GPL-3.0-or-later
"""Which servers PJSIP sends to, and whether they are there. Endpoint thread only, but for what is said otherwise.

PJSIP itself would wait for DNS on the thread that carries every call. Here its questions go to the event loop, and the
answers come back as commands.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import pjsua2 as pj

from gateway.sip.command import Command
from gateway.trunks.dns import Target
from gateway.trunks.profile import Transport

Answered = Callable[[tuple[Target, ...]], None]
Ask = Callable[[str, int, Transport | None, Answered], None]
"""Find the servers of a host; port 0 and transport None where nothing is said of them. Any thread may answer."""

_TRANSPORTS: dict[str, Transport] = {"udp": "udp", "tcp": "tcp", "tls": "tls"}


class SipResolver(pj.SipResolver):  # type: ignore[misc]
    """PJSIP's resolver (RFC 3263); addresses never get here."""

    def __init__(self, ask: Ask, put: Callable[[Command], None]) -> None:
        """`put`: queue a command for the endpoint's thread."""
        super().__init__()
        self._ask = ask
        self._put = put

    def onName(self, query: int, host: str, port: int, transport: str, secure: bool) -> None:
        def answered(targets: tuple[Target, ...]) -> None:
            self._put(Command(lambda: self._answer(query, targets), None))

        self._ask(host, port, "tls" if secure else _TRANSPORTS.get(transport), answered)

    @contextmanager
    def steered(self, target: Target) -> Iterator[None]:
        """Whatever is sent for the first time inside this goes to this server."""
        self.steer(target.transport, target.address, target.port)
        try:
            yield
        finally:
            self.steer("udp", "", 0)

    def _answer(self, query: int, targets: tuple[Target, ...]) -> None:
        for target in targets:
            self.offer(query, target.transport, target.address, target.port)
        self.answer(query)


class SipProbe(pj.SipProbe):  # type: ignore[misc]
    """OPTIONS outside of any call (RFC 3261 section 11)."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = count(1)
        self._answers: dict[int, Callable[[int], None]] = {}

    def ask(self, target: Target, host: str, from_uri: str, answered: Callable[[int], None]) -> None:
        """`host` is what the server is called, for the request line; `answered` is told the final status."""
        number = next(self._numbers)
        self._answers[number] = answered
        transport = "" if target.transport == "udp" else f";transport={target.transport}"
        self.send(number, f"sip:{host}{transport}", from_uri)

    def onProbed(self, probe: int, status: int) -> None:
        self._answers.pop(probe)(status)
