# SPDX-License-Identifier: GPL-3.0-or-later
"""Our SDP answer to a browser: Opus with what protects it, everything over one port, all candidates at once."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from aioice import Candidate

from gateway.sip.packet_leg import PacketFormat
from gateway.webrtc.offer import IceCredentials, Offer

_OPUS = "minptime=10;useinbandfec={fec};maxplaybackrate=16000;sprop-maxcapturerate=16000;stereo=0"
"""RFC 7587 section 6.1. What we hear has 16 kHz: more would be bits for nobody."""


@dataclass(frozen=True, slots=True)
class LocalParameters:
    """Our side of the connection."""

    ice: IceCredentials
    candidates: Sequence[Candidate]
    fingerprint: str
    """SHA-256 of our certificate."""


def chosen_format(offer: Offer, *, fec: bool) -> PacketFormat:
    """What is spoken. `fec`: protection against loss is wanted at all (`media.fec`)."""
    return PacketFormat(offer.opus, offer.red if fec else None, offer.event, fec and offer.fec)


def write_answer(offer: Offer, chosen: PacketFormat, local: LocalParameters, *, fec: bool) -> str:
    """RFC 8829 section 5.3."""
    audio_mid = offer.lines[offer.audio].mid
    lines = [
        "v=0",
        f"o=- {secrets.randbits(62)} 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        f"a=group:BUNDLE {audio_mid}",
        "a=msid-semantic:WMS *",
    ]
    for index, line in enumerate(offer.lines):
        if index == offer.audio:
            lines += _audio(offer, chosen, local, fec=fec)
        else:
            lines += [f"m={line.kind} 0 {line.protocol} {line.formats}", "c=IN IP4 0.0.0.0", f"a=mid:{line.mid}"]
    return "\r\n".join(lines) + "\r\n"


def _audio(offer: Offer, chosen: PacketFormat, local: LocalParameters, *, fec: bool) -> list[str]:
    """Redundancy first: what stands first is what the browser sends."""
    types = [one for one in (chosen.red, chosen.opus, chosen.event) if one is not None]
    lines = [
        f"m=audio 9 UDP/TLS/RTP/SAVPF {' '.join(map(str, types))}",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{offer.lines[offer.audio].mid}",
        "a=sendrecv",
        "a=rtcp-mux",
        f"a=rtpmap:{chosen.opus} opus/48000/2",
        f"a=fmtp:{chosen.opus} {_OPUS.format(fec=int(fec))}",
        "a=ptime:20",
    ]
    if chosen.red is not None:
        lines += [f"a=rtpmap:{chosen.red} red/48000/2", f"a=fmtp:{chosen.red} {chosen.opus}/{chosen.opus}"]
    if chosen.event is not None:
        lines += [f"a=rtpmap:{chosen.event} telephone-event/48000", f"a=fmtp:{chosen.event} 0-16"]
    return [
        *lines,
        "a=msid:parley parley-audio",
        *ice_lines(local.ice, local.candidates),
        f"a=fingerprint:sha-256 {local.fingerprint}",
        f"a=setup:{'passive' if offer.is_active else 'active'}",
    ]


def ice_lines(ice: IceCredentials, candidates: Sequence[Candidate]) -> list[str]:
    """RFC 8839 section 5. Nothing is trickled: ours are all here."""
    return [
        f"a=ice-ufrag:{ice.ufrag}",
        f"a=ice-pwd:{ice.password}",
        "a=ice-options:trickle",
        *(f"a=candidate:{one.to_sdp()}" for one in candidates),
        "a=end-of-candidates",
    ]
