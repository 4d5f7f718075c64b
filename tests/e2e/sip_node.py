# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes of a cluster that are UDP sockets: each answers calls through the edge as fast as the edge can ask."""

import re
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

Respond = Callable[[str], int]
"""The status of a request."""


class SipNode:
    """Answers INVITE, BYE and OPTIONS until it is closed; counts the calls it has."""

    def __init__(self, respond: Respond = lambda request: 200) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self.port: int = self._socket.getsockname()[1]
        self._respond = respond
        self.invites: list[str] = []
        """Each once."""
        self.byes: list[str] = []
        self.calls: set[str] = set()
        """Call-IDs of those that stand."""
        self.is_silent = False
        """As a process that hangs: it takes what comes, and says nothing."""
        self._is_open = True
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """Its port is free at once, as that of a process that was killed."""
        self._is_open = False
        self._thread.join()
        self._socket.close()

    def send(self, message: bytes, port: int) -> None:
        """From the node's own port."""
        self._socket.sendto(message, ("127.0.0.1", port))

    def _serve(self) -> None:
        while self._is_open:
            try:
                data, sender = self._socket.recvfrom(65536)
            except TimeoutError:
                continue
            text = data.decode(errors="replace")
            if self.is_silent or text.startswith(("SIP/2.0", "ACK")):
                continue
            self._socket.sendto(self._answer(text), sender)

    def _answer(self, request: str) -> bytes:
        call_id = header(request, "Call-ID")
        code = self._respond(request)
        body = ""
        if request.startswith("INVITE") and call_id not in self.calls:
            self.invites.append(request)
        if request.startswith("INVITE") and code == 200:
            self.calls.add(call_id)
            body = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            body += f"m=audio {self.port - 1} RTP/AVP 0\r\n"
        if request.startswith("BYE"):
            self.byes.append(request)
            self.calls.discard(call_id)
        copied = "".join(re.findall(r"(?im)^(?:Via|From|Call-ID|CSeq|Record-Route)\s*:.*?\r\n", request))
        to = header(request, "To")
        tag = "" if "tag=" in to else f";tag=n{self.port}"
        kind = "Content-Type: application/sdp\r\n" if body else ""
        return (
            f"SIP/2.0 {code} Said\r\n{copied}To: {to}{tag}\r\nContact: <sip:node@127.0.0.1:{self.port}>\r\n"
            f"{kind}Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()


def header(message: str, name: str) -> str:
    """Its first value; empty when there is none."""
    found = re.search(rf"(?im)^{name}\s*:\s*(.*?)\r?$", message)
    return found[1] if found else ""
