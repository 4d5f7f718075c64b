# SPDX-License-Identifier: GPL-3.0-or-later
"""A leg whose packets come through somebody else's transport (media/native/packet_leg.hpp): a browser's."""

from dataclasses import dataclass

import pjsua2 as pj

from gateway.sip.events import LegQuality
from gateway.sip.settings import Fec
from media.native_port import NativePort
from media.ports import JitterPolicy

_PROTECTION: dict[Fec, int] = {False: 0, True: 1, "always": 2}
"""`Protection` of media/native/loss_protection.hpp."""
_RATE_HZ = 16000
"""Rate our side of an Opus leg runs at, as in calls by SIP (`gateway.sip.codecs`)."""


@dataclass(frozen=True, slots=True)
class PacketFormat:
    """What was settled with the peer: RTP payload types, None for what there is not."""

    opus: int
    red: int | None = None
    """Redundancy of Opus (RFC 2198)."""
    event: int | None = None
    """telephone-event/48000 (RFC 4733)."""
    fec: bool = False
    """The peer makes use of in-band FEC (RFC 7587 section 6.1)."""


class PacketLeg:
    """Made and closed on the endpoint's thread (`SipEndpoint.open_packet_leg`); `receive` is the event loop's."""

    def __init__(self, socket: int, wanted: PacketFormat, jitter: JitterPolicy, fec: Fec) -> None:
        """What is sent, RTP and RTCP unencrypted, is written to this socket. Raises `RuntimeError`."""
        native = pj.PacketLegFormat()
        native.opus_pt, native.rate_hz = wanted.opus, _RATE_HZ
        native.red_pt = -1 if wanted.red is None else wanted.red
        native.event_pt = -1 if wanted.event is None else wanted.event
        native.in_band_fec = wanted.fec
        self._native = pj.PacketLeg(socket, native, jitter, _PROTECTION[fec])
        self.receive = self._native.receive
        """Takes a decrypted packet of the peer, RTP or RTCP. After the end it goes nowhere."""

    @property
    def port(self) -> NativePort:
        return self._native.pcmPort()  # type: ignore[no-any-return]

    def quality(self) -> LegQuality:
        """The counts up to now; of a closed leg, those of its end."""
        return LegQuality.of_native(self._native.rtpStats())

    def close(self) -> None:
        """RTCP BYE, and the end of the stream. Once more is no fault."""
        self._native.close()
