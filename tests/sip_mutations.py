# SPDX-License-Identifier: GPL-3.0-or-later
"""SIP messages and session descriptions, bent: what a fuzzer that knows the grammar sends.

`SipMutations(seed)` gives the same messages for the same seed. Seeds are RFC 4475's messages and proper ones of every
kind; each is changed once to six times, by bytes, by lines, by tokens of the grammar, or by crossing it with another.
"""

import random
import re
from collections.abc import Callable

from tests.rfc4475 import MESSAGES

_SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 61000 RTP/AVP 0 8 9 98 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:9 G722/8000\r\n"
    "a=rtpmap:98 opus/48000/2\r\na=fmtp:98 useinbandfec=1;maxaveragebitrate=24000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"
)
_BODIES = (
    _SDP,
    _SDP.replace("RTP/AVP", "RTP/SAVP")
    + "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:32\r\n"
    + "a=crypto:2 AEAD_AES_256_GCM inline:HGAPy4Cedy/qumbZvpuCZSVT7rNDk8vG4TdUXp5hkyWqJCqiLRGab0KJy1g=\r\n",
    _SDP.replace("RTP/AVP", "UDP/TLS/RTP/SAVPF")
    + "a=setup:actpass\r\na=fingerprint:sha-256 "
    + ":".join(f"{octet:02X}" for octet in range(32))
    + "\r\na=rtcp-mux\r\na=ice-ufrag:F7gI\r\na=ice-pwd:x9cml/YzichV2+XlhiMu8g\r\n"
    + "a=candidate:1 1 UDP 2130706431 127.0.0.1 61000 typ host\r\n"
    + "a=candidate:2 1 TCP 1694498815 192.0.2.3 9 typ srflx raddr 10.0.1.1 rport 8998 tcptype active\r\n",
    _SDP.replace("0 8 9 98 101", "103 0")
    + "a=rtpmap:103 red/8000\r\na=fmtp:103 0/0/0\r\na=rtcp:61001 IN IP4 127.0.0.1\r\na=rtcp-fb:* nack\r\n",
    _SDP + "m=video 61002 RTP/AVP 31\r\na=rtpmap:31 H261/90000\r\nm=text 61004 RTP/AVP 96\r\na=rtpmap:96 t140/1000\r\n",
    _SDP.replace("IP4 127.0.0.1\r\nt=", "IP6 ::1\r\nb=AS:64\r\nb=TIAS:64000\r\nt="),
    "",
)
_MULTIPART = (
    "--b\r\nContent-Type: application/sdp\r\n\r\n" + _SDP + "\r\n--b\r\nContent-Type: application/pidf+xml\r\n"
    "Content-ID: <a@b>\r\n\r\n<presence/>\r\n--b--\r\n"
)
_EXTRAS = (
    (),
    ("Supported: 100rel, timer, replaces, path, gruu", "Session-Expires: 90;refresher=uac", "Min-SE: 90"),
    ("Require: 100rel", "RAck: 1 1 INVITE", "RSeq: 1"),
    ("Replaces: 1@2;to-tag=a;from-tag=b;early-only",),
    (
        'Authorization: Digest username="u", realm="r", nonce="n", uri="sip:x", response="0", algorithm=SHA-256, '
        'qop=auth, nc=00000001, cnonce="c", opaque="o", stale=true',
    ),
    ('Proxy-Authorization: Digest username="u",realm="r",nonce="n",uri="sip:x",response="0"',),
    (
        'P-Asserted-Identity: "A" <sip:+15551234567@h>, <tel:+15551234567>',
        "Privacy: id",
        "User-to-User: 56;encoding=hex",
    ),
    ("Diversion: <sip:a@b>;reason=x", "History-Info: <sip:a@b>;index=1", "Identity: e30.e30.x;info=<https://h>"),
    (
        "Refer-To: <sip:a@127.0.0.1?Replaces=1%3Bto-tag%3Da>",
        "Referred-By: <sip:b@c>;cid=x",
        "Target-Dialog: 1;local-tag=a",
    ),
    ("Route: <sip:127.0.0.1;lr>", "Record-Route: <sip:127.0.0.1;lr>, <sip:[::1]:5060;transport=tcp;lr>"),
    ("Event: refer;id=1", "Subscription-State: active;expires=60", "Expires: 3600", "Allow-Events: presence"),
    ('Reason: Q.850;cause=16;text="x"', 'Warning: 399 h "x"', "Retry-After: 5 (x);duration=1", "Timestamp: 1.5 0.1"),
    (
        "Accept: application/sdp;level=1, */*;q=0.1",
        "Allow: INVITE, ACK",
        "Unsupported: x",
        "Content-Disposition: session",
    ),
    ("Path: <sip:a;lr>", "Service-Route: <sip:a;lr>, <sip:b;lr>", "Date: Sat, 13 Nov 2010 23:29:00 GMT"),
)
_METHODS = (
    *("INVITE",) * 6,
    *("ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "PRACK", "UPDATE", "INFO", "REFER", "NOTIFY", "SUBSCRIBE"),
    *("MESSAGE", "PUBLISH", "invite", "X"),
)
_TOKENS = tuple(
    one.encode()
    for one in (
        *("0", "-1", "1", "65535", "65536", "2147483647", "2147483648", "4294967295", "4294967296"),
        *("99999999999999999999999", "1e309", "00000000000000000001", "0x10", "%", "%00", "%zz", "%s%n%x", "\\", '"'),
        *(";", ",", "<", ">", "@", ":", "=", "/", "?", "[", "]", "[::1", "::", "(", ")", "*", "\t", " ", "\r", "\n"),
        *("\r\n", "\r\n ", "\r\n\r\n", "\x00", "\x7f", "ÿ", "大", "\ufeff", ";lr", ";tag=", ";branch=", ";rport"),
        *(";received=", ";maddr=255.255.255.255", ";ttl=256", ";transport=tls", ";method=X", "sip:", "sips:", "tel:"),
        *("SIP/2.0", "SIP/3.0", "z9hG4bK", "IN IP4 0.0.0.0", "IN IP4 255.255.255.255", "IN IP6 ff02::1", "RTP/SAVP"),
        *(
            "a=sendonly",
            "a=inactive",
            "a=ptime:0",
            "a=maxptime:65535",
            "a=rtcp-mux",
            "a=crypto:1 X inline:",
            "a=ice-lite",
        ),
        *("application/sdp", "multipart/mixed;boundary=b", "multipart/mixed", "message/sipfrag", "text/plain"),
    )
)
_DATAGRAM = 60_000
_LONG_LENGTHS = (64, 128, 256, 512, 1024, 4000, 9000)
Change = Callable[[bytearray], bytearray]


class SipMutations:
    """Deterministic; one message after another."""

    def __init__(self, seed: int, contact: str = "sip:fuzz@127.0.0.1:9") -> None:
        """`contact` is where requests in calls that they begin go."""
        self._contact = contact
        self._random = random.Random(seed)
        self._seed = seed
        self._count = 0
        self._changes: tuple[Change, ...] = (
            self._flip,
            self._remove,
            self._double,
            self._insert_token,
            self._replace_number,
            self._lengthen,
            self._drop_line,
            self._double_line,
            self._swap_lines,
            self._swap_value,
            self._cut,
            self._cross,
        )

    def message(self, via: str) -> bytes:
        """The next one; most of them are answered to where the header `via` says, and few are mistaken for others."""
        self._count += 1
        choose = self._random.random()
        if choose < 0.25:
            text = self._random.choice(tuple(MESSAGES.values()))
        else:
            text = self.proper(self._random.choice(_METHODS), via)
        bent = self._bend(text)
        if choose < 0.25 and self._random.random() < 0.8:
            first, end, rest = bytes(bent).partition(b"\r\n")
            own = f"Call-ID: m{self._seed}-{self._count}\r\n".encode()
            bent = bytearray(first + end + via.encode() + own + rest)
        return self._fit(bent)[:_DATAGRAM]

    def offer(self, via: str) -> bytes:
        """An INVITE as it should be, but for its offer."""
        self._count += 1
        return self.proper("INVITE", via, self.session_description().decode("latin-1"))

    def proper(self, method: str, via: str, body: str | None = None) -> bytes:
        """A request as it should be."""
        number = f"{self._seed}-{self._count}"
        if body is None:
            body = self._random.choice(_BODIES) if method in ("INVITE", "UPDATE", "ACK", "PRACK") else ""
        kind = "application/sdp"
        if body and self._random.random() < 0.1:
            body, kind = _MULTIPART, "multipart/mixed;boundary=b"
        extras = "".join(
            f"{line}\r\n" for _ in range(self._random.randrange(3)) for line in self._random.choice(_EXTRAS)
        )
        content = f"Content-Type: {kind}\r\n" if body else ""
        tag = ";tag=x" if self._random.random() < 0.1 else ""
        return (
            f"{method} sip:echo@127.0.0.1 SIP/2.0\r\n{via}"
            f'From: "A" <sip:fuzz@127.0.0.1>;tag=f{number}\r\nTo: <sip:echo@127.0.0.1>{tag}\r\nCall-ID: f{number}\r\n'
            f"CSeq: 1 {method}\r\nContact: <{self._contact}>\r\nMax-Forwards: 70\r\n{extras}{content}"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode("latin-1")

    def session_description(self) -> bytes:
        """A bent offer alone, for a message that is otherwise proper."""
        return bytes(self._bend(self._random.choice(_BODIES[:-1]).encode()))[:7000]

    def bent(self, message: bytes) -> bytes:
        """This one, bent."""
        return self._fit(self._bend(message))[:_DATAGRAM]

    def _bend(self, message: bytes) -> bytearray:
        text = bytearray(message)
        for _ in range(self._random.randint(1, 6)):
            text = self._random.choice(self._changes)(text) or bytearray(b"\r\n")
        return text

    def _fit(self, message: bytearray) -> bytes:
        """Mostly let Content-Length be true, or all that is behind the head goes unread."""
        text = bytes(message)
        head, blank, body = text.partition(b"\r\n\r\n")
        if blank and self._random.random() < 0.8:
            head = re.sub(rb"(?im)^(Content-Length|l)[ \t]*:[^\r\n]*", b"Content-Length: %d" % len(body), head)
            return head + blank + body
        return text

    # What is done to it

    def _at(self, text: bytearray) -> int:
        return self._random.randrange(len(text) + 1)

    def _flip(self, text: bytearray) -> bytearray:
        for _ in range(self._random.randint(1, 4)):
            text[self._random.randrange(len(text))] = self._random.randrange(256)
        return text

    def _remove(self, text: bytearray) -> bytearray:
        at = self._at(text)
        del text[at : at + self._random.randint(1, 40)]
        return text

    def _double(self, text: bytearray) -> bytearray:
        at = self._at(text)
        piece = text[at : at + self._random.randint(1, 60)]
        return text[:at] + piece * self._random.randint(2, 70) + text[at:]

    def _insert_token(self, text: bytearray) -> bytearray:
        at = self._at(text)
        return text[:at] + self._random.choice(_TOKENS) * self._random.choice((1, 1, 1, 2, 70)) + text[at:]

    def _replace_number(self, text: bytearray) -> bytearray:
        numbers = list(re.finditer(rb"\d+", bytes(text)))
        if numbers:
            found = self._random.choice(numbers)
            text[found.start() : found.end()] = self._random.choice(_TOKENS[:12])
        return text

    def _lengthen(self, text: bytearray) -> bytearray:
        at = self._at(text)
        return text[:at] + bytes([text[at - 1]]) * self._random.choice(_LONG_LENGTHS) + text[at:]

    def _drop_line(self, text: bytearray) -> bytearray:
        lines = text.split(b"\r\n")
        del lines[self._random.randrange(len(lines))]
        return bytearray(b"\r\n".join(lines))

    def _double_line(self, text: bytearray) -> bytearray:
        lines = text.split(b"\r\n")
        at = self._random.randrange(len(lines))
        return bytearray(
            b"\r\n".join([*lines[:at], *[lines[at]] * self._random.choice((2, 3, 9, 70)), *lines[at + 1 :]])
        )

    def _swap_lines(self, text: bytearray) -> bytearray:
        lines = text.split(b"\r\n")
        first, second = self._random.randrange(len(lines)), self._random.randrange(len(lines))
        lines[first], lines[second] = lines[second], lines[first]
        return bytearray(b"\r\n".join(lines))

    def _swap_value(self, text: bytearray) -> bytearray:
        """The value of one header under another's name."""
        lines = text.split(b"\r\n")
        with_values = [index for index, line in enumerate(lines) if b":" in line or b"=" in line]
        if len(with_values) > 1:
            target, source = self._random.sample(with_values, 2)
            name = re.match(rb"[^:=]*[:=]", bytes(lines[target]))
            value = re.sub(rb"^[^:=]*[:=]", b"", bytes(lines[source]))
            lines[target] = bytearray((name[0] if name else b"") + value)
        return bytearray(b"\r\n".join(lines))

    def _cut(self, text: bytearray) -> bytearray:
        return text[: self._at(text)] if self._random.random() < 0.3 else text

    def _cross(self, text: bytearray) -> bytearray:
        other = self._random.choice(tuple(MESSAGES.values()))
        return text[: self._at(text)] + other[self._random.randrange(len(other)) :]
