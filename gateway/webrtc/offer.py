# SPDX-License-Identifier: GPL-3.0-or-later
"""A browser's SDP offer (RFC 8829, RFC 8866), as far as it matters to us: one audio line with Opus, DTLS and ICE.

Lines of other media are refused in the answer (port 0), in their order.
"""

import ipaddress
import re
from dataclasses import dataclass, field

from aioice import Candidate

MAX_BYTES = 32 * 1024
_MAX_CANDIDATES = 64
_TOKEN = r"[A-Za-z0-9+/]"


class BadOffer(ValueError):
    """The session description, or fragment of one, is not what a browser sends; the message says where and what."""


@dataclass(frozen=True, slots=True)
class IceCredentials:
    """RFC 8839 section 5.4."""

    ufrag: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Of the browser's certificate (RFC 8122 section 5)."""

    algorithm: str
    value: str


@dataclass(frozen=True, slots=True)
class MediaLine:
    """One m= line, which the answer has to have as well."""

    kind: str
    protocol: str
    formats: str
    mid: str


@dataclass(frozen=True, slots=True)
class Offer:
    """What the browser wants and can."""

    lines: tuple[MediaLine, ...]
    audio: int
    """Which of `lines` we take."""
    opus: int
    """Payload types."""
    red: int | None
    event: int | None
    fec: bool
    """It makes use of in-band FEC."""
    red_first: bool
    """It would rather send redundancy."""
    ice: IceCredentials
    fingerprints: tuple[Fingerprint, ...]
    is_active: bool
    """It begins the DTLS handshake and nobody else (`a=setup:active`)."""
    candidates: tuple[Candidate, ...]
    is_complete: bool
    """No more candidates will come."""


class _Section:
    """The attributes of the session, or of one m= line."""

    def __init__(self) -> None:
        self.attributes: list[tuple[str, str]] = []

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]

    def first(self, name: str, otherwise: "_Section | None" = None) -> str | None:
        found = self.all(name) or ([] if otherwise is None else otherwise.all(name))
        return found[0] if found else None


def parse_offer(text: str) -> Offer:
    """Raises `BadOffer`."""
    if len(text) > MAX_BYTES:
        raise BadOffer(f"sdp: longer than {MAX_BYTES} bytes")
    if not text.startswith("v=0"):
        raise BadOffer("sdp: does not begin with v=0")
    session = _Section()
    lines: list[tuple[MediaLine, _Section]] = []
    section = session
    for raw in text.splitlines():
        if raw.startswith("m="):
            section = _Section()
            lines.append((_media_line(raw), section))
        elif raw.startswith("a="):
            name, _, value = raw[2:].partition(":")
            section.attributes.append((name.strip(), value.strip()))
    with_mids = tuple(
        MediaLine(line.kind, line.protocol, line.formats, one.first("mid") or str(index))
        for index, (line, one) in enumerate(lines)
    )
    for index, (line, one) in enumerate(lines):
        if line.kind == "audio" and line.protocol == "UDP/TLS/RTP/SAVPF":
            return _offer(with_mids, index, one, session)
    raise BadOffer("sdp: has no audio line of UDP/TLS/RTP/SAVPF")


def _media_line(raw: str) -> MediaLine:
    match = re.fullmatch(r"m=([a-z]{1,16}) \d{1,5}(?:/\d+)? ([A-Z/]{1,32}) ([\x21-\x7e ]{1,512})", raw)
    if match is None:
        raise BadOffer("sdp: an m= line that is none")
    return MediaLine(match[1], match[2], match[3], "")


def _offer(lines: tuple[MediaLine, ...], index: int, audio: _Section, session: _Section) -> Offer:
    formats = lines[index].formats.split()
    if audio.first("rtcp-mux") is None:
        raise BadOffer("sdp: a=rtcp-mux is missing: RTP and RTCP take one port (RFC 8834 section 4.5)")
    encodings = dict(_rtpmaps(audio))
    opus = next((one for one in formats if encodings.get(one, "").startswith("opus/48000")), None)
    if opus is None:
        raise BadOffer("sdp: Opus is not offered, which every browser speaks (RFC 7874 section 3)")
    parameters = dict(value.partition(" ")[::2] for value in audio.all("fmtp"))
    repeats = [
        one
        for one in formats
        if encodings.get(one, "").startswith("red/48000") and set(parameters.get(one, "").split("/")) == {opus}
    ]
    events = [one for one in formats if encodings.get(one) == "telephone-event/48000"]
    return Offer(
        lines=lines,
        audio=index,
        opus=_payload_type(opus),
        red=_payload_type(repeats[0]) if repeats else None,
        event=_payload_type(events[0]) if events else None,
        fec="useinbandfec=1" in re.split(r"[;\s]+", parameters.get(opus, "")),
        red_first=bool(repeats) and formats.index(repeats[0]) < formats.index(opus),
        ice=credentials_of(audio.first("ice-ufrag", session), audio.first("ice-pwd", session)),
        fingerprints=tuple(_fingerprints(audio.all("fingerprint") or session.all("fingerprint"))),
        is_active=_is_active(audio.first("setup", session)),
        candidates=candidates_of(audio.all("candidate")),
        is_complete=audio.first("end-of-candidates", session) is not None,
    )


def _rtpmaps(audio: _Section) -> list[tuple[str, str]]:
    found = []
    for value in audio.all("rtpmap"):
        payload_type, _, encoding = value.partition(" ")
        found.append((payload_type, encoding.strip().lower()))
    return found


def _payload_type(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 <= int(text[:4]) <= 127:
        raise BadOffer("sdp: a payload type is a number up to 127 (RFC 3551 section 6)")
    return int(text)


def _is_active(setup: str | None) -> bool:
    if setup not in ("actpass", "active", "passive", None):
        raise BadOffer("sdp: a=setup is none of actpass, active, passive (RFC 8842 section 5.2)")
    return setup == "active"


def _fingerprints(values: list[str]) -> list[Fingerprint]:
    found = []
    for value in values:
        match = re.fullmatch(r"(sha-(?:256|384|512)) ((?:[0-9A-F]{2}:){31,63}[0-9A-F]{2})", value, re.IGNORECASE)
        if match is not None:
            found.append(Fingerprint(match[1].lower(), match[2].upper()))
    if not found:
        raise BadOffer("sdp: a=fingerprint of sha-256, sha-384 or sha-512 is missing (RFC 8122 section 5)")
    return found


def credentials_of(ufrag: str | None, password: str | None) -> IceCredentials:
    """Raises `BadOffer`."""
    if ufrag is None or not re.fullmatch(_TOKEN + "{4,256}", ufrag):
        raise BadOffer("sdp: a=ice-ufrag is missing, or not 4 to 256 letters, digits, + and /")
    if password is None or not re.fullmatch(_TOKEN + "{22,256}", password):
        raise BadOffer("sdp: a=ice-pwd is missing, or not 22 to 256 letters, digits, + and /")
    return IceCredentials(ufrag, password)


def candidates_of(values: list[str]) -> tuple[Candidate, ...]:
    """Those that we can send to: of UDP, with an address. Others tell nothing (a name that mDNS hides its address
    behind, RFC 8828; TCP), and their browser finds us. Raises `BadOffer`."""
    found: list[Candidate] = []
    for value in values:
        if len(found) == _MAX_CANDIDATES:
            break
        try:
            candidate = Candidate.from_sdp(value)
        except (ValueError, IndexError, KeyError, AssertionError) as error:
            raise BadOffer("sdp: an a=candidate that is none (RFC 8839 section 5.1)") from error
        if candidate.transport.lower() == "udp" and candidate.component == 1 and _is_reachable(candidate):
            found.append(candidate)
    return tuple(found)


def _is_reachable(candidate: Candidate) -> bool:
    """One machine, by its address: checks are sent to each candidate."""
    try:
        address = ipaddress.ip_address(candidate.host)
    except ValueError:
        return False
    is_one = not (address.is_multicast or address.is_unspecified or str(address) == "255.255.255.255")
    return is_one and 0 < candidate.port <= 65535
