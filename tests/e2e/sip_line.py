# SPDX-License-Identifier: GPL-3.0-or-later
"""A line to the gateway for messages that no proper peer would send, over UDP, TCP or TLS."""

import contextlib
import re
import select
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Literal, Self

LineTransport = Literal["udp", "tcp", "tls"]
_HEADER = r"(?im)^(?:{})[ \t]*:[ \t]*(.*?)\r?$"
_PACKET = 65536


@dataclass(frozen=True, slots=True)
class SipAnswer:
    """A response of the gateway."""

    text: str

    @property
    def code(self) -> int:
        return int(self.text[8:11])

    @property
    def call_id(self) -> str:
        return header(self.text, "Call-ID|i")

    @property
    def method(self) -> str:
        """Of the request that it answers."""
        return header(self.text, "CSeq").partition(" ")[2].strip()


@dataclass(slots=True)
class SipLine:
    """Sends what it is given, collects the answers, and ends every call that the gateway accepts.

    Nothing is read but in `pump`. It connects on first use; TCP and TLS again when the gateway has closed the
    connection.
    """

    port: int
    transport: LineTransport = "udp"
    before_bye: Callable[["Dialog"], list[bytes]] = lambda dialog: []
    """Requests to send in each dialog before it ends."""
    answers: list[SipAnswer] = field(default_factory=list)
    _socket: socket.socket | None = None
    _received: bytes = b""
    _known: set[str] = field(default_factory=set)
    """Dialogs that have been ended, by Call-ID and tag."""
    _branches: "count[int]" = field(default_factory=count)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def address(self) -> tuple[str, int]:
        """Our end."""
        if self._socket is None:
            self.connect()
        assert self._socket is not None
        host, port = self._socket.getsockname()[:2]
        return host, port

    @property
    def contact(self) -> str:
        """Where requests to us go."""
        host, port = self.address
        return f"sip:line@{host}:{port}" + ("" if self.transport == "udp" else f";transport={self.transport}")

    def connect(self) -> None:
        """Open the socket, anew if need be."""
        self.close()
        there = ("127.0.0.1", self.port)
        if self.transport == "udp":
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            self._socket.bind(("127.0.0.1", 0))
            self._socket.connect(there)
        else:
            self._socket = socket.create_connection(there, 10)
            if self.transport == "tls":
                trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE  # what is tested is the other end
                self._socket = trusting.wrap_socket(self._socket)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket, self._received = None, b""

    def send(self, message: bytes) -> None:
        """Raises `ConnectionError` when a new connection fails, too."""
        for attempt in range(3):
            try:
                if self._socket is None:
                    self.connect()
                assert self._socket is not None
                self._socket.settimeout(10)
                self._socket.sendall(message)
                return
            except (ConnectionError, ssl.SSLError):
                self.close()
                if attempt == 2:
                    raise

    def pump(self, seconds: float = 0.0) -> None:
        """Take what has come, and what comes within this time."""
        deadline = time.monotonic() + seconds
        while self._wait(left := max(0.0, deadline - time.monotonic())) or left > 0:
            self._receive()

    def _receive(self) -> None:
        """Take what has come in one piece, if anything has."""
        if not self._wait(0.0):
            return
        assert self._socket is not None
        try:
            self._socket.setblocking(False)  # TLS may have only half a record, or one without data
            data = self._socket.recv(_PACKET)
        except (ConnectionRefusedError, BlockingIOError, ssl.SSLWantReadError):  # or somebody before us has gone
            return
        except (ConnectionError, ssl.SSLError):
            data = b""
        if not data and self.transport != "udp":
            self.close()
        else:
            self._take(data)

    def request(self, method: str, user: str, *, body: bytes = b"", headers: str = "") -> str:
        """Send a proper request outside a dialog; its Call-ID."""
        call_id, message = self.proper(method, user, body=body, headers=headers)
        self.send(message)
        return call_id

    def proper(self, method: str, user: str, *, body: bytes = b"", headers: str = "") -> tuple[str, bytes]:
        """Such a request and its Call-ID."""
        number = next(self._branches)
        host, port = self.address
        call_id = f"line-{port}-{number}"
        kind = "Content-Type: application/sdp\r\n" if body else ""
        head = (
            f"{method} sip:{user}@127.0.0.1:{self.port} SIP/2.0\r\n{self.via()}"
            f"From: <sip:line@{host}>;tag=line{number}\r\nTo: <sip:{user}@127.0.0.1>\r\n"
            f"Call-ID: {call_id}\r\nCSeq: 1 {method}\r\nContact: <{self.contact}>\r\nMax-Forwards: 70\r\n"
            f"{headers}{kind}Content-Length: {len(body)}\r\n\r\n"
        )
        return call_id, head.encode() + body

    def answer_to(self, call_id: str, timeout_s: float = 10.0) -> SipAnswer:
        """The final response to this request. Raises `TimeoutError`."""
        deadline = time.monotonic() + timeout_s
        while True:
            for answer in self.answers:
                if answer.call_id == call_id and answer.code >= 200:
                    return answer
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer to {call_id}")
            self._wait(0.1)
            self._receive()

    def via(self) -> str:
        """A Via header of ours, so that what we send is answered to us."""
        host, port = self.address
        return (
            f"Via: SIP/2.0/{self.transport.upper()} {host}:{port};rport"
            f";branch=z9hG4bKline{port}-{next(self._branches)}\r\n"
        )

    def _wait(self, seconds: float) -> bool:
        """Whether there is something to read."""
        if self._socket is None:
            time.sleep(min(seconds, 0.02))
            return False
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return True
        return bool(select.select([self._socket], [], [], seconds)[0])

    def _take(self, data: bytes) -> None:
        if self.transport == "udp":
            self._take_message(data)
            return
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            length = header(self._received[: end + 2].decode(errors="replace"), "Content-Length|l")
            end += 4 + int(length or 0)
            if len(self._received) < end:
                return
            message, self._received = self._received[:end], self._received[end:]
            self._take_message(message)

    def _take_message(self, message: bytes) -> None:
        text = message.decode(errors="surrogateescape").lstrip("\r\n")
        if not text.startswith("SIP/2.0 "):
            if text[:4] in ("BYE ", "INVI", "OPTI", "INFO", "UPDA", "NOTI"):
                self._respond(text)
            return
        answer = SipAnswer(text)
        self.answers.append(answer)
        if answer.method == "INVITE" and answer.code // 100 == 2:
            self._end_call(answer)

    def _respond(self, request: str) -> None:
        """So that the gateway need not ask again."""
        copied = "".join(re.findall(r"(?im)^(?:v|Via|f|From|t|To|i|Call-ID|CSeq)[ \t]*:.*?\r\n", request))
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            self.send(f"SIP/2.0 200 OK\r\n{copied}Content-Length: 0\r\n\r\n".encode(errors="surrogateescape"))

    def _end_call(self, answer: SipAnswer) -> None:
        dialog = Dialog.of(answer.text)
        key = f"{dialog.call_id}\n{dialog.to}\n{dialog.sequence}"
        self.send(dialog.request("ACK", self.via(), dialog.sequence))
        if key in self._known:
            return  # sent again, since our ACK had not come yet
        self._known.add(key)
        if f"{dialog.call_id}\n{dialog.to}" in self._known:
            return  # a re-INVITE
        self._known.add(f"{dialog.call_id}\n{dialog.to}")
        more = self.before_bye(dialog)
        for message in more:
            self.send(message)
        self.send(dialog.request("BYE", self.via(), dialog.sequence + len(more) + 1))


@dataclass(frozen=True, slots=True)
class Dialog:
    """What a request within a call must say, all of it as the gateway wrote it."""

    call_id: str
    from_: str
    to: str
    target: str
    sequence: int

    @classmethod
    def of(cls, response: str) -> "Dialog":
        target = re.search(r"<(.*?)>", header(response, "Contact|m"))
        number = re.match(r"\d+", header(response, "CSeq"))
        return cls(
            call_id=header(response, "Call-ID|i"),
            from_=header(response, "From|f"),
            to=header(response, "To|t"),
            target=target[1] if target else "sip:127.0.0.1",
            sequence=int(number[0]) if number else 1,
        )

    def request(self, method: str, via: str, sequence: int, *, headers: str = "", body: bytes = b"") -> bytes:
        return (
            f"{method} {self.target} SIP/2.0\r\n{via}From: {self.from_}\r\nTo: {self.to}\r\n"
            f"Call-ID: {self.call_id}\r\nCSeq: {sequence} {method}\r\nMax-Forwards: 70\r\n{headers}"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode(errors="surrogateescape") + body


def header(message: str, names: str) -> str:
    """The value of the first header of one of these names (`Via|v`); empty when there is none."""
    found = re.search(_HEADER.format(names), message.partition("\r\n\r\n")[0] + "\r\n")
    return found[1] if found else ""
