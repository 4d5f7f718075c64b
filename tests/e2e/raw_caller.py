# SPDX-License-Identifier: GPL-3.0-or-later
"""A caller written from the RFCs alone, for what no proper peer would do: bad messages, sprayed ports."""

import random
import re
import socket
import struct
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

_OFFER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
SILENCE = b"\xff" * 160
"""20 ms of G.711 mu-law."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A SIP response."""

    code: int
    text: str

    def header(self, name: str) -> str:
        found = re.search(rf"(?im)^{name}\s*:\s*(.*?)\r?$", self.text)
        return found[1] if found else ""


@dataclass(slots=True)
class RtpClock:
    """What the next RTP packet of ours carries (RFC 3550 section 5.1)."""

    ssrc: int = field(default_factory=lambda: random.getrandbits(32))
    sequence: int = field(default_factory=lambda: random.getrandbits(16))
    timestamp: int = field(default_factory=lambda: random.getrandbits(32))

    def packet(self, payload: bytes, payload_type: int = 0, samples: int | None = None) -> bytes:
        header = struct.pack("!BBHII", 0x80, payload_type, self.sequence, self.timestamp, self.ssrc)
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.timestamp = (self.timestamp + (samples or len(payload))) & 0xFFFFFFFF
        return header + payload


class RawCaller:
    """UDP sockets for SIP and RTP on loopback; one call at a time."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        """`address`: where it calls from."""
        self._target = ("127.0.0.1", port)
        self.address = address
        self.sip = self.socket_at(address)
        self.rtp = self.socket_at("127.0.0.1")
        self.clock = RtpClock()
        self.call_id = f"raw-{random.getrandbits(48):x}"
        self.sequence = 1
        self.remote_rtp: tuple[str, int] | None = None
        self.from_header = f"<sip:raw@{address}:{self.sip.getsockname()[1]}>"
        self.foreign_contact = ""
        """Where it says that its calls go on, when that is not here."""
        self.to_header = ""
        """In place of the address that is called."""
        self._to = ""
        self._route = ""
        """Route headers, when a proxy has recorded its route; then `_remote_target` is who answered."""
        self._remote_target = ""
        self._branch = ""
        self._sent = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sip.close()
        self.rtp.close()

    def invite(self, user: str, media: str | None = None, *, body: str | None = None) -> Answer:
        """The final response to an INVITE with this offer; a 200 is acknowledged and its media address kept."""
        self.send("INVITE", user, self.offer(media) if body is None else body)
        return self.acknowledge(user)

    def offer(self, media: str | None = None) -> str:
        """Our session description; `media` is all that follows the port on its m= line, mu-law by default."""
        offer = media if media is not None else "RTP/AVP 0\r\na=rtpmap:0 PCMU/8000"
        return f"{_OFFER}m=audio {self.rtp.getsockname()[1]} {offer}\r\n"

    def acknowledge(self, user: str) -> Answer:
        """Wait for the final response to the INVITE and send its ACK; keep the media address of a 200."""
        answer = self.final("INVITE")
        self.confirm(user, answer)
        return answer

    def confirm(self, user: str, answer: Answer) -> None:
        """Send the ACK of a 200, and remember who answered."""
        self._to = answer.header("To")
        if answer.code == 200:
            recorded = re.findall(r"(?im)^Record-Route\s*:\s*(.*?)\r$", answer.text)
            if recorded:
                self._route = "".join(f"Route: {one}\r\n" for one in reversed(recorded))
                target = re.search(r"<(.*?)>", answer.header("Contact"))
                self._remote_target = target[1] if target else ""
            self.send("ACK", user)
            self.take_media(answer)

    def take_media(self, answer: Answer) -> None:
        """Send RTP where this response says."""
        found = re.search(r"m=audio (\d+)", answer.text)
        assert found is not None, answer.text
        self.remote_rtp = ("127.0.0.1", int(found[1]))

    def answer_to(self, address: str) -> None:
        """Whoever calls us from there (`host:port`) gets our answers."""
        self._target = ("127.0.0.1", int(address.rpartition(":")[2]))

    @property
    def contact(self) -> str:
        """Where its calls go on."""
        return self.foreign_contact or f"<sip:raw@{self.address}:{self.sip.getsockname()[1]}>"

    @property
    def peer(self) -> str:
        """The To header of the dialog: the gateway, with its tag."""
        return self._to

    def bye(self, user: str) -> Answer:
        self.sequence += 1
        self.send("BYE", user)
        return self.final("BYE")

    def request(self, method: str, timeout_s: float = 5.0) -> str:
        """The next request of this method that comes to us. Raises `TimeoutError`."""
        deadline = time.monotonic() + timeout_s
        while True:
            self.sip.settimeout(max(0.001, deadline - time.monotonic()))
            text = self.sip.recv(65536).decode(errors="replace")
            if text.startswith(f"{method} "):
                return text

    def accept(self, invite: str, media: str | None = None, *, contact: "RawCaller | None" = None) -> str:
        """Answer the call that came to us with a 200 and this session description; the ACK, which `contact` gets."""
        self.answer(invite, 200, "OK", media)
        return (contact or self).request("ACK")

    def answer(self, invite: str, code: int, reason: str, media: str | None = None) -> None:
        """A response to the call that came to us, with this session description."""
        copied = "".join(re.findall(r"(?im)^(?:Via|From|Call-ID|CSeq|Record-Route)\s*:.*?\r\n", invite))
        callee = Answer(0, invite).header("To")
        body = self.offer(media)
        self.send_bytes(
            (
                f"SIP/2.0 {code} {reason}\r\n{copied}To: {callee};tag=raw\r\n"
                f"Contact: {self.contact}\r\n"
                f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n{body}"
            ).encode()
        )
        found = re.search(r"m=audio (\d+)", invite)
        if found is not None:  # without an offer theirs comes with the ACK
            self.remote_rtp = ("127.0.0.1", int(found[1]))

    def respond(self, request: str, code: int, reason: str = "OK", headers: str = "") -> None:
        """Answer a request that came to us inside the call."""
        copied = "".join(re.findall(r"(?im)^(?:Via|From|To|Call-ID|CSeq|Record-Route)\s*:.*?\r\n", request))
        contact = "" if "Contact:" in headers else f"Contact: {self.contact}\r\n"
        self.send_bytes((f"SIP/2.0 {code} {reason}\r\n{copied}{contact}{headers}Content-Length: 0\r\n\r\n").encode())

    def respond_with_media(self, invite: str, media: str | None = None) -> None:
        """Accept an INVITE inside the call, and send RTP where it says."""
        body = self.offer(media)
        copied = "".join(re.findall(r"(?im)^(?:Via|From|To|Call-ID|CSeq|Record-Route)\s*:.*?\r\n", invite))
        self.send_bytes(
            (
                f"SIP/2.0 200 OK\r\n{copied}Contact: {self.contact}\r\nContent-Type: application/sdp\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}"
            ).encode()
        )
        self.take_media(Answer(0, invite))
        target = re.search(r"<(.*?)>", Answer(0, invite).header("Contact"))
        self._remote_target = target[1] if self._route and target else self._remote_target

    def aim_in_call(self, target: str, route: str) -> None:
        """What we send inside the call is for this address, by this route."""
        self._remote_target, self._route = target, f"Route: <{route}>\r\n"

    def notify(self, user: str, status: str, state: str = "active;expires=60") -> Answer:
        """Tell how the call we were asked to make fares (RFC 3515 section 2.4.5); the answer."""
        self.sequence += 1
        headers = f"Event: refer\r\nSubscription-State: {state}\r\n"
        self.send("NOTIFY", user, f"SIP/2.0 {status}\r\n", headers, "message/sipfrag;version=2.0")
        return self.final("NOTIFY")

    def aim(self, port: int) -> None:
        """Another gateway."""
        self._target = ("127.0.0.1", port)

    def challenge(self, method: str) -> None:
        """Answer the next request of this method with a digest challenge of our own making."""
        request = self.request(method)
        copied = re.findall(r"(?im)^(?:Via|From|To|Call-ID|CSeq)\s*:.*?\r\n", request)
        self.send_bytes(
            (
                "SIP/2.0 401 Unauthorized\r\n"
                + "".join(copied)
                + 'WWW-Authenticate: Digest realm="ours", nonce="1"\r\n'
                "Content-Length: 0\r\n\r\n"
            ).encode()
        )

    def send(
        self, method: str, user: str, body: str = "", headers: str = "", content_type: str = "application/sdp"
    ) -> None:
        here, there = self.sip.getsockname()[1], self._target[1]
        if method != "CANCEL":  # which has the branch of what it cancels (RFC 3261 section 9.1)
            self._branch = f"z9hG4bK{random.getrandbits(48):x}"
        kind = f"Content-Type: {content_type}\r\n" if body else ""
        self._sent = (
            f"{method} {self._remote_target or f'sip:{user}@127.0.0.1:{there}'} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {self.address}:{here};rport;branch={self._branch}\r\n"
            f"From: {self.from_header};tag=raw\r\n"
            f"To: {self._to or self.to_header or f'<sip:{user}@127.0.0.1:{there}>'}\r\n"
            f"Call-ID: {self.call_id}\r\n"
            f"CSeq: {self.sequence} {method}\r\n"
            f"Contact: {self.contact}\r\n"
            f"Max-Forwards: 70\r\n{self._route}{headers}{kind}Content-Length: {len(body.encode())}\r\n\r\n{body}"
        ).encode(errors="surrogateescape")
        self.send_bytes(self._sent)

    def resend(self) -> None:
        """Send our last request again, byte for byte."""
        self.send_bytes(self._sent)

    def send_bytes(self, message: bytes) -> None:
        self.sip.sendto(message, self._target)

    def provisional(self, timeout_s: float = 5.0) -> Answer:
        """The next response other than 100. Raises `TimeoutError`."""
        self.sip.settimeout(timeout_s)
        while True:
            text = self.sip.recv(65536).decode(errors="replace")
            if text.startswith("SIP/2.0") and not text.startswith("SIP/2.0 100"):
                return Answer(int(text.split()[1]), text)

    def final(self, method: str, timeout_s: float = 5.0) -> Answer:
        """The final response to our last request of this method. Raises `TimeoutError`."""
        deadline = time.monotonic() + timeout_s
        while True:
            self.sip.settimeout(max(0.001, deadline - time.monotonic()))
            text = self.sip.recv(65536).decode(errors="replace")
            answer = Answer(int(text.split()[1]) if text.startswith("SIP/2.0") else 0, text)
            if answer.code >= 200 and answer.header("CSeq") == f"{self.sequence} {method}":
                return answer

    def speak(self, payload: bytes, payload_type: int = 0, samples: int | None = None) -> None:
        """Send one RTP packet; `samples` when a sample is not a byte."""
        assert self.remote_rtp is not None
        self.rtp.sendto(self.clock.packet(payload, payload_type, samples), self.remote_rtp)

    def hear(self) -> list[tuple[float, bytes]]:
        """Payloads that have arrived, each with its time (monotonic seconds)."""
        return [(arrived, packet[12:]) for arrived, packet in self.packets()]

    def packets(self) -> list[tuple[float, bytes]]:
        """The same with their RTP headers."""
        self.rtp.setblocking(False)
        packets: list[tuple[float, bytes]] = []
        while True:
            try:
                packet = self.rtp.recv(2048)
            except BlockingIOError:
                return packets
            packets.append((time.monotonic(), packet))

    def report(self, ssrc: int, lost: int, highest_sequence: int) -> None:
        """Send a receiver report on the peer's stream (RFC 3550 section 6.4.2); `lost` since it began."""
        assert self.remote_rtp is not None
        block = struct.pack("!IIIIII", ssrc, lost & 0xFFFFFF, highest_sequence, 0, 0, 0)
        host, port = self.remote_rtp
        self.rtp.sendto(struct.pack("!BBHI", 0x81, 201, 7, self.clock.ssrc) + block, (host, port + 1))

    @staticmethod
    def socket_at(address: str = "127.0.0.1", port: int = 0) -> socket.socket:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind((address, port))
        return one
