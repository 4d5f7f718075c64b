# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes of a cluster that are UDP sockets: each answers calls through the edge as fast as the edge can ask."""

import re
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

_SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
Respond = Callable[[str], int]
"""The status of a request."""


class SipNode:
    """Answers INVITE, BYE and OPTIONS until it is closed; counts the calls it has."""

    def __init__(self, respond: Respond = lambda request: 200) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self.port: int = self._socket.getsockname()[1]
        self.rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        """Where it has the audio of all its calls."""
        self.rtp.bind(("127.0.0.1", 0))
        self.rtp.setblocking(False)
        self.respond = respond
        self.invites: list[str] = []
        """Each once."""
        self.byes: list[str] = []
        self.responses: dict[str, str] = {}
        """The 200 of each call."""
        self.calls: set[str] = set()
        """Call-IDs of those that stand."""
        self.is_silent = False
        """As a process that hangs: it takes what comes, and says nothing."""
        self._adopted = ""
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
        if self._is_open:
            self._is_open = False
            self._thread.join()
            self._socket.close()
            self.rtp.close()

    def reinvite(self, answered: str, port: int) -> None:
        """Take over the call that another node answered like this: INVITE the caller through the edge at `port`."""
        routes = "".join(f"Route: {one}\r\n" for one in re.findall(r"(?im)^Record-Route\s*:\s*(.*?)\r$", answered))
        target = answered[answered.rindex("<") :].strip("<>")
        body = self._sdp()
        message = (
            f"INVITE {target} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bKadopt{self.port}\r\n"
            f"{routes}From: {header(answered, 'To')}\r\nTo: {header(answered, 'From')}\r\nMax-Forwards: 70\r\n"
            f"Call-ID: {header(answered, 'Call-ID')}\r\nCSeq: 1001 INVITE\r\n"
            f"Contact: <sip:node@127.0.0.1:{self.port}>\r\nContent-Type: application/sdp\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )
        self._adopted = message
        self._socket.sendto(message.encode(), ("127.0.0.1", port))

    def _serve(self) -> None:
        while self._is_open:
            try:
                data, sender = self._socket.recvfrom(65536)
            except TimeoutError:
                continue
            text = data.decode(errors="replace")
            if text.startswith("SIP/2.0 200") and "1001 INVITE" in text:
                self._socket.sendto(self._ack(text), sender)
            if self.is_silent or text.startswith(("SIP/2.0", "ACK")):
                continue
            self._socket.sendto(self._answer(text, self.respond(text)), sender)
            if text.startswith("CANCEL"):
                invite = next(one for one in self.invites if header(one, "Call-ID") == header(text, "Call-ID"))
                self._socket.sendto(self._answer(invite, 487), sender)

    def _sdp(self) -> str:
        return _SDP.format(port=self.rtp.getsockname()[1])

    def _ack(self, response: str) -> bytes:
        _, _, rest = self._adopted.partition("\r\n\r\n")[0].partition("\r\n")
        target = header(response, "Contact").strip("<>")
        rest = re.sub(r"branch=\S+", f"branch=z9hG4bKack{self.port}", rest).replace("1001 INVITE", "1001 ACK")
        kept = "\r\n".join(line for line in rest.split("\r\n") if not line.startswith("Content"))
        return f"ACK {target} SIP/2.0\r\n{kept}\r\nContent-Length: 0\r\n\r\n".encode()

    def _answer(self, request: str, code: int) -> bytes:
        call_id = header(request, "Call-ID")
        body = ""
        if request.startswith("INVITE") and call_id not in self.calls and code != 487:
            self.invites.append(request)
        if request.startswith("INVITE") and code == 200:
            self.calls.add(call_id)
            body = self._sdp()
        if request.startswith("BYE"):
            self.byes.append(request)
            self.calls.discard(call_id)
        copied = "".join(re.findall(r"(?im)^(?:Via|From|Call-ID|CSeq|Record-Route)\s*:.*?\r\n", request))
        to = header(request, "To")
        tag = "" if "tag=" in to else f";tag=n{self.port}"
        kind = "Content-Type: application/sdp\r\n" if body else ""
        said = (
            f"SIP/2.0 {code} Said\r\n{copied}To: {to}{tag}\r\nContact: <sip:node@127.0.0.1:{self.port}>\r\n"
            f"{kind}Content-Length: {len(body)}\r\n\r\n{body}"
        )
        if request.startswith("INVITE") and code == 200:
            self.responses[call_id] = said + header(request, "Contact")
        return said.encode()


def header(message: str, name: str) -> str:
    """Its first value; empty when there is none."""
    found = re.search(rf"(?im)^{name}\s*:\s*(.*?)\r?$", message)
    return found[1] if found else ""
