# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody else's SIP server on loopback, which does as a test says: a carrier, its spare, its registrar."""

import re
import socket
import threading
import time
from typing import Self

_SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
_REASONS = {200: "OK", 302: "Moved Temporarily", 486: "Busy Here", 500: "Server Error", 503: "Service Unavailable"}


class SipServer:
    """UDP. Keeps the requests that came; answers each method with the code that is set for it, or not at all."""

    def __init__(self, *, invite: int | None = 200, options: int | None = 200, register: int | None = 200) -> None:
        """None: silence."""
        self.codes: dict[str, int | None] = {"INVITE": invite, "OPTIONS": options, "REGISTER": register, "BYE": 200}
        self.once: dict[str, int] = {}
        """What the next request of a method gets in place of that."""
        self.first = 0
        """Say this first to an INVITE: 100, 180."""
        self.contact = ""
        """Of a 302."""
        self.expires_s = 300
        self.requests: list[str] = []
        self.came_at: dict[str, float] = {}
        """When the last request of a method came, retransmissions left out: monotonic seconds."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._rtp.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        self._branches: set[str] = set()
        self._source = ("", 0)
        self._thread = threading.Thread(target=self._serve, name="sip-server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.sendto(b"stop", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()
        self._rtp.close()

    def got(self, method: str) -> list[str]:
        """Requests of this method, retransmissions left out."""
        return [one for one in list(self.requests) if one.startswith(f"{method} ")]

    def answer(self, request: str, code: int) -> None:
        """Answer what came a while ago from where the last request came from."""
        self._respond(request, code, self._source)

    def _serve(self) -> None:
        while True:
            data, source = self._socket.recvfrom(65536)
            if data == b"stop":
                return
            self._source = source
            text = data.decode(errors="replace")
            method = text.partition(" ")[0]
            branch = method + _header(text, "Via")
            code = self.codes.get(method)
            if branch not in self._branches:
                self._branches.add(branch)
                self.requests.append(text)
                self.came_at[method] = time.monotonic()
                code = self.once.pop(method, code)
            if method == "INVITE" and self.first:
                self._respond(text, self.first, source)
            if code is not None:
                self._respond(text, code, source)

    def _respond(self, request: str, code: int, source: tuple[str, int]) -> None:
        copied = "".join(re.findall(r"(?im)^(?:Via|From|Call-ID|CSeq|Record-Route)\s*:.*?\r\n", request))
        to, body, more = _header(request, "To"), "", ""
        if code > 100 and ";tag=" not in to:
            to += f";tag=server{self.port}"
        method = request.partition(" ")[0]
        if method == "INVITE" and code == 200:
            body = _SDP.format(port=self._rtp.getsockname()[1])
            more = "Content-Type: application/sdp\r\n"
        contact = f"<sip:server@{self.host}>"
        if method == "REGISTER":
            expires_s = min(self.expires_s, int(_header(request, "Expires") or self.expires_s))
            contact = f"{_header(request, 'Contact')};expires={expires_s}"
        elif code == 302:
            contact = f"<{self.contact}>"
        self._socket.sendto(
            (
                f"SIP/2.0 {code} {_REASONS.get(code, 'Reason')}\r\n{copied}To: {to}\r\nContact: {contact}\r\n{more}"
                f"Content-Length: {len(body)}\r\n\r\n{body}"
            ).encode(),
            source,
        )


def _header(text: str, name: str) -> str:
    found = re.search(rf"(?im)^{name}\s*:\s*(.*?)\r?$", text)
    return found[1] if found else ""
